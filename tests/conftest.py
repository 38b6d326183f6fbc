"""One thread, fixed seeds, no network: the same tests, the same bits, on every machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
import torch
from hypothesis import HealthCheck, settings

from textmorph.generators.stylegan2 import StyleGAN2

from .toys import ToyEmbedder, toy_generator

torch.set_num_threads(1)  # faster for toys, and two threads on busy cores wait for each other

settings.register_profile(
    "textmorph",
    deadline=None,  # the first example pays for imports
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("textmorph")


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    """Seed torch's global generator, which builds networks; our own code never uses it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep downloads of a test out of the user's cache."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("TEXTMORPH_CACHE", str(cache))
    return cache


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    """The toy of 16 px; files that need another have a fixture of the same name."""
    return toy_generator()


@pytest.fixture(scope="module")
def embedder() -> ToyEmbedder:
    return ToyEmbedder()
