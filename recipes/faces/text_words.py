"""Then words alone: the image tower stands still, what it sees of each face is kept, and a step costs a tenth.

Trains the text tower and both projections further, with requests, modifiers and disturbed words in the captions.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from ..portraits.training import Average, countdown, learning_rate, train
from .faces import RUNS, folder, save
from .probes import corpus_labels
from .text_model import HELD_BACK, Captions, Learner, flipped, holds, matrices, pair_loss, training_set, views
from .text_model import padded_tokenizer as padded
from .words import disturbed

VIEWS = 4
"""Of each face, every second one mirrored."""


def train_words(minutes: float, *, faces: int = 192, singles: int = 48) -> None:
    """Train the text tower; stopped, it goes on."""
    images, values, _ = training_set()
    count = len(corpus_labels())
    usable = np.r_[0 : count - HELD_BACK, count : len(images)]
    learner = seeing()
    seen = kept_features(learner, images)
    model = learner.model
    trained = nn.ModuleList([model.text_model, model.text_projection, model.visual_projection]).requires_grad_(True)
    scales = nn.ParameterList([model.logit_scale, learner.bias]).requires_grad_(True)
    parameters = [*trained.parameters(), *scales.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.02)
    average = Average(learner, 0.998)
    captions, words = Captions(values), padded()
    yes = np.nansum(values == 1, axis=0)
    weight = 1 + ((values[usable] == 1) * np.minimum(8, 400 / np.maximum(yes, 20))).sum(axis=1) * 0.5
    weight /= weight.sum()

    def step(number: int, progress: float) -> Mapping[str, float]:
        learning_rate(optimizer, 1e-3, progress, warmup=0.03)
        draw, rng = np.random.default_rng([8, number]), random.Random(number)
        rows, view = draw.choice(usable, faces, p=weight), draw.integers(VIEWS, size=faces)
        truth = torch.from_numpy(values[rows])
        mirrored = torch.from_numpy(view % 2 == 1)
        truth[mirrored] = flipped(truth[mirrored])
        said = captions.true(truth[: faces // 2], rng)
        said += captions.denied(said[: faces // 4], rng) + captions.alone(singles, rng)
        lines = [disturbed(text, rng) for text, _ in said]
        ids = torch.tensor([encoding.ids for encoding in words.encode_batch(lines)])
        pooled = torch.from_numpy(np.array(seen[rows, view])).float()
        embedded = nn.functional.normalize(model.visual_projection(pooled), dim=1)
        known = holds(truth, *matrices([meaning for _, meaning in said]))
        pairs = pair_loss(learner.logits(embedded, learner.texts(ids)), known)
        optimizer.zero_grad()
        pairs.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        average.update(learner)
        return {"pairs": pairs.item()}

    state = {"learner": learner, "average": average, "optimizer": optimizer}
    train(folder("text_words"), state, step, minutes=minutes, label="text_words")


def seeing() -> Learner:
    """The averaged weights of the first stage, frozen."""
    saved = torch.load(RUNS / "text_model" / "checkpoint.pt", map_location="cpu", weights_only=True)["average"]
    learner = Learner()
    learner.load_state_dict({key.removeprefix("module."): v for key, v in saved.items() if key.startswith("module.")})
    return learner.requires_grad_(False).eval()


@torch.inference_mode()
def kept_features(learner: Learner, images: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """What the image tower sees of several views of every face, float16 [N, VIEWS, 768]; kept in the run folder."""
    path = folder("text_words") / "seen.npy"
    if not path.exists():
        tell, rows = countdown("views"), []
        for start in range(0, len(images), 100):
            tell(start, len(images))
            pixels = torch.from_numpy(images[start : start + 100]).permute(0, 3, 1, 2)
            rows.append(torch.stack([_seen(learner, pixels, start * VIEWS + view) for view in range(VIEWS)], dim=1))
        save(path, torch.cat(rows).half().numpy())
    found = np.load(path, mmap_mode="r")
    assert len(found) == len(images), f"{path} belongs to other faces; delete it"
    return found


def _seen(learner: Learner, pixels: Tensor, number: int) -> Tensor:
    mirrored = pixels.flip(-1) if number % VIEWS % 2 else pixels
    view = views(mirrored, random.Random(number), torch.Generator().manual_seed(number))
    return learner.model.vision_model(pixel_values=view).pooler_output
