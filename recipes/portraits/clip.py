"""A small CLIP, trained from scratch on captioned portraits, in the file format of the large ones.

Beyond the contrastive loss there are three helps that a drawn world allows: which texts hold for which pictures is
known, so that nothing true counts as a negative; pairs of portraits that differ in one attribute are hard negatives,
and their difference is trained to point along the difference of their captions; and while training (not in the file)
heads on the vision tower read the attributes, which teaches it small things such as a smile early on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig, PreTrainedModel

from . import attributes as A
from . import captions, data
from .training import Average, autocast, batches, device, learning_rate, train, views

Columns = dict[str, NDArray[Any]]

CONTEXT = 64
SPECIAL = ("[PAD]", "[UNK]", "[BOS]", "[EOS]")
PAD, UNK, BOS, EOS = range(4)


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large a CLIP is, and from which seed."""

    seed: int
    embed: int
    vision: tuple[int, int, int]  # width, layers, heads
    text: tuple[int, int, int]
    image_size: int = 128
    patch: int = 16


SIZES = {
    "clip": Size(seed=0, embed=192, vision=(192, 5, 3), text=(160, 2, 4)),
    "witness": Size(seed=1, embed=128, vision=(128, 4, 2), text=(96, 2, 3), image_size=96, patch=12),
}


def tokenizer(words: Sequence[str] | None = None) -> Tokenizer:
    """Words of the captions, or those given, lower-cased; any other word becomes [UNK]."""
    known = captions.vocabulary() if words is None else words
    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *known])}
    tok = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tok.normalizer = normalizers.Lowercase()
    tok.pre_tokenizer = pre_tokenizers.Split(Regex(r"[a-z]+|[0-9]+|[^\sa-z0-9]"), "removed", invert=True)
    tok.post_processor = processors.TemplateProcessing(
        single="[BOS] $A [EOS]", special_tokens=[("[BOS]", BOS), ("[EOS]", EOS)]
    )
    return tok


def build(size: Size) -> CLIPModel:
    """A fresh CLIPModel."""

    def tower(width: int, layers: int, heads: int) -> dict[str, object]:
        return {
            "hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers,
            "num_attention_heads": heads, "projection_dim": size.embed, "hidden_act": "gelu_pytorch_tanh",
        }  # fmt: skip

    text = CLIPTextConfig(
        vocab_size=len(SPECIAL) + len(captions.vocabulary()), max_position_embeddings=CONTEXT,
        pad_token_id=PAD, bos_token_id=BOS, eos_token_id=EOS, **tower(*size.text),
    )  # fmt: skip
    vision = CLIPVisionConfig(image_size=size.image_size, patch_size=size.patch, **tower(*size.vision))
    torch.manual_seed(size.seed)
    model = CLIPModel(
        CLIPConfig(
            text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=size.embed,
            logit_scale_init_value=2.3, attn_implementation="eager",
        )
    )  # fmt: skip
    _start_well(model)
    return model


