"""The deeds of the page, without a page."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import torch

from textmorph.editing.record import pack_latent
from textmorph.errors import LatentError
from textmorph.latents import Latent
from textmorph.web import saved
from textmorph.web.acts import Acts
from textmorph.web.handlers import UNEXPECTED, Handlers
from textmorph.web.studio import Studio
from textmorph.web.visits import Visit


def patches(studio: Studio, visit: Visit, asked: Any) -> list[dict[str, Any]]:
    async def all_of() -> list[dict[str, Any]]:
        return [patch async for patch in Acts(Handlers(studio)).do(visit.key, asked)]

    return asyncio.run(all_of())


def test_choosing_the_domain_that_is_chosen_leaves_the_page_as_it_is(studio: Studio, visit: Visit) -> None:
    """Leaving the menu by keyboard asks for this; to yield nothing would empty the page, the visitor's key too."""
    picture = visit.picture
    assert patches(studio, visit, {"do": "domain", "name": visit.domain}) == [{"domain": visit.domain}]
    assert visit.picture is picture


@pytest.mark.parametrize("asked", [{"do": "keep"}, {"do": "step", "what": "undo"}, {"do": "nothing"}, None, {"do": []}])
def test_every_deed_yields_something(studio: Studio, visit: Visit, asked: Any) -> None:
    found = patches(studio, visit, asked)
    assert found
    assert all(found)


def test_a_deed_that_yields_nothing_does_not_empty_the_page(studio: Studio, visit: Visit) -> None:
    acts = Acts(Handlers(studio))

    async def nothing(visit: Visit, asked: dict[str, Any]) -> Any:
        for patch in ():
            yield patch

    async def all_of() -> list[dict[str, Any]]:
        acts.deeds["keep"] = nothing
        return [patch async for patch in acts.do(visit.key, {"do": "keep"})]

    assert asyncio.run(all_of())


def begun(studio: Studio, key: Any, token: Any) -> list[dict[str, Any]]:
    async def all_of() -> list[dict[str, Any]]:
        return [patch async for patch in Acts(Handlers(studio)).begin(key, token)]

    return asyncio.run(all_of())


def test_a_page_gets_its_key_whatever_the_link_stands_for(studio: Studio, visit: Visit) -> None:
    state = json.loads(saved.save(studio, visit))
    huge = pack_latent(Latent(torch.full_like(studio.picture(visit).latent.value, 3e38), "w+"))
    token = studio.visits.make_link(json.dumps(state | {"latent": huge}).encode())
    people = len(studio.visits)
    found = begun(studio, "", token)
    key = found[0]["key"]
    assert studio.visits.get(key).picture is None
    assert any(patch.get("stage", {}).get("refused") for patch in found)
    assert len(studio.visits) == people + 1


def test_a_page_gets_its_key_and_a_sentence_where_the_picture_cannot_be_drawn(
    studio: Studio, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise LatentError("this cannot be drawn")

    monkeypatch.setattr(studio, "show", fail)
    found = begun(studio, visit.key, "")
    assert found[0]["key"] == visit.key
    assert "cannot be drawn" in str(found[-1])


@pytest.mark.parametrize("asked", [{"do": {}}, [], {"do": ["wish"]}, 7, {"do": "wish", "text": None}, {"do": "recall"}])
def test_odd_questions_get_a_sentence_of_ours(studio: Studio, visit: Visit, asked: Any) -> None:
    assert UNEXPECTED not in str(patches(studio, visit, asked))
    assert UNEXPECTED not in str(asyncio.run(Acts(Handlers(studio)).moving(visit.key, asked)))
