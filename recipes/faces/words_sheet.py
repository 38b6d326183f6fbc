"""`python -m recipes.faces.words_sheet`: the README's first picture, words on the first four seeds of `faces`."""

from __future__ import annotations

from pathlib import Path

import torch

import textmorph as tm
from textmorph.files import written_whole
from textmorph.sheets import contact_sheet

SHEET = Path("docs/images/faces-words.jpg")
WORDS = {
    "before": None,
    "smiling": "a smiling person",
    "glasses": "a person with glasses",
    "old": "an old person",
    "child": "a child",
    "blond hair": "a person with blond hair",
    "grey hair": "a person with grey hair",
    "beard": "a person with a beard",
}
"""Heading → request; all of them are shown, at one strength."""
STRENGTH = 2.5
SEEDS = 4
SIZE = 128


@torch.no_grad()
def main() -> None:
    """Draw the sheet."""
    editor = tm.Editor.from_pretrained("faces")
    latent = editor.generator.to_space(editor.generator.sample(SEEDS, seed=0, truncation=0.7), "w+")
    columns = []
    for words in WORDS.values():
        edited = latent
        if words is not None:
            requests = editor.check(words, strength=STRENGTH)
            edited = editor.find(requests.main, latent[:1])(latent, STRENGTH)
        columns.append(editor.render(edited, resolution=256))
    rows = torch.stack(columns, dim=1).flatten(0, 1)  # face by face
    sheet = contact_sheet(rows, columns=len(WORDS), column_titles=list(WORDS), size=SIZE)
    with written_whole(SHEET, overwrite=True) as path:
        sheet.convert("RGB").save(path, quality=85, optimize=True)


if __name__ == "__main__":
    main()
