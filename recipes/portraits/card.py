# ruff: noqa: E501  (a page of text)
"""The model card, written from the report: data, training, figures, limits."""

from __future__ import annotations

from typing import Any

from .bundle import BANK_SAMPLES, BANK_TOLERANCE, CORPUS_SIZE, DOMAIN
from .data import SIZES

GENERATOR = {  # how it was trained, as its file says
    "regression": """**The generator was not trained
adversarially**: it was regressed from clean attribute vectors, of which w is a rotation; while it was trained, every
style channel was urged to listen to few attributes. Its mapping network was not trained at all: its weights were laid
so that z draws records from the prior.""",
    "finished": """**The generator was finished
adversarially, but learned most before**: it was regressed from clean attribute vectors, of which w is a rotation; while
it was trained, every style channel was urged to listen to few attributes; the weights of its mapping network were laid so
that z draws records from the prior. Then both were trained against a discriminator, with the records as an anchor.""",
    "from scratch": """**The generator was trained
adversarially from random weights, but not by that alone**: all the while it was also regressed from clean attribute
vectors, of which w is a rotation, its mapping network was told which w a z stands for, and every style channel was urged
to listen to few attributes.""",
}


def write_card(report: dict[str, Any]) -> None:
    """Write MODEL_CARD.md into the domain folder."""
    clip, witness, encoder, made = report["clip"], report["witness"], report["encoder"], report["generator"]
    stages = report["training"]
    training = "\n".join(f"| {s} | {t['steps']:,} | {t['minutes']} | {t['device']} |" for s, t in stages.items())
    on_cpu = all(stage["device"] == "CPU" for stage in stages.values())
    machine = "Two CPU cores: two stages at a time, of one thread each, or one of two. " if on_cpu else ""
    goals = "\n".join(
        f"| {name} | {g['value']} | {g['goal']} | {'yes' if g['met'] else '**no**'} |"
        for name, g in report["goals"].items()
    )
    words = "\n".join(
        f"| {a} | {v['single']:.1%} | {v['ensemble']:.1%} | {witness['zero_shot'][a]['single']:.1%} |"
        for a, v in clip["zero_shot"].items()
    )
    judge = report["judge"]
    judged = "\n".join(f"| {a} | {v} | {judge['generated'][a]} |" for a, v in judge["renders"].items())
    differences = ", ".join(f"{a} {v:.1%}" for a, v in made["frequency_difference"].items())
    kept = ", ".join(f"{a} {v:.1%}" for a, v in encoder["kept"].items())
    distance = "\n".join(f"| {name} | {value} |" for name, value in made["frechet"].items())
    (DOMAIN / "MODEL_CARD.md").write_text(
        f"""# Portraits, the embedded domain of textmorph

A small drawn world for tests and known truth, without a download: drawn portraits and the networks trained on them, in
the formats and through the code that photographs would take. Licence Apache-2.0, weights included. {report["size_mb"]} MB.
Written by `make portraits-report`; every figure below is measured, on renders and phrasings that nothing was trained on.

## What it is not
It knows drawn portraits of one kind and {SIZES["base"] + SIZES["varied"]:,} captioned ones at that; a photograph is far from it, and
textmorph says so. Its CLIP reads the words of its captions and no others. {GENERATOR[made["training"]]}
Disentanglement is therefore built in to a good part, and results here predict nothing about photographs.
Hair colours, make-up and earrings follow a prior that leans on stereotypes (beards only on masculine faces, make-up
mostly on feminine ones), so that correlations exist to be disentangled; it is no statement about people.

## Goals and what was reached
| figure | measured | goal | reached |
|---|---|---|---|
{goals}

## Data
{sum(SIZES.values()):,} vector drawings (`recipes/portraits/render.py`), each fully determined by a record of 30 attributes;
captions from `recipes/portraits/captions.py`. A fifth of the phrasings of every value is withheld from training.
Held out: other seeds.

## Training
| stage | steps | minutes | on |
|---|---|---|---|
{training}

{machine}All from scratch: `make portraits`.
CLIP: contrastive with known matches, pairs that differ in one attribute, a directional loss on their captions, attribute
heads on the vision tower during training only; then words alone, with a choice among all values of an attribute
(training phrasings only). Identity: ArcFace over drawn persons. Encoder: towards the w of
the record, then through the generator. Channel bank: at most {BANK_SAMPLES} samples
at ±5 standard deviations, fewer where the direction is known to a sine of {BANK_TOLERANCE:g}. Corpus: {CORPUS_SIZE:,} samples.

## CLIP: the right word among all values of an attribute (withheld phrasings)
| attribute | one phrasing | all phrasings averaged | witness, one phrasing |
|---|---|---|---|
{words}

Retrieval of one portrait among 100 by a long caption: the captioned one {clip["retrieval"]["own"]:.1%}, one that the caption fits
{clip["retrieval"]["true"]:.1%} ({clip["retrieval"]["captions"]} captions).

## Generator: {made["samples"]:,} samples of {made["resolution"]} px
Largest difference of a value's frequency from the prior, by the judge: {differences}.

| Fréchet distance in the witness's space to held-out renders | |
|---|---|
{distance}

Precision {made["precision"]}, recall {made["recall"]}.

## Encoder: {encoder["portraits"]} held-out renders
Identity by the second net {encoder["identity"]} (lowest tenth {encoder["identity_lowest_tenth"]}); mean absolute error {encoder["mean_absolute_error"]} of a range of 2;
attributes kept: {kept}. A picture whose reconstruction is farther than {encoder["far_distance"]} (99 of 100 renders are nearer) is
called far from the domain.

## Identity
Same person under another look against other persons: AUC {report["identity"]["auc"]} (second net {report["identity"]["judge_auc"]}).

## Judges
They live in `recipes/portraits/judges`, outside the package, and never enter an edit. Accuracy (for scalars: mean error as a share of
the range) on renders, and on what the generator draws from the same records:

| attribute | renders | generated |
|---|---|---|
{judged}
"""
    )
