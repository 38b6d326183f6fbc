"""What is refused changes nothing, and what one visitor brings keeps no other waiting."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from textmorph.editing.record import pack_latent
from textmorph.edits import Direction
from textmorph.errors import OptionError, TextmorphError
from textmorph.latents import Latent
from textmorph.web import pictures, saved
from textmorph.web.handlers import MAX_DECODING, Handlers
from textmorph.web.studio import Studio
from textmorph.web.visits import Visit

from .conftest import picture_bytes


def as_it_was(studio: Studio, visit: Visit) -> tuple[object, ...]:
    return visit.domain, visit.history, visit.picture, sorted(path.name for path in visit.folder.iterdir())


def test_a_state_that_cannot_be_drawn_leaves_the_visit_as_it_was(studio: Studio, visit: Visit) -> None:
    studio.wish(visit, "a red face", strength=2.0)
    good = json.loads(saved.save(studio, visit))
    image, before = studio.show(visit).image, as_it_was(studio, visit)
    huge = pack_latent(Latent(torch.full_like(studio.picture(visit).latent.value, 3e38), "w+"))
    lost = good["wishes"][0] | {"method": "mapper"}
    for bad in ({"latent": huge}, {"wishes": [lost]}, {"edits": {"x.safetensors": "eA=="}}):
        with pytest.raises(TextmorphError):
            saved.restore(studio, visit, json.dumps(good | bad))
        assert as_it_was(studio, visit) == before
        assert torch.equal(studio.show(visit).image, image)


def test_an_edit_that_cannot_be_drawn_leaves_the_visit_as_it_was(studio: Studio, visit: Visit, tmp_path: Path) -> None:
    picture, before = studio.picture(visit), as_it_was(studio, visit)
    Direction(torch.full_like(picture.style.value[0], 3e38), "s", {}).save(tmp_path / "huge.safetensors")
    with pytest.raises(TextmorphError):
        saved.add_edit(studio, visit, "huge.safetensors", (tmp_path / "huge.safetensors").read_bytes())
    assert as_it_was(studio, visit) == before
    studio.show(visit)


def test_one_picture_is_drawn_once(studio: Studio, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    studio.wish(visit, "a red face", strength=2.0)
    drawn = studio.show(visit)
    editor = studio.editor(visit)
    monkeypatch.setattr(type(editor), "render", lambda *_, **__: pytest.fail("drawn again"))
    again = studio.show(visit)
    assert again.image is drawn.image
    assert again.version > drawn.version


def test_whoever_waits_for_a_picture_to_be_decoded_keeps_nobody_waiting(
    make_studio: Callable[..., Studio], monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = make_studio(at_once=1)
    handlers = Handlers(studio)
    slow, at_once, most = threading.Event(), [0], [0]
    real = pictures.decode

    def decode(content: bytes, **limits: int) -> object:
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        assert slow.wait(30)
        at_once[0] -= 1
        return real(content, **limits)

    third = studio.visits.start()
    studio.open(third, picture_bytes())
    monkeypatch.setattr(pictures, "decode", decode)

    async def play() -> None:
        opening = [
            asyncio.create_task(handlers.open(studio.visits.start(), picture_bytes(seed, size=24)))
            for seed in range(MAX_DECODING + 1)
        ]
        await asyncio.sleep(0.2)
        with pytest.raises(OptionError, match="one at a time"):
            await handlers.open(studio.visits.start(), picture_bytes())
        view = await asyncio.wait_for(handlers.current(third), timeout=20)
        assert view["open"]
        assert not any(task.done() for task in opening)
        slow.set()
        await asyncio.gather(*opening)

    asyncio.run(play())
    assert most == [1]
