from __future__ import annotations

import importlib.machinery
import json
import math
import os
import pickle
import shutil
import sys
import time
import types
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE
from torch.nn import functional as F
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoTokenizer,
    CLIPModel,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipModel,
)

from tests import golden_weights as golden
from tests.embedders.tiny_clip import MARKS, WORDS, write_tiny_clip, write_tokenizer
from tests.toys import toy_image
from textmorph.embedders import TextEmbedder, load_embedder
from textmorph.embedders.clip import ClipEmbedder, area_resize
from textmorph.errors import (
    CheckpointError,
    CheckpointMismatchError,
    CorruptCheckpointError,
    ImageError,
    OptionError,
    PromptError,
    UnknownCheckpointError,
    UnsafeCheckpointError,
    UnsupportedCheckpointError,
)
from textmorph.layers.patches import PatchConv2d

SPLIT = {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Removed", "invert": False}
TEXTS = ["a person with purple hair", "a person", "photo of a smiling person, old."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def clip(folder: Path) -> ClipEmbedder:
    return ClipEmbedder.from_pretrained(folder)


def copy(folder: Path, target: Path, **text_config: object) -> Path:
    """A copy of a folder, with fields of the text side's configuration changed."""
    shutil.copytree(folder, target, dirs_exist_ok=True)
    config = json.loads((target / "config.json").read_text())
    config["text_config"].update(text_config)
    (target / "config.json").write_text(json.dumps(config))
    return target


# Both sides


def test_clip_embeds_images_and_texts_as_unit_rows(clip: ClipEmbedder):
    assert isinstance(clip, TextEmbedder)
    for rows in (clip.embed_text(TEXTS), clip.embed_image(toy_image(48, batch=3))):
        assert rows.shape == (3, 16)
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(3))
        assert (rows @ rows.t() - torch.eye(3)).abs().max() < 0.999  # three different things
    assert (clip.image_size, clip.context_length, clip.dim) == (32, 12, 16)


def test_it_equals_the_model_as_transformers_runs_it(clip: ClipEmbedder, folder: Path):
    model, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert isinstance(model, CLIPModel)
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    inputs = {
        **tokenizer(TEXTS, padding=True, return_tensors="pt"),
        **processor(Image.fromarray(pixels), return_tensors="pt"),
    }
    inputs.pop("token_type_ids", None)
    with torch.no_grad():
        output = model(**inputs)
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1
    torch.testing.assert_close(clip.embed_text(TEXTS), output.text_embeds, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(clip.embed_image(image), output.image_embeds, atol=1e-5, rtol=1e-5)
    logits = clip.embed_image(image) @ clip.embed_text(TEXTS).t() / clip.temperature
    torch.testing.assert_close(logits, output.logits_per_image, atol=1e-4, rtol=1e-4)


def test_the_temperature_is_read_from_the_model(clip: ClipEmbedder):
    assert clip.temperature == pytest.approx(math.exp(-2.6592))  # the start value of CLIP's training
    clip.model.logit_scale.data.fill_(math.log(100))
    assert clip.temperature == pytest.approx(0.01)
    clip.model.logit_scale.data.fill_(2.6592)


def test_the_gradient_reaches_the_image_and_leaves_the_weights(clip: ClipEmbedder):
    image = toy_image(48, batch=2).requires_grad_(True)
    (clip.embed_image(image) @ clip.embed_text(TEXTS[:1]).t()).sum().backward()
    assert image.grad is not None
    assert (image.grad != 0).float().mean() > 0.9
    assert not any(p.requires_grad or p.grad is not None for p in clip.parameters())


@pytest.mark.parametrize("clip_input", ["standard", "paper"])
def test_the_gradient_is_the_slope(folder: Path, clip_input: str):
    clip = ClipEmbedder.from_pretrained(folder, clip_input=clip_input).double()
    image = toy_image(40).double().requires_grad_(True)
    clip.embed_image(image)[0, 0].backward()
    step = torch.randn_like(image) * 3e-4  # larger than what the attention's float32 rounds
    slope = clip.embed_image(image + step)[0, 0] - clip.embed_image(image - step)[0, 0]
    torch.testing.assert_close(slope, 2 * (image.grad * step).sum(), rtol=1e-3, atol=1e-12)


def test_a_faster_gradient_is_that_of_the_model_as_it_comes(folder: Path):
    """Patches by a matrix product, attention written out, the resize as two products: the same picture of an image."""
    clip = ClipEmbedder.from_pretrained(folder)
    plain = AutoModel.from_pretrained(folder, attn_implementation="sdpa").eval()
    layers = [type(layer) for layer in clip.model.modules()]
    assert layers.count(PatchConv2d) == 1
    assert clip.model.state_dict().keys() == plain.state_dict().keys()
    image = toy_image(40)
    gradients, rows = [], []
    for kind in ("ours", "plain"):
        pixels = image.clone().requires_grad_(True)
        if kind == "ours":
            row = clip.embed_image(pixels)
        else:
            size = (clip.image_size,) * 2
            small = F.interpolate(pixels, size, mode="bicubic", align_corners=False, antialias=True)
            features = plain.get_image_features(pixel_values=(small * 0.5 + 0.5 - clip.mean) / clip.std)
            row = F.normalize(getattr(features, "pooler_output", features), dim=1)
        gradients.append(torch.autograd.grad(row[0, 0], pixels)[0])
        rows.append(row)
    torch.testing.assert_close(rows[0], rows[1], atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-3 * float(gradients[1].abs().max()), rtol=1e-3)


@pytest.mark.parametrize("clip_input", ["standard", "paper"])
def test_an_autocast_shortens_no_pixels(folder: Path, clip_input: str):
    clip = ClipEmbedder.from_pretrained(folder, clip_input=clip_input)
    image = toy_image(40)
    with torch.autocast("cpu", torch.bfloat16):
        short = clip.preprocess(image)
    assert torch.equal(short, clip.preprocess(image))


@pytest.mark.parametrize("clip_input", ["standard", "paper"])
def test_gradients_pass_where_images_were_seen_without_before(folder: Path, clip_input: str):
    """The resize's weights are kept; those first asked for in inference mode would take part in no gradient."""
    clip = ClipEmbedder.from_pretrained(folder, clip_input=clip_input).double()
    image = toy_image(37).double()  # a size of its own
    with torch.inference_mode():
        clip.embed_image(image)
    clip.embed_image(image.requires_grad_(True))[0, 0].backward()
    assert image.grad is not None
    assert image.grad.abs().max() > 0


def test_a_frozen_clip_stays_in_eval_mode_and_float32(clip: ClipEmbedder):
    assert not clip.model.training
    assert {p.dtype for p in clip.parameters()} == {torch.float32}


def test_load_embedder_takes_a_folder_and_options(folder: Path):
    assert load_embedder(str(folder), clip_input="paper").clip_input == "paper"
    with pytest.raises(OptionError, match="'standard' or 'paper'"):
        load_embedder(folder, clip_input="papers")


# Images


def test_resizing_is_that_of_the_models_own_processor_within_rounding(clip: ClipEmbedder, folder: Path):
    smooth = F.interpolate(torch.rand(1, 3, 12, 9) * 0.8 + 0.1, (120, 90), mode="bicubic").clip(0, 1)
    pixels = (smooth * 255).round().byte()
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    theirs = processor(Image.fromarray(pixels[0].permute(1, 2, 0).numpy()), return_tensors="pt")["pixel_values"]
    ours = clip.preprocess(pixels / 127.5 - 1)
    # PIL rounds to whole levels after each of two passes: 1.5 / 255, over a std of 0.25
    assert (ours - theirs).abs().max() < 1.5 / 255 / 0.25


@pytest.mark.parametrize("size", [(32, 32), (32, 64), (100, 40), (20, 30), (31, 333)])
def test_any_size_becomes_the_models_square(folder: Path, size: tuple[int, int]):
    for clip_input in ("standard", "paper"):
        clip = ClipEmbedder.from_pretrained(folder, clip_input=clip_input)
        assert clip.preprocess(torch.zeros(1, 3, *size)).shape == (1, 3, 32, 32)


def test_a_wide_image_is_cut_at_both_ends(clip: ClipEmbedder):
    image = toy_image(32)
    wide = torch.cat([torch.randn(1, 3, 32, 10), image, torch.randn(1, 3, 32, 10)], dim=3)
    torch.testing.assert_close(clip.preprocess(wide), clip.preprocess(image))


def test_grey_is_half_and_normalised(clip: ClipEmbedder):
    grey = clip.preprocess(torch.zeros(1, 3, 64, 64))
    expected = torch.tensor([0.0, 0.05 / 0.26, 0.1 / 0.27])
    torch.testing.assert_close(grey.mean(dim=(0, 2, 3)), expected, atol=1e-6, rtol=1e-5)


def test_the_papers_input_is_left_in_its_range(folder: Path):
    clip = ClipEmbedder.from_pretrained(folder, clip_input="paper")
    image = toy_image(32)
    torch.testing.assert_close(clip.preprocess(image), image)


@pytest.mark.parametrize("size", [96, 256])
def test_the_papers_resize_equals_the_golden_one(size: int):
    resized = area_resize(golden.normal(f"resize.{size}", (1, 3, size, size)), 224)[:, :, ::7, ::7]
    assert golden.relative_error(resized, golden.arrays("global_direction_math")[f"resize_{size}"]) < 1e-5


@pytest.mark.parametrize("size", [32, 64, 96])
def test_the_papers_resize_equals_upsampling_and_pooling(size: int):
    image = torch.randn(1, 3, size, size)
    side = size // 32
    plain = F.avg_pool2d(F.interpolate(image, scale_factor=7, mode="nearest"), side, side)
    torch.testing.assert_close(area_resize(image, 224), plain, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("source", "target"), [(5, 3), (3, 5), (7, 7), (128, 32)])
def test_the_papers_resize_keeps_the_mean(source: int, target: int):
    image = torch.rand(1, 3, source, source)
    torch.testing.assert_close(area_resize(image, target).mean(), image.mean())


@pytest.mark.parametrize("image", [torch.zeros(3, 32, 32), torch.zeros(1, 4, 32, 32), torch.zeros(1, 3, 32, 32).int()])
def test_what_is_no_image_is_refused(clip: ClipEmbedder, image: torch.Tensor):
    with pytest.raises(ImageError, match="floating-point tensor"):
        clip.embed_image(image)


# Texts


def test_a_text_is_pooled_at_its_end_whatever_stands_beside_it_in_the_batch(clip: ClipEmbedder):
    alone = torch.cat([clip.embed_text([text]) for text in TEXTS])
    torch.testing.assert_close(clip.embed_text(TEXTS), alone, atol=1e-6, rtol=1e-5)


def test_every_word_of_a_text_counts(clip: ClipEmbedder):
    # features taken before the end would miss the last word
    rows = clip.embed_text(["a person with purple hair", "a person with purple person", "a photo with purple hair"])
    assert (rows @ rows.t() - torch.eye(3)).max() < 0.999


def test_texts_are_read_in_batches(clip: ClipEmbedder, monkeypatch: pytest.MonkeyPatch):
    whole = clip.embed_text(TEXTS)
    monkeypatch.setattr("textmorph.embedders.clip.TEXT_BATCH", 2)
    torch.testing.assert_close(clip.embed_text(TEXTS), whole, atol=1e-6, rtol=1e-5)


def test_threads_share_a_tokenizer(folder: Path):
    clip = ClipEmbedder.from_pretrained(folder)
    batches = [TEXTS[:1], TEXTS, TEXTS[1:2], ["old"], ["a " * 9, "old"]]
    expected = [clip.embed_text(texts) for texts in batches]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(clip.embed_text, batches * 40))
    finally:
        sys.setswitchinterval(interval)
    for i, rows in enumerate(found):
        torch.testing.assert_close(rows, expected[i % len(batches)])
    state = clip.tokenizer.backend_tokenizer
    assert state.padding is None  # what a call with padding would leave behind, for other threads to find
    assert state.truncation is None


def test_case_does_not_matter(clip: ClipEmbedder):
    assert torch.equal(clip.embed_text(["A Person"]), clip.embed_text(["a person"]))


def test_a_text_that_fills_the_context_is_read_and_one_word_more_is_not(clip: ClipEmbedder):
    fits = " ".join(["purple"] * 10)  # and two marks
    assert clip.embed_text([fits]).shape == (1, 16)
    with pytest.raises(PromptError, match=r"13 tokens long and this model reads 12"):
        clip.embed_text(["a person", f"{fits} hair"])


def test_the_error_for_a_long_text_quotes_the_words_that_fit(clip: ClipEmbedder):
    with pytest.raises(PromptError, match="cut after “a person with purple hair of the old smiling photo”"):
        clip.embed_text(["a person with purple hair of the old smiling photo with a person"])


def test_a_long_text_without_spaces_is_cut_within(clip: ClipEmbedder):
    with pytest.raises(PromptError, match="cut after “,,,,,,,,,,”"):
        clip.embed_text(["," * 11])


def test_unknown_words_are_named_once_each_in_order(clip: ClipEmbedder):
    assert clip.unknown_words("a Green person with purple GREEN tie, green") == ["Green", "tie"]
    assert clip.unknown_words("a person with purple hair") == []


def test_a_tokenizer_of_bytes_knows_every_word(folder: Path, tmp_path: Path):
    # as CLIP's own: its unknown token is the end token, and no text is ever mapped to it
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE({"<end>": 0} | {letter: i for i, letter in enumerate(letters, 1)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise = ClipEmbedder.from_pretrained(folder)
    bytewise.tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<end>", eos_token="<end>")
    assert bytewise.unknown_words("a zürich person 🙂 <end>") == []


def test_an_end_token_that_the_model_does_not_pool_at_is_refused(folder: Path, tmp_path: Path):
    # transformers reads 2 as its old rule, the largest token id, which here is a word
    with pytest.raises(CheckpointMismatchError, match="eos_token_id"):
        ClipEmbedder.from_pretrained(copy(folder, tmp_path / "old", eos_token_id=2))
    with pytest.raises(CheckpointMismatchError, match="at token 49407"):
        ClipEmbedder.from_pretrained(copy(folder, tmp_path / "absent", eos_token_id=49407))


def test_siglip_is_read_too(folder: Path, tmp_path: Path):
    layer = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    vocabulary = {word: i for i, word in enumerate((*MARKS, *WORDS))}
    text = {**layer, "vocab_size": len(vocabulary), "max_position_embeddings": 12, "projection_size": 32}
    vision = {**layer, "image_size": 32, "patch_size": 8}
    SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).save_pretrained(tmp_path)
    write_tokenizer(tmp_path, vocabulary, 12)
    shutil.copy(folder / "preprocessor_config.json", tmp_path)
    siglip = ClipEmbedder.from_pretrained(tmp_path)
    assert siglip.temperature == pytest.approx(math.exp(-float(siglip.model.logit_scale)))
    assert siglip.embed_image(toy_image(40)).shape == (1, 32)
    # it pools at the last position, so a text alone and in a batch must be padded alike: to the whole context
    alone = torch.cat([siglip.embed_text([text]) for text in TEXTS])
    torch.testing.assert_close(siglip.embed_text(TEXTS), alone, atol=1e-6, rtol=1e-5)


# Fingerprint


def test_the_fingerprint_names_weights_words_and_input(folder: Path, clip: ClipEmbedder, tmp_path: Path):
    assert len(clip.fingerprint) == 16
    assert ClipEmbedder.from_pretrained(folder).fingerprint == clip.fingerprint
    assert ClipEmbedder.from_pretrained(copy(folder, tmp_path / "copy")).fingerprint == clip.fingerprint
    others = {
        ClipEmbedder.from_pretrained(folder, clip_input="paper").fingerprint,
        ClipEmbedder.from_pretrained(write_tiny_clip(tmp_path / "weights", seed=1)).fingerprint,
        ClipEmbedder.from_pretrained(write_tiny_clip(tmp_path / "words", words=(*WORDS[1:], "a"))).fingerprint,
        clip.fingerprint,
    }
    assert len(others) == 4


# Folders that are refused


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.marker),)


