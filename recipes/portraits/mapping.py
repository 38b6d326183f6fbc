"""The mapping network of the drawn world, wired instead of trained: z → w of the portrait that z stands for.

A portrait's record is a known function of independent numbers: each category is picked where its number passes a
threshold, and thresholds move with what was drawn before. Six leaky layers can say that outright, so no gradient has to
find it (one that tried, for half an hour, lost every value that few portraits have, and blended the others):

    layer 1   scalars, and categories that depend on nothing
    layer 2   categories that depend on those
    layer 3   categories that depend on these too
    layer 4   every step made steeper
    layer 5   −w, a rotation of the record
    layer 6   undoes the leak of layer 5: lrelu(−5 · lrelu(−w)) = w

A step is the difference of two units that bend at slightly different places. Weights are rounded to half precision
where they are laid, as they are shipped, and what follows reckons with the rounded ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from textmorph.layers.equalized import EqualizedLinear
from textmorph.layers.mapping import MappingNetwork

from . import attributes as A

Floats = NDArray[np.float64]

GAIN = math.sqrt(2)
"""Of every layer's activation."""
LEAK = 0.2
FAR = 3.6
"""A threshold in z that next to no portrait passes, one in six thousand."""
REACH = 6.0
"""Coordinates of z beyond it may come out wrong."""
WIDTH = 0.1
"""Of a step in z, before it is made steeper; half precision has no room for less."""
STEEPER = 20.0
WIDE = 256
KNOTS = (-2.6, -1.9, -1.3, -0.8, -0.3, 0.3, 0.8, 1.3, 1.9, 2.6)
"""Where the Gaussian distribution function bends, drawn with straight lines."""
OLD = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of portraits at whose age the effect of age bends; it begins at the first and ends at the last."""


def quantile(share: float) -> float:
    """z below which a share of a standard Gaussian lies, within ±FAR."""
    if not 0 < share < 1:
        return math.copysign(FAR, share - 0.5)
    at = math.sqrt(2) * float(torch.erfinv(torch.tensor(2 * share - 1, dtype=torch.float64)))
    return min(max(at, -FAR), FAR)


def gaussian_share(z: float) -> float:
    """Share of a standard Gaussian below z."""
    return 0.5 * (1 + math.erf(z / math.sqrt(2)))


@dataclass(frozen=True, eq=False)
class Signal:
    """A number made of the outputs of one layer: weights [units so far] · outputs + constant."""

    weights: Floats
    constant: float = 0.0

    def __add__(self, other: Signal | float) -> Signal:
        if not isinstance(other, Signal):
            return Signal(self.weights, self.constant + other)
        size = max(len(self.weights), len(other.weights))
        total = np.zeros(size)
        total[: len(self.weights)] += self.weights
        total[: len(other.weights)] += other.weights
        return Signal(total, self.constant + other.constant)

    def __mul__(self, factor: float) -> Signal:
        return Signal(self.weights * factor, self.constant * factor)

    def __sub__(self, other: Signal | float) -> Signal:
        return self + other * -1.0


@dataclass(eq=False)
class Wires:
    """One layer being laid: its units so far, as weights on the layer before and biases."""

    inputs: int
    weight_gain: float
    bias_gain: float
    rows: list[Floats] = field(default_factory=list)
    biases: list[float] = field(default_factory=list)

    def unit(self, signal: Signal) -> float:
        """Lay a unit that sees the signal; returns its bias, rounded."""
        row = np.zeros(self.inputs)
        row[: len(signal.weights)] = signal.weights
        self.rows.append(_half(row / self.weight_gain) * self.weight_gain)
        self.biases.append(float(_half(np.asarray(signal.constant / self.bias_gain)) * self.bias_gain))
        return self.biases[-1]

    def output(self, unit: int) -> Signal:
        """What a unit says."""
        weights = np.zeros(unit + 1)
        weights[unit] = 1 / GAIN
        return Signal(weights)

    def keep(self, signal: Signal, *, least: float = 0.0) -> Signal:
        """Pass on a signal that is never below `least`."""
        lifted = self.unit(signal - least + 0.25) - signal.constant
        return self.output(len(self.rows) - 1) - lifted

    def clip(self, signal: Signal) -> Signal:
        """The signal, held between 0 and 1."""
        first = self.unit(signal)
        apart = first - self.unit(signal - 1.0)
        both = self.output(len(self.rows) - 2) - self.output(len(self.rows) - 1)
        return (both - LEAK * apart) * (1 / ((1 - LEAK) * apart))

    def step(self, signal: Signal) -> Signal:
        """0 where a signal in z is negative, 1 where it is positive."""
        return self.clip(signal * (1 / WIDTH) + 0.5)

    def line(self, signal: Signal, knots: Sequence[float]) -> list[Signal]:
        """Bends of a signal at knots, for `through`."""
        for knot in knots:
            self.unit(signal - knot)
        return [self.output(len(self.rows) - len(knots) + i) for i in range(len(knots))]

    def lay(self, layer: EqualizedLinear) -> None:
        """Write the units into a layer; those that are left over say nothing."""
        layer.weight.zero_()
        layer.bias.zero_()
        layer.weight[: len(self.rows)] = torch.from_numpy(np.stack(self.rows) / self.weight_gain).to(layer.weight)
        layer.bias[: len(self.biases)] = (
            torch.tensor(self.biases, dtype=torch.float64).div(self.bias_gain).to(layer.bias)
        )


def through(bends: Sequence[Signal], knots: Sequence[float], values: Sequence[float]) -> Signal:
    """The line through the values at the knots, level before the first and after the last."""
    slopes = [0.0, *((b - a) / (t - s) for (s, t), (a, b) in zip(pairwise(knots), pairwise(values), strict=True)), 0.0]
    turns = [(b - a) / (1 - LEAK) for a, b in pairwise(slopes)]
    line = bends[0] * turns[0]
    for bend, turn in zip(bends[1:], turns[1:], strict=True):
        line = line + bend * turn
    before = sum(turn * LEAK * (knots[0] - knot) for turn, knot in zip(turns, knots, strict=True))
    return line + (values[0] - before)


def thresholds(name: str, **given: float) -> list[float]:
    """z at which the values of a category begin, but the first; `given` are uniform numbers of other attributes."""
    num = 20_000
    uniform = np.full((num, len(A.ATTRIBUTES)), 0.5)
    for other, share in given.items():
        uniform[:, A.ATTRIBUTES.index(other)] = share
    uniform[:, A.ATTRIBUTES.index(name)] = (np.arange(num) + 0.5) / num
    drawn = A.columns(uniform)[name]
    return [quantile(float((drawn < value).mean())) for value in range(1, len(A.CATEGORIES[name]))]


MALE, FEMALE, BARE, HATTED, YOUNG, OLDEST = 0.25, 0.75, 0.1, 0.95, 0.3, 0.95
"""Uniform numbers of femininity, hat and age that stand for these."""
FREE = ("eye_colour", "hat", "expression", "background", "clothes", "clothes_colour")
"""Categories that depend on nothing."""


@torch.no_grad()
def wire(mapping: MappingNetwork, axes: Tensor) -> None:
    """Lay the mapping network.

    Args:
        mapping: six layers, WIDE.
        axes: of the record in w, [W, V] (`generator.AttributeBasis`).

    Raises:
        ValueError: other layers.
    """
    layers = cast(Sequence[EqualizedLinear], mapping.layers)
    narrow = min(layer.weight.shape[0] for layer in layers)
    if len(layers) != 6 or narrow < WIDE:
        raise ValueError(f"a record takes six layers of {WIDE} units; this network has {len(layers)} of {narrow}")
    wires = [Wires(layer.weight.shape[1], layer.weight_gain, layer.bias_gain) for layer in layers]
    one, two, three, four, five, six = wires

    # Layer 1
    z = {name: Signal(np.eye(1, i + 1, i)[0]) for i, name in enumerate(A.ATTRIBUTES)}
    female = one.step(z["femininity"])
    ages = [quantile(share) for share in OLD]
    age = one.line(z["age"], ages)
    scalars: dict[str, Signal] = {}
    for name, (low, high) in A.SCALARS.items():
        bends = one.line(z[name], KNOTS)
        values = _drawn(name, [gaussian_share(knot) for knot in KNOTS])
        if name == "femininity":  # it jumps in the middle, which no line does
            below, above = _drawn(name, [0.5 - 1e-9, 0.5 + 1e-9])
            values = [value - (above - below) * (knot > 0) for value, knot in zip(values, KNOTS, strict=True)]
            jump = (above - below) * 2 / (high - low)
        scalars[name] = (through(bends, KNOTS, values) - low) * (2 / (high - low)) - 1.0
    steps = {name: [one.step(z[name] - at) for at in thresholds(name)] for name in FREE}
    asked = {name: one.keep(z[name], least=-REACH) for name in A.CATEGORIES if name not in FREE}
    hatted = steps["hat"][0]
    smiling = steps["expression"][0] - steps["expression"][1]
    surprised = steps["expression"][2] - steps["expression"][3]
    old = through(age, ages, [(share - OLD[0]) / (OLD[-1] - OLD[0]) for share in OLD])

    # Layer 2
    def passed(layer: Wires) -> None:
        """Hand on what is known."""
        for name, signal in scalars.items():
            scalars[name] = layer.keep(signal, least=-1.1)
        for name, parts in steps.items():
            steps[name] = [layer.keep(part) for part in parts]

    def conditional(layer: Wires, name: str, at: Sequence[Signal | float]) -> list[Signal]:
        return [layer.step(asked[name] - place) for place in at]

    def by(name: str, **when: tuple[Signal, str, float, float]) -> list[Signal]:
        """Thresholds that other draws move: condition → signal (0 or 1), attribute, its number for no, for yes."""
        none = thresholds(name, **{attribute: no for _, attribute, no, _ in when.values()})
        at = [Signal(np.zeros(1), value) for value in none]
        for signal, attribute, _, yes in when.values():
            others = {other: no for _, other, no, _ in when.values() if other != attribute}
            moved = thresholds(name, **others, **{attribute: yes})
            at = [place + signal * (b - a) for place, a, b in zip(at, none, moved, strict=True)]
        return at

    made: dict[str, list[Signal]] = {}
    woman = (female, "femininity", MALE, FEMALE)
    neutral, smile, astonished = _shares("expression", "neutral", "smiling", "surprised")
    for name in ("beard", "lipstick", "makeup", "earrings"):
        made[name] = conditional(two, name, by(name, female=woman))
    for name in ("glasses", "hair_colour"):
        rows = np.array([thresholds(name, age=share) for share in OLD])  # [knots, values]
        made[name] = conditional(two, name, [through(age, ages, list(column)) for column in rows.T])
    made["eyes"] = conditional(two, "eyes", by("eyes", surprised=(surprised, "expression", neutral, astonished)))
    smiled, startled, plain = (thresholds("mouth", expression=u) for u in (smile, astonished, neutral))
    made["mouth"] = conditional(
        two, "mouth",
        [smiling * (s - p) + surprised * (a - p) + p for s, a, p in zip(smiled, startled, plain, strict=True)],
    )  # fmt: skip
    old_man = two.clip(old - female)
    hatted_woman = two.clip(female + hatted - 1.0)
    passed(two)
    female, hatted = two.keep(female), steps["hat"][0]
    asked = {name: two.keep(asked[name], least=-REACH) for name in ("hair_style", "moustache")}
    steps |= made

    # Layer 3
    made = {}
    signs = (female, hatted, hatted_woman, old_man)
    cells, places, chances = [], [], []
    for sex, hat, years in product((MALE, FEMALE), (BARE, HATTED), (YOUNG, OLDEST)):
        woman_, hat_, old_ = float(sex == FEMALE), float(hat == HATTED), float(years == OLDEST)
        cells.append([1.0, woman_, hat_, woman_ * hat_, old_ * (1 - woman_)])
        places.append(thresholds("hair_style", femininity=sex, hat=hat, age=years))
        chances.append((0.18 if hat_ else 0.82) * (0.3 if old_ else 0.7))
    root = np.sqrt(np.array(chances))[:, None]
    fitted = np.linalg.lstsq(np.array(cells) * root, np.array(places) * root, rcond=None)[0]  # [5, values]
    at = []
    for constant, *weights in fitted.T:
        place = Signal(np.zeros(1), float(constant))
        for sign, weight in zip(signs, weights, strict=True):
            place = place + sign * float(weight)
        at.append(place)
    made["hair_style"] = conditional(three, "hair_style", at)
    full, none = _shares("beard", "full", "none", femininity=MALE)
    bearded = steps["beard"][1]
    made["moustache"] = conditional(
        three, "moustache",
        [
            female * (FAR - shaved) + bearded * (grown - shaved) + shaved
            for shaved, grown in zip(
                thresholds("moustache", femininity=MALE, beard=none),
                thresholds("moustache", femininity=MALE, beard=full), strict=True,
            )
        ],
    )  # fmt: skip
    passed(three)
    female = three.keep(female)
    steps |= made

    # Layers 4 to 6
    scalars = {name: four.keep(signal, least=-1.1) for name, signal in scalars.items()}
    steps = {name: [four.clip((part - 0.5) * STEEPER + 0.5) for part in parts] for name, parts in steps.items()}
    scalars["femininity"] = scalars["femininity"] + four.clip((female - 0.5) * STEEPER + 0.5) * jump
    record = [scalars[name] for name in A.SCALARS]
    for name in A.CATEGORIES:
        reached = [Signal(np.zeros(1), 1.0), *steps[name], Signal(np.zeros(1), 0.0)]
        record += [begins - ends for begins, ends in pairwise(reached)]
    for axis in axes.double().cpu().numpy():
        w = Signal(np.zeros(1))
        for value, part in zip(axis, record, strict=True):
            w = w + part * float(value)
        five.unit(w * -1.0)
    for unit in range(len(axes)):
        six.unit(five.output(unit) * (-1 / LEAK) * (1 / GAIN))
    for layer, laid in zip(layers, wires, strict=True):
        laid.lay(layer)


def _half(values: Floats) -> Floats:
    rounded: Floats = np.asarray(values, dtype=np.float16).astype(np.float64)
    if not np.isfinite(rounded).all():
        raise ValueError("a weight is too large for half precision")
    return rounded


def _drawn(name: str, shares: Sequence[float]) -> list[float]:
    """Values of a scalar at uniform numbers."""
    uniform = np.full((len(shares), len(A.ATTRIBUTES)), 0.5)
    uniform[:, A.ATTRIBUTES.index(name)] = shares
    return [float(value) for value in A.columns(uniform)[name]]


def _shares(name: str, *values: str, **given: float) -> Iterator[float]:
    """A uniform number at which each value of a category is drawn."""
    edges = [0.0, *(gaussian_share(at) for at in thresholds(name, **given)), 1.0]
    for value in values:
        at = A.CATEGORIES[name].index(value)
        yield (edges[at] + edges[at + 1]) / 2
