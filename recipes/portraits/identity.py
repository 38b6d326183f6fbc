"""Identity nets: who is it? ArcFace over drawn persons, each seen under several looks.

`identity` ships with the domain; `identity_judge` is another net of another seed and shape that no edit ever sees.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textmorph.embedders import Embedder
from textmorph.embedders.identity import IdentityConfig, IdentityEmbedder

from . import attributes as A
from . import data
from .training import Average, Stateful, autocast, batches, device, learning_rate, train, views

CONFIGS = {
    "identity": IdentityConfig(
        input_size=64, widths=(24, 48, 96, 160), blocks=(1, 1, 2, 1), embedding_dim=128, crop="none", dropout=0.1
    ),
    "identity_judge": IdentityConfig(
        input_size=80, widths=(16, 40, 80, 128), blocks=(1, 2, 1, 1), embedding_dim=96, crop="none", dropout=0.1
    ),
}
_SEEDS = {"identity": 5, "identity_judge": 6}


class Learner(nn.Module):
    """The net, and a centre per person that is learned as a function of the person's record.

    A record per person replaces the table of centres, which needs many looks at every person to be learned.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        torch.manual_seed(_SEEDS[name])
        self.net = IdentityEmbedder(CONFIGS[name])
        self.centres = nn.Sequential(
            nn.Linear(person_columns().numel(), 256), nn.LeakyReLU(0.2), nn.Linear(256, CONFIGS[name].embedding_dim)
        )


def person_columns() -> Tensor:
    """Which entries of a portrait's vector say who it is."""
    chosen, at = [], 0
    for attribute in A.SCALARS:
        chosen += [at] if attribute in A.PERSON else []
        at += 1
    for attribute, words in A.CATEGORIES.items():
        chosen += range(at, at + len(words)) if attribute in A.PERSON else []
        at += len(words)
    return torch.tensor(chosen)


def arcface_loss(embedding: Tensor, centres: Tensor, person: Tensor, *, margin: float, scale: float = 24.0) -> Tensor:
    """Cross-entropy over angles, the right one widened by `margin` radians; Deng et al. 2019, arXiv:1801.07698."""
    cosine = (embedding @ F.normalize(centres, dim=1).t()).clamp(-1 + 1e-6, 1 - 1e-6)
    right = F.one_hot(person, len(centres)).bool()
    widened = torch.cos((torch.acos(cosine) + margin).clamp(max=torch.pi))
    return F.cross_entropy(scale * torch.where(right, widened, cosine), person)


def train_identity(name: str, minutes: float, *, persons_per_batch: int = 32) -> None:
    """Train an identity net. On two cores 12 minutes; on a GPU two (estimated)."""
    looks = data.load("looks")
    persons = len(looks) // data.LOOKS
    learner = Learner(name).to(device())
    records = looks.vectors[:: data.LOOKS][:persons, person_columns()].to(device())
    learner.net.requires_grad_(True).train()
    learner.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    average = Average(learner, 0.995)
    optimizer = torch.optim.AdamW(learner.parameters(), lr=1e-3, weight_decay=1e-3)
    order = batches(persons, persons_per_batch, seed=30 + _SEEDS[name])

    def step(number: int, progress: float) -> Mapping[str, float]:
        learning_rate(optimizer, 2e-3, progress, warmup=0.03)
        who = order(number)
        rng = np.random.default_rng([_SEEDS[name], number])
        look = np.stack([rng.permutation(data.LOOKS)[:3] for _ in who])  # three looks of each
        rows = (who[:, None] * data.LOOKS + look).ravel()
        person = torch.from_numpy(who.repeat(3)).to(device())
        random = torch.Generator().manual_seed(number * 2 + _SEEDS[name])
        images = views(looks.tensor(rows, device()), random)
        with autocast():
            embedding = learner.net(images.contiguous(memory_format=torch.channels_last))
        loss = arcface_loss(embedding.float(), learner.centres(records), person, margin=0.2 * min(1.0, progress / 0.6))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(learner.parameters(), 2.0)
        optimizer.step()
        average.update(learner)
        return {"loss": float(loss.detach())}

    state: dict[str, Stateful] = {"learner": learner, "average": average, "optimizer": optimizer}
    train(data.RUNS / name, state, step, minutes=minutes, label=name)


def load_identity_net(name: str) -> IdentityEmbedder:
    """The averaged weights."""
    saved = torch.load(data.RUNS / name / "checkpoint.pt", map_location=device(), weights_only=True)["average"]
    net = IdentityEmbedder(CONFIGS[name]).to(device())
    net.load_state_dict({k.removeprefix("module.net."): v for k, v in saved.items() if k.startswith("module.net.")})
    return net


def verification_auc(net: Embedder) -> float:
    """Area under the ROC curve: the same person under another look, against other persons; held out, on the CPU."""
    looks = data.load("test_looks")
    with torch.no_grad():
        e = torch.cat([net.embed_image(looks.tensor(slice(i, i + 100))) for i in range(0, len(looks), 100)])
    person = torch.arange(len(looks)) // data.LOOKS
    cosine = e @ e.t()
    same = person[:, None] == person[None, :]
    off = ~torch.eye(len(looks), dtype=torch.bool)
    positive, negative = cosine[same & off], cosine[~same].sort().values
    below = torch.searchsorted(negative, positive).double()
    return float((below / len(negative)).mean())
