"""CLIP (Radford et al. 2021, arXiv:2103.00020), SigLIP (Zhai et al. 2023, arXiv:2303.15343) and kin in transformers.

The image side takes tensors in [-1, 1] and is differentiable all the way to the pixels.
"""

from __future__ import annotations

import bisect
import hashlib
import inspect
import json
import math
import os
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import CheckpointMismatchError, ImageError, OptionError, PromptError
from .clip_folder import checkpoint_errors, load_folder, quiet
from .hub import find_folder

ClipInput = Literal["standard", "paper"]
TEXT_BATCH = 256


class ClipEmbedder(nn.Module):
    """Images and texts in, unit rows of one space out. Frozen, in eval mode, float32.

    Made by `from_pretrained`. Texts longer than the context are an error, never cut in silence.

    Attributes:
        image_size: side of the image the model reads.
        context_length: tokens of a text the model reads, its start and end marks included.
        temperature: what the model divides cosines by; 0.01 for the released CLIPs.
        dim: length of an embedding, D.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        clip_input: ClipInput = "standard",
    ) -> None:
        """Wrap a loaded model of `transformers` and its tokenizer.

        Args:
            model: with `get_text_features` and `get_image_features`.
            mean, std: of each colour, for pixels in [0, 1].
            clip_input: `standard`: short side to the model's size (antialiased bicubic), centre crop, mean and std;
                `paper`: what the code of StyleCLIP's optimisation and mapper feeds: the exact area resize of pixels
                left in [-1, 1].

        Raises:
            OptionError: no such input.
            CheckpointMismatchError: the model's end-of-text token is not the tokenizer's, or a colour is no number.
        """
        super().__init__()
        if clip_input not in ("standard", "paper"):
            raise OptionError(f"clip_input is 'standard' or 'paper', not {clip_input!r}")
        config: Any = model.config
        self.model = model
        self.tokenizer = tokenizer
        self.clip_input = clip_input
        self.image_size = int(config.vision_config.image_size)
        self.context_length = min(int(config.text_config.max_position_embeddings), int(tokenizer.model_max_length))
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32)[:, None, None], persistent=False)
        for name, three in (("mean", self.mean), ("std", self.std)):
            if three.shape != (3, 1, 1) or not three.isfinite().all() or (name == "std" and not (three > 0).all()):
                raise CheckpointMismatchError(f"the image processor's {name} is no number for each of three colours")
        if self.context_length < 3:
            raise CheckpointMismatchError(f"the model reads {self.context_length} tokens of a text; 3 are the least")
        tokenizer(
            ["a photo"]
        )  # settles what its first call changes in it; no later one does, so that threads may share it
        self._pools_at_end = _check_end_token(model, tokenizer)
        accepted = inspect.signature(model.get_text_features).parameters  # type: ignore[arg-type]
        self._text_inputs = [name for name in tokenizer.model_input_names if name in accepted]
        self.requires_grad_(False).eval()

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | os.PathLike[str],
        *,
        clip_input: ClipInput = "standard",
        device: str | torch.device = "cpu",
        offline: bool | None = None,
        revision: str | None = None,
    ) -> ClipEmbedder:
        """Load a model by its name on the hub or from a folder; no code of the repository runs.

        Safetensors are preferred. Where a repository has only pickled weights (`pytorch_model.bin`, such as OpenAI's
        first upload), they are read with torch's `weights_only` unpickler, which refuses everything but tensors.

        Args:
            name_or_folder: e.g. `openai/clip-vit-base-patch32`, `google/siglip-base-patch16-224`, or a folder with
                `config.json`, `preprocessor_config.json`, a tokenizer and weights.
            clip_input: see `__init__`.
            device: where the model lives.
            offline: take models of the hub from the cache alone; None: as the user switched it.
            revision: branch, tag or commit on the hub.

        Raises:
            CheckpointError: no such model, one that needs its own code, or files that do not fit or are damaged.
            DownloadError: it could not be fetched; `OfflineError` where the network is off.
        """
        folder = find_folder(name_or_folder, offline=offline, revision=revision)
        with quiet(), checkpoint_errors(name_or_folder):
            model, tokenizer, processor = load_folder(folder, name_or_folder)
            embedder = cls(model, tokenizer, mean=processor.image_mean, std=processor.image_std, clip_input=clip_input)
        return embedder.to(device)

    @property
    def device(self) -> torch.device:
        return self.mean.device

    @property
    def temperature(self) -> float:
        """exp(−logit_scale) of the model."""
        return math.exp(-float(self.model.logit_scale))  # type: ignore[arg-type]

    @cached_property
    def dim(self) -> int:
        return self.embed_text([""]).shape[1]

    def embed_image(self, image: Tensor) -> Tensor:
        """Image [B, 3, H, W], RGB in about [-1, 1], any size → unit rows [B, D]; differentiable in the image.

        Values are not clamped, so that a gradient reaches pixels beyond the range.

        Raises:
            ImageError: not such a tensor.
        """
        features = self.model.get_image_features(pixel_values=self.preprocess(image))  # type: ignore[operator]
        return F.normalize(_pooled(features), dim=1)

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """T texts → unit rows [T, D].

        Raises:
            PromptError: a text longer than the context; the message quotes the words that fit.
        """
        rows = []
        for start in range(0, len(texts), TEXT_BATCH):
            batch = self._tokenize(list(texts[start : start + TEXT_BATCH]))
            rows.append(_pooled(self.model.get_text_features(**batch)))  # type: ignore[operator]
        return F.normalize(torch.cat(rows), dim=1)

    def preprocess(self, image: Tensor) -> Tensor:
        """Image [B, 3, H, W] in [-1, 1] → what the model reads, [B, 3, S, S]; see `clip_input`."""
        if image.ndim != 4 or image.shape[1] != 3 or 0 in image.shape or not image.is_floating_point():
            raise ImageError(
                f"an image is a floating-point tensor [B, 3, H, W] in [-1, 1], not {image.dtype} {list(image.shape)}"
            )
        if self.clip_input == "paper":
            return area_resize(_center_square(image), self.image_size)
        return (_short_side(image, self.image_size) * 0.5 + 0.5 - self.mean) / self.std

    def unknown_words(self, text: str) -> list[str]:
        """Words that the tokenizer maps to its unknown token, each once, in order; none where it reads bytes."""
        tokenizer = self.tokenizer
        unknown = tokenizer.unk_token_id
        if unknown is None or unknown == tokenizer.eos_token_id:  # CLIP's byte pairs know every word
            return []
        encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        spans = zip(encoding["input_ids"], encoding["offset_mapping"], strict=True)
        words: dict[str, str] = {}
        for token, (start, end) in spans:
            if token == unknown:
                words.setdefault(text[start:end].casefold(), text[start:end])
        return list(words.values())

    @property
    def known_words(self) -> list[str]:
        """The words of a vocabulary of whole words; none where the tokenizer reads pieces or bytes."""
        tokenizer = self.tokenizer
        unknown = tokenizer.unk_token_id
        if unknown is None or unknown == tokenizer.eos_token_id:
            return []
        return sorted(word for word in tokenizer.get_vocab() if word.isalpha())

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of all that embeddings depend on: weights, tokenizer, preprocessing."""
        digest = hashlib.sha256()
        about = [self.model.config.model_type, self.image_size, self.context_length, self.clip_input]  # type: ignore
        vocabulary = sorted(self.tokenizer.get_vocab().items())
        digest.update(json.dumps([about, self.mean.tolist(), self.std.tolist(), vocabulary]).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(f"{name} {list(tensor.shape)}".encode())
            digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def _tokenize(self, texts: list[str]) -> dict[str, Tensor]:
        """Ids and masks of texts, padded to one length.

        Called with `padding`, a fast tokenizer changes itself, under the feet of other threads; `pad` does not.
        """
        encoded = self.tokenizer(texts, verbose=False)
        for text, ids in zip(texts, encoded["input_ids"], strict=True):
            if len(ids) > self.context_length:
                raise PromptError(self._too_long(text, len(ids)))
        known = getattr(self.model.config.text_config, "vocab_size", None)  # type: ignore[union-attr]
        if isinstance(known, int) and max(map(max, encoded["input_ids"]), default=0) >= known:
            raise CheckpointMismatchError(f"the tokenizer knows words beyond the model's {known}")
        # SigLIP was trained on texts padded to its whole context; the causal models never look beyond the end mark.
        padding = "longest" if self._pools_at_end else "max_length"
        tokens = self.tokenizer.pad(
            encoded, padding=padding, max_length=self.context_length, return_tensors="pt", verbose=False
        )
        return {name: tokens[name].to(self.device) for name in self._text_inputs}

    def _too_long(self, text: str, length: int) -> str:
        def tokens(characters: int) -> int:
            return len(self.tokenizer(text[:characters], verbose=False)["input_ids"])

        fits = bisect.bisect_right(range(len(text)), self.context_length, key=tokens) - 1
        kept = text[:fits]
        if not text[fits : fits + 1].isspace() and " " in kept.strip():
            kept = kept.rpartition(" ")[0]  # cut between words
        return (
            f"the text is {length} tokens long and this model reads {self.context_length}; "
            f"it would be cut after “{kept.strip()}”: shorten it to that or less"
        )


@lru_cache(maxsize=16)
@torch.inference_mode(mode=False)  # whoever asks first, gradients may pass through them later
def _area_weights(source: int, target: int) -> Tensor:
    """Share of each source pixel in each target pixel, rows sum to 1; [target, source], float64."""
    edges = torch.arange(target + 1, dtype=torch.float64) * source / target
    pixels = torch.arange(source, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], pixels + 1) - torch.maximum(edges[:-1, None], pixels)
    return overlap.clamp(min=0) * (target / source)