def test_pickled_weights_are_read_without_running_anything(folder: Path, tmp_path: Path):
    pickled = write_tiny_clip(tmp_path / "pickled", safe=False)
    assert not list(pickled.glob("*.safetensors"))
    expected = ClipEmbedder.from_pretrained(folder).embed_text(TEXTS)
    torch.testing.assert_close(ClipEmbedder.from_pretrained(pickled).embed_text(TEXTS), expected)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_asks_for_code_is_refused_and_not_run(tmp_path: Path, legacy: bool):
    hostile = write_tiny_clip(tmp_path / "hostile", safe=False)
    marker = tmp_path / "marker"
    torch.save({"logit_scale": Bomb(marker)}, hostile / "pytorch_model.bin", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UnsafeCheckpointError, match="nothing was run"):
        ClipEmbedder.from_pretrained(hostile)
    (hostile / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(marker)))
    with pytest.raises(UnsafeCheckpointError):
        ClipEmbedder.from_pretrained(hostile)
    assert not marker.exists()


def test_safetensors_are_preferred_to_a_hostile_pickle_beside_them(folder: Path, tmp_path: Path):
    both = copy(folder, tmp_path / "both")
    marker = tmp_path / "marker"
    (both / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(marker)))
    ClipEmbedder.from_pretrained(both)
    assert not marker.exists()


