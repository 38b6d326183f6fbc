from __future__ import annotations

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


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": "1", "threads": 1}'])
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
    settle_job(stopped)
    assert (tmp_path / "a.bin").read_bytes() == b"".join(EXPECTED)
    assert os.listdir(tmp_path) == ["a.bin"]


def test_settling_touches_no_job_that_is_under_way(stopped: Path, tmp_path: Path):
    before = names(stopped)
    settle_job(stopped)
    settle_job(tmp_path / "nowhere")
    (tmp_path / "letter.txt").touch()
    settle_job(tmp_path)
    assert names(stopped) == before


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot make"), open_job(tmp_path / "file" / "job", TOY, threads=1):
        pass
