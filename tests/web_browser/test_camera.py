"""A picture from the camera: what stood before it is opened, and the camera goes off again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from .focus import focused
from .studio_page import PATIENCE, StudioPage, difference, pixels_of

if TYPE_CHECKING:
    from playwright.sync_api import JSHandle

pytestmark = pytest.mark.browser

FRAME = """() => {
    const video = document.querySelector('.camera-panel video'), canvas = document.createElement('canvas');
    const side = Math.min(video.videoWidth, video.videoHeight);
    canvas.width = canvas.height = side;
    const [left, top] = [(video.videoWidth - side) / 2, (video.videoHeight - side) / 2];
    canvas.getContext('2d').drawImage(video, left, top, side, side, 0, 0, side, side);
    return canvas.toDataURL('image/png');
}"""
"""The middle square of what the camera sees now, not mirrored."""


def open_camera(studio: StudioPage) -> JSHandle:
    """Turn the camera on; the handle is of its track, which outlives the panel."""
    studio.find("#camera").click()
    studio.find("#shoot").wait_for(timeout=PATIENCE)
    studio.page.wait_for_function("document.querySelector('.camera-panel video').videoWidth > 0", timeout=PATIENCE)
    return studio.page.evaluate_handle("document.querySelector('.camera-panel video').srcObject.getTracks()[0]")


def test_the_camera_takes_a_picture_and_the_studio_opens_it(studio_with_camera: StudioPage) -> None:
    studio = studio_with_camera
    track = open_camera(studio)
    assert track.evaluate("track => track.readyState") == "live"
    studio.picture("camera-open")
    seen = pixels_of(studio.page.evaluate(FRAME))
    assert seen.std() > 5, "there is nothing before the camera"
    with studio.redrawn():
        studio.find("#shoot").click()
    assert studio.is_open
    taken = studio.shown("photo")
    assert difference(small(seen), small(taken)) < 12, "this is not what stood before the camera"
    assert track.evaluate("track => track.readyState") == "ended", "the camera stays on"
    said = studio.wait_note("far from what")
    assert "drawing" in said
    studio.picture("camera-taken")
    start = studio.shown()
    studio.wish("a person with purple hair")
    assert difference(studio.shown(), start) > 0.3


def test_never_mind_turns_the_camera_off_and_gives_the_focus_back(studio_with_camera: StudioPage) -> None:
    studio = studio_with_camera
    for leave in ("#camera-off", "Escape"):
        track = open_camera(studio)
        if leave.startswith("#"):
            studio.find(leave).click()
        else:
            studio.page.keyboard.press(leave)
        assert track.evaluate("track => track.readyState") == "ended", leave
        assert not studio.find(".camera-panel").is_visible()
        stop = focused(studio.page)
        assert stop is not None
        assert "camera" in stop.names, leave
    assert studio.find(".drop-word").inner_text() == ""
    assert not studio.is_open


def small(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BOX))
