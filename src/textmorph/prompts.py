"""Prompts: from words to a unit vector, averaged over templates."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .errors import OptionError, PromptError
from .hashing import fingerprint

if TYPE_CHECKING:
    from .embedders import TextEmbedder

MAX_CHARACTERS = 1000
"""Longest prompt taken; an embedder refuses or cuts much earlier, at its own context length."""

BARE = ("{}",)
"""The template that leaves a prompt as it is."""


def check_prompt(text: str) -> str:
    """Return the prompt with its white space tidied.

    Raises:
        PromptError: it is no text, empty, longer than `MAX_CHARACTERS`, or holds control characters.
    """
    if not isinstance(text, str):
        raise PromptError(f"a prompt is a text, not {type(text).__name__}")
    tidy = " ".join(text.split())
    if not tidy:
        raise PromptError("the prompt is empty; say what the picture should show, e.g. 'a person with purple hair'")
    if len(tidy) > MAX_CHARACTERS:
        raise PromptError(f"the prompt has {len(tidy)} characters; {MAX_CHARACTERS} is the most")
    odd = sorted({hex(ord(c)) for c in tidy if unicodedata.category(c) in ("Cc", "Cs")})
    if odd:
        raise PromptError(f"the prompt holds control characters ({', '.join(odd)}); remove them")
    return tidy


def fill_template(template: str, prompt: str) -> str:
    """Put a prompt into a template such as "a photo of a {}".

    A bare noun phrase goes in as it is, as in the paper. A prompt that brings an article of its own loses it where the
    template has a determiner; "a" and "an" right before the gap follow the prompt's.

    Raises:
        OptionError: the template does not have exactly one "{}".
    """
    if template.count("{}") != 1:
        raise OptionError(f"a template has one gap, written {{}}; this one has {template.count('{}')}: {template!r}")
    before, after = template.split("{}")
    article = re.match(r"(an?|the)\s+(?=\S)", prompt, re.IGNORECASE)
    own_phrase = re.split(r"\b(?:of|in|on|with|by|from)\s", before)[-1]  # what stands with the gap in one noun phrase
    if article and re.search(r"\b(?:an?|the|my|one|many)\s", own_phrase, re.IGNORECASE):
        prompt = prompt[article.end() :]
        if article[1].lower() in ("a", "an"):
            before = re.sub(r"\b(a)n?\s+$", lambda match: match[1] + article[1][1:] + " ", before, flags=re.IGNORECASE)
    return before + prompt + after


def text_embedding(embedder: TextEmbedder, text: str, *, templates: Sequence[str] | None = None) -> Tensor:
    """Embed a prompt, averaged over templates: the unit mean of unit rows, [D].

    Args:
        templates: each with one "{}"; None stands for `IMAGENET_TEMPLATES`, `BARE` for the prompt as it is.

    Source: Radford et al. 2021, arXiv:2103.00020, Sec. 3.1.4; Patashnik et al. 2021, arXiv:2103.17249, Sec. 6.
    """
    text = check_prompt(text)
    if isinstance(templates, str) or (templates is not None and not templates):
        raise OptionError("templates are a list of texts with at least one member, e.g. ['a photo of a {}']")
    filled = [fill_template(template, text) for template in (IMAGENET_TEMPLATES if templates is None else templates)]
    with torch.no_grad():
        rows = embedder.embed_text(list(dict.fromkeys(filled)))  # [T, D]
    counts = rows.new_tensor([filled.count(one) for one in dict.fromkeys(filled)])
    return F.normalize(counts @ F.normalize(rows, dim=1), dim=0)


def text_shift(embedder: TextEmbedder, *, neutral: str, target: str, templates: Sequence[str] | None = None) -> Tensor:
    """From the neutral to the target text in the embedder's space: their unit difference, [D].

    Raises:
        PromptError: both texts mean the same to the embedder, so there is no direction between them.

    Source: Patashnik et al. 2021, arXiv:2103.17249, Sec. 6. The reference code divides by zero where we raise.
    """
    neutral, target = check_prompt(neutral), check_prompt(target)
    if neutral.casefold() == target.casefold():
        raise PromptError(f"the neutral text and the target are both {target!r}; say what should differ")
    shift = text_embedding(embedder, target, templates=templates) - text_embedding(
        embedder, neutral, templates=templates
    )
    if shift.norm() < 1e-5:  # float32 rounding; unlike texts are thousands of times farther apart
        raise PromptError(
            f"{neutral!r} and {target!r} are the same to this embedder; it may not know the words that differ"
        )
    return F.normalize(shift, dim=0)


class TextMemory:
    """An embedder that embeds a list of texts once: a search over numbers of channels asks for the same ones again."""

    def __init__(self, embedder: TextEmbedder) -> None:
        self._embedder = embedder
        self._known: dict[tuple[str, ...], Tensor] = {}

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """Texts → unit rows, [T, D]."""
        key = tuple(texts)
        if key not in self._known:
            if len(self._known) >= 64:
                self._known.clear()
            with torch.no_grad():
                self._known[key] = self._embedder.embed_text(list(texts))
        return self._known[key]

    @property
    def fingerprint(self) -> str:
        """That of the embedder, so that its banks fit."""
        return fingerprint(self._embedder)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedder, name)


IMAGENET_TEMPLATES = tuple(
    """
