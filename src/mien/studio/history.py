"""The tab History: what this page has made, and its settings again with one click. It ends with the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from mien.studio.fields import Panel
from mien.studio.inputs import positions, told
from mien.types import InputError

LONGEST = 40  # entries kept


def remember(history: list[dict[str, Any]], entry: dict[str, Any]) -> list[dict[str, Any]]:
    """The history with one more entry, the newest first."""
    return [entry, *history][:LONGEST]


def chosen(entries: list[dict[str, Any]], index: int) -> dict[str, Any]:
    """The entry that is number `index` of those whose pictures are there; the oldest go first.

    Raises:
        InputError: it has gone since the page was shown.
    """
    there = _there(entries)
    if index >= len(there):
        raise InputError("That picture was kept for a while only and is gone: make it again.")
    return there[index]


def panel(history: gr.State, panels: Sequence[Panel], tabs: gr.Tabs) -> None:
    """Build the tab's content inside the open tab."""
    gr.Markdown("Click a picture to take its settings again. Pictures that you gave stay where they are.")
    gallery = gr.Gallery(
        label="Made on this page",
        columns=6,
        height="auto",
        interactive=False,
        allow_preview=False,
        fit_columns=False,
    )
    said = gr.JSON(label="Settings of the chosen one", value=None)
    fields = [(page, name, control) for page in panels for name, control in page.fields.items()]
    controls = [one for _, _, control in fields for one in _listed(control)]

    def show(entries: list[dict[str, Any]]) -> list[tuple[str, str]]:
        return [(entry["picture"], f"{entry['kind']}: {entry['label']}") for entry in _there(entries)]

    def reuse(entries: list[dict[str, Any]], event: gr.SelectData) -> list[Any]:
        with told():
            entry = chosen(entries, int(event.index))
        known = {**entry["settings"], **{key: entry[key] for key in ("how", "text") if key in entry}}
        known["sliders"] = positions(known.get("text", ""))
        page = next(page for page in panels if page.kind == entry["kind"])
        updates: list[Any] = []
        for owner, name, control in fields:
            mine = owner is page and known.get(name) is not None
            values = _listed(known[name]) if mine else [None] * len(_listed(control))
            updates += [gr.update(value=value) if mine else gr.skip() for value in values]
        return [gr.Tabs(selected=page.tab), entry["settings"], *updates]

    history.change(show, history, gallery, api_visibility="private", queue=False)
    gallery.select(reuse, history, [tabs, said, *controls], api_visibility="private", queue=False)


def _there(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry for entry in entries if Path(entry["picture"]).is_file()]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
