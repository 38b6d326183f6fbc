from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms
from torch.nn import functional as F

from tests.toys import toy_image
from textmorph import images
from textmorph.errors import ImageError, OptionError, OutputError, OutputExistsError
from textmorph.images import (
    MAX_PIXELS,
    ImageWarning,
    center_square,
    encode_image,
    from_pil,
    picture_size,
    read_image,
    read_text,
    resize,
    to_pil,
    write_image,
)
from textmorph.sheets import contact_sheet

COLOUR = (200, 100, 50)


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def levels(image: torch.Tensor) -> np.ndarray:
    """[H, W, 3] in 0..255."""
    return ((image[0].permute(1, 2, 0) + 1) * 127.5).numpy()


# Round trips


def test_every_one_of_the_256_levels_survives_the_way_out_and_back() -> None:
    array = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    image = read_image(array)
    assert image.min() == -1
    assert image.max() == 1
    assert (np.asarray(to_pil(image)) == array).all()


def test_a_png_keeps_every_pixel(tmp_path: Path) -> None:
    image = toy_image(32)
    write_image(image, tmp_path / "a.png")
    back = read_image(tmp_path / "a.png")
    assert back.shape == image.shape
    assert (back - image).abs().max() <= 1 / 255 + 1e-6  # half a level of rounding


@pytest.mark.parametrize("ending", [".jpg", ".jpeg", ".webp", ".JPG"])
def test_lossy_formats_come_close(tmp_path: Path, ending: str) -> None:
    image = toy_image(32)
    write_image(image, tmp_path / f"a{ending}")
    assert (read_image(tmp_path / f"a{ending}") - image).abs().mean() < 0.03


def test_path_bytes_pil_and_array_read_the_same(tmp_path: Path) -> None:
    picture = to_pil(toy_image(8))
    picture.save(tmp_path / "a.png")
    first = read_image(tmp_path / "a.png")
    for source in (str(tmp_path / "a.png"), (tmp_path / "a.png").read_bytes(), picture, np.asarray(picture)):
        assert torch.equal(read_image(source), first)


def test_values_outside_the_range_are_clamped_on_the_way_out() -> None:
    image = torch.tensor([-3.0, 3.0]).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    assert np.asarray(to_pil(image))[0].tolist() == [[0] * 3, [255] * 3]


# Kinds of pictures


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(orientation: int, format: str) -> None:
    upright = np.zeros((8, 16, 3), np.uint8)
    upright[:4, :8] = 255  # bright corner at the top left
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = read_image(encoded(Image.fromarray(np.ascontiguousarray(undo(upright))), format, exif=exif.tobytes()))
    assert image.shape == (1, 3, 8, 16)
    assert (image[0, 0, :4, :8] > 0.8).all()
    assert (image[0, 0, 4:] < -0.8).all()


def test_damaged_exif_is_no_reason_to_refuse() -> None:
    content = encoded(Image.new("RGB", (8, 8), COLOUR), "PNG", exif=b"Exif\0\0" + b"\xff" * 40)
    assert levels(read_image(content))[0, 0].round().tolist() == list(COLOUR)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_white_and_black_stay_white_and_black_in_every_mode(mode: str) -> None:
    array = np.array([[0, 255]], np.uint8).repeat(8, axis=0)
    if mode == "I;16":
        picture = Image.fromarray(array.astype(np.uint16) * 257)
    else:
        picture = Image.fromarray(array).convert("RGB").convert(mode)
    content = encoded(picture, "TIFF" if mode == "CMYK" else "PNG")
    assert levels(read_image(content)).round().tolist() == [[[0] * 3, [255] * 3]] * 8


def test_a_cmyk_jpeg_is_not_inverted() -> None:
    image = read_image(encoded(Image.new("RGB", (16, 16), COLOUR).convert("CMYK"), "JPEG", quality=95))
    assert np.abs(levels(image) - COLOUR).max() < 6


