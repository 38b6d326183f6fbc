"""Hyperplanes between two sets of vectors, in embedding space or in w."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .errors import EditError


def svm_normal(positives: Tensor, negatives: Tensor, *, regularization: float = 1.0) -> Tensor:
    """Unit normal of the soft-margin linear SVM between two sets, towards the positives, [D].

    Args:
        positives, negatives: embeddings or latents, [P, D] and [N, D].
        regularization: C, weight of the hinge loss.

    Raises:
        EditError: the sets cannot be told apart.

    Source: Baba et al. 2023, arXiv:2304.00964, Eq. 6.
    """
    from sklearn.svm import SVC

    rows = torch.cat([positives, negatives]).float().cpu()
    labels = [1] * len(positives) + [-1] * len(negatives)
    # The dual needs the products of the rows alone. A seed of its own, or the solver moves numpy's global one.
    machine = SVC(kernel="precomputed", C=regularization, random_state=0).fit(
        (rows @ rows.t()).double().numpy(), labels
    )
    normal = torch.tensor(machine.dual_coef_[0], dtype=torch.float32) @ rows[torch.tensor(machine.support_).long()]
    if normal.norm() < 1e-9:
        raise EditError("the pictures most and least like this text cannot be told apart; use a larger corpus")
    return F.normalize(normal, dim=0).to(positives)
