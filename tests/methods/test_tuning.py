from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from textmorph.banks.bank import build_bank
from textmorph.edits import Direction
from textmorph.errors import EmptyDirectionError, OptionError
from textmorph.evaluation.search import tune
from textmorph.methods.global_direction import GlobalDirection
from textmorph.prompts import BARE

from ..toys import ToyEmbedder, toy_generator


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """A method whose only good threshold is 0.2: there it moves w+ towards a known goal, reached at strength 2."""

    goal: tuple[float, ...]
    num_channels: int | None = None
    threshold: float | None = 0.1

    def find(self, generator: object, embedder: object, *, target: str, sign: float = 1.0) -> Direction:
        if self.threshold == 0.3:
            raise EmptyDirectionError("nothing")
        vector = torch.tensor(self.goal).view(6, 8) / 2
        return Direction(vector * (sign if self.threshold == 0.2 else -sign), "w+")


def test_the_strength_and_threshold_of_highest_cosine_win() -> None:
    generator, embedder = toy_generator(16), ToyEmbedder()
    latents = generator.to_space(generator.sample(5, seed=2), "w+")[[0]]
    step = torch.randn(6, 8, generator=torch.Generator().manual_seed(0)) * 0.5
    goal = embedder.embed_image(generator(latents + step).clamp(-1, 1))[0]
    embedder.embed_text = lambda texts: goal.expand(len(texts), -1)  # type: ignore[method-assign]
    seen: list[int] = []
    tuning = tune(
        Fixed(goal=tuple(step.flatten().tolist())), generator, embedder, targets=["x", "y"], latents=latents,
        strengths=[0, 1, 2, 4], thresholds=[0.1, 0.2, 0.3], progress=lambda done, total: seen.append(done),
    )  # fmt: skip
    assert (tuning.best.strength, tuning.best.threshold) == (2.0, 0.2)
    assert tuning.best.score == pytest.approx(1, abs=1e-5)
    assert len(tuning.trials) == 12
    assert seen == list(range(1, 7))
    unedited = next(trial for trial in tuning.trials if (trial.strength, trial.threshold) == (0.0, 0.1))
    empty = [trial for trial in tuning.trials if trial.threshold == 0.3]
    assert [trial.empty for trial in empty] == [2] * 4
    assert all(trial.score == pytest.approx(unedited.score, abs=1e-6) for trial in empty)


def test_it_tunes_a_method_of_the_table_by_number_of_channels() -> None:
    generator, embedder = toy_generator(8, channel_max=4), ToyEmbedder()
    bank = build_bank(generator, embedder, num_samples=2, num_statistics=32)
    tuning = tune(
        GlobalDirection(), generator, embedder, targets=["a cat"], latents=generator.sample(3, seed=0),
        strengths=[1, 3], num_channels=[2, 5], neutral="a dog", bank=bank, templates=BARE,
    )  # fmt: skip
    assert {(trial.strength, trial.num_channels) for trial in tuning.trials} == {(1, 2), (1, 5), (3, 2), (3, 5)}
    assert tuning.best.score == max(trial.score for trial in tuning.trials)
    assert tuning.json["best"]["threshold"] is None


@pytest.mark.parametrize(
    "search", [{"strengths": []}, {"thresholds": [0.1], "num_channels": [3]}, {"num_channels": []}, {"targets": []}]
)
def test_nothing_to_try_is_refused(search: dict) -> None:
    generator = toy_generator(8)
    with pytest.raises(OptionError):
        tune(
            GlobalDirection(), generator, ToyEmbedder(), latents=generator.sample(1, seed=0),
            **{"targets": ["a cat"], **search},
        )  # fmt: skip
