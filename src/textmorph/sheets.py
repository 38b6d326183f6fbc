"""Frames → .mp4 or .gif; the file appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from .errors import MissingExtraError, OptionError, OutputError
from .fields import shown
from .files import written_whole
from .images import to_pil

SUFFIXES = (".mp4", ".gif")


def check_writer(path: str | os.PathLike[str]) -> None:
    """Say now, before any work, that a video could not be written.

    Raises:
        OptionError: an ending other than .mp4 and .gif.
        MissingExtraError: .mp4, and its encoder is not installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise OptionError(f"a video ends in {', '.join(SUFFIXES)}, not {Path(path).name!r}")
    if suffix == ".mp4" and find_spec("imageio_ffmpeg") is None:
        raise MissingExtraError("an .mp4 needs the extra 'video': pip install 'textmorph[video]'; a .gif needs nothing")


def write_video(
    frames: Sequence[Tensor], path: str | os.PathLike[str], *, fps: float = 30.0, overwrite: bool = False
) -> None:
    """Write frames as a video, by the ending of its name. A .gif loops; it holds 256 colours and at most 50 frames/s.

    Args:
        frames: [1, 3, H, W] each, in [-1, 1], all of one size; H and W even for .mp4.
        fps: frames per second.

    Raises:
        OptionError, MissingExtraError: as `check_writer`; also no frames, or a bad rate.
        OutputExistsError, OutputError: it cannot be written; nothing is left behind.
    """
    check_writer(path)
    if not frames or not isinstance(fps, int | float) or not 0 < fps <= 1000:
        raise OptionError(f"a video has frames and a rate from 0 to 1000, not {len(frames)} frames at {shown(fps)}")
    with written_whole(path, overwrite=overwrite) as temporary:
        if temporary.suffix.lower() == ".gif":
            pictures = [to_pil(frame) for frame in frames]
            duration = max(20, round(1000 / fps))  # ms; browsers slow down anything shorter
            pictures[0].save(temporary, "GIF", save_all=True, append_images=pictures[1:], duration=duration, loop=0)
        else:
            _write_mp4(frames, temporary, fps)


def bounced(frames: Sequence[Tensor]) -> list[Tensor]:
    """The frames forwards and then backwards, so that the video loops without a jump."""
    return [*frames, *frames[-2:0:-1]]


def _write_mp4(frames: Sequence[Tensor], path: Path, fps: float) -> None:
    """H.264 in yuv420p, which every player knows, near to lossless."""
    import imageio_ffmpeg

    height, width = frames[0].shape[-2:]
    options = ["-crf", "16", "-preset", "medium", "-threads", "1", "-fflags", "+bitexact"]
    writer = imageio_ffmpeg.write_frames(
        str(path), (width, height), fps=fps, codec="libx264", quality=None, macro_block_size=2, output_params=options
    )
    try:
        writer.send(None)
        for frame in frames:
            writer.send(to_pil(frame).tobytes())
        writer.close()
    except (OSError, RuntimeError) as error:
        raise OutputError(f"the video cannot be written: {error}") from error
    finally:
        writer.close()
