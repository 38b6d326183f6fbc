"""Automatic strength: the rule that picks one of many strengths, and nothing else.

An edit is tried at several strengths α (and numbers of channels k). Two figures come from the nets of the domain: the
CLIP gain towards the target and the identity kept. Pure arithmetic; the editor renders and measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import OptionError

STRENGTHS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
CHANNEL_COUNTS = (10, 20, 50, 100)
AXIS_COUNTS = (4, 8, 16)
SCALES = (0.25, 0.5, 0.75, 1.0, 1.25)
"""Strengths tried for an edit that is complete at 1: found by latent optimisation, or towards exemplars."""
PLAIN_SHARE = 0.8


def counted(number: int, moves: str = "channels") -> str:
    """A number of `channels` or `axes` in words."""
    return f"{number} {moves}" if number != 1 else {"channels": "1 channel", "axes": "1 axis"}[moves]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One try: strength α, number of channels k (None where the method has none), and what came of it.

    Args:
        towards: `shift` or `exemplars`, for a method that knows both; else None.
        gain: CLIP gain towards the target, against the image without the edit.
        identity: cosine of the identities before and after; None where the domain has no identity net.
        sideways: squared change of the embedding at right angles to what the texts ask for (`losses.sideways`); None
            where it was not measured.
        beyond: how much farther it leads along the way from the neutral text to the wish than any picture of the
            domain's corpus lies, at least 0; None where it was not measured.
        astray: how many deviations it leads w beyond where nearly all of w lies, along one axis (`axes.Range`); None
            where it was not measured, or does not lead through w.
    """

    strength: float
    num_channels: int | None = None
    towards: str | None = None
    gain: float
    identity: float | None = None
    sideways: float | None = None
    beyond: float | None = None
    astray: float | None = None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The candidate taken (its place in the list), whether it meets the goal, and why, in one sentence."""

    index: int
    goal_met: bool
    reason: str


def choose_strength(
    candidates: Sequence[Candidate],
    *,
    keep_identity: float = 0.7,
    plain_share: float = PLAIN_SHARE,
    sideways: float | None = None,
    beyond: float | None = None,
    astray: float | None = None,
    complete: bool = False,
) -> Choice:
    """Pick the gentlest candidate whose effect is plain while identity is kept.

    Plain means a gain of at least `plain_share` of the largest positive gain of all candidates; where `beyond` has a
    price, it is taken off the gains first, so that none is pushed on to what no picture shows. Kept means an identity
    of at least `keep_identity`. Among those that are both, the one nearest to the original wins: highest identity,
    then smallest strength, then fewest channels. With a price for what changes sideways, it is the one that is worth
    most: its gain minus the price times its `sideways`, the measure that latent optimisation descends by, too; where
    that is equal, the nearest to the original. Where none is both, the goal is not met, and the next best is, in this
    order: the largest gain among those that keep identity and gain at all; the candidate with the highest identity.
    Those that lead too far `astray` do not count, unless there are no others: where no picture lies, an embedder is
    easily deceived.

    Args:
        candidates: the tries.
        keep_identity: least identity that counts as kept.
        plain_share: least share of the largest gain that counts as plain.
        sideways, beyond: the prices; None for none.
        astray: the most of it that is allowed; None for any. A complete edit may lead where its own search did.
        complete: whether the edit is whole at strength 1 by its own loss: a part of it is taken only where none from 1
            on keeps identity, and their gains are the reachable ones.

    Raises:
        OptionError: no candidates.
    """
    if not candidates:
        raise OptionError("automatic strength needs at least one strength to try")
    gains = [c.gain - (beyond or 0.0) * (c.beyond or 0.0) for c in candidates]
    identities = [1.0 if c.identity is None else c.identity for c in candidates]
    most = float("inf") if astray is None or complete else astray
    found = [i for i, c in enumerate(candidates) if (c.astray or 0.0) <= most]
    doubt = "" if found else "every try leads far astray; "
    found = found or list(range(len(candidates)))
    whole = [i for i in found if candidates[i].strength >= 1] if complete else []
    reachable = max(gains[i] for i in whole or found)
    kept = [i for i in found if identities[i] >= keep_identity]
    kept = [i for i in kept if i in whole] or kept
    plain = [i for i in kept if reachable > 0 and gains[i] >= plain_share * reachable]

    def gentleness(i: int) -> tuple[float, float, int]:
        c = candidates[i]
        return (-identities[i], abs(c.strength), c.num_channels or 0)

    def worth(i: int) -> float:
        return gains[i] - (sideways or 0.0) * (candidates[i].sideways or 0.0)

    if plain:
        priced = sideways is not None and all(candidates[i].sideways is not None for i in plain)
        index = min(plain, key=lambda i: (-worth(i), gentleness(i))) if priced else min(plain, key=gentleness)
        share = gains[index] / max(reachable, gains[index])
        which = "gentlest" if not priced else "one that gains most for what else it changes"
        taken = f"the {which}, of those with a plain effect" if index not in whole else "the whole edit"
        return Choice(
            index=index,
            goal_met=True,
            reason=f"{doubt}{taken} ({share:.0%} of the reachable CLIP gain; {len(candidates)} tried)"
            + _identity_part(candidates[index], keep_identity),
        )
    if reachable <= 0:
        index = min(kept or found, key=gentleness)
        return Choice(index=index, goal_met=False, reason=f"{doubt}no strength brings the picture closer to the words")
    gaining = [i for i in kept if gains[i] > 0]
    if gaining:
        index = max(gaining, key=lambda i: (gains[i], -gentleness(i)[0]))
        share = gains[index] / reachable
        return Choice(
            index=index,
            goal_met=False,
            reason=f"{doubt}a plain effect would cost more identity than allowed; this is the strongest that keeps it "
            f"({share:.0%} of the reachable CLIP gain{_identity_part(candidates[index], keep_identity)})",
        )
    index = min(found, key=gentleness)
    return Choice(
        index=index,
        goal_met=False,
        reason=f"{doubt}no strength with an effect keeps identity at {keep_identity:g}; this one keeps most"
        + _identity_part(candidates[index], keep_identity),
    )


def _identity_part(candidate: Candidate, keep_identity: float) -> str:
    if candidate.identity is None:
        return "; identity not checked, the domain has no identity net"
    return f"; identity {candidate.identity:.2f}, asked for {keep_identity:g}"
