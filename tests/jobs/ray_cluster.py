"""What tests need around a Ray cluster."""

from __future__ import annotations

import gc
import warnings

IGNORED = ("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
"""Ray leaves sockets and processes to the garbage collector."""


def end_cluster() -> None:
    """Stop the cluster that this process has started, and let go of what it leaves."""
    import ray

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.shutdown()
        gc.collect()
