"""`python -m benchmarks.retrieval`: what StyleCLIP-FEU does for a text before it looks at channels, timed by its parts.

A corpus of 70 000 rows in memory, as the paper's, with embeddings as long as CLIP's: the product with the query, both
ends of it, the rows of both ends, and the SVM. Embeddings lie in clusters, as CLIP's do; the SVM's time depends on it.
Writes benchmarks/results/retrieval.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from textmorph.corpora.corpus import Corpus
from textmorph.files import write_bytes
from textmorph.methods.svm_direction import svm_normal

from .machine import about_run

RESULTS = Path("benchmarks/results/retrieval.json")
GOAL = 10.0
"""Milliseconds, of issue 4, on two cores."""


def clustered(rows: int, length: int, *, clusters: int = 60, seed: int = 0) -> Tensor:
    """Unit rows [N, D] about centres that share a mean, as embeddings of alike pictures are."""
    random = torch.Generator().manual_seed(seed)
    mean = F.normalize(torch.randn(length, generator=random), dim=0)
    centres = F.normalize(torch.randn(clusters, length, generator=random), dim=1)
    which = torch.randint(clusters, (rows,), generator=random)
    noise = F.normalize(torch.randn(rows, length, generator=random), dim=1)
    return F.normalize(mean + 0.35 * centres[which] + 0.35 * noise, dim=1)


def timed(act: Callable[[], object], repeats: int) -> dict[str, float]:
    """Milliseconds of one call: median, and the nine tenths that stay below."""
    times = []
    for number in range(repeats + 3):  # the first three are not counted
        begin = time.perf_counter()
        act()
        if number >= 3:
            times.append(1000 * (time.perf_counter() - begin))
    return {"median_ms": round(statistics.median(times), 3), "p90_ms": round(statistics.quantiles(times, n=10)[-1], 3)}


def measure(rows: int, length: int, num: int, repeats: int) -> dict[str, Any]:
    """All parts at one size, and all of them together."""
    embeddings = clustered(rows, length)
    corpus = Corpus(embeddings, {"embedder": "none"})
    query = F.normalize(embeddings[:50].mean(dim=0) + 0.02 * torch.randn(length), dim=0)

    def all_of_it() -> Tensor:
        near, far = corpus.extremes(query, num, num)
        return svm_normal(corpus.embedding(near.rows), corpus.embedding(far.rows))

    scores = embeddings @ query
    near, far = corpus.extremes(query, num, num)
    ends = corpus.embedding(near.rows), corpus.embedding(far.rows)
    with torch.inference_mode():
        return {
            "rows": rows,
            "length": length,
            "of_each_end": num,
            "product": timed(lambda: embeddings @ query, repeats),
            "ends": timed(lambda: (scores.topk(num), scores.topk(num, largest=False)), repeats),
            "rows_of_ends": timed(lambda: (embeddings[near.rows], embeddings[far.rows]), repeats),
            "svm": timed(lambda: svm_normal(*ends), repeats),
            "together": timed(all_of_it, repeats),
        }


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retrieval", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 70_000])
    parser.add_argument("--length", type=int, default=512, help="of an embedding (default: 512, CLIP ViT-B/32's)")
    parser.add_argument("--num", type=int, default=100, help="of each end (default: 100, the paper's)")
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args(words)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    sizes = [measure(rows, arguments.length, arguments.num, arguments.repeats) for rows in arguments.rows]
    found = {"about": about_run(), "threads": arguments.threads, "repeats": arguments.repeats, "sizes": sizes}
    found["goal_ms"] = GOAL
    write_bytes(arguments.results, (json.dumps(found, indent=1) + "\n").encode(), overwrite=True)
    for size in sizes:
        parts = ", ".join(f"{name} {part['median_ms']} ms" for name, part in size.items() if isinstance(part, dict))
        print(f"{size['rows']} rows: {parts}")
    print(f"goal at 70 000 rows: under {GOAL:g} ms")


if __name__ == "__main__":
    main()
