"""The page: where everything stands, and which deed belongs to which event. What a deed does is in `acts`."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import gradio as gr

from . import api
from .acts import Acts, Patch
from .handlers import Handlers

ASSETS = Path(__file__).parent / "assets"

METHODS = [
    ("In words", ""),
    ("By examples", "svm"),
    ("By optimisation", "optimize"),
]
METHODS_TOLD = (
    "**In words** is quick and can go both ways. **By examples** learns from drawn pictures that fit the words. "
    "**By optimisation** searches for this picture alone, takes a minute, can be watched and stopped."
)

HEADER = """\
<header class="studio-head">
  <div class="brand"><span class="mark" aria-hidden="true"></span><h1>textmorph <em>studio</em></h1></div>
  <button type="button" id="light" class="icon" title="Light or dark" aria-label="Switch between light and dark">
    <span aria-hidden="true">◐</span></button>
</header>"""

NOTES = '<div role="status" aria-live="polite">${value}</div>'

HELP = """\
<details class="help"><summary>How it works, and what it cannot do</summary>
<p>Say what the picture should show, as a whole phrase: <em>a person with purple hair</em>. The studio finds the
gentlest strength that shows; every wish then has a slider for <b>how much</b> (to the left: the opposite) and one for
<b>how narrowly</b> (few parts: little else changes). Wishes add up, in any number.</p>
<p>It changes the model's drawing of your picture, never the picture itself, so it can only show what the model can
draw. It says so when a word is unknown to it, when a picture is far from what it knows, and when the person was
lost.</p>
<p>By keyboard: <kbd>/</kbd> goes to the words, <kbd>Tab</kbd> and the arrow keys to everything else,
<kbd>Ctrl</kbd>+<kbd>Z</kbd> undoes. By words alone: <em>more</em>, <em>less</em>, <em>the opposite</em>, <em>undo</em>,
<em>redo</em>, <em>start over</em>, <em>surprise me</em>, <em>keep</em>, <em>download</em> do what they say.</p>
<p>Your pictures stay on the machine that runs this page, in a folder of your visit that nobody else can open, and are
deleted when the visit ends.</p></details>"""

BEGIN = """() => [
  sessionStorage.getItem("studio-visit") || "",
  (location.hash.match(/open=([\\w-]+)/) || [])[1] || "",
]"""

TOOLS = [
    ("Save picture", "download-picture", {"do": "save", "what": "picture"}),
    ("Keep", "keep", {"do": "keep"}),
    ("Make a video", "make-morph", {"do": "morph"}),
    ("Make a link", "make-link", {"do": "link"}),
]
STEPS = [("Undo", "undo"), ("Redo", "redo"), ("Reset", "reset")]


def asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def theme() -> gr.themes.Base:
    """Fonts of the system, so that the page fetches nothing from anywhere."""
    sans = ["ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "monospace"]
    return gr.themes.Base(font=sans, font_mono=mono, radius_size="lg", primary_hue="violet", neutral_hue="stone")


def build_page(handlers: Handlers) -> gr.Blocks:
    """Lay the page out, and tie its events to the deeds."""
    acts = Acts(handlers)
    shelf = handlers.studio.shelf
    with gr.Blocks(title="textmorph studio", analytics_enabled=False, fill_width=True) as page:
        api.offer(handlers)  # first, so that programs get the plain names
        key, token = gr.Textbox(visible=False), gr.Textbox(visible=False)
        part: dict[str, Any] = {"key": key}
        with gr.Row(elem_classes="top"):
            gr.HTML(HEADER, apply_default_css=False)
            if len(shelf.names) > 1:
                part["domain"] = gr.Dropdown(
                    shelf.titles(),
                    value=shelf.names[0],
                    label="Kind of picture",
                    elem_id="domain",
                    scale=0,
                    show_label=False,
                    container=False,
                    filterable=False,
                )
        with gr.Row(elem_classes="studio", equal_height=False):
            with gr.Column(scale=6, min_width=320, elem_classes="left"):
                part["stage"] = gr.HTML(
                    {}, html_template=asset("stage.html"), js_on_load=asset("stage.js"), elem_id="stage",
                    apply_default_css=False,
                )  # fmt: skip
                part["notes"] = gr.HTML(
                    "", html_template=NOTES, elem_id="notes", apply_default_css=False,
                )  # fmt: skip
            with gr.Column(scale=5, min_width=320, elem_classes="right"):
                with gr.Row(elem_classes="wish-line", equal_height=True):
                    part["wish"] = gr.Textbox(
                        label="What should it show?", placeholder="a person with purple hair", lines=1,
                        max_lines=1, max_length=300, elem_id="wish", scale=8, autofocus=False,
                    )  # fmt: skip
                    go = gr.Button("Show me", variant="primary", elem_id="wish-go", scale=0, min_width=96)
                part["ideas"] = _picked("suggestions")
                part["stop"] = gr.Button("Stop", elem_id="stop", visible=False, variant="stop")
                part["rows"] = gr.HTML("", js_on_load=asset("rows.js"), elem_id="rows", apply_default_css=False)
                with gr.Row(elem_classes="steps"):
                    steps = {what: gr.Button(label, elem_id=what, size="sm", min_width=64) for label, what in STEPS}
                with gr.Accordion("Other ways to a wish", open=False, elem_id="ways"):
                    method = gr.Radio(METHODS, value="", label="Find it", elem_id="method")
                    gr.Markdown(METHODS_TOLD)
                with gr.Row(elem_classes="tools"):
                    tools = [(gr.Button(label, elem_id=id, size="sm", min_width=96), do) for label, id, do in TOOLS]
                part["files"] = gr.HTML(
                    {}, html_template=asset("files.html"), js_on_load=asset("files.js"), elem_id="files",
                    apply_default_css=False,
                )  # fmt: skip
        gr.HTML("<h2>Gallery</h2>", apply_default_css=False, elem_classes="gallery-title")
        part["gallery"] = _picked("gallery")
        gr.HTML(HELP, apply_default_css=False)
        part |= {"undo": steps["undo"], "redo": steps["redo"], "reset": steps["reset"]}

        tie = _Ties(acts, part)
        page.load(tie.begin, [key, token], tie.outputs, js=BEGIN, **QUIET)
        for name in ("stage", "rows", "ideas", "gallery", "files"):
            part[name].act(tie.asked, [key], tie.outputs, trigger_mode="multiple", **QUIET)
        part["rows"].moving(tie.moving, [key], [part["stage"], part["notes"]], trigger_mode="multiple", **QUIET)
        part["stage"].hear(tie.hear, None, None, trigger_mode="multiple", **QUIET)
        gr.on(
            [part["wish"].submit, go.click], tie.wish, [key, part["wish"], method], tie.outputs, trigger_mode="once",
            **QUIET,
        )  # fmt: skip
        part["stop"].click(tie.stop, [key], [part["notes"]], **QUIET)
        for what, button in steps.items():
            button.click(tie.fixed({"do": "step", "what": what}), [key], tie.outputs, **QUIET)
        for button, asked in tools:
            button.click(tie.fixed(asked), [key], tie.outputs, **QUIET)
        if "domain" in part:
            part["domain"].input(tie.domain, [key, part["domain"]], tie.outputs, **QUIET)
    return page


QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
"""Events of the page: how far they are is told in words; programs have endpoints of their own; turns are ours."""


def _picked(name: str) -> gr.HTML:
    return gr.HTML("", js_on_load=asset("pick.js"), elem_id=name, apply_default_css=False)


class _Ties:
    """Between Gradio's events and the deeds: a patch becomes updates of components."""

    def __init__(self, acts: Acts, part: dict[str, Any]) -> None:
        self._acts, self._part = acts, part
        self._serial = itertools.count(1)
        self.outputs = list(part.values())

    def updates(self, patch: Patch) -> dict[Any, Any]:
        part = self._part
        updates: dict[Any, Any] = {
            part[name]: value for name, value in patch.items() if name in part and name not in ("stage", "stop")
        }
        if "stage" in patch:  # a number of its own makes every value a new one
            updates[part["stage"]] = {**patch["stage"], "serial": next(self._serial)}
        if "stop" in patch:
            updates[part["stop"]] = gr.update(visible=patch["stop"])
        if "can_undo" in patch:
            updates[part["undo"]] = gr.update(interactive=patch["can_undo"])
            updates[part["redo"]] = gr.update(interactive=patch["can_redo"])
            updates[part["reset"]] = gr.update(interactive=patch["can_reset"])
        return updates

    async def begin(self, key: str, token: str) -> AsyncIterator[dict[Any, Any]]:
        async for patch in self._acts.begin(key, token):
            yield self.updates(patch)

    async def asked(self, key: str, event: gr.EventData) -> AsyncIterator[dict[Any, Any]]:
        async for patch in self._acts.do(key, event._data):
            yield self.updates(patch)

    def hear(self) -> None:
        """Nothing: that the page asks at all makes it listen again; see `studioHear` in head.js."""

    async def moving(self, key: str, event: gr.EventData) -> dict[Any, Any]:
        return self.updates(await self._acts.moving(key, event._data))

    async def wish(self, key: str, text: str, method: str) -> AsyncIterator[dict[Any, Any]]:
        async for patch in self._acts.do(key, {"do": "wish", "text": text, "method": method}):
            yield self.updates(patch)

    async def domain(self, key: str, name: str) -> AsyncIterator[dict[Any, Any]]:
        async for patch in self._acts.do(key, {"do": "domain", "name": name}):
            yield self.updates(patch)

    def stop(self, key: str) -> Any:
        return self._acts.stop(key)["notes"]

    def fixed(self, asked: dict[str, Any]) -> Callable[[str], AsyncIterator[dict[Any, Any]]]:
        """The handler of a button that always asks for the same."""

        async def handler(key: str) -> AsyncIterator[dict[Any, Any]]:
            async for patch in self._acts.do(key, asked):
                yield self.updates(patch)

        return handler