def test_a_model_with_its_own_code_is_refused_and_not_run(folder: Path, tmp_path: Path):
    own = copy(folder, tmp_path / "own")
    marker = tmp_path / "marker"
    (own / "code.py").write_text(f"import os\nos.mkdir({str(marker)!r})\n")
    config = json.loads((own / "config.json").read_text())
    config |= {"model_type": "newclip", "auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"}}
    (own / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsafeCheckpointError, match="code of its own"):
        ClipEmbedder.from_pretrained(own)
    assert not marker.exists()


def edited(folder: Path, file: str, change: Mapping[str, object], part: str | None = None) -> Path:
    """The folder, with some entries of one of its JSON files changed."""
    content = json.loads((folder / file).read_text()) if (folder / file).exists() else {}
    (content if part is None else content[part]).update(change)
    (folder / file).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("part", [None, "text_config", "vision_config"])
@pytest.mark.parametrize(
    "change",
    [
        {"_attn_implementation": "someone/kernel"},
        {"attn_implementation": "someone/kernel@main"},
        {"_attn_implementation": {"text_config": "someone/kernel"}},
        {"_attn_implementation": "flash_attention_2"},
        {"_experts_implementation": "someone/kernel"},
        {"quantization_config": {"quant_method": "awq"}},
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}},
        {"transformers_weights": "../other.safetensors"},
    ],
)
def test_a_configuration_chooses_no_code(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str | None, change: dict[str, object]
):
    asked: list[str] = []
    kernels = types.ModuleType("kernels")
    kernels.get_kernel = lambda name, **_: asked.append(name)
    kernels.__spec__ = importlib.machinery.ModuleSpec("kernels", None)
    monkeypatch.setitem(sys.modules, "kernels", kernels)
    with pytest.raises(UnsafeCheckpointError, match="nothing was run"):
        ClipEmbedder.from_pretrained(edited(copy(folder, tmp_path / "own"), "config.json", change, part))
    assert not asked


