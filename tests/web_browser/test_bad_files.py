"""What is no picture, or too much of one: a plain sentence, and the page lives on."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from .studio_page import StudioPage, difference

pytestmark = pytest.mark.browser

SCRIPT = "alert('the upload ran')"


def bomb(width: int, height: int) -> bytes:
    """A small PNG of one bit a pixel that would unpack to a very large picture."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(9)
    line = bytes(1 + (width + 7) // 8)
    rows = b"".join(packer.compress(line) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def half_a_picture() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(buffer, "PNG")
    return buffer.getvalue()[:1500]


BAD = {
    "text.png": ("image/png", b"this is no picture at all\n" * 50),
    "empty.png": ("image/png", b""),
    "half.png": ("image/png", half_a_picture()),
    "bomb.png": ("image/png", bomb(30_000, 20_000)),
    "page.html": ("text/html", f"<html><script>{SCRIPT}</script></html>".encode()),
    "drawing.svg": ("image/svg+xml", f'<svg xmlns="http://www.w3.org/2000/svg" onload="{SCRIPT}"/>'.encode()),
    "page.png": ("image/png", f"<script>{SCRIPT}</script>".encode()),
    "huge.png": ("image/png", b"\x89PNG\r\n\x1a\n" + bytes(25 << 20)),
}
"""Name, what the browser calls it, content."""


def test_every_bad_file_gets_a_sentence_and_a_good_one_still_opens(studio: StudioPage, sample: Path) -> None:
    for name, (kind, content) in BAD.items():
        with studio.refused() as said:
            studio.upload({"name": name, "mimeType": kind, "buffer": content})
        assert len(said[0]) > 15, name
        for word in ("Traceback", "Error", "/tmp/", "/work/", "object at 0x", "PIL", "bytes-like", "went wrong"):
            assert word not in said[0], f"{name}: {said[0]}"
        assert not studio.is_open, name
        studio.picture(f"bad-{name.replace('.', '-')}")
    with studio.redrawn():
        studio.upload(sample)
    assert studio.is_open
    assert studio.find("#notes li.error").count() == 0


def test_a_bad_file_leaves_the_open_picture_and_its_wishes_alone(studio: StudioPage, sample: Path) -> None:
    with studio.redrawn():
        studio.upload(sample)
    studio.wish("a person with purple hair")
    shown = studio.shown()
    bad = {
        "#picture-file": ("text.png", *BAD["text.png"]),
        "#state-file": ("state.json", "application/json", b'{"no": "state"}'),
        "#edit-file": ("edit.safetensors", "application/octet-stream", b"x" * 400),
    }
    for hook, (name, kind, content) in bad.items():
        with studio.refused():
            studio.upload({"name": name, "mimeType": kind, "buffer": content}, hook=hook)
        assert difference(studio.shown(), shown) == 0, name
        assert studio.find("#rows li.row").count() == 1, name
    studio.press("#undo")
    assert studio.find("#rows li.row").count() == 0
