"""The colours of the drawn portraits: designed palettes, and the tones derived from them."""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[float, float, float]
"""Red, green, blue in 0–255."""


def rgb(text: str) -> Colour:
    """The colour of a hex text such as "C2183F"."""
    return int(text[0:2], 16), int(text[2:4], 16), int(text[4:6], 16)


def mix(a: Colour, b: Colour, amount: float) -> Colour:
    """The colour `amount` of the way from a to b."""
    return a[0] + (b[0] - a[0]) * amount, a[1] + (b[1] - a[1]) * amount, a[2] + (b[2] - a[2]) * amount


WHITE, INK = rgb("FFFFFF"), rgb("1E1826")
GOLD, GOLD_DARK, GOLD_LIGHT = rgb("F2BE3A"), rgb("9C6A12"), rgb("FFF0B0")
LIPSTICK, EYE_SHADOW, BLUSH = rgb("C4123F"), rgb("8E3FA6"), rgb("EE4F6E")

SKIN = [rgb(text) for text in ("FFE3D1", "F9CFB1", "EBB48C", "CF8F63", "A2673F", "744628", "5A3626")]
HAIR = {
    "black": rgb("2B2733"), "brown": rgb("6E4128"), "blond": rgb("EBC163"), "red": rgb("C2481F"),
    "grey": rgb("8D929B"), "white": rgb("F0EEEA"), "purple": rgb("7B3DB0"), "blue": rgb("2C6FDB"),
    "green": rgb("35A05A"), "pink": rgb("F47DB5"),
}  # fmt: skip
EYES = {"brown": rgb("6A3A18"), "blue": rgb("2E83E0"), "green": rgb("35A04A"), "grey": rgb("8795A3")}
BACKGROUND = {
    "red": rgb("DF8078"), "orange": rgb("F2AD72"), "yellow": rgb("F3D682"), "green": rgb("9CC992"),
    "teal": rgb("72C3BC"), "blue": rgb("86B1E6"), "purple": rgb("B39BDB"), "grey": rgb("BDC3CB"),
}  # fmt: skip
CLOTHES = {
    "red": rgb("C93A3E"), "orange": rgb("E67A29"), "yellow": rgb("EBB92F"), "green": rgb("45914F"),
    "teal": rgb("178A8C"), "blue": rgb("315FB8"), "purple": rgb("7245A8"), "grey": rgb("727A87"),
}  # fmt: skip
HATS = {
    "cap": (rgb("CC3340"), rgb("8B1D2B"), rgb("FFF4E6")),
    "beanie": (rgb("2D4A85"), rgb("F0DDB8"), rgb("1C2F5A")),
    "brim": (rgb("EBD9AE"), rgb("5A3324"), rgb("B99A63")),
}
"""Crown, second colour and accent of each hat; two tones, so that any hair contrasts with one of them."""


@dataclass(frozen=True)
class Tones:
    """One material under the light: its own colour, lit, in shade, and in its deepest folds."""

    base: Colour
    light: Colour
    shade: Colour
    deep: Colour


def skin_tones(darkness: float) -> Tones:
    """Tones of the skin, 0 lightest to 1 darkest."""
    place = min(max(darkness, 0.0), 1.0) * (len(SKIN) - 1)
    low = min(int(place), len(SKIN) - 2)
    base = mix(SKIN[low], SKIN[low + 1], place - low)
    return Tones(
        base=base,
        light=mix(base, rgb("FFF3DC"), 0.24),
        shade=(base[0] * 0.86, base[1] * 0.69, base[2] * 0.66),
        deep=(base[0] * 0.54, base[1] * 0.36, base[2] * 0.36),
    )


def material(base: Colour, *, lift: float = 0.25, sink: float = 0.35) -> Tones:
    """Tones of hair or cloth from its own colour."""
    return Tones(
        base=base, light=mix(base, rgb("FFF6E0"), lift), shade=mix(base, rgb("1D1033"), sink),
        deep=mix(base, rgb("1D1033"), min(1.0, sink * 1.8)),
    )  # fmt: skip


def hair_tones(name: str) -> Tones:
    """Tones of the hair of one colour."""
    light_hair = name in ("white", "blond")
    return material(HAIR[name], lift=0.20 if name == "black" else 0.32, sink=0.20 if light_hair else 0.34)


def brow_colour(name: str) -> Colour:
    """Brows: a darker tone of the hair, so that blond and white ones still show."""
    return mix(HAIR[name], rgb("2A1620"), 0.48)


def beard_tones(name: str) -> Tones:
    """Tones of the beard: the hair, a little darker."""
    return material(mix(HAIR[name], rgb("2A1620"), 0.16), lift=0.16, sink=0.28)
