"""The recipe of `faces`: labels, words, truth of captions, graph models, directions."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from recipes.faces.concepts import CONCEPTS
from recipes.faces.directions import DIRECTIONS, FOLDER, Made, fit_direction
from recipes.faces.graph_model import GraphModel
from recipes.faces.labels import ATTRIBUTES, THIRDS, Labels, auc, balanced_accuracy, read_labels
from recipes.faces.probes import fit
from recipes.faces.words import (
    BY_NAME,
    Phrasing,
    compose,
    disturbed,
    opposite,
    phrasings,
    vocabulary,
    withheld_parts,
    words_of,
)
from textmorph.edits import load_edit
from textmorph.errors import CorruptCheckpointError, UnsupportedCheckpointError


def test_every_labelled_face_belongs_to_one_third() -> None:
    labels = read_labels()
    assert len(labels) == 1059
    assert np.sum([labels.third(name) for name in THIRDS], axis=0).tolist() == [1] * len(labels)


def test_labels_of_both_files_are_read_as_yes_no_or_unknown() -> None:
    labels = read_labels()
    face = dict(zip(ATTRIBUTES, labels.values[labels.numbers == 321][0], strict=True))  # s,0,n,0,o,?,l,s,0,n,y,f,?,1,f
    assert (face["glasses"], face["sunglasses"], face["beard"], face["smile"], face["lipstick"]) == (1, 1, 0, 0, 1)
    assert np.isnan(face["earrings"])
    older = dict(zip(ATTRIBUTES, labels.values[labels.numbers == 0][0], strict=True))
    assert (older["glasses"], older["black_hair"], older["feminine"], older["young"]) == (0, 1, 1, 1)
    assert set(np.unique(labels.values[~np.isnan(labels.values)])) == {0, 1}


def test_faces_labelled_twice_agree_on_glasses() -> None:
    first, second = read_labels(), read_labels(second=True)
    again = np.isin(first.numbers, second.numbers)
    a, b = first.column("glasses")[again], second.column("glasses")[np.isin(second.numbers, first.numbers)]
    known = ~np.isnan(a) & ~np.isnan(b)
    assert known.sum() > 80
    assert (a[known] == b[known]).mean() > 0.98


def test_auc_counts_pairs_and_accuracy_is_balanced() -> None:
    values = np.array([1, 1, 0, 0, np.nan], dtype=np.float32)
    assert auc(np.array([3.0, 1.0, 2.0, 1.0, 9.0]), values) == (1 + 1 + 0 + 0.5) / 4
    assert balanced_accuracy(np.array([True, False, False, False, True]), values) == 0.75


def test_withheld_phrasings_use_known_words_alone() -> None:
    trained, withheld = phrasings()
    known = set(vocabulary())
    assert len(withheld) > 60
    assert not {p.part for p in trained if p.kind == "thing"} & {p.part for p in withheld if p.kind == "thing"}
    assert all(word in known for phrase in withheld for word in words_of(phrase.part))


def test_every_neutral_is_a_concept() -> None:
    assert all(concept.neutral in BY_NAME for concept in CONCEPTS if concept.neutral)


def _phrasing(part: str) -> Phrasing:
    return next(p for group in phrasings() for p in group if p.part == part)


def test_a_caption_says_what_its_parts_mean() -> None:
    text, meaning = compose([_phrasing("bearded"), _phrasing("without glasses")], random.Random(0))
    assert meaning == {"beard": 1, "glasses": 0}
    assert "bearded" in text
    assert "without glasses" in text
    assert opposite({"glasses": 1}, random.Random(0))[0].meaning == {"glasses": 0}


def test_requests_and_denials_mean_what_they_say() -> None:
    made = [compose([_phrasing("a beard")], random.Random(seed)) for seed in range(300)]
    denied = [text for text, meaning in made if meaning == {"beard": 0}]
    said = [text for text, meaning in made if meaning == {"beard": 1}]
    markers = {"remove", "no", "without", "rid", "lose", "away", "not", "delete"}
    assert len(denied) > 20
    assert all(markers & set(text.split()) for text in denied)
    assert not any(markers & set(text.split()) for text in said)
    assert any("add" in text for text in said)


def test_every_word_that_a_caption_can_have_is_known() -> None:
    known = set(vocabulary())
    trained = phrasings()[0]
    for seed in range(3000):
        rng = random.Random(seed)
        text, _ = compose([rng.choice(trained)], rng)
        assert not set(words_of(text)) - known, text
        assert text not in withheld_parts()


def test_a_disturbed_text_keeps_the_words_that_matter() -> None:
    for seed in range(100):
        words = disturbed("a person without a beard", random.Random(seed)).split()
        assert {"without", "beard"} <= set(words)


def test_truth_of_a_caption_is_unknown_where_a_literal_is_and_none_is_false() -> None:
    from recipes.faces.text_model import holds, matrices

    values = torch.full((1, len(ATTRIBUTES)), torch.nan)
    values[0, ATTRIBUTES.index("glasses")] = 1
    meanings = [{"glasses": 1}, {"glasses": 0}, {"glasses": 1, "hat": 1}, {"glasses": 0, "hat": 1}, {}]
    truth = holds(values, *matrices(meanings))[0]
    assert truth[0] == 1
    assert truth[1] == 0
    assert truth[2].isnan()
    assert truth[3] == 0
    assert truth[4] == 1


def test_a_probe_finds_the_axis_that_makes_the_labels() -> None:
    x = np.random.default_rng(0).standard_normal((200, 30))
    values = (x[:, 3] > 0.8).astype(np.float32)
    values[:20] = np.nan
    weights, offset = fit(x, values)
    assert np.abs(weights).argmax() == 3
    assert auc(x @ weights + offset, values) > 0.98


def test_a_direction_is_one_unit_long_in_the_rows_it_moves_and_leaves_others_out() -> None:
    draw = np.random.default_rng(1)
    numbers = np.arange(600)
    w = draw.standard_normal((600, 24)).astype(np.float32)
    values = np.full((600, len(ATTRIBUTES)), np.nan, dtype=np.float32)
    values[:, ATTRIBUTES.index("smile")] = w[:, 0] + w[:, 1] > 0
    values[:, ATTRIBUTES.index("feminine")] = w[:, 1] > 0
    labels = Labels(numbers, values)
    made = Made("smile", ("feminine",), (0, 6))
    direction = fit_direction(made, labels, w[labels.third("train")], w[labels.third("test")])
    rows = direction.vector
    assert rows.shape == (16, 24)
    assert rows[:6].norm(dim=1).tolist() == pytest.approx([1] * 6, abs=1e-5)
    assert rows[6:].abs().max() == 0
    assert rows[0, 0] > 0.9
    assert abs(rows[0, 1]) < 0.2
    assert direction.provenance["positives"] == int(values[::3, ATTRIBUTES.index("smile")].sum())


@pytest.mark.parametrize("name", DIRECTIONS)
def test_shipped_directions_are_edits_of_one_unit_with_their_figures(name: str) -> None:
    edit = load_edit(FOLDER / f"{name}.safetensors")
    vector = edit.vector  # type: ignore[attr-defined]
    assert vector[0].norm() == pytest.approx(1, abs=1e-4)
    assert vector.shape == ((16, 512) if DIRECTIONS[name].rows else (1, 512))
    assert edit.provenance["held_out_auc"] > 0.75
    assert edit.provenance["positives"] >= 14


def _graph(folder: Path, nodes: list[dict[str, object]], **weights: np.ndarray) -> Path:  # type: ignore[type-arg]
    flat = b"".join(value.astype(np.float16).tobytes() for value in weights.values())
    (folder / "net.bin").write_bytes(flat)
    entries = [
        {"name": name, "shape": list(value.shape), "dtype": "float32", "quantization": {"dtype": "float16"}}
        for name, value in weights.items()
    ]
    manifest = [{"paths": ["net.bin"], "weights": entries}]
    about = {"modelTopology": {"node": [{"name": "x", "op": "Placeholder"}, *nodes]}, "weightsManifest": manifest}
    (folder / "net.json").write_text(json.dumps(about))
    return folder / "net.json"


def test_a_graph_model_convolves_with_the_padding_of_tensorflow(tmp_path: Path) -> None:
    same = base64.b64encode(b"SAME").decode()
    attributes = {"strides": {"list": {"i": ["1", "2", "2", "1"]}}, "padding": {"s": same}}
    node = {"name": "y", "op": "Conv2D", "input": ["x", "taps"], "attr": attributes}
    path = _graph(tmp_path, [node], taps=np.ones((3, 3, 1, 1)))
    (out,) = GraphModel(path)(torch.ones(1, 4, 4, 1), ["y"])
    assert out[0, :, :, 0].tolist() == [[9, 6], [6, 4]]  # the larger half of the padding lies right and below


def test_a_graph_model_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    path = _graph(tmp_path, [{"name": "y", "op": "PyFunc", "input": ["x"]}])
    with pytest.raises(UnsupportedCheckpointError, match="PyFunc"):
        GraphModel(path)
    path = _graph(tmp_path, [], taps=np.ones(4))
    (tmp_path / "net.bin").write_bytes(b"12")
    with pytest.raises(CorruptCheckpointError, match="end before"):
        GraphModel(path)
