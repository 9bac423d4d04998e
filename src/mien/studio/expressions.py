"""The tab Expressions: the 135 words as pictures; a click takes one to the tab Portrait."""

from __future__ import annotations

from typing import Any

import gradio as gr

from mien.expressions import labels
from mien.expressions.faces import FOLDER
from mien.studio.fields import Panel


def found(wish: str) -> list[tuple[str, str]]:
    """(picture, caption) of the words that have `wish` in their name, cluster, emotion or emoji; all for nothing."""
    wish = labels.plain((wish or "")[:100].strip().casefold())
    return [
        (str(FOLDER / f"{word}.webp"), f"{word} {''.join(label.emoji[:1])}".strip())
        for word, label in labels.labels().items()
        if any(wish in text for text in (word, label.cluster, label.basic, *map(labels.plain, label.emoji)))
    ]


def panel(portrait: Panel, tabs: gr.Tabs) -> None:
    """Build the tab's content inside the open tab."""
    gr.Markdown("Rendered faces of nobody. Click one to use its word in *Portrait*.")
    search = gr.Textbox("", label="Search", info="a word, an emotion or an emoji", max_length=100)
    gallery = gr.Gallery(
        found(""),
        label="Words",
        columns=6,
        height="auto",
        interactive=False,
        allow_preview=False,
        elem_id="words",
    )
    note = gr.Markdown("", label="Note", elem_classes="note")

    def look(search: str) -> tuple[list[tuple[str, str]], str]:
        """Pictures and captions of the words that fit; the empty search gives all 135."""
        pictures = found(search)
        return pictures, f"{len(pictures)} of {len(labels.labels())} words"

    def use(event: gr.SelectData) -> list[Any]:
        caption = event.value.get("caption") if isinstance(event.value, dict) else None
        word = str(caption or "").split(" ")[0]
        if word not in labels.labels():
            return [gr.skip(), gr.skip(), gr.skip()]
        return [word, "words", gr.Tabs(selected=portrait.tab)]

    search.change(look, search, [gallery, note], api_name="expressions", queue=False)
    targets = [portrait.fields["text"], portrait.fields["how"], tabs]
    gallery.select(use, None, targets, api_visibility="private", queue=False)