def test_sixteen_bits_keep_more_than_eight() -> None:
    values = np.array([[1000, 1100]], np.uint16)  # both 4 in 8 bits
    image = read_image(encoded(Image.fromarray(values)))
    assert torch.allclose((image[0, 0] + 1) / 2 * 65535, torch.tensor(values.astype(np.float32)), atol=0.1)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_lies_on_white(mode: str) -> None:
    if mode == "P":
        picture = Image.new("P", (4, 4), 0)
        picture.putpalette([10, 20, 30])
        content = encoded(picture, transparency=0)
    else:
        content = encoded(Image.new("RGBA", (4, 4), (10, 20, 30, 0)).convert(mode))
    assert (read_image(content) == 1).all()


def test_half_transparent_is_half_white() -> None:
    image = read_image(encoded(Image.new("RGBA", (1, 1), (0, 0, 0, 128))))
    assert levels(image)[0, 0].round().tolist() == [127] * 3


def test_the_first_frame_of_an_animation_is_read_with_a_warning(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "green")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.warns(ImageWarning, match=r"a\.gif has more than one frame; the first one is used"):
        image = read_image(tmp_path / "a.gif")
    assert levels(image)[0, 0].tolist() == [255, 0, 0]


def test_an_embedded_profile_is_followed_to_srgb() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = Image.new("RGB", (4, 4), COLOUR)
    plain = read_image(encoded(picture))
    assert torch.equal(read_image(encoded(picture, icc_profile=srgb)), plain)
    assert torch.equal(read_image(encoded(picture, icc_profile=lab)), plain)  # does not fit an RGB picture
    assert torch.equal(read_image(encoded(picture, icc_profile=b"no profile")), plain)


def _red_and_green_swapped() -> bytes:
    """The sRGB profile with the tags of its red and green primaries exchanged: (r, g, b) in it is (g, r, b) in sRGB."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
    return profile.replace(b"rXYZ", b"____", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"____", b"gXYZ", 1)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_of_another_profile_are_converted(mode: str) -> None:
    content = encoded(Image.new(mode, (4, 4), COLOUR), icc_profile=_red_and_green_swapped())
    assert np.abs(levels(read_image(content)) - (100, 200, 50)).max() <= 2


# What is refused


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello, I am a letter", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),  # would start another program
        (b"\x89PNG\r\n\x1a\n", "not a picture"),
        (encoded(to_pil(toy_image(64)))[:600], "damaged"),
        (encoded(to_pil(toy_image(64)), "JPEG")[:400], "damaged"),
        (encoded(to_pil(toy_image(64)), "WEBP")[:100], "not a picture|damaged"),
    ],
    ids=["empty", "text", "eps", "signature", "short png", "short jpeg", "short webp"],
)
def test_what_is_no_picture_is_said(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=message) as raised:
        read_image(path)
    assert str(path) in str(raised.value)
    with pytest.raises(ImageError, match=message):
        read_image(content)


def test_missing_folder_and_device_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="there is no file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)
    with pytest.raises(ImageError, match="not a regular file"):
        read_image("/dev/null")
    with pytest.raises(ImageError, match="cannot be read"):
        read_image("a\0b.png")


def _png_header(width: int, height: int) -> bytes:
    """A PNG that promises a size and holds nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(12_001, 10_000), (20_000, 20_000), (2_000_000, 2_000_000)])
def test_a_decompression_bomb_is_refused_from_its_header(width: int, height: int) -> None:
    assert width * height > MAX_PIXELS
    with pytest.raises(ImageError, match="too large"):
        read_image(_png_header(width, height))


def test_the_limit_on_pixels_can_be_lowered() -> None:
    content = encoded(Image.new("RGB", (20, 20)))
    assert read_image(content, max_pixels=400).shape == (1, 3, 20, 20)
    with pytest.raises(ImageError, match="20 × 20"):
        read_image(content, max_pixels=399)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((3, 5, 5), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((4, 4, 3), np.int64),
        np.full((4, 4, 3), 1.5),
        np.full((4, 4, 3), -0.5),
        np.full((4, 4, 3), np.nan),
        torch.zeros(1, 3, 4, 4),
        None,
    ],
    ids=["two channels", "planes", "no rows", "a vector", "int64", "above", "below", "nan", "tensor", "none"],
)
def test_other_arrays_and_things_are_refused(array: object) -> None:
    with pytest.raises(ImageError):
        read_image(array)  # type: ignore[arg-type]


