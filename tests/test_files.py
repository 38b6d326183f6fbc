from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from textmorph.errors import OutputError, OutputExistsError
from textmorph.files import check_output, write_bytes, written_whole


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond 1000 bytes: writing more fails as on a full disk, with an OSError.

    Around the one call only: pytest's own output may go to a file as well.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_appears_whole(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a.bin", b"content")
    assert (tmp_path / "a.bin").read_bytes() == b"content"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_existing_file_is_kept_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    with pytest.raises(OutputExistsError, match="was kept"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    write_bytes(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new"


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with pytest.raises(OutputExistsError), written_whole(path) as temporary:
        temporary.write_bytes(b"mine")
        path.write_bytes(b"theirs")
    assert path.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_nothing_new_and_keeps_the_old(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    with full_disk(), pytest.raises(OutputError, match="cannot write"):
        write_bytes(path, bytes(5000), overwrite=True)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_stopping_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), written_whole(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_the_temporary_name_keeps_the_ending_and_the_folder(tmp_path: Path) -> None:
    with written_whole(tmp_path / "morph.mp4") as temporary:
        temporary.write_bytes(b"")
        assert temporary.suffix == ".mp4"
        assert temporary.parent == tmp_path


def test_what_cannot_be_written_is_said_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path, tmp_path / "none" / "a.png", tmp_path / "file" / "a.png", tmp_path / ("x" * 300)):
        with pytest.raises(OutputError, match=r"cannot write|is a folder"):
            check_output(path)
    with pytest.raises(OutputError):
        check_output(f"{tmp_path}/a\0b")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a folder nobody may write to, root included")
def test_a_folder_without_permission_is_an_output_error() -> None:
    with pytest.raises(OutputError, match="cannot write"):
        write_bytes("/proc/a.bin", b"content")
