from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from textmorph.banks.differences import true_square
from textmorph.banks.racing import along_the_others, carried_means, carried_ratios, still_in


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_values_at_all_samples_are_their_mean_and_leave_no_error() -> None:
    values = noise(5, 20)
    mean, error = carried_means(values, noise(5, 20, seed=1), torch.full((5,), 20))
    torch.testing.assert_close(mean, values.mean(dim=1))
    assert error.count_nonzero() == 0


def test_a_guess_that_tells_all_needs_no_more_than_a_few_values() -> None:
    guesses = noise(5, 40)
    values = 3 * guesses + torch.arange(5.0)[:, None]
    mean, error = carried_means(values[:, :4], guesses, torch.full((5,), 4))
    torch.testing.assert_close(mean, values.mean(dim=1), atol=1e-5, rtol=1e-5)
    assert error.max() < 1e-5


def test_values_that_were_not_taken_do_not_count() -> None:
    guesses, values = noise(4, 30), noise(4, 30, seed=1)
    taken = torch.tensor([8, 16, 30, 2])
    known = torch.where(torch.arange(30) < taken[:, None], values, torch.nan).nan_to_num(1e6)
    for found, expected in zip(
        carried_means(known, guesses, taken), carried_means(values, guesses, taken), strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_the_error_is_as_large_as_the_misses_are() -> None:
    """Of 2000 candidates two thirds lie within one error of the truth, and nearly all within two."""
    shared = noise(2000, 60)
    guesses, values = shared + noise(2000, 60, seed=1), shared + noise(2000, 60, seed=2)
    mean, error = carried_means(values[:, :16], guesses, torch.full((2000,), 16))
    miss = (mean - values.mean(dim=1)).abs() / error
    assert (miss < 1).float().mean().item() == pytest.approx(0.66, abs=0.05)
    assert (miss < 2).float().mean().item() > 0.9
    alone = values[:, :16].mean(dim=1)
    assert (mean - values.mean(dim=1)).square().mean() < (alone - values.mean(dim=1)).square().mean()


def test_the_error_of_a_ratio_counts_that_of_its_length() -> None:
    """Directions drawn around truths near a text: relevances miss those of all samples by as much as is said."""
    num, most, dim = 1500, 16, 24
    text = F.normalize(noise(dim, seed=2), dim=0)
    truth = F.normalize(text + 0.1 * noise(num, 1, dim), dim=-1)
    spread = torch.linspace(0.05, 0.5, num)[:, None, None]
    units = F.normalize(truth + spread * noise(num, 100, dim, seed=1), dim=-1)
    along, mean = units @ text, units.mean(dim=1)
    exact = (mean @ text) / mean.norm(dim=1)
    few = units[:, :most]
    true = true_square(few.mean(dim=1).square().sum(dim=1), most)
    taken, size = torch.full((num,), most), (true + (1 - true) / 100).sqrt()
    guesses = along + 0.05 * noise(num, 100, seed=3)
    ratio, error = carried_ratios(along[:, :most], guesses, taken, along_the_others(few), size)
    miss = (ratio - exact).abs() / error
    assert 0.8 < miss.square().mean().sqrt() < 1.6
    _, alone = carried_means(along[:, :most], guesses, taken)
    assert ((ratio - exact) / (alone / size)).square().mean().sqrt() > 2  # of the mean alone: far too small


def test_vectors_that_are_alone_or_cancel_have_no_others() -> None:
    one = F.normalize(noise(3, 1, 5), dim=-1)
    assert along_the_others(one).count_nonzero() == 0
    pair = torch.cat([one, one], dim=1)
    torch.testing.assert_close(along_the_others(pair), torch.ones(3, 2))
    assert along_the_others(torch.cat([one, -one, one], dim=1)).isfinite().all()
    zero = torch.zeros(2)
    ratio, error = carried_ratios(noise(2, 4), noise(2, 9), torch.full((2,), 4), noise(2, 4), zero)
    assert ratio.count_nonzero() == error.count_nonzero() == 0


def test_one_value_alone_tells_nothing_of_its_error() -> None:
    _, error = carried_means(noise(3, 1), noise(3, 9), torch.ones(3, dtype=torch.int64))
    assert error.isinf().all()
    assert still_in(torch.rand(3), error, num=1).all()
    _, error = carried_means(noise(3, 1), noise(3, 1, seed=1), torch.ones(3, dtype=torch.int64))
    assert error.count_nonzero() == 0


def test_who_is_certainly_behind_leaves() -> None:
    size = torch.tensor([0.9, 0.8, 0.7, 0.3, 0.1])
    error = torch.full((5,), 0.05)
    assert still_in(size, error, num=2).tolist() == [True, True, True, False, False]
    assert still_in(size, torch.zeros(5), num=2).tolist() == [True, True, False, False, False]
    assert still_in(size, error, num=9).all()
    assert still_in(size, error, threshold=0.35).tolist() == [True, True, True, True, False]
    assert still_in(size, error, threshold=0.35, doubt=0).tolist() == [True, True, True, False, False]


def test_a_race_finds_the_best_with_fewer_values() -> None:
    truth = noise(300, 1) * 0.3
    shared = noise(300, 100, seed=1)
    values = truth + shared + 0.5 * noise(300, 100, seed=2)
    guesses = truth + shared + 0.5 * noise(300, 100, seed=3)
    taken = torch.zeros(300, dtype=torch.int64)
    racing = torch.ones(300, dtype=torch.bool)
    for end in range(10, 101, 10):
        taken[racing] = end
        mean, error = carried_means(values, guesses, taken)
        racing &= still_in(mean, error, num=30)
    best = set(values.mean(dim=1).topk(30).indices.tolist())
    assert len(best & set(mean.topk(30).indices.tolist())) >= 29
    assert taken.float().mean() < 60
    assert len(best & set(values[:, :60].mean(dim=1).topk(30).indices.tolist())) < 29  # as many for each