def test_attention_that_is_ours_is_taken(folder: Path, tmp_path: Path, clip: ClipEmbedder):
    own = edited(copy(folder, tmp_path / "own"), "config.json", {"_attn_implementation": "eager"})
    torch.testing.assert_close(ClipEmbedder.from_pretrained(own).embed_text(TEXTS), clip.embed_text(TEXTS))


@pytest.mark.parametrize(
    ("file", "part", "change"),
    [
        ("config.json", "vision_config", {"patch_size": 0}),
        ("config.json", "vision_config", {"hidden_size": -1}),
        ("config.json", "vision_config", {"num_hidden_layers": 2_000_000}),
        ("config.json", "text_config", {"num_hidden_layers": 2**70}),
        ("config.json", "text_config", {"num_hidden_layers": 999, "hidden_size": 2**20}),
        ("config.json", "text_config", {"vocab_size": 2**24}),
        ("config.json", "text_config", {"max_position_embeddings": 2**40}),
        ("config.json", "text_config", {"num_attention_heads": 0}),
        ("config.json", "text_config", {"hidden_act": "../x"}),
        ("config.json", None, {"projection_dim": "x"}),
        ("config.json", None, {"text_config": []}),
        ("config.json", None, {"model_type": ["clip"]}),
        ("config.json", None, {"text_config": {"a": {"b": None}}}),
        ("preprocessor_config.json", None, {"image_mean": "abc"}),
        ("preprocessor_config.json", None, {"image_mean": [[1]]}),
        ("preprocessor_config.json", None, {"image_std": None}),
        ("tokenizer_config.json", None, {"model_max_length": "x"}),
        ("tokenizer_config.json", None, {"model_max_length": -3}),
        ("tokenizer.json", None, {"pre_tokenizer": SPLIT}),
        ("tokenizer.json", None, {"model": {"type": "WordLevel", "vocab": {}, "unk_token": "x"}}),
        ("tokenizer.json", None, {"model": 3}),
        ("model.safetensors.index.json", None, {"weight_map": {"logit_scale": "../../../../etc/passwd"}}),
        ("model.safetensors.index.json", None, {"weight_map": {"logit_scale": 3}}),
        ("adapter_config.json", None, {"base_model_name_or_path": "someone/model", "peft_type": "LORA"}),
    ],
)  # fmt: skip
def test_an_impossible_folder_is_refused_at_once_in_one_line(
    folder: Path, tmp_path: Path, file: str, part: str | None, change: dict[str, object]
):
    bad = edited(copy(folder, tmp_path / "bad"), file, change, part)
    began = time.monotonic()
    with pytest.raises(CheckpointError) as caught:
        ClipEmbedder.from_pretrained(bad)
    assert time.monotonic() - began < 5
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "[", "[]", "3", "[" * 100_000, "\x00", '{"a": 1' + "0" * 5000 + "}", " " * (5 << 20)]
)
def test_a_damaged_configuration_is_refused(folder: Path, tmp_path: Path, text: str):
    bad = copy(folder, tmp_path / "bad")
    (bad / "config.json").write_text(text)
    with pytest.raises(UnknownCheckpointError):
        ClipEmbedder.from_pretrained(bad)


