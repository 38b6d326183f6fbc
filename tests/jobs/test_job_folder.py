from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmorph.errors import JobError, OutputError, OutputExistsError
from textmorph.jobs.engine import Arguments, ProcessEngine, Results
from textmorph.jobs.job_folder import JOB, SHARDS, Job, open_job, settle_job

from . import toy_shards

TOY = Job(
    kind="toy",
    function=f"{toy_shards.__name__}:noise",
    shared={"size": 8},
    shards=[{"seed": seed} for seed in range(6)],
    amounts=[1, 1, 1, 1, 1, 5],
)
EXPECTED = [toy_shards.noise(seed=seed, size=8) for seed in range(6)]


class Counting:
    """Computes here, remembers what, and may be stopped."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.computed: list[int] = []
        self.stop_after = stop_after

    def run(self, function: str, shards: dict[int, Arguments], *, threads: int) -> Results:
        for number, content in ProcessEngine().run(function, shards, threads=threads):
            if len(self.computed) == self.stop_after:
                raise KeyboardInterrupt
            self.computed.append(number)
            yield number, content


def compute(folder: Path, job: Job = TOY, stop_after: int | None = None) -> list[int]:
    """Numbers of the shards that were computed."""
    engine = Counting(stop_after)
    with open_job(folder, job, threads=1) as opened:
        opened.run(engine)  # type: ignore[arg-type]
        assert list(opened.contents()) == EXPECTED
    return engine.computed


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A job that was stopped after four of six shards."""
    with pytest.raises(KeyboardInterrupt):
        compute(tmp_path / "job", stop_after=4)
    return tmp_path / "job"


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_finished_shards_are_not_computed_again(stopped: Path):
    assert compute(stopped) == [4, 5]
    assert compute(stopped) == []
    assert names(stopped) == [JOB, SHARDS, *(f"{SHARDS}/{i:05}.shard" for i in range(6))]


@given(st.data())
def test_no_damaged_byte_and_no_lost_byte_goes_unseen(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    folder = tmp_path_factory.mktemp("job")
    compute(folder)
    number = data.draw(st.integers(0, 5))
    file = folder / SHARDS / f"{number:05}.shard"
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= data.draw(st.integers(1, 255))
    else:
        del content[place:]
    file.write_bytes(content)
    with open_job(folder, TOY, threads=1) as job:
        assert job.damaged == [number]
        with pytest.raises(JobError, match=f"shard {number}"):
            job.content(number)
    assert compute(folder) == [number]


def test_a_shard_under_another_number_or_of_another_job_is_computed_again(tmp_path: Path):
    compute(tmp_path / "job")
    other = replace(TOY, shared={"size": 9})
    with open_job(tmp_path / "other", other, threads=1) as job:
        job.run(ProcessEngine())
    shards = tmp_path / "job" / SHARDS
    shutil.copyfile(shards / "00001.shard", shards / "00002.shard")
    shutil.copyfile(tmp_path / "other" / SHARDS / "00003.shard", shards / "00003.shard")
    assert compute(tmp_path / "job") == [2, 3]


def test_another_job_does_not_continue_and_is_told_what_differs(stopped: Path):
    before = names(stopped)
    for other, words in (
        (replace(TOY, shared={"size": 9}), "size was 8 and is 9"),
        (replace(TOY, function="a:b"), "function was"),
        (replace(TOY, shards=TOY.shards[:3]), "shards was"),
    ):
        with pytest.raises(JobError, match=words), open_job(stopped, other, threads=1):
            pass
    assert names(stopped) == before


def test_a_job_goes_on_with_the_threads_it_was_begun_with(stopped: Path):
    with open_job(stopped, TOY, threads=2) as job:
        assert job.threads == 1


def test_two_programs_do_not_work_in_one_folder(stopped: Path):
    with open_job(stopped, TOY, threads=1):
        with pytest.raises(JobError, match="another program"), open_job(stopped, TOY, threads=1):
            pass
        with pytest.raises(JobError, match="another program"), open_job(stopped, TOY, threads=1):
            pass  # the first refusal did not remove the lock
    assert compute(stopped) == [4, 5]


def test_what_a_killed_program_left_behind_is_removed(stopped: Path):
    (stopped / ".0123456789ab.part").write_bytes(b"half a job")
    (stopped / SHARDS / ".0123456789ab.part.shard").write_bytes(b"half")
    (stopped / ".part-result").mkdir()
    (stopped / ".part-result" / "rows").touch()
    compute(stopped)
    assert not [name for name in names(stopped) if "part" in name]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(JobError, match="other things"), open_job(tmp_path, TOY, threads=1):
        pass
    assert names(tmp_path) == ["letter.txt"]
    with pytest.raises(JobError, match="is a file"), open_job(tmp_path / "letter.txt", TOY, threads=1):
        pass


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"format": 1}', '{"format": "1", "threads": 1}', "[" * 100_000,
     '{"format": 1, "threads": 0}', '{"format": 1, "threads": 1099511627776}', "\0"],
)  # fmt: skip
def test_a_damaged_description_is_a_clear_error(stopped: Path, text: str):
    (stopped / JOB).write_text(text)
    with pytest.raises(JobError, match="damaged"), open_job(stopped, TOY, threads=1):
        pass


