"""`python -m recipes.portraits STAGE…`: make the embedded domain, stage by stage. See the README beside this file."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from textmorph.errors import OptionError

from .run_folder import RESOLUTIONS, settle


@dataclass(frozen=True)
class Stage:
    """A step of the recipe, and what it needs.

    Args:
        what: it makes.
        minutes: on two cores; of training, where it trains for a budget.
        gpu: minutes that a GPU needs for as much. Estimated: none was at hand to measure it.
        call: function, as module:name, and its leading arguments.
        trains: whether the function takes a budget of minutes.
        for_gpu: left out without a GPU unless forced; on one it trains for `gpu` minutes.
    """

    what: str
    minutes: float
    gpu: float
    call: tuple[str, ...]
    trains: bool = True
    for_gpu: bool = False

    @property
    def needs(self) -> str:
        """Its time, in words."""
        return f"{self.minutes:g} min on two cores, about {self.gpu:g} for as much on a GPU (estimated, not measured)"


STAGES = {
    "data": Stage("render 113 000 portraits (5.6 GB of disk; at 256 px 22)", 4, 4, ("data:prepare",), trains=False),
    "clip": Stage("the small CLIP", 65, 5, ("clip:train_clip", "clip")),
    "clip_words": Stage("its words, with the vision tower standing still", 60, 5, ("clip:train_words", "clip")),
    "generator": Stage("StyleGAN2, regressed from records; z is wired", 165, 10, ("generator:train_generator",)),
    "details": Stage("finish what changes few pixels: wrinkles, earrings", 60, 5, ("generator:train_details",)),
    "adversarial": Stage(
        "finish it, and its mapping, against a discriminator",
        2000,
        60,
        ("adversarial:train_adversarial",),
        for_gpu=True,
    ),
    "identity": Stage("the identity net", 12, 2, ("identity:train_identity", "identity")),
    "encoder": Stage("photo to w+", 75, 5, ("encoder:train_encoder",)),
    "witness": Stage("a second CLIP that only reports", 15, 2, ("clip:train_clip", "witness")),
    "witness_words": Stage("its words", 5, 1, ("clip:train_words", "witness")),
    "judge": Stage("the attribute classifier that only measures", 36, 5, ("judge:train_judge",)),
    "identity_judge": Stage("the second identity net, too", 10, 2, ("identity:train_identity", "identity_judge")),
    "judges": Stage("write the judges", 0.1, 0.1, ("bundle:write_judges",), trains=False),
    "bank": Stage("the channel bank and the corpus", 45, 10, ("bundle:write_bank_and_corpus",), trains=False),
    "bundle": Stage("write the domain folder", 1, 1, ("bundle:write_bundle",), trains=False),
    "report": Stage("measure it, write report.json and model card", 10, 10, ("report:write_report",), trains=False),
}

LEFT_OUT = (
    "left out, for there is no GPU: a core makes about 4 pictures a second, and it takes a million (estimated). "
    "--adversarial runs it all the same"
)


def run(name: str, minutes: float | None = None, *, scale: float = 1, forced: bool = False, **options: bool) -> None:
    """Run or resume one stage.

    Args:
        minutes: of training, over all runs together; None takes the stage's own, times `scale`.
        forced: run a stage that is made for a GPU without one, too.
        options: of the stage.
    """
    from .training import device

    stage, has_gpu = STAGES[name], device().type != "cpu"
    if stage.for_gpu and not (has_gpu or forced):
        print(f"{name}: {LEFT_OUT}", flush=True)
        return
    print(f"{name}: {stage.what}; {stage.needs}", flush=True)
    module, function = stage.call[0].split(":")
    call = getattr(import_module(f"recipes.portraits.{module}"), function)
    if minutes is None:
        minutes = scale * (stage.gpu if stage.for_gpu and has_gpu else stage.minutes)
    call(*stage.call[1:], *([minutes] if stage.trains else []), **options)


def main(arguments: Sequence[str] | None = None) -> None:
    lines = "\n".join(f"  {name:15}{s.minutes:6g} min{s.gpu:5g} min  {s.what}" for name, s in STAGES.items())
    parser = argparse.ArgumentParser(
        prog="python -m recipes.portraits",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Make the embedded domain. Every stage can be stopped and started again.",
        epilog=f"stages, their time on two cores, and a GPU's for as much (estimated, not measured):\n{lines}\n"
        "A GPU is used where there is one; it trains as many minutes as two cores, and gets farther.\n"
        "Without one adversarial is left out; with one it trains for the second time. Its first is estimated, too.",
    )
    parser.add_argument("stages", nargs="*", metavar="STAGE", help="stages in order; none: all")
    parser.add_argument("--minutes", type=float, help="training time of each named stage (default: see below)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiply all training times (default: 1)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all cores)")
    parser.add_argument(
        "--resolution", type=int, choices=RESOLUTIONS,
        help="side of the pictures, settled when a run begins (default: 128; 256 is meant for a GPU)",
    )  # fmt: skip
    parser.add_argument("--adversarial", action="store_true", help="run the stage adversarial without a GPU, too")
    parser.add_argument("--from-scratch", action="store_true", help="let adversarial begin from random weights")
    parser.add_argument(
        "--weights-alone", action="store_true",
        help="begin a stage's schedule anew from the weights that lie there, instead of going on with it",
    )  # fmt: skip
    told = parser.parse_args(arguments)
    unknown = [s for s in told.stages if s not in STAGES]
    if unknown:
        parser.error(f"no stage {', '.join(unknown)}; stages are {', '.join(STAGES)}")
    import torch

    from textmorph.memory import keep_memory

    from .training import WEIGHTS_ALONE

    if told.weights_alone:
        os.environ[WEIGHTS_ALONE] = "1"
    keep_memory()  # on two virtual cores the generator trains twice as fast
    torch.set_num_threads(told.threads or os.cpu_count() or 1)
    try:
        settle(told.resolution)
        for name in told.stages or STAGES:
            options = {"from_scratch": told.from_scratch} if name == "adversarial" else {}
            run(name, told.minutes, scale=told.scale, forced=told.adversarial, **options)
    except OptionError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
