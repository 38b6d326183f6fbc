from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from textmorph.errors import JobError, OutputError
from textmorph.jobs.run_folder import CONFIG, METRICS, STATE, State, open_run

CONFIGURATION = {"job": "toy", "options": {"steps": 20, "levels": ("coarse", "fine")}}


def state(step: int = 3, size: int = 4) -> State:
    tensors = {"weight": torch.arange(float(size)), "step": torch.tensor(2.0), "known": torch.tensor([True, False])}
    return State(step=step, values={"best_loss": 0.1, "finished": False}, tensors=tensors)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A run that has saved a state."""
    with open_run(tmp_path / "run", CONFIGURATION) as run:
        run.save(state())
    return tmp_path / "run"


def test_a_state_comes_back_as_it_was(saved: Path):
    with open_run(saved, CONFIGURATION, resume=True) as run:
        loaded = run.load()
    assert loaded is not None
    assert (loaded.step, loaded.values) == (3, state().values)
    assert loaded.tensors.keys() == state().tensors.keys()
    for name, tensor in state().tensors.items():
        assert torch.equal(loaded.tensors[name], tensor)
        assert loaded.tensors[name].dtype == tensor.dtype
        assert loaded.tensors[name].shape == tensor.shape


def test_a_new_run_has_no_state_and_the_last_state_counts(tmp_path: Path):
    with open_run(tmp_path, CONFIGURATION) as run:
        assert run.load() is None
        for step in (1, 2, 5):
            run.save(state(step))
        loaded = run.load()
        assert loaded is not None
        assert loaded.step == 5
    assert sorted(os.listdir(tmp_path)) == [CONFIG, STATE]


def test_what_a_killed_program_left_behind_is_removed(saved: Path):
    (saved / ".0123456789ab.part.safetensors").write_bytes(b"half")
    with open_run(saved, CONFIGURATION, resume=True) as run:
        assert run.load() is not None
    assert not list(saved.glob(".*.part*"))


def test_a_state_that_cannot_be_written_leaves_the_old_one(saved: Path):
    with open_run(saved, CONFIGURATION, resume=True) as run:
        broken = State(step=9, values={"loss": float("nan")})
        with pytest.raises(ValueError, match="JSON"):
            run.save(broken)
        loaded = run.load()
        assert loaded is not None
        assert loaded.step == 3


@given(st.data())
def test_no_damaged_byte_and_no_lost_byte_goes_unseen(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    folder = tmp_path_factory.mktemp("run")
    with open_run(folder, CONFIGURATION) as run:
        run.save(state())
        content = (folder / STATE).read_bytes()
        place = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            damaged = content[:place]
        else:
            flip = data.draw(st.integers(1, 255))
            damaged = content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :]
        (folder / STATE).write_bytes(damaged)
        try:
            loaded = run.load()
        except JobError:
            return
        assert loaded is not None  # white space of the header may change without a meaning
        assert (loaded.step, loaded.values) == (3, state().values)
        assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in state().tensors.items())


def test_a_run_is_not_begun_over_another_and_not_resumed_where_there_is_none(saved: Path):
    with pytest.raises(JobError, match="resume"), open_run(saved, CONFIGURATION):
        pass
    with pytest.raises(JobError, match="no run"), open_run(saved / "typo", CONFIGURATION, resume=True):
        pass
    assert not (saved / "typo").exists()


def test_another_configuration_is_named_by_what_differs(saved: Path):
    other = {"job": "toy", "options": {"steps": 40, "levels": ("coarse", "fine")}}
    with pytest.raises(JobError, match=r"options\.steps was 20 and is 40"), open_run(saved, other, resume=True):
        pass


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": "one"}', "\x00\xff"])
def test_a_damaged_configuration_is_refused(saved: Path, content: str):
    (saved / CONFIG).write_text(content)
    with pytest.raises(JobError, match=CONFIG), open_run(saved, CONFIGURATION, resume=True):
        pass


def test_a_configuration_of_a_newer_version_is_refused(saved: Path):
    (saved / CONFIG).write_text(json.dumps({"format": 99}))
    with pytest.raises(JobError, match="newer"), open_run(saved, CONFIGURATION, resume=True):
        pass


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_of_other_things_is_left_alone(tmp_path: Path, resume: bool):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(JobError, match=r"thesis\.txt"), open_run(tmp_path, CONFIGURATION, resume=resume):
        pass
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_inputs_may_lie_in_the_folder_before_the_run(tmp_path: Path):
    (tmp_path / "inputs-2000.safetensors").write_bytes(b"")
    with open_run(tmp_path, CONFIGURATION) as run:
        assert run.load() is None
    assert (tmp_path / "inputs-2000.safetensors").exists()


def test_a_file_is_no_folder(tmp_path: Path):
    (tmp_path / "run").write_text("")
    with pytest.raises(JobError, match="file"), open_run(tmp_path / "run", CONFIGURATION):
        pass
    with pytest.raises(OutputError), open_run(tmp_path / "run" / "deeper", CONFIGURATION):
        pass


def test_a_state_of_someone_else_is_refused(saved: Path):
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(2)}, saved / STATE)
    with open_run(saved, CONFIGURATION, resume=True) as run, pytest.raises(JobError, match="no state"):
        run.load()


def test_metrics_after_the_state_are_taken_again_and_a_cut_line_is_dropped(saved: Path):
    with open_run(saved, CONFIGURATION, resume=True) as run:
        for step in (1, 2, 3, 4, 5):
            run.log(step, loss=step / 2)
    with (saved / METRICS).open("a") as file:
        file.write('{"step": 6, "lo')
    with open_run(saved, CONFIGURATION, resume=True) as run:
        run.forget_after(3)
        run.log(4, loss=9.0)
        assert run.metrics() == [{"step": step, "loss": step / 2} for step in (1, 2, 3)] + [{"step": 4, "loss": 9.0}]


def test_two_programs_do_not_work_in_one_folder(saved: Path):
    with (
        open_run(saved, CONFIGURATION, resume=True),
        pytest.raises(JobError, match="another program"),
        open_run(saved, CONFIGURATION, resume=True),
    ):
        pass
    with open_run(saved, CONFIGURATION, resume=True) as run:
        assert run.load() is not None


def test_metrics_also_go_to_tensorboard_where_it_is_installed(saved: Path, monkeypatch: pytest.MonkeyPatch):
    """Against a stand-in: TensorBoard is none of our requirements."""
    told: list[tuple[object, ...]] = []

    class SummaryWriter:
        def __init__(self, folder: str, purge_step: int) -> None:
            told.append((folder, purge_step))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            told.append((name, value, step))

        def close(self) -> None:
            told.append(("closed",))

    board = ModuleType("torch.utils.tensorboard")
    board.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, board.__name__, board)
    with open_run(saved, CONFIGURATION, resume=True) as run:
        run.forget_after(3)
        run.log(4, loss=0.5, word="no scalar")
    assert told == [(str(saved), 4), ("loss", 0.5, 4), ("closed",)]