SEEDS = [
    encoded(to_pil(toy_image(16))),
    encoded(to_pil(toy_image(16)), "JPEG"),
    encoded(to_pil(toy_image(16)), "WEBP"),
    encoded(to_pil(toy_image(16)), "GIF"),
    encoded(to_pil(toy_image(16)), "TIFF"),
    encoded(to_pil(toy_image(16)), "BMP"),
]


@given(
    st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6), st.integers(1)
)
@pytest.mark.filterwarnings("ignore::textmorph.images.ImageWarning")
def test_a_damaged_file_gives_a_picture_or_an_image_error(
    content: bytes, changes: list[tuple[int, int]], length: int
) -> None:
    damaged = bytearray(content[: length % len(content) + 1])
    for place, value in changes:
        damaged[place % len(damaged)] = value
    try:
        image = read_image(bytes(damaged), max_pixels=1_000_000)
    except ImageError:
        return
    assert image.shape[:2] == (1, 3)
    assert image.isfinite().all()


# Writing


def test_an_existing_picture_is_kept_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_image(toy_image(8), path)
    before = path.read_bytes()
    with pytest.raises(OutputExistsError):
        write_image(toy_image(8, seed=1), path)
    assert path.read_bytes() == before
    write_image(toy_image(8, seed=1), path, overwrite=True)
    assert path.read_bytes() != before