def test_a_newer_job_asks_for_an_update(stopped: Path):
    (stopped / JOB).write_text(json.dumps(json.loads((stopped / JOB).read_text()) | {"format": 2}))
    with pytest.raises(JobError, match="newer"), open_job(stopped, TOY, threads=1):
        pass


def test_progress_begins_with_what_is_done_and_counts_the_work(stopped: Path):
    told: list[tuple[int, int]] = []
    with open_job(stopped, TOY, threads=1) as job:
        job.run(ProcessEngine(), lambda done, total: told.append((done, total)))
    assert told == [(4, 10), (5, 10), (10, 10)]


# The result


def join(folder: Path, target: Path, *, overwrite: bool = False, keep: bool = False) -> None:
    with open_job(folder, TOY, threads=1) as job:
        job.run(ProcessEngine())
        job.finish(lambda path: write(path, list(job.contents())), target, overwrite=overwrite, keep=keep)


def write(path: Path, contents: list[bytes]) -> None:
    if path.suffix:
        path.write_bytes(b"".join(contents))
    else:
        path.mkdir()
        (path / "rows").write_bytes(b"".join(contents))


@pytest.mark.parametrize("suffix", [".bin", ""], ids=["file", "folder"])
def test_the_result_takes_its_place_and_the_job_is_gone(stopped: Path, tmp_path: Path, suffix: str):
    target = tmp_path / f"result{suffix}"
    join(stopped, target)
    assert (target if suffix else target / "rows").read_bytes() == b"".join(EXPECTED)
    assert os.listdir(tmp_path) == [target.name]


def test_a_kept_job_lies_where_it_was(stopped: Path, tmp_path: Path):
    join(stopped, tmp_path / "a.bin", keep=True)
    assert "result.bin" not in names(stopped)
    assert compute(stopped) == []


