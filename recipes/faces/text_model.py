"""The face–text model: a small image tower and a small text tower whose embeddings meet, trained from scratch.

Every caption is a set of literals and every face a partly known state, so that each pair of face and caption is known
to be true, known to be false, or unknown. A sigmoid loss (Zhai et al. 2023, arXiv:2303.15343) runs over the known
pairs alone: a contrastive loss would take captions that hold for several faces for false. Beside it, while training
alone, heads on the image tower read the labels and the principal components of the frozen features.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertConfig, MobileNetV1Config, VisionTextDualEncoderConfig, VisionTextDualEncoderModel

from textmorph.errors import OptionError

from ..portraits.clip import BOS, EOS, PAD, SPECIAL, tokenizer, write_folder
from ..portraits.training import Average, learning_rate, train
from .concepts import CONCEPTS
from .faces import RUNS, folder, pictures
from .features import features
from .labels import ATTRIBUTES, read_labels
from .probes import GOOD, POOLED, corpus_labels, probe_results
from .words import Phrasing, compose, opposite, phrasings, vocabulary

SIDE = 96
EMBED = 128
CONTEXT = 32
COMPONENTS = 96
HELD_BACK = 300
"""Last faces of the corpus, which nothing trains on."""

Values = NDArray[np.float32]
Caption = tuple[str, dict[str, int]]
"""A text and its meaning."""

_FLIPPED = [
    ATTRIBUTES.index({"turned_left": "turned_right", "turned_right": "turned_left"}.get(a, a)) for a in ATTRIBUTES
]


def build() -> VisionTextDualEncoderModel:
    """A fresh model: MobileNetV1 at three quarters of its width, and two layers of BERT."""
    vision = MobileNetV1Config(
        image_size=SIDE,
        depth_multiplier=0.75,
        hidden_size=768,
        hidden_act="silu",
        tf_padding=False,
        layer_norm_eps=1e-5,
    )
    text = BertConfig(
        vocab_size=len(SPECIAL) + len(vocabulary()), hidden_size=128, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=384, max_position_embeddings=CONTEXT, pad_token_id=PAD, bos_token_id=BOS, eos_token_id=EOS,
        type_vocab_size=1, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    config = VisionTextDualEncoderConfig.from_vision_text_configs(
        vision, text, projection_dim=EMBED, logit_scale_init_value=2.3
    )
    torch.manual_seed(0)
    model = VisionTextDualEncoderModel(config)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.05  # the library's 0.9997 is TensorFlow's way to count, and keeps the last batch alone
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.1)
    return model


class Learner(nn.Module):
    """The model with what only training needs."""

    def __init__(self) -> None:
        super().__init__()
        self.model = build()
        self.bias = nn.Parameter(torch.zeros(()))
        self.labels = nn.Linear(768, len(ATTRIBUTES))
        self.components = nn.Linear(768, COMPONENTS)

    def images(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Unit embeddings [B, D] of images [B, 3, SIDE, SIDE] in [-1, 1], and the tower's features."""
        pooled = self.model.vision_model(pixel_values=images).pooler_output
        return F.normalize(self.model.visual_projection(pooled), dim=1), pooled

    def texts(self, ids: Tensor) -> Tensor:
        """Unit embeddings [T, D] of token numbers [T, L]."""
        mask = (ids != PAD).long()
        pooled = self.model.text_model(input_ids=ids, attention_mask=mask).pooler_output
        return F.normalize(self.model.text_projection(pooled), dim=1)

    def logits(self, images: Tensor, texts: Tensor) -> Tensor:
        """Whether each text holds for each picture, [B, T]: above 0 is yes."""
        return self.model.logit_scale.exp().clamp(max=50) * images @ texts.t() + self.bias


def matrices(phrases: Sequence[Mapping[str, int]]) -> tuple[Tensor, Tensor]:
    """Which attributes each meaning speaks of, [T, A], and the values that it says they have."""
    spoken, said = torch.zeros(len(phrases), len(ATTRIBUTES)), torch.zeros(len(phrases), len(ATTRIBUTES))
    for row, meaning in enumerate(phrases):
        for name, value in meaning.items():
            spoken[row, ATTRIBUTES.index(name)] = 1
            said[row, ATTRIBUTES.index(name)] = value
    return spoken, said


def holds(values: Tensor, spoken: Tensor, said: Tensor) -> Tensor:
    """Truth of each meaning for each face, [B, T]: 1, 0, or NaN where a literal is unknown and none is false."""
    known, value = (~values.isnan()).float(), values.nan_to_num(0)
    right = (known * value) @ (spoken * said).t() + (known * (1 - value)) @ (spoken * (1 - said)).t()
    wrong = (known * (1 - value)) @ (spoken * said).t() + (known * value) @ (spoken * (1 - said)).t()
    truth = torch.full_like(right, torch.nan)
    truth[right == spoken.sum(dim=1)] = 1
    truth[wrong > 0] = 0
    return truth


