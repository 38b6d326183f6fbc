"""The engine that spreads shards over a Ray cluster. The one file that imports ray."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..errors import JobError, MissingExtraError, OptionError
from ..memory import keep_memory
from .engine import READY, Answer, Arguments, Results, answer, resolve, spread

ADDRESS = "RAY_ADDRESS"
"""Environment variable that names a cluster, by Ray's own convention."""
STORE = 256 << 20
"""Bytes of the object store of a cluster that is started here: shards are small."""


@dataclass(frozen=True, kw_only=True)
class RayEngine:
    """Computes shards on a Ray cluster: on that of `address`, or else one started here, which ends with the program.

    Every worker is an actor that keeps its networks loaded from shard to shard. Shards come back through Ray, so
    machines need no common folder for them, but textmorph, and the networks at the paths in the arguments.

    Args:
        workers: actors at once; None takes one for each GPU of the cluster, or each `threads` of its processors.
        address: of the cluster; None takes RAY_ADDRESS from the environment, or starts one on this machine.
        gpus: whether each actor asks for a GPU; None does so where the cluster has any.

    Raises:
        MissingExtraError: on use, if ray is not installed.
        JobError: on use, if the cluster cannot be reached.
    """

    workers: int | None = None
    address: str | None = None
    gpus: bool | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise OptionError(f"an engine has one worker or more, not {self.workers}")

    @property
    def has_gpus(self) -> bool:
        """Whether the workers have one each; connects to the cluster."""
        self._connect(threads=1)
        return self.gpus if self.gpus is not None else _resource("GPU") >= 1

    def run(self, function: str, shards: Mapping[int, Arguments], *, threads: int) -> Results:
        """As `Engine.run`."""
        if not shards:
            return
        self._connect(threads)
        gpus = 1 if self.has_gpus else 0
        free = _resource("GPU") if gpus else _resource("CPU") / threads
        yield from spread(_Actors(function, threads, gpus), shards, self.workers or max(1, int(free)))

    def _connect(self, threads: int) -> None:
        """Join the cluster, or start it; nothing where this program is in one already."""
        ray = _ray()
        if ray.is_initialized():
            return
        address = self.address or os.environ.get(ADDRESS)
        quiet: dict[str, Any] = {"logging_level": "error", "log_to_driver": False}
        if address is None:
            processors = None if self.workers is None else self.workers * threads
            quiet |= {"num_cpus": processors, "include_dashboard": False, "object_store_memory": STORE}
        try:
            ray.init(address=address or "local", **quiet)
        except (OSError, ValueError, RuntimeError) as error:  # ConnectionError is an OSError
            raise JobError(f"the Ray cluster {address or 'of this machine'} cannot be reached: {error}") from error


class _Actors:
    """Workers on a Ray cluster."""

    def __init__(self, function: str, threads: int, gpus: int) -> None:
        self._about = function, threads
        options = {"num_cpus": 0 if gpus else threads, "num_gpus": gpus, "max_restarts": 0}
        self._actor = _ray().remote(**options)(ShardWorker)
        self._pending: dict[Any, Any] = {}  # what an actor will answer → the actor
        self._all: list[Any] = []
        self.complaint = ""

    def hire(self) -> Any:
        worker = self._actor.remote(*self._about)
        self._all.append(worker)
        self._pending[worker.ready.remote()] = worker
        return worker

    def give(self, worker: Any, arguments: Arguments) -> None:
        self._pending[worker.compute.remote(dict(arguments))] = worker

    def answers(self, timeout: float) -> list[tuple[Any, Answer | None]]:
        ray = _ray()
        ready, _ = ray.wait(list(self._pending), num_returns=1, timeout=timeout)
        return [(self._pending.pop(one), self._get(one)) for one in ready]

    def dismiss(self) -> None:
        for worker in self._all:
            _ray().kill(worker)

    def _get(self, promise: Any) -> Answer | None:
        ray = _ray()
        try:
            given: Answer = ray.get(promise)
            return given
        except ray.exceptions.RayTaskError as error:
            raise JobError(f"a Ray worker cannot run textmorph: {error}") from error
        except ray.exceptions.RayError as error:  # its process or its machine is gone, or the answer with it
            self.complaint = " ".join(str(error).split())[:300]
            return None


class ShardWorker:
    """What an actor is."""

    def __init__(self, function: str, threads: int) -> None:
        keep_memory()
        with suppress(JobError):  # the shards will tell
            resolve(function)  # what takes long, imports, comes before the first shard
        self._function, self._threads = function, threads

    def ready(self) -> Answer:
        return READY

    def compute(self, arguments: Arguments) -> Answer:
        return answer(self._function, arguments, self._threads)


def _resource(name: str) -> float:
    return float(_ray().cluster_resources().get(name, 0))


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("the engine ray needs Ray: pip install 'textmorph[ray]'") from error
    return ray