@torch.no_grad()
def _start_well(model: CLIPModel) -> None:
    """Begin with positions that stand out and attention that is not uniform: a tenth of the steps to the same loss.

    Positions are sines and cosines in two dimensions (Chen et al. 2021, arXiv:2104.02057, Sec. 4.3); CLIP's own start
    makes them fifteen times weaker than the patches.
    """
    embeddings = model.vision_model.embeddings
    width, side = embeddings.embed_dim, embeddings.image_size // embeddings.patch_size
    rate = 1 / 100 ** (torch.arange(width // 4) / (width // 4))
    angle = torch.arange(side)[:, None] * rate  # [side, width / 4]
    wave = torch.cat([angle.sin(), angle.cos()], dim=1)  # [side, width / 2]
    grid = torch.cat([wave[:, None].expand(-1, side, -1), wave[None].expand(side, -1, -1)], dim=2)
    embeddings.position_embedding.weight[1:] = 0.4 * grid.flatten(0, 1)
    embeddings.class_embedding.normal_(std=0.3)
    nn.init.normal_(embeddings.patch_embedding.weight, std=0.03)
    for layer in [*model.vision_model.encoder.layers, *model.text_model.encoder.layers]:
        for part in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj):
            nn.init.xavier_uniform_(part.weight)


class Learner(nn.Module):
    """CLIP with the heads and scales that only training needs."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        self.clip = build(size)
        self.attributes = nn.Linear(size.vision[0], A.vector_size())
        self.local = nn.Linear(size.vision[0], A.vector_size())  # the same from the mean of the patches
        self.scale = nn.Parameter(torch.tensor(2.3))
        self.bias = nn.Parameter(torch.tensor(-3.0))

    def images(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Unit embeddings [B, D] of images in [-1, 1], attribute logits [B, V] of class token and patches."""
        out = self.clip.vision_model(pixel_values=self.sized(images))
        embedding = F.normalize(self.clip.visual_projection(out.pooler_output).float(), dim=-1)
        patches = F.layer_norm(out.last_hidden_state[:, 1:].mean(dim=1), (self.size.vision[0],))
        return embedding, self.attributes(out.pooler_output).float(), self.local(patches).float()

    def tail(self) -> tuple[nn.Module, ...]:
        """What comes after the vision tower's last attention: norm, MLP, norm, projection."""
        last = self.clip.vision_model.encoder.layers[-1]
        return last.layer_norm2, last.mlp, self.clip.vision_model.post_layernorm, self.clip.visual_projection

    def finish(self, states: Tensor) -> Tensor:
        """Unit embeddings [B, D] of class tokens [B, width] as they enter the last MLP."""
        norm, mlp, post_norm, project = self.tail()
        return F.normalize(project(post_norm(states + mlp(norm(states)))), dim=-1)

    def sized(self, images: Tensor) -> Tensor:
        """At the size that the vision tower reads."""
        side = self.size.image_size
        return images if images.shape[-1] == side else F.interpolate(images, size=side, mode="bicubic", antialias=True)

    def texts(self, ids: Tensor) -> Tensor:
        """Unit embeddings [B, D] of token numbers [B, T]."""
        pooled = self.clip.text_model(input_ids=ids, attention_mask=(ids != PAD).long()).pooler_output
        return F.normalize(self.clip.text_projection(pooled).float(), dim=-1)


def contrastive_loss(logits: Tensor, match: Tensor) -> Tensor:
    """Every matching pair against all that clearly do not match, along both axes: logits and match [T, N]."""
    loss = logits.new_zeros(())
    for axis in (0, 1):
        against = logits.masked_fill(match != 0, -1e4).logsumexp(dim=axis, keepdim=True)
        pair = F.softplus(against - logits) * (match == 1)
        count = (match == 1).sum(dim=axis)
        loss = loss + (pair.sum(dim=axis) / count.clamp(min=1)).sum() / (count > 0).sum()
    return loss / 2


def matching_loss(logits: Tensor, match: Tensor) -> Tensor:
    """Does the text hold for the picture, yes or no: binary cross-entropy, both answers weighing the same."""
    yes, no = match == 1, match == 0
    return (F.softplus(-logits) * yes).sum() / yes.sum() + (F.softplus(logits) * no).sum() / no.sum()


def attribute_loss(logits: Tensor, vectors: Tensor) -> Tensor:
    """Read the clean vector back: squared error of scalars, cross-entropy of categories; both [B, V]."""
    at = len(A.SCALARS)
    loss = F.mse_loss(logits[:, :at], vectors[:, :at]) * 2
    for words in A.CATEGORIES.values():
        part = slice(at, at + len(words))
        loss = loss + F.cross_entropy(logits[:, part], vectors[:, part].argmax(dim=1)) / len(A.CATEGORIES)
        at += len(words)
    return loss


def train_clip(name: str, minutes: float, *, pairs: int = 32, look_pairs: int = 16, look_until: float = 0.6) -> None:
    """Train `clip` or the smaller `witness`. On two cores an hour; on a GPU five minutes (estimated).

    Until `look_until` of the time the vision tower only learns to see, by reading attributes off small batches: a
    transformer needs many steps more than it needs large ones. Then both towers learn words.
    """
    size = SIZES[name]
    base, varied = data.load("base"), data.load("varied")
    changed = varied.changed
    assert changed is not None
    learner = Learner(size).to(device()).requires_grad_(True).train()
    average = Average(learner, 0.998)
    decay = [p for p in learner.parameters() if p.ndim > 1]
    plain = [p for p in learner.parameters() if p.ndim <= 1]
    groups = [{"params": decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.02)
    order = batches(len(base), pairs, seed=20 + size.seed)
    look_order = batches(len(base), look_pairs, seed=60 + size.seed)
    tok = _padding_tokenizer()

    def update(loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.step()
        average.update(learner)

    def step(number: int, progress: float) -> Mapping[str, float]:
        learning_rate(optimizer, 1.2e-3, progress, warmup=0.02)
        looking = progress < look_until
        rows = np.sort((look_order if looking else order)(number))
        rng = np.random.default_rng([size.seed, number])
        random = torch.Generator().manual_seed(number * 2 + size.seed)
        cols_a, cols_b = base.rows(rows), varied.rows(rows)
        cols = {key: np.concatenate([cols_a[key], cols_b[key]]) for key in cols_a}
        vectors = torch.cat([base.vectors[rows], varied.vectors[rows]]).to(device())
        images = views(torch.cat([base.tensor(rows, device()), varied.tensor(rows, device())]), random)
        if looking:
            with autocast():
                _, read, local = learner.images(images)
            attributes = attribute_loss(read, vectors)
            update(attributes + 0.5 * attribute_loss(local, vectors))
            return {"attributes": float(attributes.detach())}
        with autocast():
            seen, read, local = learner.images(images)
        loss, told = _word_losses(learner, tok, seen, cols_a, cols_b, cols, changed[rows], rng, texts=2 * pairs)
        attributes = attribute_loss(read, vectors)
        update(loss + attributes + 0.5 * attribute_loss(local, vectors))
        return {**told, "attributes": float(attributes.detach())}

    state = {"learner": learner, "average": average, "optimizer": optimizer}
    train(data.RUNS / name, state, step, minutes=minutes, label=name)


def train_words(name: str, minutes: float, *, pairs: int = 96, pictures: int = 40_000) -> None:
    """Then words alone: the vision tower stands still up to its last MLP, what it sees of each picture is kept, and a
    step costs a tenth.

    Trains the text tower, the vision tower's last MLP and both projections on the class token's kept state, four
    minutes to collect. Beyond the losses of `train_clip`, every picture has to choose the right one among texts for
    all values of an attribute.
    """
    size = SIZES[name]
    base, varied = data.load("base"), data.load("varied")
    changed = varied.changed
    assert changed is not None
    learner = _averaged(name, name)
    parts = [learner.clip.text_model, learner.clip.text_projection, *learner.tail()]
    trained = nn.ModuleList(parts).requires_grad_(True)
    scales = nn.ParameterList([learner.clip.logit_scale, learner.scale, learner.bias]).requires_grad_(True)
    kept_base, kept_varied = (_class_states(learner, portraits, pictures) for portraits in (base, varied))
    average = Average(learner, 0.998)
    parameters = [*trained.parameters(), *scales.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.02)
    order = batches(pictures, pairs, seed=80 + size.seed)
    tok = _padding_tokenizer()

    def step(number: int, progress: float) -> Mapping[str, float]:
        learning_rate(optimizer, 1e-3, progress, warmup=0.02)
        rows = np.sort(order(number))
        rng = np.random.default_rng([size.seed + 9, number])
        cols_a, cols_b = base.rows(rows), varied.rows(rows)
        cols = {key: np.concatenate([cols_a[key], cols_b[key]]) for key in cols_a}
        kept = torch.cat([kept_base[rows], kept_varied[rows]])
        kept = kept + 0.05 * kept.std() * torch.randn_like(kept)
        seen = learner.finish(kept)
        loss, told = _word_losses(learner, tok, seen, cols_a, cols_b, cols, changed[rows], rng, texts=pairs)
        choice = _choice_loss(learner, tok, seen, cols, rng)
        loss, told = loss + choice, {**told, "choice": float(choice.detach())}
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        average.update(learner)
        return told

    state = {"learner": learner, "average": average, "optimizer": optimizer}
    train(data.RUNS / f"{name}_words", state, step, minutes=minutes, label=f"{name}_words")


@torch.no_grad()
def _class_states(learner: Learner, portraits: data.Portraits, num: int) -> Tensor:
    """The class token of the first `num` portraits as it enters the vision tower's last MLP, [N, width]."""
    out: list[Tensor] = []
    entrance = learner.clip.vision_model.encoder.layers[-1].layer_norm2
    hook = entrance.register_forward_pre_hook(lambda _, arguments: out.append(arguments[0][:, 0].float()))
    for first in range(0, num, 200):
        images = portraits.tensor(slice(first, min(first + 200, num)), device())
        with autocast():
            learner.clip.vision_model(pixel_values=learner.sized(images))
    hook.remove()
    return torch.cat(out)


def _choice_loss(
    learner: Learner, tok: Tokenizer, seen: Tensor, cols: Columns, rng: np.random.Generator, *, attributes: int = 5
) -> Tensor:
    """Cross-entropy of the right text among one for each value of an attribute, for a few attributes drawn by weight.

    seen: pictures [N, D]; the texts are drawn anew each time from the phrasings that training may use.
    """
    names = rng.choice(list(_CHOICES), size=attributes, replace=False, p=np.asarray(list(_CHOICES.values())) / _CHOSEN)
    prompts = [_class_texts(str(name)) for name in names]
    lines = [str(rng.choice(texts)) for values in prompts for texts in values]
    lines = [str(rng.choice(captions.TEMPLATES)).replace("{}", x) if rng.random() < 0.3 else x for x in lines]
    lines = [_less(x, rng) if rng.random() < 0.5 else x for x in lines]
    with autocast():
        said = learner.texts(torch.tensor([e.ids for e in tok.encode_batch(lines)], device=seen.device))
    logits = seen @ said.t() * learner.clip.logit_scale.exp().clamp(max=100)
    losses, at = [], 0
    for name, values in zip(names, prompts, strict=True):
        truth = torch.from_numpy(captions.classify_truth(str(name), cols)).to(seen.device)
        losses.append(F.cross_entropy(logits[:, at : at + len(values)], truth, ignore_index=-1))
        at += len(values)
    return torch.stack(losses).mean()


def _less(text: str, rng: np.random.Generator) -> str:
    """The text without one of its words, so that the meaning does not hang on a turn of phrase."""
    words = text.split()
    if len(words) > 2:
        del words[int(rng.integers(len(words)))]
    return " ".join(words)


@cache
def _class_texts(attribute: str) -> list[list[str]]:
    """Texts of each class, in phrasings for training."""
    return [texts for _, texts in captions.classify_prompts(attribute)]


_CHOICES = {name: 1.0 for name, values in captions.CLASSES.items() if len(values) > 1} | {
    "hair_style": 6.0, "expression": 5.0, "age": 5.0, "beard": 3.0, "hair_colour": 3.0, "glasses": 2.0, "hat": 2.0,
}  # fmt: skip
_CHOSEN = sum(_CHOICES.values())


def _word_losses(
    learner: Learner,
    tok: Tokenizer,
    seen: Tensor,
    cols_a: Columns,
    cols_b: Columns,
    cols: Columns,
    changed: NDArray[np.str_],
    rng: np.random.Generator,
    *,
    texts: int,
) -> tuple[Tensor, dict[str, float]]:
    """Contrast, matching and direction of pictures [2P, D] (the second half varied from the first), fresh captions."""
    pairs = len(seen) // 2

    def encode(lines: list[str]) -> Tensor:
        return learner.texts(torch.tensor([e.ids for e in tok.encode_batch(lines)], device=seen.device))

    lines, meanings = captions.caption(cols, rng.permutation(2 * pairs)[:texts].tolist(), rng)
    told = [(i, d) for i, d in enumerate(captions.difference(cols_a, cols_b, changed, range(pairs), rng)) if d]
    told = told[: texts // 2]
    both = [i for i, _ in told]
    match = torch.from_numpy(captions.matches(meanings, cols)).to(seen.device)
    with autocast():
        main = encode(lines)
        before, after = encode([d.before for _, d in told] + [d.after for _, d in told]).chunk(2)
    cosine = main @ seen.t()
    contrast = contrastive_loss(cosine * learner.clip.logit_scale.exp().clamp(max=100), match)
    matching = matching_loss(cosine * learner.scale.exp() + learner.bias, match)
    step = (seen[pairs:] - seen[:pairs])[both]
    direction = 1 - F.cosine_similarity(step, after - before, dim=1, eps=1e-6).mean()
    losses = {"contrast": contrast, "matching": matching, "direction": direction}
    return contrast + 0.5 * matching + 0.5 * direction, {k: float(v.detach()) for k, v in losses.items()}


def _padding_tokenizer() -> Tokenizer:
    tok = tokenizer()
    tok.enable_padding(pad_id=PAD, pad_token="[PAD]")
    tok.enable_truncation(CONTEXT)
    return tok


def _averaged(name: str, stage: str) -> Learner:
    """The averaged weights of a stage."""
    saved = torch.load(data.RUNS / stage / "checkpoint.pt", map_location=device(), weights_only=True)["average"]
    learner = Learner(SIZES[name]).to(device())
    learner.load_state_dict({k.removeprefix("module."): v for k, v in saved.items() if k.startswith("module.")})
    return learner.requires_grad_(False).eval()


def load_clip(name: str) -> Learner:
    """The averaged weights of the last stage that was run."""
    words = data.RUNS / f"{name}_words" / "checkpoint.pt"
    return _averaged(name, f"{name}_words" if words.exists() else name)


def export(name: str, folder: Path) -> None:
    """Write a CLIP as a folder that `transformers` loads."""
    write_folder(load_clip(name).clip, tokenizer(), folder, side=SIZES[name].image_size, context=CONTEXT)


def write_folder(model: PreTrainedModel, words: Tokenizer, folder: Path, *, side: int, context: int) -> None:
    """Write a model that `transformers` loads from the folder: half precision, tokenizer, image processor."""
    folder.mkdir(parents=True, exist_ok=True)
    model.to(torch.float16).save_pretrained(folder)
    words.save(str(folder / "tokenizer.json"))
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "bos_token": "[BOS]", "eos_token": "[EOS]"}
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": context, **special}
    _write_json(folder / "tokenizer_config.json", about)
    _write_json(folder / "preprocessor_config.json", {
        "image_processor_type": "CLIPImageProcessor", "do_resize": True, "size": {"shortest_edge": side}, "resample": 3,
        "do_center_crop": True, "crop_size": {"height": side, "width": side}, "do_rescale": True,
        "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
        "do_convert_rgb": True,
    })  # fmt: skip


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
