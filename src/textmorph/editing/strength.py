"""Automatic strength: try an edit at several strengths and numbers of channels, keep the gentlest plain effect.

Two figures come from the networks of the domain: the CLIP gain towards the text and the identity kept. The choice is
pure arithmetic; the editor renders and measures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import OptionError


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One try: strength, number of channels (None where the method selects none), and what came of it.

    Args:
        gain: CLIP gain towards the target, against the image without the edit.
        identity: cosine of the identities before and after; None where the domain has no identity net.
    """

    strength: float
    num_channels: int | None = None
    gain: float
    identity: float | None = None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The trial taken (its place in the list), whether it meets the goal, and why, in one sentence."""

    index: int
    goal_met: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class StrengthSearch:
    """Search the strength of an edit: the gentlest one whose effect is plain while identity is kept.

    Args:
        strengths: tried for an edit that can be applied at any strength.
        scales: tried for an edit that is complete at strength 1 (`edit.whole`).
        num_channels: tried for a method that selects a number of channels, where that number is left open.
        keep_identity: least identity (cosine) that counts as kept.
        min_effect: least share of the largest gain of all trials that counts as plain.

    Raises:
        OptionError: a value out of range.
    """

    strengths: tuple[float, ...] = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
    scales: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0, 1.25)
    num_channels: tuple[int, ...] = (10, 20, 50, 100)
    keep_identity: float = 0.7
    min_effect: float = 0.8

    def __post_init__(self) -> None:
        for name in ("strengths", "scales", "num_channels"):
            values = tuple(getattr(self, name))
            object.__setattr__(self, name, values)  # a list, when it comes from a file
            if not values or not all(math.isfinite(value) for value in values):
                raise OptionError(f"{name} is one finite number or more, not {list(values)}")
        if min(self.num_channels) < 1:
            raise OptionError(f"num_channels is 1 or more each, not {list(self.num_channels)}")
        if not -1 <= self.keep_identity <= 1:
            raise OptionError(f"keep_identity is a cosine, usually 0 to 1, not {self.keep_identity}")
        if not 0 <= self.min_effect <= 1:
            raise OptionError(f"min_effect is a share from 0 to 1, not {self.min_effect}")

    def choose(self, trials: Sequence[Trial]) -> Choice:
        """Pick the gentlest trial with a plain effect that keeps identity.

        Plain: a gain of at least `min_effect` of the largest positive gain. Gentlest: highest identity, then smallest
        strength, then fewest channels. Where no trial is both, the goal is not met, and the next best is taken, in this
        order: the largest gain among those that keep identity and gain at all; the trial with the highest identity.

        Raises:
            OptionError: no trials.
        """
        if not trials:
            raise OptionError("automatic strength needs at least one strength to try")
        reachable = max(trial.gain for trial in trials)
        kept = [i for i, trial in enumerate(trials) if _identity(trial) >= self.keep_identity]
        plain = [i for i in kept if reachable > 0 and trials[i].gain >= self.min_effect * reachable]
        gaining = [i for i in kept if trials[i].gain > 0]

        def gentleness(i: int) -> tuple[float, float, int]:
            return (-_identity(trials[i]), abs(trials[i].strength), trials[i].num_channels or 0)

        if plain:
            index = min(plain, key=gentleness)
            reason = f"the gentlest of {len(trials)} trials with a plain effect ({_share(trials[index], reachable)})"
        elif reachable <= 0:
            index = min(kept or range(len(trials)), key=gentleness)
            reason = "no strength brings the picture closer to the words"
            return Choice(index=index, goal_met=False, reason=reason)
        elif gaining:
            index = max(gaining, key=lambda i: (trials[i].gain, _identity(trials[i])))
            reason = (
                "a plain effect would cost more identity than allowed; this is the strongest that keeps it "
                f"({_share(trials[index], reachable)})"
            )
        else:
            index = min(range(len(trials)), key=gentleness)
            reason = f"no strength with an effect keeps identity at {self.keep_identity:g}; this one keeps most"
        return Choice(index=index, goal_met=bool(plain), reason=reason + self._identity_part(trials[index]))

    def _identity_part(self, trial: Trial) -> str:
        if trial.identity is None:
            return "; identity not checked, the domain has no identity net"
        return f"; identity {trial.identity:.2f}, asked for {self.keep_identity:g}"


def channels_text(number: int) -> str:
    """A number of channels in words."""
    return "1 channel" if number == 1 else f"{number} channels"


def _identity(trial: Trial) -> float:
    return 1.0 if trial.identity is None else trial.identity


def _share(trial: Trial, reachable: float) -> str:
    return f"{trial.gain / reachable:.0%} of the reachable CLIP gain"