@pytest.mark.parametrize("name", ["a", "a.bmp", "a.gif", "a.png.txt", ".png"])
def test_an_unknown_ending_is_an_option_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match=r"\.png, \.jpg, \.jpeg, \.webp"):
        write_image(toy_image(8), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        write_image(toy_image(8), tmp_path / "none" / "a.png")


@pytest.mark.parametrize(
    "image", [torch.zeros(2, 3, 4, 4), torch.zeros(1, 1, 4, 4), torch.full((1, 3, 4, 4), torch.nan), torch.zeros(4)]
)
def test_what_is_not_one_image_is_not_written(tmp_path: Path, image: torch.Tensor) -> None:
    with pytest.raises(ImageError):
        write_image(image, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_text_in_a_png_comes_back_as_it_was(tmp_path: Path) -> None:
    text = {"textmorph": '{"prompt": "a person with purple hair – ü, 髪"}', "other": "x" * 2_000_000, "empty": ""}
    write_image(toy_image(8), tmp_path / "a.png", text=text)
    assert read_text(tmp_path / "a.png") == text
    assert read_text((tmp_path / "a.png").read_bytes()) == text


def test_pictures_without_text_have_none(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a.webp"):
        write_image(toy_image(8), tmp_path / name)
        assert read_text(tmp_path / name) == {}
    with pytest.raises(ImageError):
        read_text(b"no picture")


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp"])
def test_encoding_gives_the_bytes_that_writing_writes(tmp_path: Path, ending: str) -> None:
    image, text = toy_image(9), {"key": "words"} if ending == ".png" else None
    write_image(image, tmp_path / f"a{ending}", text=text, quality=80)
    assert encode_image(image, ending, text=text, quality=80) == (tmp_path / f"a{ending}").read_bytes()
    with pytest.raises(OptionError, match="a picture ends in"):
        encode_image(image, ".bmp")


def test_text_for_another_format_or_with_an_impossible_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"only a \.png"):
        write_image(toy_image(8), tmp_path / "a.jpg", text={"textmorph": "{}"})
    for key in ("", "x" * 80, "ü", "a\0b"):
        with pytest.raises(OptionError, match="79 ASCII"):
            write_image(toy_image(8), tmp_path / "a.png", text={key: ""})
    assert list(tmp_path.iterdir()) == []


def test_quality_has_a_range(tmp_path: Path) -> None:
    for quality in (0, 101):
        with pytest.raises(OptionError, match="1 to 100"):
            write_image(toy_image(8), tmp_path / "a.jpg", quality=quality)


# Resizing


@pytest.mark.parametrize(("old", "new"), [(12, 4), (10, 4), (7, 3), (4, 10), (5, 5), (32, 7)])
def test_area_resizing_is_the_mean_over_the_area(old: int, new: int) -> None:
    image = F.interpolate(toy_image(8, seed=3).double(), size=(old, old))
    fine = image.repeat_interleave(new, dim=-1).repeat_interleave(new, dim=-2)  # a multiple of both
    expected = F.avg_pool2d(fine, old)
    assert torch.allclose(resize(image, new, method="area"), expected, atol=1e-12)


@pytest.mark.parametrize("method", ["bicubic", "area"])
def test_resizing_keeps_a_flat_image_and_gradients_flow(method: str) -> None:
    image = torch.full((2, 3, 20, 30), 0.25, requires_grad=True)
    small = resize(image, (7, 9), method=method)  # type: ignore[arg-type]
    assert small.shape == (2, 3, 7, 9)
    assert torch.allclose(small, torch.full_like(small, 0.25), atol=1e-5)
    small.sum().backward()
    assert image.grad is not None
    assert image.grad.abs().min() > 0


def test_antialiased_bicubic_agrees_with_pil() -> None:
    picture = to_pil(toy_image(64, seed=5))
    ours = levels(resize(read_image(picture), 24)).clip(0, 255)
    theirs = np.asarray(picture.resize((24, 24), Image.Resampling.BICUBIC), dtype=np.float32)
    assert np.abs(ours - theirs).max() < 1.5  # PIL rounds to whole levels twice


def test_resizing_to_the_same_size_gives_the_same_tensor() -> None:
    image = toy_image(8)
    assert resize(image, 8) is image


def test_resizing_checks_its_options() -> None:
    with pytest.raises(OptionError, match="0 × 0"):
        resize(toy_image(8), 0)
    with pytest.raises(OptionError, match="'nearest'"):
        resize(toy_image(8), 4, method="nearest")  # type: ignore[arg-type]
    with pytest.raises(ImageError, match=r"\[B, 3, H, W\]"):
        resize(torch.zeros(3, 8, 8), 4)


@pytest.mark.parametrize(("height", "width", "top", "left"), [(4, 9, 0, 2), (9, 4, 2, 0), (5, 5, 0, 0), (6, 3, 1, 0)])
def test_the_square_lies_in_the_middle(height: int, width: int, top: int, left: int) -> None:
    image = torch.arange(height * width).view(1, 1, height, width).float()
    side = min(height, width)
    assert torch.equal(center_square(image), image[..., top : top + side, left : left + side])


# Sheets


def test_a_sheet_shows_every_picture_in_reading_order() -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    sheet = contact_sheet([Image.new("RGB", (160, 160), colour) for colour in colours], columns=2)
    pixels = np.asarray(sheet)
    places = []
    for colour in colours:
        rows, columns = np.nonzero((pixels == colour).all(axis=2))
        assert len(rows) == 160 * 160
        places.append((rows.min(), columns.min()))
    assert places == sorted(places)
    assert places[0][0] == places[1][0] < places[2][0]
    assert pixels[0, 0].tolist() == [255] * 3


def test_words_are_drawn_inside_the_sheet_and_not_over_pictures() -> None:
    images = torch.ones(4, 3, 64, 64)  # white, so that every dark pixel is a word
    long = "a person with very long purple hair, glasses, a beard, earrings and a hat"
    sheet = contact_sheet(
        images, columns=2, labels=[long, "b", "", "d"], title="Title", row_titles=["k = 5", "k = 20"],
        column_titles=["α −4", "é"],
    )  # fmt: skip
    dark = (np.asarray(sheet) < 128).any(axis=2)
    assert dark.sum() > 300
    assert not dark[0].any()
    assert not dark[-1].any()
    assert not dark[:, 0].any()
    assert not dark[:, -1].any()
    bare = contact_sheet(images, columns=2)
    assert not (np.asarray(bare) < 250).any()


def test_a_sheet_checks_the_number_of_its_words() -> None:
    images = toy_image(8, batch=3)
    for words in ({"labels": ["a"]}, {"column_titles": ["a"]}, {"row_titles": ["a"]}):
        with pytest.raises(OptionError, match="are needed, not 1"):
            contact_sheet(images, columns=2, **words)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="at least one column"):
        contact_sheet(images, columns=0)
    with pytest.raises(OptionError, match="needs pictures"):
        contact_sheet([], columns=2)


def test_from_pil_takes_a_picture_that_is_still_closed(tmp_path: Path) -> None:
    write_image(toy_image(8), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert from_pil(picture).shape == (1, 3, 8, 8)


def peak_of(code: str) -> float:
    """Peak memory in GB of a new process that runs this, torch and PIL included."""
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux tells the peak of a process without that of its parent")
    script = f"{code}\nprint(*[line for line in open('/proc/self/status') if line.startswith('VmHWM')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=100)
    return int(done.stdout.split()[-2]) * 1024 / 1e9


def test_a_photo_of_108_megapixels_is_read_within_2_gb(tmp_path: Path) -> None:
    Image.effect_noise((4000, 3000), 30).resize((12_000, 9000)).convert("RGB").save(tmp_path / "a.jpg", quality=80)
    read = f"from textmorph.images import *\nimage = read_image({str(tmp_path / 'a.jpg')!r}, max_side=MAX_SIDE)\n"
    assert peak_of(read + "assert image.shape == (1, 3, 4500, 6000)") < 1.2
    assert picture_size(tmp_path / "a.jpg") == (12_000, 9000)


@pytest.mark.parametrize("mode", ["1", "RGBA"])
def test_a_small_file_of_many_pixels_takes_few_bytes_for_each(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (7000, 7000)).save(tmp_path / "a.png")
    read = f"from textmorph.images import *\nread_image({str(tmp_path / 'a.png')!r}"
    assert peak_of(read + ")") < 1.3  # 0.6 of these are the result
    assert peak_of(read + ", max_side=1000)") < 0.7


def test_many_frames_are_not_counted(tmp_path: Path) -> None:
    Image.new("L", (1, 1)).save(tmp_path / "a.gif", save_all=True, append_images=[Image.new("L", (1, 1), 9)])
    gif = (tmp_path / "a.gif").read_bytes()
    frame = gif[gif.index(b"\x2c", 13 + 3 * 256 if gif[10] & 7 == 7 else 13) : -1]
    pages = 60_000
    page = [
        (256, 3, 1, 1),
        (257, 3, 1, 1),
        (258, 3, 1, 8),
        (262, 3, 1, 1),
        (273, 4, 1, 4),
        (278, 3, 1, 1),
        (279, 4, 1, 1),
    ]
    fields = b"".join(struct.pack("<HHII", *field) for field in page)
    size = 2 + len(fields) + 4
    offsets = [8 + size * i for i in range(pages)]
    tiff = b"II*\0\x08\0\0\0" + b"".join(
        struct.pack("<H", len(page)) + fields + struct.pack("<I", after) for after in [*offsets[1:], 0]
    )
    for content in (tiff, gif[:-1] + frame * pages + gif[-1:]):
        began = time.monotonic()
        with pytest.warns(ImageWarning, match="more than one frame"):
            assert read_image(content).shape == (1, 3, 1, 1)
        assert time.monotonic() - began < 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_longer_side_is_shrunk_in_every_mode_and_looks_the_same(mode: str, orientation: int) -> None:
    smooth = to_pil(resize(toy_image(16), (200, 300)).clamp(-1, 1))
    grey = np.asarray(smooth.convert("L")).astype(np.uint16) * 257
    large = Image.fromarray(grey) if mode == "I;16" else smooth.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    large.save(buffer, "TIFF" if mode == "CMYK" else "PNG", exif=exif)
    expected = read_image(buffer.getvalue())
    assert picture_size(buffer.getvalue()) == expected.shape[:1:-1]
    found = read_image(buffer.getvalue(), max_side=30)
    assert found.shape[2:] == ((30, 20) if orientation == 6 else (20, 30))
    assert (found - resize(expected, found.shape[2:], method="area")).abs().mean() < (0.1 if mode == "1" else 0.02)
    assert torch.equal(read_image(buffer.getvalue(), max_side=300), expected)


def test_a_picture_of_several_strips_equals_that_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = to_pil(toy_image(64)).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize((64, 64)))
    whole, array = from_pil(picture), read_image(np.asarray(picture))
    monkeypatch.setattr(images, "_STRIP", 64 * 5)
    assert torch.equal(from_pil(picture), whole)
    assert torch.equal(read_image(np.asarray(picture)), array)
