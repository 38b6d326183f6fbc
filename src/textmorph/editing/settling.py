"""Settle a request: find its edit, and where its strength is automatic, try several and choose one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..edits import Direction, Edit, apply_edits
from ..errors import EmptyDirectionError
from ..images import resize
from ..latents import Latent
from ..prompts import text_embedding
from . import metrics
from .request import Request
from .strength import StrengthSearch, Trial

if TYPE_CHECKING:
    from ..jobs.job_folder import Progress
    from .editor import Editor

TRIAL_SIDE = 256
"""Largest side, in pixels, at which the trials of automatic strength are drawn."""
TRIALS_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Settled:
    """A request with its edit and its strength.

    Args:
        request: with the number of channels that was chosen.
        automatic: how the strength was chosen, as JSON; None where it was given.
    """

    request: Request
    edit: Edit
    strength: float
    automatic: dict[str, Any] | None

    @property
    def json(self) -> dict[str, Any]:
        """What the record holds of it."""
        about = {**self.request.json, "strength": self.strength, "space": self.edit.space, "automatic": self.automatic}
        if isinstance(self.edit, Direction) and self.edit.space == "s":
            about["channels"] = int(self.edit.vector.count_nonzero())
        return about


def settle(
    editor: Editor,
    request: Request,
    latent: Latent,
    *,
    search: StrengthSearch,
    others: Sequence[Settled] = (),
    inverted: Tensor | None = None,
    progress: Progress | None = None,
) -> Settled:
    """Find the edit of a request, and its strength where that is automatic.

    Args:
        latent: of one picture.
        search: for automatic strength.
        others: what is applied besides; every trial stands beside them.
        inverted: the picture as the generator draws it, [1, 3, R, R]; None draws it.

    Raises:
        EmptyDirectionError: no variant of the method finds an edit.
    """
    if request.strength is not None:
        edit = editor.find(request, latent, progress=progress)
        return Settled(request=request, edit=edit, strength=request.strength, automatic=None)
    found: list[tuple[Request, Edit]] = []
    refused: list[EmptyDirectionError] = []
    for variant in request.variants(search):
        try:
            found.append((variant, editor.find(variant, latent, progress=progress)))
        except EmptyDirectionError as error:  # noqa: PERF203 - each variant may fail for itself
            refused.append(error)
    if not found:
        raise refused[0]
    tries = [
        (variant, edit, strength)
        for variant, edit in found
        for strength in (search.scales if edit.whole else search.strengths)
    ]
    inverted = editor.render(latent) if inverted is None else inverted
    trials = _measure(editor, request, tries, latent, inverted, [(one.edit, one.strength) for one in others])
    choice = search.choose(trials)
    chosen, edit, strength = tries[choice.index]
    automatic = {
        "num_channels": chosen.num_channels if request.open_channels else None,
        "goal_met": choice.goal_met,
        "reason": choice.reason,
        "keep_identity": search.keep_identity,
        "min_effect": search.min_effect,
        "tried": [asdict(trial) for trial in trials],
    }
    return Settled(request=chosen, edit=edit, strength=strength, automatic=automatic)


@torch.no_grad()
def _measure(
    editor: Editor,
    request: Request,
    tries: Sequence[tuple[Request, Edit, float]],
    latent: Latent,
    inverted: Tensor,
    others: list[tuple[Edit, float]],
) -> list[Trial]:
    """Draw every try small beside the other edits, and measure it against the picture without this edit."""
    side = min(editor.generator.resolution, TRIAL_SIDE)
    assert request.target is not None
    target = text_embedding(editor.texts, request.target, templates=editor.domain.sentences)
    without = editor.render(apply_edits(editor.generator, latent, others), resolution=side)
    before = metrics.seen(editor.embedder, without) @ target
    person = resize(inverted, side, method="area")
    trials: list[Trial] = []
    for first in range(0, len(tries), TRIALS_AT_ONCE):
        batch = tries[first : first + TRIALS_AT_ONCE]
        edited = [apply_edits(editor.generator, latent, [(edit, strength), *others]) for _, edit, strength in batch]
        images = editor.render(Latent.cat(edited), resolution=side)
        gains = (metrics.seen(editor.embedder, images) @ target - before).tolist()
        kept: list[float | None] = [None] * len(batch)
        if editor.identity is not None:
            kept = metrics.identity_kept(editor.identity, person, images).tolist()
        for (variant, _, strength), gain, identity in zip(batch, gains, kept, strict=True):
            count = variant.num_channels if request.open_channels else None
            trials.append(Trial(strength=strength, num_channels=count, gain=gain, identity=identity))
    return trials
