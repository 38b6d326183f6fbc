"""Frames: found where the domain's pictures are, left alone where nothing is to be found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from textmorph import read_image
from textmorph.editing.domain import list_domains, load_domain
from textmorph.editing.editor import Editor
from textmorph.editing.framing import (
    MOST_SQUARES,
    FrameSearch,
    Square,
    coarse_grid,
    contrast,
    middle_square,
    reconstruction_distance,
    unexplained,
)
from textmorph.editing.photos import Frame, parse_frame
from textmorph.errors import ImageError, InputError, OptionError
from textmorph.images import center_square, resize, write_image
from textmorph.latents import Latent

from ..toy_domain import write_toy_domain
from ..toys import NearestEncoder, toy_image

FAR = 0.1
TEXT = "a person with purple hair"


class SmoothDomain:
    """Encoder and generator of four smooth pictures: a latent in w+ is the number of one, drawn as it is."""

    resolution = 16
    mean_w = torch.zeros(1)

    def __init__(self) -> None:
        self.pictures = torch.cat([toy_image(16, seed=seed) for seed in range(4)])
        self.asked = 0

    def encode(self, image: Tensor) -> Latent:
        self.asked += len(image)
        pooled = interpolate(image, size=(16, 16), mode="area").flatten(1)
        nearest = torch.cdist(pooled, self.pictures.flatten(1)).argmin(dim=1)
        return Latent(nearest[:, None, None].float(), "w+")

    def sample(self, num: int, *, seed: int) -> Latent:
        return Latent((torch.arange(num) % 4)[:, None, None].float(), "w+")

    def to_space(self, latent: Latent, space: str) -> Latent:
        return latent

    def __call__(self, latent: Latent, *, resolution: int | None = None) -> Tensor:
        return self.pictures[latent.value[:, 0, 0].long()]

    def find(self, photo: Tensor) -> tuple[Square, bool]:
        return FrameSearch(self.encode, self, far_distance=FAR).find(photo)  # type: ignore[arg-type]


@pytest.fixture
def smooth() -> SmoothDomain:
    return SmoothDomain()


def background(kind: str, height: int, width: int, random: np.random.Generator) -> Tensor:
    if kind == "plain":
        return torch.from_numpy(random.uniform(-1, 1, (1, 3, 1, 1))).float().expand(1, 3, height, width).clone()
    if kind == "gradient":
        ends = torch.from_numpy(random.uniform(-1, 1, (2, 1, 3, 1, 1))).float()
        along = torch.linspace(0, 1, width)
        return (ends[0] * (1 - along) + ends[1] * along).expand(1, 3, height, width).clone()
    layers = [torch.from_numpy(random.standard_normal((1, 3, n, n))).float() / n**0.9 for n in (2, 4, 8, 16, 32, 64)]
    return sum(interpolate(layer, size=(height, width), mode="bicubic") for layer in layers).clamp(-1, 1)  # type: ignore


def pasted(picture: Tensor, kind: str, seed: int, *, shorter: int, least: float = 0.35) -> tuple[Tensor, Square]:
    """A picture at a random place and size in a larger one."""
    random = np.random.default_rng(seed)
    height, width = [(shorter, shorter * 4 // 3), (shorter * 4 // 3, shorter), (shorter, shorter)][seed % 3]
    side = int(shorter * random.uniform(least, 0.85))
    square = Square(int(random.integers(0, width - side + 1)), int(random.integers(0, height - side + 1)), side)
    photo = background(kind, height, width, random)
    square.cut(photo).copy_(resize(picture, side).clamp(-1, 1))
    return photo, square


def overlap(one: Square, other: Square) -> float:
    """Intersection over union."""
    right = min(one.left + one.side, other.left + other.side) - max(one.left, other.left)
    down = min(one.top + one.side, other.top + other.side) - max(one.top, other.top)
    common = max(0, right) * max(0, down)
    return common / (one.side**2 + other.side**2 - common)


# The search


@pytest.mark.parametrize("kind", ["plain", "gradient", "noise"])
def test_a_picture_of_the_domain_is_found_anywhere_and_at_any_size(smooth: SmoothDomain, kind: str) -> None:
    overlaps = []
    for seed in range(8):
        photo, there = pasted(smooth.pictures[[seed % 4]], kind, seed, shorter=120)
        square, _ = smooth.find(photo)
        overlaps.append(overlap(square, there))
    assert sum(value >= 0.8 for value in overlaps) >= 7, overlaps


def test_a_near_middle_is_taken_after_a_single_look(smooth: SmoothDomain) -> None:
    for seed in range(4):
        photo = interpolate(smooth.pictures[[seed]], size=(90, 90), mode="bicubic").clamp(-1, 1)
        wide = torch.cat([torch.ones(1, 3, 90, 20), photo, torch.ones(1, 3, 90, 20)], dim=3)
        smooth.asked = 0
        assert smooth.find(wide) == (Square(20, 0, 90), False)
        assert smooth.asked == 1


def test_a_middle_that_is_near_but_explains_nothing_is_no_reason_to_stop(smooth: SmoothDomain) -> None:
    photo, there = pasted(smooth.pictures[[0]], "plain", 6, shorter=120)
    square, found = FrameSearch(smooth.encode, smooth, far_distance=1.0).find(photo)  # type: ignore[arg-type]
    assert found
    assert overlap(square, there) >= 0.8


@pytest.mark.parametrize("kind", ["plain", "gradient", "noise"])
def test_where_there_is_nothing_to_find_the_middle_stays(smooth: SmoothDomain, kind: str) -> None:
    photo = background(kind, 96, 128, np.random.default_rng(5))
    assert smooth.find(photo) == (middle_square(photo), False)


def test_a_flat_square_is_drawn_closely_and_still_explains_nothing() -> None:
    flat, seen = torch.full((1, 3, 32, 32), 0.5), toy_image(32)
    flat_drawn, seen_drawn = flat + 0.02, seen + 0.1
    assert reconstruction_distance(flat, flat_drawn) < reconstruction_distance(seen, seen_drawn)
    assert unexplained(flat, flat_drawn) > 1 > unexplained(seen, seen_drawn)


def test_the_mean_colour_leaves_everything_unexplained() -> None:
    image = toy_image(80, batch=2)
    mean = image.mean(dim=(2, 3), keepdim=True).expand_as(image)
    torch.testing.assert_close(unexplained(image, mean), torch.ones(2))
    torch.testing.assert_close(contrast(image), reconstruction_distance(image, mean))


@pytest.mark.parametrize("size", [(5, 5), (33, 40), (100, 100), (120, 90), (3000, 4000), (300, 9000), (2, 700)])
def test_the_coarse_grid_covers_a_photo_of_any_shape_and_stays_small(size: tuple[int, int]) -> None:
    height, width = size
    squares = coarse_grid(height, width)
    assert 1 <= len(squares) <= MOST_SQUARES
    assert all(0 <= s.left <= width - s.side and 0 <= s.top <= height - s.side for s in squares)
    assert min(s.left for s in squares) == min(s.top for s in squares) == 0
    assert squares[0].side == min(size)


# What can be asked for


@pytest.mark.parametrize("frame", ["auto", "middle"])
def test_words_are_taken_as_they_are(frame: str) -> None:
    assert parse_frame(frame) == frame


def test_a_square_may_be_a_text_or_three_numbers() -> None:
    assert parse_frame("12,0,300") == parse_frame((12, 0, 300)) == parse_frame([12, 0, 300]) == (12, 0, 300)
    assert parse_frame(" 12, 0 ,300") == (12, 0, 300)


@pytest.mark.parametrize(
    "frame", ["", "centre", "1,2", "1,2,3,4", "1;2;30", "a,b,c", "1.5,2,30", "-1,0,30", "0,0,7", "0,0,-30", (1, 2),
             (1.5, 0, 30), (True, 0, 30), None, 7, "１,2,30"],
)  # fmt: skip
def test_anything_else_is_refused_with_what_to_do(frame: Any) -> None:
    with pytest.raises(OptionError, match=r"frame .*(120,40,300|or further in)"):
        parse_frame(frame)


@pytest.mark.parametrize("square", [Square(21, 0, 20), Square(0, 11, 20), Square(0, 0, 41), Square(-1, 0, 8)])
def test_a_square_outside_of_the_picture_is_refused(square: Square) -> None:
    with pytest.raises(ImageError, match="40 × 30 pixels"):
        square.cut(torch.zeros(1, 3, 30, 40))


def test_a_frame_maps_there_and_back_and_survives_json() -> None:
    turned = Frame(map=(30.0, -10.0, 12.0, 10.0, 30.0, 5.0), by="box")
    points = torch.rand(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(turned.to_square(turned.to_photo(points)), points)
    assert turned.box is None
    upright = Frame.of(Square(3, 4, 20), "middle")
    assert upright.box == (3, 4, 20)
    torch.testing.assert_close(
        upright.to_photo(torch.tensor([[0.0, 0.0], [1.0, 1.0]])), torch.tensor([[3.0, 4], [23, 24]])
    )
    for frame in (turned, upright):
        assert Frame.from_json(json.loads(json.dumps(frame.json))) == frame


@pytest.mark.parametrize("map_", [[0.0] * 6, [1.0] * 5, None, [float("nan")] * 6, ["a"] * 6])
def test_a_damaged_frame_is_refused(map_: Any) -> None:
    with pytest.raises(InputError):
        Frame.from_json({"map": map_, "by": "box"})


# The whole editor


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_domain(tmp_path_factory.mktemp("alignment") / "toy", corpus=False)


@pytest.fixture(scope="module")
def editor(folder: Path) -> Editor:
    """The toy domain with an encoder that knows four pictures."""
    domain = replace(load_domain(folder), far_distance=FAR)
    domain.__dict__["encoder"] = NearestEncoder(domain.generator)  # type: ignore[arg-type]
    return Editor(domain)


def off_centre(editor: Editor) -> tuple[Tensor, Square]:
    """A picture of the domain at a place that the coarse grid meets."""
    photo = background("noise", 120, 160, np.random.default_rng(0))
    square = coarse_grid(120, 160)[5]
    square.cut(photo).copy_(interpolate(editor.encoder.images[[1]], size=(square.side,) * 2))  # type: ignore[union-attr]
    return photo, square


def test_the_square_that_was_found_is_edited_and_recorded(editor: Editor) -> None:
    photo, there = off_centre(editor)
    result = editor.edit(photo, TEXT, strength=2.0)
    frame = Frame.from_json(result.record["source"]["frame"])
    square = Square(*frame.box)  # type: ignore[misc]
    assert frame.by == "search"
    assert overlap(square, there) > 0.9
    assert any(f"the square {square} (left, top, side in pixels) was taken" in warning for warning in result.warnings)
    again = editor.edit(photo, TEXT, strength=2.0, frame=(square.left, square.top, square.side))
    assert torch.equal(again.image, result.image)
    assert again.record["source"]["frame"] == frame.json | {"by": "box"}
    assert torch.equal(editor.replay(json.loads(json.dumps(result.record))).image, result.image)
    assert torch.equal(editor.invert(photo).value, editor.invert(photo, frame=str(square)).value)


def test_the_middle_can_be_had_all_the_same(editor: Editor) -> None:
    photo, _ = off_centre(editor)
    source = editor.open(photo, frame="middle")
    assert torch.equal(source.image, resize(center_square(photo), 16).clamp(-1, 1))
    assert source.frame == Frame.of(Square(20, 0, 120), "middle")
    assert not source.notes


def test_the_hash_is_that_of_the_photo_whatever_is_taken(editor: Editor) -> None:
    photo, square = off_centre(editor)
    sources = [editor.open(photo, frame=frame) for frame in ("auto", "middle", str(square), "0,0,50")]
    assert len({source.about["sha256"] for source in sources}) == 1


def test_without_a_far_distance_or_an_encoder_nothing_is_searched(editor: Editor, folder: Path) -> None:
    photo, _ = off_centre(editor)
    unsure = replace(load_domain(folder), far_distance=None)
    blind = replace(load_domain(folder), far_distance=0.05, files={"generator": "generator.safetensors"})
    for domain in (unsure, blind):
        source = Editor(domain).open(photo)
        assert source.about["frame"]["by"] == "middle"
        assert torch.equal(source.image, resize(center_square(photo), 16).clamp(-1, 1))


def test_another_frame_is_another_request(editor: Editor, tmp_path: Path) -> None:
    photo, _ = off_centre(editor)
    write_image(photo, tmp_path / "a.png")
    requests, source = editor.check(TEXT, strength=1.0), editor.open(tmp_path / "a.png")
    record = json.loads(json.dumps(editor.edit(source, requests).record))
    assert editor.is_done(record, requests, editor.open(tmp_path / "a.png", frame="middle"))
    assert not editor.is_done(record, editor.check(TEXT, strength=1.0, frame="middle"), source)


def test_a_latent_has_no_frame(editor: Editor) -> None:
    latent = editor.generator.sample(1, seed=0)
    assert torch.equal(editor.open(latent).image, editor.open(latent, frame="middle").image)
    with pytest.raises(OptionError, match="latent"):
        editor.open(latent, frame=(0, 0, 16))


# The real thing


def portraits() -> tuple[Editor, list[Path]]:
    folder = list_domains()["portraits"]
    return Editor.from_pretrained("portraits", device="cpu"), sorted((folder / "samples").glob("*.png"))


def test_centred_portraits_stay_as_they_are_bit_for_bit() -> None:
    editor, samples = portraits()
    for path in samples[:3]:
        source = editor.open(path)
        assert torch.equal(source.image, resize(center_square(read_image(path)), 128).clamp(-1, 1))
        assert source.about["frame"]["by"] == "middle"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "gradient", "noise"])
def test_portraits_are_found_anywhere(kind: str) -> None:
    editor, samples = portraits()
    overlaps = []
    for seed, path in enumerate(samples[:4]):
        photo, there = pasted(read_image(path), kind, seed, shorter=360)
        overlaps.append(overlap(Square(*editor.open(photo).frame.box), there))
    assert sum(value >= 0.7 for value in overlaps) >= 3, overlaps  # of the first four; misses happen, see the docs
