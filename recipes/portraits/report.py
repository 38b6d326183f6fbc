"""Measure the domain folder and the judges on held-out renders; write report.json, the model card and two sheets."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from textmorph import load_domain, load_identity
from textmorph.checkpoints import read
from textmorph.editing.framing import reconstruction_distance
from textmorph.latents import Latent
from textmorph.sheets import contact_sheet

from . import attributes as A
from . import data, generator, identity, judge, measure
from .bundle import DOMAIN, JUDGES, write_toml
from .card import write_card
from .training import countdown

GOALS: dict[str, tuple[str, float]] = {  # what, at least (or at most, where marked ≤)
    **{f"clip.zero_shot.{a}.single": (">=", 0.95) for a in ("hair_colour", "hair_style", "glasses", "beard", "hat")},
    **{f"clip.zero_shot.{a}.single": (">=", 0.85) for a in ("expression", "age")},
    "clip.retrieval.true": (">=", 0.80),
    "generator.largest_frequency_difference": ("<=", 0.05),
    "encoder.identity": (">=", 0.80),
    "encoder.attributes_kept": (">=", 0.95),
    "identity.auc": (">=", 0.99),
}


def load_attribute_judge() -> judge.AttributeJudge:
    """The committed attribute judge."""
    net = judge.AttributeJudge()
    net.load_state_dict(read(JUDGES / "attributes.safetensors").tensors)
    return net


def write_report(*, num: int = 2000, samples: int = 10_000, encoded: int = 500) -> None:
    """Measure everything and write it down. On two cores about 10 minutes.

    Nothing is asked of the run folder but the renders: what it has not trained is told as it was before.
    """
    domain: Any = load_domain("portraits")
    test = data.load("test")
    net, second = load_attribute_judge(), load_identity(JUDGES / "identity.safetensors")
    report: dict[str, Any] = {
        "machine": {"processor": platform.processor() or platform.machine(), "torch": torch.__version__},
        "clip": _clip(domain.embedder, test, num),
        "witness": _clip(domain.witness, test, num),
        "judge": _judge(domain, net, test, num),
        "generator": _generator(domain, net, test, samples),
        "encoder": _encoder(domain, net, second, test, encoded),
        "identity": {
            "auc": round(identity.verification_auc(domain.identity), 5),
            "judge_auc": round(identity.verification_auc(second), 5),
        },
        "training": _trained_before() | _training(),
        "size_mb": round(sum(f.stat().st_size for f in DOMAIN.rglob("*") if f.is_file()) / 1e6, 2),
    }
    report["goals"] = goals(report)
    (DOMAIN / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    write_toml(far_distance=report["encoder"]["far_distance"])
    write_card(report)
    for name, goal in report["goals"].items():
        print(f"{'met   ' if goal['met'] else 'MISSED'} {name}: {goal['value']} (goal {goal['goal']})")


def goals(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Each goal beside what was measured."""
    out = {}
    for path, (sign, bound) in GOALS.items():
        value: Any = report
        for key in path.split("."):
            value = value[key]
        out[path] = {
            "value": value,
            "goal": f"{sign} {bound}",
            "met": value >= bound if sign == ">=" else value <= bound,
        }
    return out


def _clip(embedder: Any, test: data.Portraits, num: int) -> dict[str, Any]:
    seen = measure.in_batches(embedder.embed_image, measure.batches_of(test, num))
    return {
        "zero_shot": {
            a: measure.zero_shot(embedder, seen, test, a, split="withheld")
            for a in (
                "hair_colour",
                "hair_style",
                "glasses",
                "beard",
                "hat",
                "expression",
                "age",
                "moustache",
                "mouth",
                "eyes",
                "lipstick",
                "makeup",
                "earrings",
                "femininity",
            )
        },
        "retrieval": measure.retrieval(embedder, seen, test, split="withheld"),
    }


def _judge(domain: Any, net: judge.AttributeJudge, test: data.Portraits, num: int) -> dict[str, Any]:
    """Accuracy on renders, and on what the generator draws from the same records (render and compare)."""
    z = generator.z_from_uniform(data.uniform("test", num), domain.generator.config.z_dim)

    def drawn(first: int) -> Tensor:
        image: Tensor = domain.generator(Latent(z[first : first + 50], "z"), noise="none")
        return image

    cols = test.rows(slice(0, num))
    made = (drawn(i) for i in range(0, num, 50))
    with torch.inference_mode():
        return {
            "renders": measure.accuracy(measure.judged(net, measure.batches_of(test, num)), cols),
            "generated": measure.accuracy(measure.judged(net, made), cols),
        }


