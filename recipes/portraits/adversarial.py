"""The generator finished against a discriminator, as StyleGAN2 is trained: where a GPU allows.

Karras et al. 2019 (arXiv:1812.04948) and 2020 (arXiv:1912.04958): non-saturating logistic loss, R1 and path length in
float32 and seldom, moving average of the generator. It begins with what `generator` has learned, or from
random weights.

A small regression term stays on as an anchor. The discriminator only asks whether pictures look drawn; it would not
mind if w came to mean something else, and the encoder, which learns the w of a record, and every direction would. The
two do not pull apart: a record determines its picture, so the sharpest picture is also the nearest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textmorph.errors import OptionError
from textmorph.latents import Latent

from . import attributes as A
from . import data, generator
from .discriminator import Discriminator
from .generator import Pair, mapping_loss, regression_loss, uniform_from_z
from .training import Average, Stateful, autocast, batches, device, learning_rate, train


def generator_loss(fake: Tensor) -> Tensor:
    """−log of the chance that the discriminator takes generated pictures for real; from its logits [B]."""
    return F.softplus(-fake).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """−log of the chance that it is right, on real and on generated pictures; logits [B] each."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def r1_penalty(discriminator: nn.Module, real: Tensor) -> Tensor:
    """Mean squared length of the logit's gradient at real pictures [B, 3, H, W]; Mescheder et al. 2018,
    arXiv:1801.04406, eq. 9 without γ/2."""
    real = real.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def path_lengths(image: Tensor, rows: Tensor, noise: Tensor) -> Tensor:
    """|Jᵀy| of every picture, [B]: how far it moves with w in a random direction; Karras et al. 2020, eq. 4.

    Args:
        image: [B, 3, H, W], made of `rows`.
        rows: w+, [B, L, W]; squares are averaged over L, as in the released code.
        noise: y, standard normal, [B, 3, H, W]; divided by the root of H · W, so that lengths do not grow with size.
    """
    noise = noise / image[0, 0].numel() ** 0.5
    (gradient,) = torch.autograd.grad((image * noise).sum(), rows, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()


class PathLength(nn.Module):
    """Mean squared distance of path lengths [B] from their running mean, which each call updates.

    The mean begins with the first lengths; the released code's begins at 0, and would at first shrink all lengths.
    """

    mean: Tensor

    def __init__(self, decay: float = 0.01) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, lengths: Tensor) -> Tensor:
        seen = lengths.detach().mean()
        self.mean.lerp_(seen, self.decay if self.mean else 1)
        return (lengths - self.mean).square().mean()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Hyper-parameters; the papers' but for those marked.

    Args:
        batch: pictures of each kind in a step.
        learning_rate: of both (ours: half of the papers', since the generator begins with good weights).
        r1: γ; None takes 0.0002 · R² / batch, the heuristic of Karras et al. 2020 (arXiv:2006.06676), Appendix C.
        r1_every, path_every: steps from one penalty to the next; it then weighs as many times more.
        path_weight, path_shrink: weight of the path penalty, and the share of a batch it takes, as 1 / path_shrink.
        anchor: weight of the regression on records (ours), on a quarter of a batch. 0 leaves it and `meaning` out:
            then w no longer means a record, and the stage `encoder` has nothing to learn from.
        meaning: weight of the same for the mapping network, in w (ours).
        head_start: share of the time in which only the discriminator learns (ours): it begins blind, and a good
            generator that followed it would forget. From random weights there is none.
        average_over: pictures in which the moving average forgets half.
    """

    batch: int = 32
    learning_rate: float = 1e-3
    r1: float | None = None
    r1_every: int = 16
    path_every: int = 4
    path_weight: float = 2.0
    path_shrink: int = 2
    anchor: float = 1.0
    meaning: float = 0.1
    head_start: float = 0.02
    average_over: int = 10_000


class Game:
    """Generator and discriminator, and all that a resumed training needs; a step depends on its arguments and this."""

    def __init__(self, pair: Pair, settings: Settings, *, from_scratch: bool = False) -> None:
        where = pair.attributes.axes.device
        self.settings = settings
        self.pair = pair.requires_grad_(False)
        self.discriminator = Discriminator(pair.generator.config).to(where)
        for network in (pair.generator, self.discriminator):
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        self.average = Average(pair, 0.5 ** (settings.batch / settings.average_over))
        self.paths = PathLength().to(where)
        self.origin = Origin(from_scratch).to(where)
        named = pair.named_parameters()
        self.drawing = [p for name, p in named if not name.endswith("noise_strength")]  # drawings have no noise
        self.draw_optimizer = _adam(self.drawing, settings.learning_rate, settings.path_every)
        self.judge_optimizer = _adam(list(self.discriminator.parameters()), settings.learning_rate, settings.r1_every)

    def state(self) -> dict[str, Stateful]:
        """What a checkpoint holds."""
        return {
            "pair": self.pair, "average": self.average, "discriminator": self.discriminator, "paths": self.paths,
            "origin": self.origin, "draw_optimizer": self.draw_optimizer, "judge_optimizer": self.judge_optimizer,
        }  # fmt: skip

    def step(self, number: int, progress: float, target: Tensor, vectors: Tensor) -> dict[str, float]:
        """One step of each player on renders [B, 3, R, R] and their records [B, V]."""
        settings = self.settings
        learning_rate(self.draw_optimizer, _lazy(settings.learning_rate, settings.path_every), progress)
        learning_rate(self.judge_optimizer, _lazy(settings.learning_rate, settings.r1_every), progress)
        told = self.teach_discriminator(target, normal(len(target), self.pair, number, 0))
        if number % settings.r1_every == 0:
            told |= self.penalise_gradient(target)
        if progress < settings.head_start and not self.origin.from_scratch:
            return told
        told |= self.teach_generator(target, vectors, normal(len(target), self.pair, number, 1))
        if number % settings.path_every == 0:
            told |= self.penalise_paths(number)
        self.average.update(self.pair)
        return told

    def draw(self, w: Tensor) -> Tensor:
        """Pictures [B, 3, R, R] of w."""
        with autocast():
            image: Tensor = self.pair.generator(Latent(w, "w"), noise="none")
        return image.float()

    def teach_discriminator(self, real: Tensor, z: Tensor) -> dict[str, float]:
        """Logistic loss; the generator stands still."""
        with torch.no_grad():
            fake = self.draw(self.pair.generator.mapping(z.to(real)))
        self.discriminator.requires_grad_(True)
        with autocast():
            said_real, said_fake = self.discriminator(real), self.discriminator(fake)
        loss = discriminator_loss(said_real, said_fake)
        self._follow(loss, self.judge_optimizer)
        right = torch.cat([said_real > 0, said_fake < 0])
        return {"D": float(loss.detach()), "right": float(right.float().mean())}

    def penalise_gradient(self, real: Tensor) -> dict[str, float]:
        """R1, in float32."""
        settings, side = self.settings, real.shape[-1]
        gamma = 0.0002 * side**2 / settings.batch if settings.r1 is None else settings.r1
        self.discriminator.requires_grad_(True)
        penalty = r1_penalty(self.discriminator, real)
        self._follow(penalty * (gamma / 2 * settings.r1_every), self.judge_optimizer)
        return {"R1": float(penalty.detach())}

    def teach_generator(self, target: Tensor, vectors: Tensor, z: Tensor) -> dict[str, float]:
        """Non-saturating loss, and the anchor; the discriminator stands still."""
        settings, basis = self.settings, self.pair.attributes
        _require(self.drawing)
        w = self.pair.generator.mapping(z.to(target))
        image = self.draw(w)
        with autocast():
            said = self.discriminator(image)
        loss = generator_loss(said)
        told = {"G": float(loss.detach())}
        if settings.anchor:
            few = max(1, len(target) // 4)
            near = regression_loss(self.draw(basis(vectors[:few])), target[:few])
            records = torch.from_numpy(A.vectors(A.columns(uniform_from_z(z).numpy()))).to(w)
            loss = loss + settings.anchor * near + settings.meaning * mapping_loss(basis, w, records)
            told["near"] = float(near.detach())
        self._follow(loss, self.draw_optimizer)
        if settings.anchor:
            for affine in self.pair.affines(target.shape[-1]):  # or the styles fill up again
                basis.sparsify(affine, generator.SPARSITY * self.draw_optimizer.param_groups[0]["lr"])
        return told

    def penalise_paths(self, number: int) -> dict[str, float]:
        """Path length, in float32."""
        settings, made = self.settings, self.pair.generator
        _require(self.drawing)
        z = normal(max(1, settings.batch // settings.path_shrink), self.pair, number, 2)
        rows = made.to_space(Latent(z.to(made.mean_w), "z"), "w+")
        image = made(rows, noise="none")
        noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(number)).to(image)
        penalty = self.paths(path_lengths(image, rows.value, noise))
        self._follow(penalty * (settings.path_weight * settings.path_every), self.draw_optimizer)
        return {"path": float(self.paths.mean)}

    def _follow(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Take a step down; afterwards nothing asks for gradients or holds one."""
        torch.autograd.backward(loss)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        for group in optimizer.param_groups:
            _require(group["params"], False)


class Origin(nn.Module):
    """Whether the weights began as random numbers: kept beside them, since the model card says so."""

    from_scratch: Tensor

    def __init__(self, from_scratch: bool) -> None:
        super().__init__()
        self.register_buffer("from_scratch", torch.tensor(from_scratch))


def normal(num: int, pair: Pair, number: int, use: int) -> Tensor:
    """The z of a step, [num, Z], for one of several uses."""
    shape = (num, pair.generator.config.z_dim)
    return torch.from_numpy(np.random.default_rng([6, number, use]).standard_normal(shape, np.float32))


def train_adversarial(minutes: float, *, settings: Settings | None = None, from_scratch: bool = False) -> None:
    """Finish the generator against a discriminator, or train it so from random weights.

    Needs the stage `generator`, but not from random weights. Made for a GPU: an hour (estimated, not
    measured). A core makes about 4 pictures a second at 128 px, and it takes a million (estimated).

    Raises:
        OptionError: from random weights is asked for where a training from others lies.
    """
    settings = settings or Settings()
    folder = data.RUNS / "adversarial"
    resumes = (folder / "checkpoint.pt").exists()
    if resumes and from_scratch and trained() != "from scratch":
        raise OptionError(f"{folder} holds a training from regressed weights; move it away to begin from scratch")
    portraits = data.joined("base", "looks")  # these follow the prior
    torch.manual_seed(12)
    game = Game(
        Pair().to(device()) if resumes or from_scratch else generator.regressed(), settings, from_scratch=from_scratch
    )
    order = batches(len(portraits), settings.batch, seed=13)

    def step(number: int, progress: float) -> Mapping[str, float]:
        rows = order(number)
        return game.step(number, progress, portraits.tensor(rows, device()), portraits.vectors[rows].to(device()))

    def preview(number: int) -> None:
        """Thirty-two samples of the average."""
        made = cast(Pair, game.average.module).generator
        with torch.no_grad():
            image = made(Latent(normal(32, game.pair, 0, 3).to(made.mean_w), "z"), noise="none")
        generator.save_sheet(image.cpu(), 8, folder / "preview.png")

    train(folder, game.state(), step, minutes=minutes, label="adversarial", preview=preview)
    preview(0)


def trained() -> str | None:
    """How far the generator of the run folder is adversarial: "finished", "from scratch", or None for not at all."""
    path = data.RUNS / "adversarial" / "checkpoint.pt"
    if not path.exists():
        return None
    saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return "from scratch" if saved["origin"]["from_scratch"] else "finished"


def _lazy(rate: float, every: int) -> float:
    """The learning rate where a penalty comes as a step of its own every so often; Karras et al. 2020, Appendix B."""
    return rate * every / (every + 1)


def _adam(parameters: list[nn.Parameter], rate: float, every: int) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr=_lazy(rate, every), betas=(0.0, 0.99 ** (every / (every + 1))), eps=1e-8)


def _require(parameters: list[nn.Parameter], grad: bool = True) -> None:
    for parameter in parameters:
        parameter.requires_grad_(grad)
