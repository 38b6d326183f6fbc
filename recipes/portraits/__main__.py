"""`python -m recipes.portraits STAGE…`: make the embedded domain, stage by stage. See the README beside this file."""

from __future__ import annotations

import argparse
import os
from importlib import import_module

STAGES: dict[str, tuple[float, str]] = {  # default minutes on two cores, what it does
    "data": (0, "render 113 000 portraits (4 minutes, 5.6 GB of disk)"),
    "clip": (65, "the small CLIP"),
    "clip_words": (60, "its words, with the vision tower standing still"),
    "generator": (165, "StyleGAN2, regressed from attribute vectors"),
    "mapping": (25, "its mapping network, distilled to work from z"),
    "identity": (12, "the identity net"),
    "encoder": (40, "photo to w+"),
    "witness": (15, "a second CLIP that only reports"),
    "witness_words": (5, "its words"),
    "judge": (15, "the attribute classifier that only measures"),
    "identity_judge": (10, "the second identity net that only measures"),
    "bank": (0, "the channel bank and the corpus (10 minutes)"),
    "bundle": (0, "write the domain folder and the judges"),
    "report": (0, "measure everything, write report.json and the model card"),
}

TRAINERS = {  # stage: module, function
    "clip": ("clip", "train_clip"),
    "witness": ("clip", "train_clip"),
    "clip_words": ("clip", "train_words"),
    "witness_words": ("clip", "train_words"),
    "generator": ("generator", "train_generator"),
    "mapping": ("generator", "train_mapping"),
    "identity": ("identity", "train_identity"),
    "identity_judge": ("identity", "train_identity"),
    "encoder": ("encoder", "train_encoder"),
    "judge": ("judge", "train_judge"),
}


def takes_name(stage: str) -> bool:
    """Some stages share a trainer, which is told which network it is about."""
    return stage.startswith(("clip", "witness", "identity"))


def run(stage: str, minutes: float) -> None:
    """Run or resume one stage."""
    if stage == "data":
        from .data import prepare

        prepare()
        return
    if stage in ("bank", "bundle", "report"):
        if stage == "bank":
            from .bundle import write_bank_and_corpus as finish
        elif stage == "bundle":
            from .bundle import write_bundle as finish
        else:
            from .report import write_report as finish
        finish()
        return
    module, function = TRAINERS[stage]
    train = getattr(import_module(f"recipes.portraits.{module}"), function)
    train(*([stage.removesuffix("_words")] if takes_name(stage) else []), minutes)


def main() -> None:
    lines = "\n".join(f"  {name:15} {minutes:3g} min  {what}" for name, (minutes, what) in STAGES.items())
    parser = argparse.ArgumentParser(
        prog="python -m recipes.portraits",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Make the embedded domain. Every stage can be stopped and started again.",
        epilog=f"stages:\n{lines}",
    )
    parser.add_argument("stages", nargs="*", metavar="STAGE", help="stages in order; none: all")
    parser.add_argument("--minutes", type=float, help="training time of each named stage (default: see below)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiply all training times (default: 1)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all cores)")
    parser.add_argument(
        "--weights-alone", action="store_true",
        help="begin a stage's schedule anew from the weights that lie there, instead of going on with it",
    )  # fmt: skip
    arguments = parser.parse_args()
    unknown = [s for s in arguments.stages if s not in STAGES]
    if unknown:
        parser.error(f"no stage {', '.join(unknown)}; stages are {', '.join(STAGES)}")
    import torch

    from textmorph.memory import keep_memory

    from .training import WEIGHTS_ALONE

    if arguments.weights_alone:
        os.environ[WEIGHTS_ALONE] = "1"
    keep_memory()  # on two virtual cores the generator trains twice as fast
    torch.set_num_threads(arguments.threads or os.cpu_count() or 1)
    for stage in arguments.stages or STAGES:
        run(stage, arguments.minutes or STAGES[stage][0] * arguments.scale)


if __name__ == "__main__":
    main()