a bad photo of a {}.
a photo of many {}.
a sculpture of a {}.
a photo of the hard to see {}.
a low resolution photo of the {}.
a rendering of a {}.
graffiti of a {}.
a bad photo of the {}.
a cropped photo of the {}.
a tattoo of a {}.
the embroidered {}.
a photo of a hard to see {}.
a bright photo of a {}.
a photo of a clean {}.
a photo of a dirty {}.
a dark photo of the {}.
a drawing of a {}.
a photo of my {}.
the plastic {}.
a photo of the cool {}.
a close-up photo of a {}.
a black and white photo of the {}.
a painting of the {}.
a painting of a {}.
a pixelated photo of the {}.
a sculpture of the {}.
a bright photo of the {}.
a cropped photo of a {}.
a plastic {}.
a photo of the dirty {}.
a jpeg corrupted photo of a {}.
a blurry photo of the {}.
a photo of the {}.
a good photo of the {}.
a rendering of the {}.
a {} in a video game.
a photo of one {}.
a doodle of a {}.
a close-up photo of the {}.
a photo of a {}.
the origami {}.
the {} in a video game.
a sketch of a {}.
a doodle of the {}.
a origami {}.
a low resolution photo of a {}.
the toy {}.
a rendition of the {}.
a photo of the clean {}.
a photo of a large {}.
a rendition of a {}.
a photo of a nice {}.
a photo of a weird {}.
a blurry photo of a {}.
a cartoon {}.
art of a {}.
a sketch of the {}.
a embroidered {}.
a pixelated photo of a {}.
itap of the {}.
a jpeg corrupted photo of the {}.
a good photo of a {}.
a plushie {}.
a photo of the nice {}.
a photo of the small {}.
a photo of the weird {}.
the cartoon {}.
art of the {}.
a drawing of the {}.
a photo of the large {}.
a black and white photo of a {}.
the plushie {}.
a dark photo of a {}.
itap of a {}.
graffiti of the {}.
a toy {}.
itap of my {}.
a photo of a cool {}.
a photo of a small {}.
a tattoo of the {}.
""".strip().splitlines()
)
"""The 80 templates for ImageNet published with CLIP: data, copyright OpenAI 2021, MIT licence.

Source: github.com/openai/CLIP, notebooks/Prompt_Engineering_for_ImageNet.ipynb ("itap" is "I took a picture").
The StyleCLIP paper uses all 80; its code leaves out "a photo of many {}.".
"""


def check_known(embedder: object, text: str, *, neutral: str | None = None) -> None:
    """Refuse a text of which the embedder knows no word that says anything, where it can tell.

    Small words and those of the neutral text say nothing new. A text that is known in part is let through.

    Args:
        embedder: with `unknown_words`, and perhaps `known_words`; any other embedder knows all words.

    Raises:
        PromptError: none of its words is known; the message names the nearest that are.
    """
    ask: Callable[[str], list[str]] | None = getattr(embedder, "unknown_words", None)
    unknown = {word.casefold() for word in ask(text)} if ask is not None else set()
    if not unknown:
        return
    said, idle = ({*re.findall(r"\w+", one.casefold())} for one in (text, f"{neutral or ''} {_SMALL_WORDS}"))
    if said - idle - unknown:
        return
    vocabulary = [*getattr(embedder, "known_words", ())]
    near = [word for one in sorted(unknown) for word in difflib.get_close_matches(one, vocabulary, n=3, cutoff=0.5)]
    hint = f"; the nearest that it knows: {', '.join(dict.fromkeys(near))}" if near else ""
    raise PromptError(
        f"this small model knows no word of {text!r} that says what to change ({', '.join(sorted(unknown))}){hint}; "
        "the picture stays as it is"
    )


_SMALL_WORDS = "a an the and or of in on at with without no not is are as by for from to very more less"