def test_a_result_that_is_there_is_kept_and_so_is_the_job(stopped: Path, tmp_path: Path):
    (tmp_path / "a.bin").write_text("mine")
    with pytest.raises(OutputExistsError):
        join(stopped, tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_text() == "mine"
    join(stopped, tmp_path / "a.bin", overwrite=True)
    assert (tmp_path / "a.bin").read_bytes() == b"".join(EXPECTED)
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_result_on_another_file_system_is_copied_beside_its_place(
    stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    replaces: list[tuple[str, str]] = []
    replace_here = os.replace

    def strict(source: str | Path, target: str | Path) -> None:
        replaces.append((str(source), str(target)))
        if Path(source).parent != Path(target).parent:
            raise OSError(18, "Invalid cross-device link")
        replace_here(source, target)

    monkeypatch.setattr(os, "replace", strict)
    for name in ("a.bin", "folder"):
        join(stopped, tmp_path / name, keep=True)
    assert (tmp_path / "a.bin").read_bytes() == (tmp_path / "folder" / "rows").read_bytes() == b"".join(EXPECTED)
    assert sorted(os.listdir(tmp_path)) == ["a.bin", "folder", "job"]
    assert "result" not in " ".join(names(stopped))


@pytest.mark.parametrize("moment", ["before the move", "after the move", "in the removal", "at the end of it"])
def test_a_kill_at_the_very_end_is_made_good(
    stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
):
    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    place = {"before the move": "_move", "after the move": "_remove", "in the removal": "_clean"}
    with monkeypatch.context() as patch, pytest.raises(Killed):
        if moment in place:
            with open_job(stopped, TOY, threads=1) as job:
                job.run(ProcessEngine())
                patch.setattr(f"textmorph.jobs.job_folder.{place[moment]}", killed)
                job.finish(lambda path: write(path, list(job.contents())), tmp_path / "a.bin", keep=False)
        else:
            patch.setattr(Path, "rmdir", killed)
            join(stopped, tmp_path / "a.bin")
    assert stopped.exists()
    settle_job(stopped, tmp_path / "a.bin", kind="toy")
    assert (tmp_path / "a.bin").read_bytes() == b"".join(EXPECTED)
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.fixture
def ended(stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job that was killed right before its result took its place, which is a.bin."""
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr("textmorph.jobs.job_folder._move", lambda *_, **__: 1 / 0)
        join(stopped, tmp_path / "a.bin")
    return stopped


def test_where_a_result_goes_and_what_it_replaces_is_for_the_command_alone_to_say(ended: Path, tmp_path: Path):
    (tmp_path / "mine.bin").write_text("mine")
    note = json.loads((ended / JOB).read_text())
    for target in (
        str(tmp_path / "mine.bin"),
        f"{tmp_path}/x/../mine.bin",
        "mine.bin",
        "a.bin",
        "/",
        "",
        None,
        3,
        [],
        {},
    ):
        for finished in ({"target": target, "overwrite": True}, target):
            (ended / JOB).write_text(json.dumps(note | {"finished": finished}))
            with contextlib.suppress(JobError):
                settle_job(ended, tmp_path / "b.bin", kind="toy")
            assert not (tmp_path / "b.bin").exists()
            assert (tmp_path / "mine.bin").read_text() == "mine"
    finished = {"target": str(tmp_path / "mine.bin"), "overwrite": True}
    (ended / JOB).write_text(json.dumps(note | {"finished": finished}))
    with pytest.raises(OutputExistsError):  # the note allows it, the command does not
        settle_job(ended, tmp_path / "mine.bin", kind="toy")
    assert (tmp_path / "mine.bin").read_text() == "mine"
    settle_job(ended, tmp_path / "mine.bin", kind="toy", overwrite=True)
    assert (tmp_path / "mine.bin").read_bytes() == b"".join(EXPECTED)


def test_a_result_of_another_kind_or_of_a_changed_job_is_not_taken(ended: Path, tmp_path: Path):
    with pytest.raises(JobError, match="no bank"):
        settle_job(ended, tmp_path / "a.bin", kind="bank")
    (ended / JOB).write_text((ended / JOB).read_text().replace('"size": 8', '"size": 9'))
    with pytest.raises(JobError, match="changed since"):
        settle_job(ended, tmp_path / "a.bin", kind="toy")
    assert not (tmp_path / "a.bin").exists()


def test_a_job_that_had_ended_goes_to_where_the_next_command_says(ended: Path, tmp_path: Path):
    join(ended, tmp_path / "b.bin")
    assert (tmp_path / "b.bin").read_bytes() == b"".join(EXPECTED)
    assert os.listdir(tmp_path) == ["b.bin"]


def test_shards_are_not_written_through_a_link(tmp_path: Path):
    (tmp_path / "job").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "job" / SHARDS).symlink_to(tmp_path / "home")
    with pytest.raises(JobError, match="is a link"), open_job(tmp_path / "job", TOY, threads=1):
        pass
    assert not os.listdir(tmp_path / "home")


def test_settling_touches_no_job_that_is_under_way(stopped: Path, tmp_path: Path):
    before = names(stopped)
    for folder in (stopped, tmp_path / "nowhere"):
        settle_job(folder, tmp_path / "a.bin", kind="toy")
    (tmp_path / "letter.txt").touch()
    settle_job(tmp_path, tmp_path / "a.bin", kind="toy")
    assert names(stopped) == before


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot make"), open_job(tmp_path / "file" / "job", TOY, threads=1):
        pass
