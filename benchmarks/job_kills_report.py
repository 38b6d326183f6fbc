"""The table of `benchmarks.job_kills`."""

from __future__ import annotations

from collections import Counter
from typing import Any

HEAD = (
    "job", "engine", "kills", "while writing", "of workers", "ended", "the same bits", "computed again", "left over",
)  # fmt: skip
GOALS = {"process": 150, "ray": 50}
"""Kills asked for."""
SUMMED = ("kills", "writing", "workers", "ended", "equal", "again", "stray")
ABOUT = """\
`kill -9` at seeded random moments; then the same command again, until the job ends. Toy networks, one thread. *While
writing*: an unfinished file lay there after the kill; writes are slowed so that they can be struck. *Of workers*: one
of Ray's two workers was killed while it computed, not the program. *The same bits*: all files equal those of a run that
was never broken off, byte by byte (of a corpus in a LanceDB folder: all columns). *Computed again*: files that were
finished at a kill and are not the same file later. *Left over*: files that an unbroken run does not leave."""


def report(found: dict[str, Any]) -> str:
    """Markdown: what came of each kind of job, and where the kills struck."""
    jobs = found["jobs"]
    run = jobs[-1]["run"]
    rows = [_row(job["job"], job["engine"], job) for job in jobs]
    for engine in dict.fromkeys(job["engine"] for job in jobs):
        own = [job for job in jobs if job["engine"] == engine]
        rows.append(_row("**all**", engine, {name: sum(job[name] for job in own) for name in SUMMED}))
    struck = Counter(_place(name) for job in jobs for strike in job["strikes"] for name, _ in strike["unfinished"])
    lines = [
        "# Jobs that are killed",
        "",
        ABOUT,
        "",
        f"| {' | '.join(HEAD)} |",
        "|---" * len(HEAD) + "|",
        *rows,
        "",
        "Asked for: " + "; ".join(_goal(engine, jobs) for engine in GOALS) + ".",
        "",
        "What was being written: " + "; ".join(f"{place} {num}" for place, num in struck.most_common()) + ".",
        "",
        f"{run['date']}, commit {run['commit']}, {run['machine']['processor']}, {run['machine']['cores']} cores, load "
        f"{run['machine']['load']}; torch {run['versions']['torch']}, ray {run['versions']['ray']}; seed "
        f"{found['seed']}. Where each kill struck: `job-kills.json`.",
        "",
    ]
    return "\n".join(lines)


def _goal(engine: str, jobs: list[dict[str, Any]]) -> str:
    kills = sum(job["kills"] for job in jobs if job["engine"] == engine)
    reached = "reached" if kills >= GOALS[engine] else f"**not reached, {kills} were done**"
    return f"{GOALS[engine]} kills with the engine {engine}: {reached}"


def _row(name: str, engine: str, job: dict[str, Any]) -> str:
    kills, writing, workers, *rest = (job[key] for key in SUMMED)
    cells = [name, engine, kills, f"{writing} ({_share(writing, kills)})", workers or "–", *rest]
    return f"| {' | '.join(map(str, cells))} |"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "–"


def _place(name: str) -> str:
    """What a file that was being written was to become."""
    if name.endswith(".shard"):
        return "a shard"
    if name.endswith(".json"):
        return "the note of a job"
    if name.startswith("edited/"):
        return "a picture"
    return "the result"
