from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from textmorph.edits import Direction, Residual, apply_edits, load_edit
from textmorph.errors import EditError, JobError, LatentError, OptionError, PromptError, SpaceError
from textmorph.generators.stylegan2 import StyleGAN2
from textmorph.jobs.run_folder import CONFIG, METRICS, SAMPLES, STATE, RunFolder
from textmorph.latents import Latent
from textmorph.methods.latent_mapper import LatentMapper

from ..toys import ToyEmbedder, toy_generator, toy_identity, toy_image

SMALL: dict[str, Any] = {"steps": 4, "batch_size": 2, "num_held_out": 2, "validate_every": 2}
RED = torch.tensor([1.0, -1.0, -1.0])[None, :, None, None].expand(1, 3, 8, 8)


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    return toy_generator(8)


@pytest.fixture(scope="module")
def embedder() -> ToyEmbedder:
    return ToyEmbedder(image_size=8, words={"red": RED})


@pytest.fixture(scope="module")
def w_plus(generator: StyleGAN2) -> Latent:
    return generator.to_space(generator.sample(12, seed=1), "w+")


@pytest.fixture
def train(generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent) -> Any:
    def train(method: LatentMapper | None = None, /, **given: Any) -> Residual:
        options = {name: given.pop(name) for name in list(given) if name in {f.name for f in fields(LatentMapper)}}
        method = method or LatentMapper(**{**SMALL, **options})
        usual = {"target": "red", "latents": w_plus, "identity_embedder": toy_identity()}
        return method.train(generator, embedder, **{**usual, **given})

    return train


def weights(edit: Residual) -> list[torch.Tensor]:
    return [value.clone() for value in edit.mapper.state_dict().values()]


def same(one: Residual, other: Residual) -> bool:
    return all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


# What every method obeys


def test_it_is_its_hyper_parameters():
    assert LatentMapper.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert all(field.kw_only for field in fields(LatentMapper))
    method = LatentMapper.change_person(levels=["fine"])
    assert LatentMapper(**json.loads(json.dumps(asdict(method)))) == method


def test_the_defaults_are_the_papers():
    method = LatentMapper()
    assert (method.clip, method.identity, method.latent_l2, method.factor) == (1.0, 0.1, 0.8, 0.1)
    assert (method.optimizer, method.learning_rate, method.batch_size, method.steps) == ("ranger", 0.5, 2, 50_000)
    assert LatentMapper.keep_person() == method
    trump = LatentMapper.change_person()
    assert (trump.identity, trump.latent_l2) == (0.0, 2.0)
    photo = LatentMapper.resemble_photo()
    assert (photo.clip, photo.identity, photo.likeness) == (0.0, 0.0, 1.0)


def test_inputs_and_global_seeds_stay_as_they_are(train: Any, generator: StyleGAN2, w_plus: Latent):
    before = [value.clone() for value in (w_plus.value, *generator.state_dict().values())]
    torch_state, numpy_state = torch.random.get_rng_state(), str(np.random.get_state(legacy=False))  # noqa: NPY002
    train()
    assert all(torch.equal(a, b) for a, b in zip(before, (w_plus.value, *generator.state_dict().values()), strict=True))
    assert all(parameter.grad is None for parameter in generator.parameters())
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    assert str(np.random.get_state(legacy=False)) == numpy_state  # noqa: NPY002


def test_the_same_again_gives_the_same_bits_and_another_seed_others(train: Any):
    assert same(train(), train())
    assert not same(train(), train(seed=1))


def test_the_result_survives_its_file_and_combines_with_directions(
    train: Any, generator: StyleGAN2, w_plus: Latent, tmp_path: Path
):
    edit = train()
    edit.save(tmp_path / "red.safetensors")
    again = load_edit(tmp_path / "red.safetensors")
    assert torch.equal(again(w_plus, 1.2).value, edit(w_plus, 1.2).value)
    assert again.provenance == edit.provenance
    assert (again.provenance["method"], again.provenance["target"]) == ("mapper", "red")
    assert LatentMapper(**again.provenance["options"]) == LatentMapper(**SMALL)
    assert not any(parameter.requires_grad for parameter in edit.mapper.parameters())
    direction = Direction(torch.ones(generator.style_layout.num_channels), "s")
    assert apply_edits(generator, w_plus, [(direction, 1.0), (again, 0.5)]).space == "s"


# What this one does


def test_a_trained_mapper_moves_unseen_faces_towards_the_text(generator: StyleGAN2, embedder: ToyEmbedder):
    method = LatentMapper(
        steps=60, batch_size=4, num_held_out=8, validate_every=20, optimizer="adam", latent_l2=0.05, identity=0.0
    )
    edit = method.train(generator, embedder, target="red", num_latents=60)
    latent = generator.to_space(generator.sample(20, seed=77), "w+")
    text = embedder.embed_text(["red"])[0]
    before, after = (embedder.embed_image(generator(one)) @ text for one in (latent, edit(latent)))
    assert float((after - before).mean()) > 0.03
    assert float((after > before).float().mean()) > 0.9


