"""Toy networks: small enough for a test, real enough to obey every contract. Weights depend on the seed alone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textmorph.generators.base import State, Stop, StyleGenerator
from textmorph.generators.mobile_stylegan import MobileStyleGAN, MobileStyleGANConfig
from textmorph.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from textmorph.latents import Latent, StyleLayout
from textmorph.layers.mapping import MappingNetwork
from textmorph.layers.wavelets import inverse_haar

G = TypeVar("G", bound=StyleGenerator)


def seed_weights(network: nn.Module, seed: int) -> None:
    """Draw every float tensor of the state dict anew, from its name and the seed, on the scale the constructor gave it.

    Gains, biases and other vectors stay near their constructor's value.
    """
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if not tensor.is_floating_point():
                continue
            random = np.random.default_rng([seed, _number(name)])
            noise = torch.from_numpy(random.standard_normal(tuple(tensor.shape), dtype=np.float32)).to(tensor)
            if name.endswith("running_var"):
                tensor.copy_(0.5 + noise.abs())
            elif tensor.ndim <= 1 and not name.endswith("mean_w"):
                tensor.add_(0.1 * noise)
            else:
                tensor.copy_(noise * tensor.std() if tensor.numel() > 1 and tensor.std() > 0 else noise)


def toy_generator(
    resolution: int = 16,
    *,
    z_dim: int = 8,
    w_dim: int = 8,
    label_dim: int = 0,
    mapping_layers: int = 2,
    channel_base: int = 128,
    channel_max: int = 8,
    conv_clamp: float | None = None,
    seed: int = 0,
) -> StyleGAN2:
    """A tiny StyleGAN2 with seeded weights: at 16 px 8 channels, 6 rows of w+ and 64 style channels."""
    config = StyleGAN2Config(
        resolution=resolution,
        z_dim=z_dim,
        w_dim=w_dim,
        label_dim=label_dim,
        mapping_layers=mapping_layers,
        channel_base=channel_base,
        channel_max=channel_max,
        conv_clamp=conv_clamp,
    )
    return _seeded(lambda: StyleGAN2(config), seed)


def toy_mobile(
    widths: Sequence[int] = (16, 16, 8), *, w_dim: int = 8, heads: Sequence[int] = (1,), seed: int = 0
) -> MobileStyleGAN:
    """A tiny MobileStyleGAN: at 32 px 6 rows of w+ and 80 style channels, with a head for 8 px."""
    config = MobileStyleGANConfig(widths=tuple(widths), z_dim=8, w_dim=w_dim, mapping_layers=2, heads=tuple(heads))
    return _seeded(lambda: MobileStyleGAN(config), seed)


class ToyWavelets(StyleGenerator):
    """Shares nothing with StyleGAN2 but what all generators have.

    A grid of 4 px with 16 channels is scaled by styles (no demodulation, no convolution) and unfolded twice by an
    inverse Haar transform; the second scale and the third share a row of w+, the last row goes unused up to 8 px,
    where a head of its own gives the image.
    """

    class Layer(nn.Module):
        def __init__(self, width: int, side: int) -> None:
            super().__init__()
            self.affine = nn.Linear(8, width)
            self.register_buffer("noise_const", torch.randn(side, side))

    def __init__(self) -> None:
        sides, widths = (4, 4, 8), (48, 48, 12)
        layout = StyleLayout(("first", "second", "third"), widths, sides, (False,) * 3, (0, 1, 1))
        super().__init__(MappingNetwork(8, 8, 2), layout, [Stop(16, 3), Stop(8, 2, exact=False)])
        self.const = nn.Parameter(torch.randn(48, 4, 4))
        self.layers = nn.ModuleList(self.Layer(width, side) for width, side in zip(widths, sides, strict=True))
        self.head = nn.Parameter(torch.randn(3, 12))
        self.requires_grad_(False).eval()

    def style_layers(self) -> list[nn.Module]:
        return list(self.layers)

    def widest(self, resolution: int) -> int:
        return 48 * 16

    def _start(self, num: int) -> State:
        return (self.const.expand(num, -1, -1, -1),)

    def _step(self, layer: int, state: State, style: Tensor, noise: Tensor | None) -> State:
        x = state[0] * style[:, :, None, None]  # type: ignore[operator]
        x = torch.tanh(x if noise is None else x + 0.3 * noise)
        return (x if layer == 0 else inverse_haar(x),)

    def _image(self, state: State, stop: Stop, style: Tensor) -> Tensor:
        x = self._step(stop.layers - 1, state, style, None)[0]
        assert x is not None
        return x if stop.exact else torch.einsum("bchw,kc->bkhw", x, self.head)


def toy_wavelets(seed: int = 0) -> ToyWavelets:
    return _seeded(ToyWavelets, seed)


def _seeded(make: Callable[[], G], seed: int) -> G:
    """A generator with seeded weights and the mean of w that belongs to them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # the constructor draws too, and sets the scale
        generator = make()
    seed_weights(generator, seed)
    mapping = generator.mapping
    z = torch.from_numpy(np.random.default_rng(seed).standard_normal((256, mapping.z_dim), dtype=np.float32))
    label = torch.eye(mapping.label_dim)[torch.arange(256) % mapping.label_dim] if mapping.label_dim else None
    mapping.mean_w.copy_(mapping(z, label).mean(dim=0))
    return generator