def area_resize(image: Tensor, size: int) -> Tensor:
    """Resize by the exact mean over each target pixel's area, fractions of pixels included; [B, 3, size, size].

    Two products with row-stochastic matrices; equal to the paper code's upsampling seven times and average pooling
    (where its sizes are whole), without the image of 7 × 7 as many pixels.
    """
    height, width = image.shape[2:]
    return _resized(image, _area_weights(height, size), _area_weights(width, size))


@lru_cache(maxsize=16)
@torch.inference_mode(mode=False)
def _bicubic_weights(source: int, target: int) -> Tensor:
    """Share of each source pixel in each target pixel by torch's antialiased bicubic resize, [target, source].

    The same resize as a product of matrices, whose gradient is one too.
    """
    pixels = torch.eye(source)[None, None]
    return F.interpolate(pixels, (target, source), mode="bicubic", align_corners=False, antialias=True)[0, 0]


def _resized(image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Each target pixel from source pixels, in the image's own numbers whatever an autocast says."""
    with torch.autocast(image.device.type, enabled=False):
        return rows.to(image) @ image @ columns.to(image).t()


def _center_square(image: Tensor) -> Tensor:
    height, width = image.shape[2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[:, :, top : top + side, left : left + side]


def _short_side(image: Tensor, size: int) -> Tensor:
    """Short side to `size`, then the centre; antialiased bicubic."""
    height, width = image.shape[2:]
    if (height, width) == (size, size):
        return image
    short = min(height, width)
    rows, columns = (_bicubic_weights(side, side * size // short) for side in (height, width))
    return _center_square(_resized(image, rows, columns))


def _pooled(features: Any) -> Tensor:
    """The projected features: a tensor, or since transformers 5 inside an output record."""
    pooled: Tensor = features if isinstance(features, Tensor) else features.pooler_output
    return pooled


def _check_end_token(model: Any, tokenizer: Any) -> bool:
    """Whether the text side pools at its end token; raises where that is not the tokenizer's."""
    text_model = getattr(model, "text_model", None)
    pooled = getattr(text_model, "eos_token_id", None)
    if pooled is None:
        return False
    # transformers: 2 stands for the old rule, pool at the largest token id.
    used = max(tokenizer.get_vocab().values()) if pooled == 2 else pooled
    if used != tokenizer.eos_token_id:
        raise CheckpointMismatchError(
            f"the model takes a text's features at token {used} and the tokenizer ends a text with token "
            f"{tokenizer.eos_token_id}; set text_config.eos_token_id in config.json (any token but 2)"
        )
    return True
