"""New pictures: drawn at random, or from a text alone."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .errors import OptionError
from .latents import Latent
from .prompts import check_prompt
from .wishes import Progress, TextMemory, make_wish

if TYPE_CHECKING:
    from .editor import Editor, Result

BATCH = 8


def sample(
    editor: Editor,
    num: int = 1,
    *,
    prompt: str | None = None,
    seed: int = 0,
    truncation: float = 0.7,
    progress: Progress | None = None,
    **method_options: Any,
) -> list[Result]:
    """Draw new pictures.

    Without a text they are random; picture i depends on the seed and i alone. With a text they are optimised towards
    it: the first from the mean latent, as in the paper, the others from random latents, so that they differ.

    Args:
        num: how many.
        prompt: what they should show.
        seed, truncation: of the random latents; truncation 0 is the mean, 1 leaves them as they are.
        progress: called with what is done and the total.
        method_options: fields of the method `optimize`; only with a text.

    Raises:
        OptionError: a value out of range, or options without a text.

    Source: Patashnik et al. 2021, arXiv:2103.17249, Sec. 4 (free generation).
    """
    if num < 1 or not 0 <= truncation <= 1 or seed < 0:
        raise OptionError(f"num is 1 or more, truncation 0 to 1, seed 0 or more; not {num}, {truncation} and {seed}")
    if prompt is None and method_options:
        raise OptionError(f"{', '.join(method_options)} steer the way to a text; give one, or leave them out")
    random = editor.generator.sample(num, seed=seed, truncation=truncation)
    request: dict[str, Any] = {"sample": {"seed": seed, "truncation": truncation, "num": num}}
    latents = list(random)
    if prompt is not None:
        prompt = check_prompt(prompt)
        wish = make_wish(editor.domain, prompt, method="optimize", seed=seed, options=method_options)
        request |= {"prompt": prompt, "method": "optimize", "values": asdict(wish.recipe)}
        templates = None if editor.domain.templates == "imagenet" else editor.domain.sentences
        starts = [Latent(editor.generator.mean_w[None], "w"), *latents[1:]]
        latents = []
        for first in range(0, num, BATCH):
            batch = Latent.cat(starts[first : first + BATCH])

            def tell(done: int, total: int, first: int = first, size: int = len(batch)) -> None:
                if progress is not None:
                    progress(first * total + size * done, num * total)

            latents += wish.recipe.paint(
                editor.generator, TextMemory(editor.embedder), target=prompt, start=batch, templates=templates,
                progress=tell,
            )  # fmt: skip
    return [editor.present(latent, request=request | {"index": index}) for index, latent in enumerate(latents)]
