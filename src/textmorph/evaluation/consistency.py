"""How alike the steps are that one edit takes for different pictures (the paper's Table 2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from ..edits import Edit
from ..errors import EditError, LatentError
from ..latents import Latent


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """Cosines between the steps for all pairs of different pictures.

    Args:
        mean, std: of the cosines; 1 and 0 where every picture takes the same direction.
        num: pictures.
    """

    mean: float
    std: float
    num: int


@torch.no_grad()
def step_consistency(edit: Edit, latents: Latent, *, batch_size: int = 256) -> Consistency:
    """Compare the steps that an edit takes for different latents.

    Args:
        latents: at least two, in the edit's space.

    Raises:
        LatentError: fewer than two.
        EditError: a step of length zero, which has no direction.

    Source: Patashnik et al. 2021, arXiv:2103.17249, Table 2 (over inverted test photos of CelebA-HQ).
    """
    if len(latents) < 2:
        raise LatentError(f"two latents or more can be compared, not {len(latents)}")
    parts = [latents[i : i + batch_size] for i in range(0, len(latents), batch_size)]
    steps = torch.cat([(edit(part).value - part.value).flatten(1) for part in parts]).double()  # [N, …]
    if not (steps.norm(dim=1) > 0).all():
        raise EditError("the edit leaves some of these latents as they are, so that their step has no direction")
    unit = F.normalize(steps, dim=1)
    first, second = torch.triu_indices(len(unit), len(unit), offset=1)
    cosines = (unit @ unit.t())[first, second]
    return Consistency(mean=float(cosines.mean()), std=float(cosines.std(correction=0)), num=len(unit))