class ToyEmbedder:
    """Stands in for CLIP: a fixed random projection of the pooled image; a text is the sum of its words' vectors.

    Both sides are unit rows of length `dim` and the image side is differentiable. `words` gives some words a meaning
    in pixels: a word's vector is then the embedding of that image minus that of a grey one, so that
    `ToyEmbedder(words={"red": red_image})` makes "red" point where redder images go.
    """

    temperature = 0.01
    context_length = 77

    def __init__(
        self,
        dim: int = 16,
        *,
        pool: int = 4,
        seed: int = 0,
        words: dict[str, Tensor] | None = None,
        image_size: int = 16,
    ) -> None:
        self.dim, self.pool, self.seed, self.image_size = dim, pool, seed, image_size
        random = np.random.default_rng([seed, 1])
        self.projection = torch.from_numpy(random.standard_normal((3 * pool * pool, dim), dtype=np.float32))
        self.offset = torch.from_numpy(random.standard_normal(dim, dtype=np.float32))
        self.fingerprint = hashlib.sha256(f"toy {dim} {pool} {seed} {sorted(words or {})}".encode()).hexdigest()[:16]
        self.words = {word: self._features(image)[0] - self.offset for word, image in (words or {}).items()}

    def embed_image(self, image: Tensor) -> Tensor:
        """Unit rows [B, D] of images [B, 3, H, W]."""
        return F.normalize(self._features(image), dim=1)

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """Unit rows [B, D]."""
        return F.normalize(torch.stack([self._text(text) for text in texts]), dim=1)

    def unknown_words(self, text: str) -> list[str]:
        return re.findall(r"xyzzy\w*", text.lower())

    def _features(self, image: Tensor) -> Tensor:
        pooled = F.adaptive_avg_pool2d(image, self.pool).flatten(1)
        return pooled @ self.projection.to(pooled) / pooled.shape[1] ** 0.5 + self.offset.to(pooled)

    def _text(self, text: str) -> Tensor:
        vector = self.offset.clone()
        for word in re.findall(r"\w+", text.lower()):
            vector = vector + (self.words[word] if word in self.words else self._word(word))
        return vector

    def _word(self, word: str) -> Tensor:
        random = np.random.default_rng([self.seed, _number(word)])
        return torch.from_numpy(random.standard_normal(self.dim, dtype=np.float32))


class ToyIdentity:
    """Stands in for the face-identity net: a fixed random projection of the finely pooled image."""

    def __init__(self, dim: int = 8, *, pool: int = 8, seed: int = 7) -> None:
        random = np.random.default_rng([seed, 2])
        self.pool = pool
        self.projection = torch.from_numpy(random.standard_normal((3 * pool * pool, dim), dtype=np.float32))
        self.fingerprint = hashlib.sha256(f"toy identity {dim} {pool} {seed}".encode()).hexdigest()[:16]

    def embed_image(self, image: Tensor) -> Tensor:
        """Unit rows [B, D] of images [B, 3, H, W]."""
        pooled = F.adaptive_avg_pool2d(image, self.pool).flatten(1)
        return F.normalize(pooled @ self.projection.to(pooled), dim=1)


class NearestEncoder:
    """Stands in for an encoder: knows a few of the generator's pictures, and gives the latent of the nearest."""

    def __init__(self, generator: StyleGAN2, *, num: int = 4, seed: int = 0) -> None:
        self.latents = generator.to_space(generator.sample(num, seed=seed), "w+")
        self.images = generator(self.latents).clamp(-1, 1)
        self.fingerprint = hashlib.sha256(f"nearest {num} {seed}".encode()).hexdigest()[:16]

    def __call__(self, image: Tensor) -> Latent:
        pooled = F.adaptive_avg_pool2d(image, self.images.shape[-1]).flatten(1)
        return self.latents[torch.cdist(pooled, self.images.flatten(1)).argmin(dim=1)]


def toy_identity(seed: int = 7) -> ToyIdentity:
    return ToyIdentity(seed=seed)


def toy_image(size: int = 16, *, batch: int = 1, seed: int = 0) -> Tensor:
    """A smooth picture in [-1, 1], [B, 3, size, size]."""
    coarse = np.random.default_rng(seed).uniform(-1, 1, (batch, 3, 4, 4)).astype(np.float32)
    return F.interpolate(torch.from_numpy(coarse), size=(size, size), mode="bilinear", align_corners=False)


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
