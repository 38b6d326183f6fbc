"""What a portrait is made of: the attributes, their priors, and the vector that networks see.

A portrait is fully determined by its record; nothing in the picture is random beside it. A record comes from a row of
independent uniform numbers (one per attribute), so the world has a clean, continuous source of randomness that a
mapping network can be wired for (`mapping.py`).

Order of the draw matters: an attribute may depend on those above it (age on grey hair, femininity on beards).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HAIR_COLOURS = ("black", "brown", "blond", "red", "grey", "white", "purple", "blue", "green", "pink")
HAIR_STYLES = ("bald", "short", "long", "curly", "afro", "bob", "mohawk", "bun", "fringe")
EXPRESSIONS = ("neutral", "smiling", "sad", "surprised", "angry")
COLOURS = ("red", "orange", "yellow", "green", "teal", "blue", "purple", "grey")

CATEGORIES: dict[str, tuple[str, ...]] = {
    "hat": ("none", "cap", "beanie", "brim"),
    "hair_style": HAIR_STYLES,
    "hair_colour": HAIR_COLOURS,
    "beard": ("none", "stubble", "full"),
    "moustache": ("none", "moustache"),
    "glasses": ("none", "round", "square", "sunglasses"),
    "expression": EXPRESSIONS,
    "mouth": ("closed", "open"),
    "eyes": ("open", "closed"),
    "lipstick": ("none", "lipstick"),
    "makeup": ("none", "makeup"),
    "earrings": ("none", "earrings"),
    "eye_colour": ("brown", "blue", "green", "grey"),
    "background": COLOURS,
    "clothes": ("t-shirt", "shirt", "turtleneck", "suit"),
    "clothes_colour": COLOURS,
}
"""Attributes that take one of a few values, each value a word."""

SCALARS: dict[str, tuple[float, float]] = {
    "femininity": (0.0, 1.0),  # 0 masculine, 1 feminine; the draw is bimodal, the drawing is smooth
    "age": (0.0, 1.0),  # 0 about 18 years, 1 about 85; wrinkles follow it
    "skin": (0.0, 1.0),  # 0 lightest, 1 darkest
    "face_width": (-1.0, 1.0),
    "face_length": (-1.0, 1.0),
    "jaw": (-1.0, 1.0),  # -1 pointed, 1 square
    "eye_spacing": (-1.0, 1.0),
    "eye_size": (-1.0, 1.0),
    "nose_width": (-1.0, 1.0),
    "nose_length": (-1.0, 1.0),
    "brow_weight": (-1.0, 1.0),  # -1 thin, 1 bushy
    "turn": (-1.0, 1.0),  # head turned to the picture's left (-1) or right (1), about 20 degrees
    "tilt": (-1.0, 1.0),  # head tilted, about 8 degrees
    "light": (-1.0, 1.0),  # light from the left (-1) or right (1)
}
"""Attributes that take any value of a range."""

PERSON = (
    "femininity", "skin", "face_width", "face_length", "jaw", "eye_spacing", "eye_size",
    "nose_width", "nose_length", "brow_weight", "eye_colour",
)  # fmt: skip
"""What makes a person the same person; every other attribute is something an edit may change."""

ATTRIBUTES: tuple[str, ...] = (
    "femininity", "age", "skin", "face_width", "face_length", "jaw", "eye_spacing", "eye_size", "nose_width",
    "nose_length", "brow_weight", "eye_colour", "hat", "hair_style", "hair_colour", "beard", "moustache", "glasses",
    "expression", "mouth", "eyes", "lipstick", "makeup", "earrings", "background", "clothes", "clothes_colour",
    "turn", "tilt", "light",
)  # fmt: skip
"""All attributes in the order of the draw; row i of the uniform numbers belongs to ATTRIBUTES[i]."""

LOOK = tuple(name for name in ATTRIBUTES if name not in PERSON)


@dataclass(frozen=True, kw_only=True)
class Portrait:
    """The record of one portrait: words for categories, numbers for scalars (ranges in SCALARS)."""

    femininity: float = 0.2
    age: float = 0.3
    skin: float = 0.3
    face_width: float = 0.0
    face_length: float = 0.0
    jaw: float = 0.0
    eye_spacing: float = 0.0
    eye_size: float = 0.0
    nose_width: float = 0.0
    nose_length: float = 0.0
    brow_weight: float = 0.0
    eye_colour: str = "brown"
    hat: str = "none"
    hair_style: str = "short"
    hair_colour: str = "brown"
    beard: str = "none"
    moustache: str = "none"
    glasses: str = "none"
    expression: str = "neutral"
    mouth: str = "closed"
    eyes: str = "open"
    lipstick: str = "none"
    makeup: str = "none"
    earrings: str = "none"
    background: str = "blue"
    clothes: str = "t-shirt"
    clothes_colour: str = "grey"
    turn: float = 0.0
    tilt: float = 0.0
    light: float = 0.0

    def but(self, **changes: Any) -> Portrait:
        """The same portrait with some attributes changed."""
        return replace(self, **changes)


def _choose(u: Floats, weights: Floats) -> NDArray[np.int64]:
    """Index drawn by one uniform number per row: u [N], weights [N, V] (need not sum to 1)."""
    edges = np.cumsum(weights, axis=1)
    return (u[:, None] * edges[:, -1:] > edges[:, :-1]).sum(axis=1)


def _table(name: str, n: int, **weights: float | Floats) -> Floats:
    """Weights [N, V] of one attribute from a number or a column per word; unnamed words weigh 0."""
    known = CATEGORIES[name]
    assert set(weights) <= {w.replace("-", "_") for w in known}, name
    return np.stack([np.broadcast_to(weights.get(w.replace("-", "_"), 0.0), (n,)) for w in known], axis=1)


def columns(uniform: Floats) -> dict[str, NDArray[Any]]:
    """Attribute columns of N portraits drawn from uniform numbers [N, len(ATTRIBUTES)] in [0, 1].

    Categories come as indices into CATEGORIES, scalars as values in their range.
    """
    n = len(uniform)
    u = dict(zip(ATTRIBUTES, np.asarray(uniform, dtype=np.float64).T, strict=True))
    out: dict[str, NDArray[Any]] = {}

    half = u["femininity"] * 2  # two humps: masculine 0–0.35, feminine 0.65–1
    out["femininity"] = np.where(half < 1, half * 0.35, 0.65 + (half - 1) * 0.35)
    out["age"] = u["age"]
    out["skin"] = u["skin"]
    for name in ("face_width", "face_length", "jaw", "eye_spacing", "eye_size", "nose_width", "nose_length",
                 "brow_weight", "turn", "tilt", "light"):  # fmt: skip
        out[name] = u[name] * 2 - 1

    female = (out["femininity"] > 0.5).astype(float)
    male = 1 - female
    age = out["age"]
    old = np.clip((age - 0.5) / 0.4, 0, 1)
    young = 1 - old

    def draw(name: str, **weights: float | Floats) -> None:
        out[name] = _choose(u[name], _table(name, n, **weights))

    draw("eye_colour", brown=0.45, blue=0.25, green=0.18, grey=0.12)
    draw("hat", none=0.82, cap=0.06, beanie=0.06, brim=0.06)
    bare = (out["hat"] == 0).astype(float)  # a hat sits on hair that leaves room for it
    draw(
        "hair_style",
        bald=0.04 + 0.12 * male + 0.06 * male * old, short=0.10 + 0.22 * male, long=0.05 + 0.17 * female,
        curly=0.08 + 0.06 * female, afro=0.09 * bare, bob=0.02 + 0.17 * female, mohawk=(0.06 + 0.05 * male) * bare,
        bun=(0.02 + 0.15 * female) * bare, fringe=(0.08 + 0.04 * female) * bare,
    )  # fmt: skip
    draw(
        "hair_colour",
        black=0.16 * young + 0.04 * old, brown=0.18 * young + 0.05 * old, blond=0.15 * young + 0.05 * old,
        red=0.11 * young + 0.04 * old, grey=0.04 * young + 0.40 * old, white=0.03 * young + 0.30 * old,
        purple=0.10 * young + 0.03 * old, blue=0.08 * young + 0.03 * old, green=0.07 * young + 0.03 * old,
        pink=0.08 * young + 0.03 * old,
    )  # fmt: skip
    draw("beard", none=0.45 + 0.55 * female, stubble=0.22 * male, full=0.33 * male)
    bearded = (out["beard"] == 2).astype(float)
    draw("moustache", none=female + male * (0.7 - 0.35 * bearded), moustache=male * (0.3 + 0.35 * bearded))
    draw("glasses", none=0.58 - 0.1 * old, round=0.15 + 0.06 * old, square=0.15 + 0.06 * old, sunglasses=0.12)
    draw("expression", neutral=0.28, smiling=0.30, sad=0.14, surprised=0.14, angry=0.14)
    smiling = (out["expression"] == 1).astype(float)
    surprised = (out["expression"] == 3).astype(float)
    draw("mouth", closed=0.85 - 0.4 * smiling - 0.6 * surprised, open=0.15 + 0.4 * smiling + 0.6 * surprised)
    draw("eyes", open=0.88 + 0.1 * surprised, closed=0.12 - 0.1 * surprised)
    draw("lipstick", none=0.55 + 0.42 * male, lipstick=0.03 + 0.42 * female)
    draw("makeup", none=0.6 + 0.37 * male, makeup=0.03 + 0.37 * female)
    draw("earrings", none=0.55 + 0.35 * male, earrings=0.10 + 0.35 * female)
    draw("background", **dict.fromkeys(COLOURS, 1.0))
    draw("clothes", t_shirt=0.3, shirt=0.3, turtleneck=0.2, suit=0.2)
    draw("clothes_colour", **dict.fromkeys(COLOURS, 1.0))
    return out


def sample_columns(num: int, *, seed: int) -> dict[str, NDArray[Any]]:
    """Columns of `num` portraits drawn from the prior."""
    return columns(sample_uniform(num, seed=seed))


def sample_uniform(num: int, *, seed: int) -> Floats:
    """The uniform numbers that `sample_columns` makes records of, [num, len(ATTRIBUTES)]."""
    return np.random.default_rng(seed).random((num, len(ATTRIBUTES)))


def vary(
    cols: Mapping[str, NDArray[Any]], names: NDArray[np.str_] | list[str], *, seed: int
) -> dict[str, NDArray[Any]]:
    """Change exactly one attribute in each portrait (row i: names[i]) to another value, uniformly over the others."""
    rng = np.random.default_rng(seed)
    out = {k: v.copy() for k, v in cols.items()}
    for i, name in enumerate(names):
        name = str(name)
        if name in CATEGORIES:
            k = len(CATEGORIES[name])
            out[name][i] = (out[name][i] + rng.integers(1, k)) % k
        elif name == "femininity":
            out[name][i] = 1 - out[name][i]
        else:
            low, high = SCALARS[name]
            step = (0.35 + 0.3 * rng.random()) * (high - low)
            value = out[name][i] + step
            out[name][i] = value if value <= high else out[name][i] - step if out[name][i] - step >= low else low
    hidden = out["hat"] > 0  # no hat on a mohawk, afro, bun or fringe: the hair gives way
    for style in ("afro", "mohawk", "bun", "fringe"):
        clash = hidden & (out["hair_style"] == HAIR_STYLES.index(style))
        by_hair = np.asarray([str(x) == "hair_style" for x in names]) & clash
        out["hat"][by_hair] = 0
        out["hair_style"][clash & ~by_hair] = HAIR_STYLES.index("short")
    return out


def portrait(cols: Mapping[str, NDArray[Any]], row: int) -> Portrait:
    """The record in one row of the columns."""
    values = {k: CATEGORIES[k][int(v[row])] if k in CATEGORIES else float(v[row]) for k, v in cols.items()}
    return Portrait(**values)


def vector_size() -> int:
    """Length V of the vector that stands for a portrait."""
    return len(SCALARS) + sum(len(words) for words in CATEGORIES.values())


def vectors(cols: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Portraits as clean vectors [N, V]: scalars scaled to [-1, 1], then one-hots, in the order of the tables above."""
    parts: list[NDArray[Any]] = []
    for name, (low, high) in SCALARS.items():
        parts.append(((cols[name] - low) / (high - low) * 2 - 1)[:, None])
    for name, words in CATEGORIES.items():
        parts.append(np.eye(len(words))[cols[name]])
    return np.concatenate(parts, axis=1).astype(np.float32)


def visible(cols: Mapping[str, NDArray[Any]], name: str) -> NDArray[np.bool_]:
    """Where the attribute can be seen in the picture, [N]: eyes hide behind sunglasses, bald heads show no hair."""
    n = len(cols["age"])
    if name in ("eye_colour", "eyes"):
        seen = cols["glasses"] != 3
        return seen & (cols["eyes"] == 0) if name == "eye_colour" else seen
    if name == "makeup":
        return cols["glasses"] != 3
    return np.ones(n, dtype=bool)