@pytest.mark.parametrize("levels", [("coarse",), ("medium",), ("coarse", "medium")])
def test_rows_of_the_levels_left_out_keep_every_bit(levels: tuple[str, ...]):
    generator = toy_generator(32)  # 8 rows: coarse and medium
    latent = generator.to_space(generator.sample(4, seed=5), "w+")
    edit = LatentMapper(**SMALL, levels=levels, identity=0.0).train(
        generator, ToyEmbedder(), target="a cat", num_latents=6
    )
    moved = (edit(latent).value != latent.value).any(dim=2).any(dim=0)
    assert moved.tolist() == ["coarse" in levels] * 4 + ["medium" in levels] * 4


@pytest.mark.parametrize("architecture", ["single", "style"])
def test_other_architectures_train(train: Any, generator: StyleGAN2, w_plus: Latent, architecture: str):
    edit = train(architecture=architecture)
    space = "s" if architecture == "style" else "w+"
    assert edit.space == space
    step = edit(generator.to_space(w_plus, space)).value - generator.to_space(w_plus, space).value
    assert (step != 0).any()
    if architecture == "style":
        colours = generator.style_layout.mask(to_rgb=True) & ~generator.style_layout.mask()
        assert not step[:, colours].any()
        assert not same(edit, train(architecture="style", learning_rate=0.1))


def test_the_loss_is_the_sum_of_its_weighted_terms(train: Any, tmp_path: Path):
    train(clip=2.0, identity=0.3, latent_l2=0.7, run=tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / METRICS).read_text().splitlines()]
    assert [line["step"] for line in lines if "held_out_loss" in line] == [0, 2, 4]
    for line in (line for line in lines if "held_out_loss" in line):
        terms = {name: line[f"held_out_{name}"] for name in ("clip", "identity", "latent_l2")}
        total = 2.0 * terms["clip"] + 0.3 * terms["identity"] + 0.7 * terms["latent_l2"]
        assert line["held_out_loss"] == pytest.approx(total, rel=1e-5)


def test_latent_l2_is_the_mean_square_of_a_tenth_of_the_residual(train: Any, w_plus: Latent, tmp_path: Path):
    edit = train(run=tmp_path / "run", num_held_out=3)
    (line,) = [
        told for text in (tmp_path / "run" / METRICS).read_text().splitlines()
        if "held_out_loss" in (told := json.loads(text)) and told["step"] == edit.provenance["best_step"]
    ]  # fmt: skip
    residual = edit.mapper(w_plus.value[-3:])
    assert line["held_out_latent_l2"] == pytest.approx(0.01 * float(residual.square().mean()), rel=1e-4)


def test_bfloat16_is_for_the_frozen_networks_alone(
    generator: StyleGAN2, embedder: ToyEmbedder, w_plus: Latent, tmp_path: Path
):
    class Watching(ToyEmbedder):
        def embed_image(self, image: torch.Tensor) -> torch.Tensor:
            seen_in.add(torch.is_autocast_enabled("cpu"))
            return super().embed_image(image)

    def losses(precision: str) -> list[float]:
        method = LatentMapper(**SMALL | {"num_held_out": 6}, precision=precision)
        edit = method.train(
            generator, Watching(image_size=8, words={"red": RED}), target="red", latents=w_plus,
            identity_embedder=toy_identity(), run=tmp_path / precision,
        )  # fmt: skip
        edits[precision] = edit
        lines = [json.loads(line) for line in (tmp_path / precision / METRICS).read_text().splitlines()]
        return [line["held_out_loss"] for line in lines if "held_out_loss" in line]

    seen_in: set[bool] = set()
    edits: dict[str, Residual] = {}
    exact = losses("float32")
    assert seen_in == {False}
    seen_in.clear()
    short = losses("bfloat16")
    assert seen_in == {True}
    assert short != exact
    assert short == pytest.approx(exact, rel=0.02)  # eight bits, 0.4 % a number
    assert {value.dtype for value in weights(edits["bfloat16"])} == {torch.float32}
    state = RunFolder(tmp_path / "bfloat16").load()
    assert state is not None
    assert {value.dtype for value in state.tensors.values() if value.is_floating_point()} == {torch.float32}
    assert LatentMapper(**edits["bfloat16"].provenance["options"]).precision == "bfloat16"


def test_the_face_of_a_photo_can_take_the_place_of_the_text(generator: StyleGAN2, w_plus: Latent):
    identity, photo = toy_identity(), toy_image(8, seed=3)
    method = LatentMapper.resemble_photo(
        steps=60, batch_size=4, num_held_out=4, validate_every=20, optimizer="adam", latent_l2=0.01
    )
    edit = method.train(generator, ToyEmbedder(), photo=photo, identity_embedder=identity, latents=w_plus)
    goal = identity.embed_image(photo)[0]
    before, after = (identity.embed_image(generator(one)) @ goal for one in (w_plus, edit(w_plus)))
    assert float(after.mean()) > float(before.mean()) + 0.05
    assert edit.provenance["target"] is None
    assert edit.provenance["photo"]