def test_missing_extra_misshapen_and_broken_weights_are_refused_by_name(folder: Path, tmp_path: Path):
    good = load_file(folder / "model.safetensors")
    cases = {
        "lacks": {name: value for name, value in good.items() if name != "text_projection.weight"},
        "has unknown": good | {"extra.weight": torch.zeros(2)},
        "visual_projection": good | {"visual_projection.weight": torch.zeros(3, 3)},
        "not finite": good | {"logit_scale": torch.tensor(float("nan"))},
    }
    for message, tensors in cases.items():
        bad = copy(folder, tmp_path / message)
        save_file(tensors, bad / "model.safetensors", {"format": "pt"})
        with pytest.raises(CheckpointMismatchError, match=message):
            ClipEmbedder.from_pretrained(bad)


def test_damaged_and_missing_files_are_refused(folder: Path, tmp_path: Path):
    bad = copy(folder, tmp_path / "bad")
    whole = (bad / "model.safetensors").read_bytes()
    (bad / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptCheckpointError):
        ClipEmbedder.from_pretrained(bad)
    (bad / "model.safetensors").unlink()
    with pytest.raises(UnknownCheckpointError, match=r"no weights: expected model\.safetensors"):
        ClipEmbedder.from_pretrained(bad)
    for name in ("preprocessor_config.json", "tokenizer.json", "config.json"):
        bad = copy(folder, tmp_path / f"without-{name}")
        (bad / name).unlink()
        with pytest.raises((UnknownCheckpointError, CheckpointMismatchError)):
            ClipEmbedder.from_pretrained(bad)


def test_a_model_without_texts_is_refused(folder: Path, tmp_path: Path):
    bad = copy(folder, tmp_path / "bert")
    (bad / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(UnknownCheckpointError, match="type bert"):
        ClipEmbedder.from_pretrained(bad)
    (bad / "config.json").write_text(json.dumps({"model_type": "siglip2"}))
    with pytest.raises(UnsupportedCheckpointError, match="square image"):
        ClipEmbedder.from_pretrained(bad)


def test_what_is_neither_folder_nor_name_is_refused(tmp_path: Path):
    for name in (tmp_path / "nothing", "./nothing", "a/b/c", "", tmp_path / "file"):
        (tmp_path / "file").write_text("text")
        with pytest.raises(UnknownCheckpointError, match="neither a folder nor"):
            ClipEmbedder.from_pretrained(name)
