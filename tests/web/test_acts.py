"""The deeds of the page, without a page."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from textmorph.web.acts import Acts
from textmorph.web.handlers import Handlers
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