def flipped(values: Tensor) -> Tensor:
    """Values [B, A] of mirrored faces: left and right change places."""
    return values[:, _FLIPPED]


def pair_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy over the known pairs; the yes and the no of each caption weigh the same."""
    yes, no = (truth == 1).float(), (truth == 0).float()
    cost_yes = (F.softplus(-logits) * yes).sum(dim=0) / yes.sum(dim=0).clamp(min=1)
    cost_no = (F.softplus(logits) * no).sum(dim=0) / no.sum(dim=0).clamp(min=1)
    used = (yes + no).sum(dim=0) > 0
    return (cost_yes + cost_no)[used].mean()


class Captions:
    """Captions that hold for faces, drawn so that what is rare is said more often."""

    def __init__(self, values: Values) -> None:
        self.phrases = phrasings()[0]
        self.spoken, self.said = matrices([phrase.meaning for phrase in self.phrases])
        yes = np.nansum(values == 1, axis=0).clip(20)
        self.weights = np.array([self._weight(phrase, yes) for phrase in self.phrases])

    @staticmethod
    def _weight(phrase: Phrasing, yes: NDArray[np.int64]) -> float:
        size = sum(p.concept == phrase.concept for p in phrasings()[0])
        rare = sum((3 if v else 0.5) / yes[ATTRIBUTES.index(k)] ** 0.5 for k, v in phrase.meaning.items())
        return float((rare + 0.002) / size**0.5)

    def true(self, values: Tensor, rng: random.Random) -> list[Caption]:
        """One for each face; values [B, A] with NaN."""
        fits = (holds(values, self.spoken, self.said) == 1).numpy()
        return [compose(self._chosen(row, rng), rng) for row in fits]

    def alone(self, num: int, rng: random.Random) -> list[Caption]:
        """Captions of one phrasing, whatever faces there are."""
        return [compose([p], rng) for p in rng.choices(self.phrases, self.weights.tolist(), k=num)]

    def denied(self, captions: Sequence[tuple[str, dict[str, int]]], rng: random.Random) -> list[Caption]:
        """The captions again with one literal turned round."""
        turned = [opposite(meaning, rng) for _, meaning in captions if meaning]
        return [compose(parts, rng) for parts in turned if parts]

    def _chosen(self, fits: NDArray[np.bool_], rng: random.Random) -> list[Phrasing]:
        candidates = np.flatnonzero(fits)
        if not len(candidates):
            return []
        weights = self.weights[candidates]
        chosen: list[Phrasing] = []
        for index in rng.choices(candidates.tolist(), weights.tolist(), k=rng.choice([1, 1, 1, 2, 2, 3])):
            phrase = self.phrases[index]
            single = phrase.kind in ("noun", "adjective") and any(c.kind == phrase.kind for c in chosen)
            if not single and not any(set(phrase.meaning) & set(c.meaning) for c in chosen):
                chosen.append(phrase)
        return chosen


def training_set() -> tuple[NDArray[np.uint8], Values, Values]:
    """Pictures, sure labels and principal components of the frozen features: the corpus, then the train third.

    Raises:
        OptionError: a concept speaks of an attribute that its probe does not know well enough.
    """
    told = probe_results()
    for concept in CONCEPTS:
        for name in concept.meaning:
            if float(told[name]["auc"]) < GOOD:  # type: ignore[arg-type]
                raise OptionError(
                    f"{name} has a probe of AUC {told[name]['auc']}; leave the concept “{concept.name}” out"
                )
    labels = read_labels()
    values = np.concatenate([corpus_labels(), labels.values[labels.third("train")]])
    read = np.concatenate([np.sqrt(features(name)[:, :POOLED]) for name in ("corpus", "train")])
    read = read - read.mean(axis=0)
    _, _, axes = np.linalg.svd(read[:2000], full_matrices=False)
    components = read @ axes[:COMPONENTS].T
    components /= components.std(axis=0)
    count = len(corpus_labels())
    return np.concatenate([pictures("corpus")[:count], pictures("train")]), values, components.astype(np.float32)


def views(images: Tensor, rng: random.Random, random_numbers: torch.Generator) -> Tensor:
    """Images uint8 [B, 3, 128, 128] as a generator or a camera might give them, [B, 3, SIDE, SIDE] in about [-1, 1].

    A crop and its colours for all, noise for a third, softness for another.
    """

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random_numbers)

    side = rng.randint(112, images.shape[-1])
    top, left = rng.randint(0, images.shape[-1] - side), rng.randint(0, images.shape[-1] - side)
    x = images[..., top : top + side, left : left + side].float() / 127.5 - 1
    x = F.interpolate(x, size=SIDE, mode="bilinear", antialias=True, align_corners=False)
    b = len(x)
    x = x * (1 + 0.2 * normal(b, 1, 1, 1)).clamp(0.5, 1.5) + 0.08 * normal(b, 1, 1, 1)
    x = x + 0.08 * normal(b, 3, 1, 1) * (torch.rand(b, 1, 1, 1, generator=random_numbers) < 0.5)
    third = b // 3
    x[:third] += 0.15 * torch.rand(third, 1, 1, 1, generator=random_numbers) * normal(third, 3, SIDE, SIDE)
    soft = F.interpolate(F.avg_pool2d(x[third : 2 * third], 2), scale_factor=2, mode="bilinear", align_corners=False)
    x[third : 2 * third] = 0.3 * x[third : 2 * third] + 0.7 * soft
    return x


def train_text_model(minutes: float, *, faces: int = 64, singles: int = 48) -> None:
    """Train the model; stopped, it goes on."""
    images, values, components = training_set()
    count = len(corpus_labels())
    usable = np.r_[0 : count - HELD_BACK, count : len(images)]
    learner = Learner().train()
    learner.model.vision_model.to(memory_format=torch.channels_last)
    average = Average(learner, 0.998)
    decay = [p for p in learner.parameters() if p.ndim > 1]
    plain = [p for p in learner.parameters() if p.ndim <= 1]
    groups = [{"params": decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.03)
    captions, words = Captions(values), padded_tokenizer()
    yes = np.nansum(values == 1, axis=0)
    weight = 1 + ((values[usable] == 1) * np.minimum(8, 400 / np.maximum(yes, 20))).sum(axis=1) * 0.5
    weight /= weight.sum()

    def step(number: int, progress: float) -> Mapping[str, float]:
        learning_rate(optimizer, 1.5e-3, progress, warmup=0.03)
        draw, rng = np.random.default_rng([7, number]), random.Random(number)
        numbers = torch.Generator().manual_seed(number)
        rows = draw.choice(usable, faces, replace=False, p=weight)
        truth, flip = torch.from_numpy(values[rows]), torch.from_numpy(draw.random(faces) < 0.5)
        truth[flip] = flipped(truth[flip])
        pixels = torch.from_numpy(images[rows]).permute(0, 3, 1, 2)
        pixels[flip] = pixels[flip].flip(-1)
        said = captions.true(truth, rng)
        said += captions.denied(said[: faces // 2], rng) + captions.alone(singles, rng)
        ids = torch.tensor([encoding.ids for encoding in words.encode_batch([text for text, _ in said])])
        seen, pooled = learner.images(views(pixels, rng, numbers).contiguous(memory_format=torch.channels_last))
        known = holds(truth, *matrices([meaning for _, meaning in said]))
        pairs = pair_loss(learner.logits(seen, learner.texts(ids)), known)
        read = pair_loss(learner.labels(pooled), truth)
        like = F.mse_loss(learner.components(pooled)[~flip], torch.from_numpy(components[rows])[~flip])
        optimizer.zero_grad()
        (pairs + 0.5 * read + 0.5 * like).backward()
        nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.step()
        average.update(learner)
        return {"pairs": pairs.item(), "labels": read.item(), "features": like.item()}

    state = {"learner": learner, "average": average, "optimizer": optimizer}
    train(folder("text_model"), state, step, minutes=minutes, label="text_model")


def padded_tokenizer() -> Tokenizer:
    """Of the words that training uses; texts of a batch get one length."""
    words = tokenizer(vocabulary())
    words.enable_padding(pad_id=PAD, pad_token=SPECIAL[PAD])
    words.enable_truncation(CONTEXT)
    return words


def trained() -> Learner:
    """The averaged weights after both stages, frozen.

    Raises:
        FileNotFoundError: it has not been trained.
    """
    saved = torch.load(RUNS / "text_words" / "checkpoint.pt", map_location="cpu", weights_only=True)["average"]
    learner = Learner()
    learner.load_state_dict({key.removeprefix("module."): v for key, v in saved.items() if key.startswith("module.")})
    return learner.requires_grad_(False).eval()


def export(target: Path) -> None:
    """Write the model as a folder that `transformers` loads."""
    write_folder(trained().model, tokenizer(vocabulary()), target, side=SIDE, context=CONTEXT)
