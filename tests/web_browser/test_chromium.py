"""Finding and installing the browser; these run in `make test`, and need none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from .chromium import NoChromiumError, find_chromium, install_chromium


def program(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_browser_on_the_path_is_found(tmp_path: Path) -> None:
    assert find_chromium({"PATH": str(tmp_path)}) is None
    path = program(tmp_path, "chromium")
    assert find_chromium({"PATH": str(tmp_path)}) == str(path)


def test_the_browser_that_the_environment_names_comes_first(tmp_path: Path) -> None:
    program(tmp_path, "chromium")
    mine = program(tmp_path, "mine")
    assert find_chromium({"PATH": str(tmp_path), "CHROMIUM": str(mine)}) == str(mine)


def test_a_named_browser_that_is_not_there_is_an_error_and_no_other_is_taken(tmp_path: Path) -> None:
    program(tmp_path, "chromium")
    with pytest.raises(NoChromiumError, match="CHROMIUM is '/no/such/browser'"):
        find_chromium({"PATH": str(tmp_path), "CHROMIUM": "/no/such/browser"})


def install(*, root: bool, programs: Sequence[str], failing: Sequence[str] = ()) -> list[list[str]]:
    """Install with a machine of our own: its programs, and the words that make a command fail."""
    ran: list[list[str]] = []

    def run(command: Sequence[str]) -> int:
        ran.append(list(command))
        return int(any(word in command for word in failing))

    install_chromium(run=run, root=root, which=lambda name: f"/usr/bin/{name}" if name in programs else None)
    return ran


def test_root_installs_by_apt_get_without_questions() -> None:
    update, installed = install(root=True, programs=["apt-get"])
    assert "update" in update
    assert installed[:2] == ["env", "DEBIAN_FRONTEND=noninteractive"]
    assert {"install", "--yes", "chromium"} <= set(installed)


def test_a_user_installs_through_sudo_and_is_never_asked_for_a_password() -> None:
    asked, *rest = install(root=False, programs=["apt-get", "sudo"])
    assert asked == ["sudo", "-n", "true"]
    assert all(command[:2] == ["sudo", "-n"] for command in rest)


def test_old_package_lists_do_not_stop_an_installation() -> None:
    assert len(install(root=True, programs=["apt-get"], failing=["update"])) == 2


@pytest.mark.parametrize(
    ("root", "programs", "failing", "reason"),
    [
        (True, [], [], "no apt-get"),
        (False, ["apt-get"], [], "not root"),
        (False, ["apt-get", "sudo"], ["true"], "not root"),
        (True, ["apt-get"], ["install"], "apt-get could not"),
    ],
)
def test_where_it_cannot_be_installed_the_message_says_what_to_do(
    root: bool, programs: list[str], failing: list[str], reason: str
) -> None:
    with pytest.raises(NoChromiumError, match=reason) as caught:
        install(root=root, programs=programs, failing=failing)
    assert "apt-get install chromium" in str(caught.value)
    assert "CHROMIUM" in str(caught.value)
