"""The parts of the page that change, as HTML. Every word of a visitor goes through `escape`, without exception."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from ..editing.strength import channels_text
from . import words
from .session import Row, Session
from .visits import Item

STOPS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 9000)
"""What the slider for narrowness offers."""


def stops(row: Row, most: int) -> list[int]:
    """Numbers of channels that the slider of a wish goes through; its own among them."""
    return sorted({stop for stop in STOPS if stop <= most} | ({row.num_channels} if row.num_channels else set()))


def rows(session: Session, *, most: int) -> str:
    """The wishes, each with its sliders.

    Args:
        most: style channels, where the slider for narrowness ends.
    """
    if not session.rows:
        return '<p class="empty">Your wishes will stand here. They add up.</p>'
    return f'<ol class="rows">{"".join(_row(row, most) for row in session.rows)}</ol>'


def _row(row: Row, most: int) -> str:
    name, title = f"wish {row.id}", escape(row.text)
    off = "" if row.on else " off"
    step = 0.1 if row.reach > 3 else 0.05
    parts = [
        f'<li class="row{off}" data-row="{row.id}">',
        '<div class="row-head">',
        f'<label class="switch"><input class="on" type="checkbox"{" checked" if row.on else ""} '
        f'aria-label="Use {name}: {title}"><span class="knob"></span></label>',
        f'<span class="row-title" title="{title}">{title}</span>',
        f'<span class="tag">{escape(_method(row))}</span>' if _method(row) else "",
        '<button type="button" class="icon delete" title="Delete this wish" '
        f'aria-label="Delete {name}: {title}">×</button>',
        "</div>",
        _slider("strength", "How much", f"How much of {name}: {title}", -row.reach, row.reach, step, row.strength,
                words.amount(row.strength), ends=("opposite", "more")),
    ]  # fmt: skip
    if row.num_channels is not None:
        offered = stops(row, most)
        parts.append(
            _slider("channels", "How narrowly", f"How narrowly {name} works: {title}", 0, len(offered) - 1, 1,
                    offered.index(row.num_channels), channels_text(row.num_channels),
                    ends=("narrow", "broad"), extra=f' data-stops="{",".join(map(str, offered))}"')
        )  # fmt: skip
    if row.reason:
        parts.append(f'<p class="reason">Chosen for you: {escape(row.reason)}.</p>')
    sheet = '<button type="button" class="link sheet">Contact sheet</button>' if row.num_channels is not None else ""
    parts.append(
        f'<div class="row-foot">{sheet}'
        '<button type="button" class="link save-direction">Save this wish as a file</button></div></li>'
    )
    return "".join(parts)


def _slider(
    kind: str, label: str, spoken: str, low: float, high: float, step: float, value: float, said: str, *,
    ends: tuple[str, str], extra: str = "",
) -> str:  # fmt: skip
    middle = " middle" if low < 0 else ""
    share = (value - low) / (high - low) if high > low else 0
    return (
        f'<div class="slider {kind}-slider"><span class="slider-label">{label}</span>'
        f'<output class="{kind}-value">{escape(said)}</output>'
        f'<input class="{kind} range{middle}" type="range" '
        f'min="{low:g}" max="{high:g}" step="{step:g}" value="{value:g}" '
        f'style="--at:{share:.4f}" aria-label="{spoken}" aria-valuetext="{escape(said)}"{extra}>'
        f'<span class="ends"><span>{ends[0]}</span><span>{ends[1]}</span></span></div>'
    )


def _method(row: Row) -> str:
    return {"svm": "by examples", "optimize": "by optimisation", "file": "from a file"}.get(row.method, "")


def notes(sentences: Sequence[str], *, error: str = "", busy: str = "") -> str:
    """What is to be said: a refusal first, then work in progress, then what to know of the picture."""
    lines = [f'<li class="error">{escape(error)}</li>'] if error else []
    lines += [f'<li class="busy"><span class="spinner"></span>{escape(busy)}</li>'] if busy else []
    lines += [f"<li>{escape(sentence)}</li>" for sentence in sentences]
    return f'<ul class="notes">{"".join(lines)}</ul>' if lines else ""


def suggestions(found: Iterable[tuple[str, str, str]]) -> str:
    """Small pictures of what could be wished for: (text, short form, data URL) each."""
    chips = [
        f'<button type="button" class="idea" data-text="{escape(text)}" title="{escape(text)}">'
        f'<img src="{escape(image)}" alt=""><span>{escape(title)}</span></button>'
        for text, title, image in found
    ]
    return f'<div class="ideas">{"".join(chips)}</div>' if chips else ""


def samples(found: Iterable[tuple[str, str]]) -> str:
    """Pictures to begin with: (name, data URL) each."""
    return "".join(
        f'<button type="button" class="sample" data-sample="{escape(name)}" aria-label="Start with {escape(name)}">'
        f'<img src="{escape(image)}" alt=""></button>'
        for name, image in found
    )


def gallery(items: Sequence[Item], key: str) -> str:
    """What was made, newest first. A picture brings its wishes back; a sheet or video opens."""
    if not items:
        return '<p class="empty">Pictures you keep, contact sheets and videos gather here.</p>'
    return f'<div class="items">{"".join(_item(item, key) for item in reversed(items))}</div>'


def _item(item: Item, key: str) -> str:
    title = escape(item.title)
    picture = f'<img src="{escape(item.image)}" alt=""><span>{title}</span>'
    if item.file is None:
        say = "Bring these wishes back"
        return f'<button type="button" class="item" data-item="{item.id}" title="{say}">{picture}</button>'
    address = escape(file_address(key, item.file))
    return f'<a class="item file" data-item="{item.id}" href="{address}" download title="Save: {title}">{picture}</a>'


def file_address(key: str, name: str) -> str:
    """Where a visitor fetches a file."""
    return f"/files/{key}/{name}"
