"""Which of many candidates are the best, by few costly measurements: a race.

Every candidate has a cheap guess at all N samples, and costly values at the first of them. A guess carries what it has
in common with the values to all samples (a control variate), which leaves an error that shrinks as values are taken, to
nothing at N. What is compared is a mean over a length, of which both are estimated: the error is that of their ratio.
Who cannot be among those wanted any more, by the errors of all, leaves.

Shapes: G candidates, N samples, M samples at which anyone has a value.
Sources: control variates as in Glasserman, Monte Carlo Methods in Financial Engineering, 2003, Sec. 4.1; races: Maron &
Moore, Hoeffding Races, NIPS 1993, here with the standard errors of a mean over some of N samples and of a ratio
(Cochran, Sampling Techniques, 1977, Sec. 2.5 and 6.4).
"""

from __future__ import annotations

import torch
from torch import Tensor

DOUBT = 3.0
"""Standard errors by which one candidate has to be behind another."""


def carried_means(values: Tensor, guesses: Tensor, taken: Tensor) -> tuple[Tensor, Tensor]:
    """Estimate the mean over all N samples of what was measured at the first few, and its standard error.

    Args:
        values: [G, M]; of each row the first `taken` count.
        guesses: [G, N].
        taken: values of each candidate, 1 to M, [G].

    Returns:
        Means and standard errors, [G] each. One value alone has no error that anybody knows: it is infinite, or zero
        where N is 1.
    """
    num, most = guesses.shape[1], values.shape[1]
    there = torch.arange(most, device=values.device) < taken[:, None]  # [G, M]
    count = taken.to(values)
    near = guesses[:, :most]
    x, y = ((part * there).sum(dim=1) / count for part in (near, values))  # [G]
    from_x, from_y = (near - x[:, None]) * there, (values - y[:, None]) * there
    weight = (from_x * from_y).sum() / from_x.square().sum().clamp_min(1e-12)  # one for all candidates
    rest = (from_y - weight * from_x).square().sum(dim=1) / (count - 1)
    error = (rest / count * (1 - count / num)).clamp_min(0).sqrt()
    error = torch.where(count < num, error.nan_to_num(nan=torch.inf), 0)
    return y + weight * (guesses.mean(dim=1) - x), error


def carried_ratios(
    values: Tensor, guesses: Tensor, taken: Tensor, parts: Tensor, size: Tensor
) -> tuple[Tensor, Tensor]:
    """`carried_means` over a length that the same samples tell: relevances, −1 to 1, and their standard errors, [G].

    Args:
        parts: what each sample adds to the length, [G, M]; see `along_the_others`.
        size: the length, [G]; where it is 0 both results are.
    """
    value, _ = carried_means(values, guesses, taken)
    ratio = ratio_of(value, size)
    _, error = carried_means(values - ratio[:, None] * parts, guesses, taken)
    return ratio, torch.where(size > 0, error / size.clamp_min(1e-12), 0)


def ratio_of(value: Tensor, size: Tensor) -> Tensor:
    """A mean over a length, −1 to 1; 0 where there is no length."""
    return torch.where(size > 0, value / size.clamp_min(1e-12), 0).clamp(-1, 1)


def along_the_others(units: Tensor) -> Tensor:
    """What each of some unit vectors has along the mean of the others, [G, n]; 0 where there are none, or none is left.

    Args:
        units: [G, n, D].
    """
    others = units.sum(dim=1, keepdim=True) - units
    return (units * torch.nn.functional.normalize(others, dim=-1)).sum(dim=-1)


def still_in(
    size: Tensor, error: Tensor, *, num: int | None = None, threshold: float | None = None, doubt: float = DOUBT
) -> Tensor:
    """Which candidates may be among the `num` largest, or above a threshold, bool [G].

    Args:
        size, error: what is known of each, [G].
        num: how many are wanted; None where the threshold decides.
        doubt: standard errors that count as certain.
    """
    if num is not None:
        least = (size - doubt * error).sort(descending=True).values[min(num, len(size)) - 1]
    else:
        assert threshold is not None
        least = size.new_tensor(threshold)
    return size + doubt * error >= least