def test_the_directional_loss_asks_for_a_neutral_text_and_takes_it(train: Any):
    with pytest.raises(OptionError, match="neutral"):
        train(clip_loss="directional")
    edit = train(clip_loss="directional", neutral="grey")
    assert edit.provenance["neutral"] == "grey"
    assert not same(edit, train())


@pytest.mark.parametrize("method", ["levels", "style", "directional", "bfloat16"])
def test_broken_off_and_resumed_it_gives_the_same_bits(train: Any, tmp_path: Path, method: str):
    class Stop(Exception):
        pass

    options: dict[str, Any] = {"steps": 9, "neutral": "grey"}
    others = {"directional": {"clip_loss": "directional"}, "bfloat16": {"precision": "bfloat16"}}
    options |= others.get(method, {"architecture": method})
    whole = train(**options)

    def stop(done: int, total: int) -> None:
        if done in (3, 7):
            raise Stop

    run = tmp_path / "run"
    for resume in (False, True, True):
        if resume:
            (run / ".feed.part.safetensors").write_bytes(b"half a state")
        try:
            resumed = train(**options, run=run, resume=resume, save_seconds=0.0, progress=stop)
        except Stop:
            continue
    # the state is saved before the progress is told, so that each try gets further
    assert same(resumed, whole)
    assert resumed.provenance == whole.provenance
    assert same(load_edit(run / "mapper.safetensors"), whole)  # type: ignore[arg-type]


def test_a_run_folder_tells_what_was_done(train: Any, tmp_path: Path):
    train(run=tmp_path / "run")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {CONFIG, METRICS, STATE, SAMPLES, "mapper.safetensors"}
    told = json.loads((tmp_path / "run" / CONFIG).read_text())
    assert told["target"] == "red"
    assert LatentMapper(**told["options"]) == LatentMapper(**SMALL)
    assert sorted(path.name for path in (tmp_path / "run" / SAMPLES).iterdir()) == [
        "000000.png", "000002.png", "000004.png"
    ]  # fmt: skip


def test_a_run_of_another_text_is_not_continued(train: Any, tmp_path: Path, generator: StyleGAN2):
    run = tmp_path / "run"
    train(run=run)
    with pytest.raises(JobError, match="resume"):
        train(run=run)
    with pytest.raises(JobError, match=r"target was .red. and is .blue."):
        train(run=run, resume=True, target="blue")
    with pytest.raises(JobError, match=r"options\.learning_rate"):
        train(run=run, resume=True, learning_rate=0.1)
    with pytest.raises(JobError, match=r"options\.precision was .float32. and is .bfloat16."):
        train(run=run, resume=True, precision="bfloat16")
    with pytest.raises(JobError, match=r"latents\.digest"):
        train(run=run, resume=True, latents=generator.to_space(generator.sample(12, seed=2), "w+"))


def test_it_stops_early_on_held_out_latents(train: Any):
    edit = train(steps=40, validate_every=2, patience=4, learning_rate=1e-9)
    assert edit.provenance["steps"] < 40


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"target": None}, OptionError, "target"),
        ({"identity_embedder": None}, OptionError, "identity_embedder"),
        ({"likeness": 1.0}, OptionError, "photo"),
        ({"target": "  "}, PromptError, "empty"),
        ({"clip_loss": "directional", "neutral": "Red"}, PromptError, "differ"),
        ({"num_held_out": 11}, OptionError, "too few"),
        ({"latents": Latent(torch.zeros(12, 9), "w")}, LatentError, "w"),
        ({"latents": Latent(torch.full((12, 4, 8), float("nan")), "w+")}, LatentError, "finite"),
        ({"latents": Latent(torch.zeros(12, 5), "s")}, SpaceError, "s"),
        ({"learning_rate": 1e30, "steps": 20}, EditError, "learning_rate"),
    ],
)
def test_what_cannot_be_trained_is_refused(train: Any, options: dict[str, Any], error: type[Exception], words: str):
    with pytest.raises(error, match=words):
        train(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"architecture": "both"}, {"levels": ()}, {"norm": "no"}, {"clip": 0.0}, {"identity": -1.0}, {"steps": 0},
        {"optimizer": "sgd"}, {"clip_loss": "huge"}, {"learning_rate": 0.0}, {"rampup": 2.0}, {"patience": 0},
        {"seed": -1}, {"factor": 0.0}, {"chunk_size": 0}, {"latent_l2": float("nan")}, {"precision": "float16"},
    ],
)  # fmt: skip
def test_an_option_out_of_range_is_refused(options: dict[str, Any]):
    with pytest.raises(OptionError):
        LatentMapper(**options)
