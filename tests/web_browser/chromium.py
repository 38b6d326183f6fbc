"""`python -m tests.web_browser.chromium`: find Chromium, or install Debian's; print where it is.

Playwright's own browsers come from a server that builds often cannot reach; distributions carry one. `CHROMIUM` in the
environment names another program.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
PACKAGES = ("chromium", "fonts-dejavu-core")
"""Debian's names; Chromium alone brings no font to write with."""
APT_GET = ("apt-get", "-qq", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=120")

Run = Callable[[Sequence[str]], int]


class NoChromiumError(Exception):
    """There is no browser, and none can be installed; the message says what to do."""


def find_chromium(environment: Mapping[str, str] = os.environ) -> str | None:
    """Path of the browser: the one that `CHROMIUM` names, else the first on the path.

    Raises:
        NoChromiumError: `CHROMIUM` names no program.
    """
    named = environment.get("CHROMIUM")
    if named:
        found = shutil.which(named, path=environment.get("PATH"))
        if found is None:
            raise NoChromiumError(f"CHROMIUM is {named!r}, which is no program that can be run")
        return found
    paths = (shutil.which(program, path=environment.get("PATH")) for program in PROGRAMS)
    return next((path for path in paths if path), None)


def install_chromium(
    *, run: Run | None = None, root: bool | None = None, which: Callable[[str], str | None] = shutil.which
) -> None:
    """Install Debian's Chromium with apt-get, as root or through a sudo that asks for no password.

    Raises:
        NoChromiumError: that is impossible here, or apt-get failed.
    """
    run = run or _run
    by_hand = f"the browser tests need Chromium; install it with `apt-get install {' '.join(PACKAGES)}` as root"
    by_hand += ", or set CHROMIUM to the path of a Chromium or Chrome"
    if which("apt-get") is None:
        raise NoChromiumError(f"{by_hand} (there is no apt-get here to do it)")
    root = os.geteuid() == 0 if root is None else root
    if not root and (which("sudo") is None or run(["sudo", "-n", "true"])):
        raise NoChromiumError(f"{by_hand} (this user is not root and has no sudo without a password)")
    become = ["env", "DEBIAN_FRONTEND=noninteractive"] if root else ["sudo", "-n", "DEBIAN_FRONTEND=noninteractive"]
    install = [*become, *APT_GET, "install", "--yes", "--no-install-recommends", *PACKAGES]
    run([*become, *APT_GET, "update"])  # its failure need not matter: the lists may be good enough
    if run(install):
        raise NoChromiumError(f"{by_hand} (apt-get could not; what it said stands above)")


def _run(command: Sequence[str]) -> int:
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=600).returncode


def main() -> int:
    try:
        found = find_chromium()
        if found is None:
            print("no Chromium here; installing Debian's", file=sys.stderr)  # noqa: T201
            install_chromium()
            found = find_chromium()
        if found is None:
            raise NoChromiumError("apt-get installed Chromium, yet there is no program of its names on the path")
    except NoChromiumError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    print(found)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
