"""Visitors: keys, folders, links, and their end."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from textmorph.errors import InputError, OptionError, OutputError
from textmorph.web.settings import Settings
from textmorph.web.visits import KEY, LINKS, Visit, Visits, sweeping


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def visits(tmp_path: Path, clock: Clock) -> Visits:
    return make(tmp_path, clock)


def make(root: Path, clock: Clock, **values: object) -> Visits:
    return Visits(Settings(root=root / "studio", **values), domain="toy", clock=clock)  # type: ignore[arg-type]


def folders(root: Path) -> list[Path]:
    return list((root / "studio" / "visitors").iterdir())


def test_a_visitors_folder_is_open_to_nobody_else_and_not_named_by_the_key(visits: Visits, tmp_path: Path) -> None:
    visit = visits.start()
    for folder in (tmp_path / "studio", tmp_path / "studio" / "visitors", visit.folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert KEY.fullmatch(visit.key)
    assert visit.key not in str(visit.folder)


def test_keys_and_folders_are_all_different(visits: Visits) -> None:
    started = [visits.start() for _ in range(50)]
    assert len({visit.key for visit in started}) == len({visit.folder for visit in started}) == 50


@pytest.mark.parametrize("key", ["", "x" * 43, None, 7, "../../etc/passwd", ["a"], {"a": 1}])
def test_another_key_opens_nothing(visits: Visits, key: object) -> None:
    visits.start()
    with pytest.raises(InputError, match="over"):
        visits.get(key)


def test_a_visitor_fetches_own_files_only(visits: Visits) -> None:
    mine, other = visits.start(), visits.start()
    mine.offer("picture-1.png").write_bytes(b"mine")
    (other.folder / "picture-2.png").write_bytes(b"there, but never offered")
    assert visits.file(mine.key, "picture-1.png").read_bytes() == b"mine"
    for key, name in [
        (other.key, "picture-1.png"), (other.key, "picture-2.png"), (mine.key, "../picture-1.png"),
        (other.key, f"../{mine.folder.name}/picture-1.png"), (mine.key, "/etc/passwd"),
    ]:  # fmt: skip
        with pytest.raises(InputError):
            visits.file(key, name)


@pytest.mark.parametrize("name", ["../x.png", "a b.png", "x.html", "x.svg", "x.png.html", ".png", "X.png", "x/y.png"])
def test_only_names_of_our_own_are_offered(visits: Visits, name: str) -> None:
    with pytest.raises(OptionError):
        visits.start().offer(name)


def test_an_idle_visitor_vanishes_with_every_file_and_a_busy_one_stays(
    visits: Visits, clock: Clock, tmp_path: Path
) -> None:
    idle, busy = visits.start(), visits.start()
    idle.offer("picture-1.png").write_bytes(b"x")
    clock.now += 23 * 3600
    visits.get(busy.key)
    clock.now += 2 * 3600
    with pytest.raises(InputError):  # at once, not only after the next sweep
        visits.get(idle.key)
    assert visits.sweep() == 1
    assert folders(tmp_path) == [busy.folder]
    assert idle.stop.is_set()


def test_a_new_start_sweeps_what_an_earlier_run_left_once_it_is_old(tmp_path: Path, clock: Clock) -> None:
    left = make(tmp_path, clock).start().folder
    (left / "secret.png").write_bytes(b"x")
    os.utime(left, (clock.now, clock.now))
    make(tmp_path, clock)
    assert folders(tmp_path) == [left]  # perhaps of a studio that runs beside this one
    clock.now += 25 * 3600
    make(tmp_path, clock)
    assert folders(tmp_path) == []


def test_a_link_opens_until_it_expires_even_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    token = make(tmp_path, clock).make_link(b"state")
    visits = make(tmp_path, clock)
    assert visits.open_link(token) == b"state"
    assert all(token not in path.name for path in (tmp_path / "studio" / "links").iterdir())
    assert [stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "studio" / "links").iterdir()] == [0o600]
    clock.now += 24 * 3600 + 1
    with pytest.raises(InputError, match="expired"):
        visits.open_link(token)
    visits.sweep()
    assert not list((tmp_path / "studio" / "links").iterdir())


def test_links_have_an_end_too(tmp_path: Path, clock: Clock) -> None:
    visits = make(tmp_path, clock, max_visits=1)
    for _ in range(LINKS):
        visits.make_link(b"state")
    with pytest.raises(OptionError, match="too many"):
        visits.make_link(b"state")
    clock.now += 25 * 3600
    visits.sweep()
    visits.make_link(b"state")


@pytest.mark.parametrize("token", ["", "../../../etc/passwd", "x" * 43, None, 3, "x" * 100_000])
def test_other_tokens_open_nothing(visits: Visits, token: object) -> None:
    visits.make_link(b"state")
    with pytest.raises(InputError):
        visits.open_link(token)


def seated(visits: Visits) -> Visit:
    visit = visits.start()
    visits.seat(visit)
    visit.picture = object()  # type: ignore[assignment]
    return visit


def test_a_full_studio_lets_the_idlest_go_who_was_idle_for_an_hour(tmp_path: Path, clock: Clock) -> None:
    visits = make(tmp_path, clock, max_visits=2)
    first, second = seated(visits), seated(visits)
    with pytest.raises(OptionError, match="full"):
        seated(visits)
    clock.now += 3600
    visits.get(second.key)
    seated(visits)
    assert not first.folder.exists()
    assert second.folder.exists()


def test_visitors_without_a_picture_never_fill_the_studio(tmp_path: Path, clock: Clock) -> None:
    visits = make(tmp_path, clock, max_visits=5)
    working = [seated(visits) for _ in range(3)]
    for _ in range(100):
        clock.now += 0.01
        visits.start()
    assert len(visits) == len(folders(tmp_path)) == 3 + 5
    assert all(visits.get(visit.key) is visit for visit in working)
    working += [seated(visits) for _ in range(2)]
    assert len(visits) <= 10
    assert all(visit.folder.exists() for visit in working)


def test_a_visitor_whose_own_place_is_full_may_still_take_another_picture(tmp_path: Path, clock: Clock) -> None:
    visits = make(tmp_path, clock, max_visits=1)
    visits.seat(seated(visits))


def test_at_the_end_the_folders_go_and_the_links_stay(tmp_path: Path, clock: Clock) -> None:
    visits = make(tmp_path, clock)
    token = visits.make_link(b"state")
    with sweeping(visits):
        visits.start()
        assert len(folders(tmp_path)) == 1
    assert not folders(tmp_path)
    assert make(tmp_path, clock).open_link(token) == b"state"


def test_what_goes_wrong_while_trying_leaves_everything_as_it_was(tmp_path: Path, clock: Clock) -> None:
    visit = make(tmp_path, clock).start()
    (visit.folder / "edit-1.safetensors").touch()
    before = visit.history, visit.picture, dict(visit.edits), visit.domain
    with pytest.raises(KeyError), visit.trying():
        (visit.folder / "edit-2.safetensors").touch()
        visit.empty()
        visit.edits["file", "edit-2.safetensors"] = None  # type: ignore[assignment]
        visit.domain = "another"
        raise KeyError
    assert (visit.history, visit.picture, visit.edits, visit.domain) == before
    assert [path.name for path in visit.folder.iterdir()] == ["edit-1.safetensors"]


def test_a_root_that_is_a_link_or_a_file_is_refused(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "studio").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="link"):
        make(tmp_path, clock)
    (tmp_path / "studio").unlink()
    (tmp_path / "studio").write_bytes(b"")
    with pytest.raises(OutputError):
        make(tmp_path, clock)


def test_sweeping_goes_on_by_itself_until_the_end(visits: Visits, clock: Clock) -> None:
    visit = visits.start()
    clock.now += 25 * 3600
    with sweeping(visits, every=0.01):
        for _ in range(500):
            if not visit.folder.exists():
                break
            threading.Event().wait(0.01)
    assert not visit.folder.exists()
    assert not [thread for thread in threading.enumerate() if thread.name == "textmorph-sweep"]


@pytest.mark.parametrize("values", [{"port": -1}, {"lifetime_hours": 0}, {"max_visits": 0}, {"max_upload_bytes": 0}])
def test_settings_out_of_range_are_refused(values: dict[str, float], tmp_path: Path) -> None:
    with pytest.raises(OptionError):
        Settings(root=tmp_path, **values)  # type: ignore[arg-type]


def test_only_loopback_addresses_are_private(tmp_path: Path) -> None:
    assert Settings(root=tmp_path).is_private
    assert not Settings(root=tmp_path, host="0.0.0.0").is_private
