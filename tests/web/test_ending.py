"""How a studio ends: as its own process, told to."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_studio_that_is_told_to_end_removes_the_folders_of_its_visitors(
    number: signal.Signals, code: int, domain: Path, tmp_path: Path
) -> None:
    command = ["--device", "cpu", "serve", "--domain", str(domain), "--port", "0", "--folder", str(tmp_path / "studio")]
    with subprocess.Popen(
        [sys.executable, "-m", "textmorph.cli", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        found = None
        while found is None:
            line = process.stdout.readline()
            assert line, "it ended before it began"
            found = re.search(r"http://\S+/", line)
        body = json.dumps({"data": []}).encode()
        headers = {"Content-Type": "application/json"}
        with urlopen(Request(f"{found[0]}gradio_api/call/start", body, headers=headers), timeout=30) as answer:
            event = json.load(answer)["event_id"]
        with urlopen(f"{found[0]}gradio_api/call/start/{event}", timeout=30) as answer:
            assert b"complete" in answer.read()
        assert len(list((tmp_path / "studio" / "visitors").iterdir())) == 1
        process.send_signal(number)
        rest, _ = process.communicate(timeout=30)
    assert not list((tmp_path / "studio" / "visitors").iterdir())
    assert process.returncode == code
    assert "Traceback" not in rest