def _generator(domain: Any, net: judge.AttributeJudge, test: data.Portraits, samples: int) -> dict[str, Any]:
    latent = domain.generator.sample(samples, seed=31)
    logits, features, tell = [], [], countdown("report: samples")
    with torch.inference_mode():
        for i in range(0, samples, 50):
            image = domain.generator(latent[i : i + 50])
            logits.append(net(image))
            if i < len(test):
                features.append(domain.witness.embed_image(image))
            tell(i + 50, samples)
    made = measure.frequencies(judge.read(torch.cat(logits)))
    prior_cols = A.sample_columns(200_000, seed=33)
    prior = {
        a: {w: round(float((prior_cols[a] == i).mean()), 4) for i, w in enumerate(ws)} for a, ws in A.CATEGORIES.items()
    }
    worst = {a: round(max(abs(made[a][w] - prior[a][w]) for w in made[a]), 4) for a in made}
    fake = torch.cat(features)
    real = measure.in_batches(domain.witness.embed_image, measure.batches_of(test, len(test)))
    floor = measure.in_batches(domain.witness.embed_image, measure.batches_of(data.load("base"), len(test)))
    blurred = measure.in_batches(
        lambda x: domain.witness.embed_image(F.interpolate(F.avg_pool2d(x, 4), scale_factor=4, mode="bilinear")),
        measure.batches_of(test, len(test)),
    )
    precision, recall = measure.precision_recall(real, fake)
    return {
        "training": read(DOMAIN / "generator.safetensors").provenance.get("training", "regression"),
        "resolution": domain.generator.resolution,
        "samples": samples,
        "largest_frequency_difference": max(worst.values()),
        "frequency_difference": worst,
        "frequencies": made,
        "prior": prior,
        "frechet": {
            "generator": round(measure.frechet(fake, real), 5),
            "floor (renders)": round(measure.frechet(floor, real), 5),
            "scale (renders blurred 4 times)": round(measure.frechet(blurred, real), 5),
        },
        "precision": round(precision, 4),
        "recall": round(recall, 4),
    }


def _encoder(domain: Any, net: judge.AttributeJudge, second: Any, test: data.Portraits, num: int) -> dict[str, Any]:
    images = torch.cat(list(measure.batches_of(test, num)))

    def back(batch: Tensor) -> Tensor:
        return torch.cat([domain.generator(domain.encoder(part)).clamp(-1, 1) for part in torch.split(batch, 50)])

    with torch.inference_mode():
        again = back(images)
        same = (second.embed_image(images) * second.embed_image(again)).sum(dim=1)
        before, after = judge.read(net(images)), judge.read(net(again))
        others = torch.cat(list(measure.batches_of(data.load("test_varied"), 1000)))
        far = reconstruction_distance(others, back(others)).quantile(0.99)
    cols = test.rows(slice(0, num))
    kept = {}
    for name in A.CATEGORIES:
        seen = torch.from_numpy(A.visible(cols, name))
        kept[name] = round(float((before.categories[name] == after.categories[name])[seen].double().mean()), 4)
    sheet = [picture for pair in zip(images[:16], again[:16], strict=True) for picture in pair]
    _sheet(torch.stack(sheet), "encoder", 8)
    latent = domain.generator.sample(64, seed=0)
    with torch.inference_mode():
        _sheet(domain.generator(latent).clamp(-1, 1), "generator", 8)
    _sheet(test.tensor(slice(0, 64)), "renders", 8)
    return {
        "portraits": num,
        "identity": round(float(same.mean()), 4),
        "identity_lowest_tenth": round(float(same.quantile(0.1)), 4),
        "attributes_kept": round(float(np.mean(list(kept.values()))), 4),
        "kept": kept,
        "mean_absolute_error": round(float((again - images).abs().mean()), 4),
        "far_distance": round(float(far), 4),
    }


def _trained_before() -> dict[str, Any]:
    """What the last report told of training."""
    path = DOMAIN / "report.json"
    told: dict[str, Any] = json.loads(path.read_text())["training"] if path.exists() else {}
    return told


def _training() -> dict[str, Any]:
    """Steps and minutes of every stage, from its checkpoint."""
    out = {}
    for folder in sorted(data.RUNS.glob("*/checkpoint.pt"), key=lambda path: path.stat().st_mtime):
        stage = folder.parent.name
        saved = torch.load(data.RUNS / stage / "checkpoint.pt", map_location="cpu", weights_only=True, mmap=True)
        out[stage] = {
            "steps": int(saved["step"]),
            "minutes": round((saved["elapsed"] + saved.get("before", 0.0)) / 60, 1),
            "device": saved.get("device", "CPU"),
        }
    return out


def _sheet(images: Tensor, name: str, columns: int) -> None:
    folder = Path("docs/images")
    folder.mkdir(parents=True, exist_ok=True)
    contact_sheet(images, columns=columns).convert("RGB").save(
        folder / f"portraits-{name}.jpg", quality=88, optimize=True
    )
