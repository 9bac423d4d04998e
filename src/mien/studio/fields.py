"""Groups of controls that several panels have, and what a panel hands on."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from mien.expressions.spec import Expression, parse
from mien.provenance import save_image
from mien.studio.calls import place_of
from mien.studio.engine import Engine, Job, Step
from mien.studio.inputs import MAX_SEED, MAX_TEXT, SLIDERS, own, picture, told, words
from mien.types import InputError

GALLERY: dict[str, Any] = {
    "columns": 2,
    "height": 420,
    "object_fit": "contain",
    "format": "png",
    "buttons": ["download", "fullscreen"],
}
MODEL = {"concurrency_id": "model", "concurrency_limit": 1}
"""Of every event that needs a model: one at a time for everybody, the others wait in the queue."""
HOW = ("words", "picture", "sliders")
WRITE = (
    "(...values) => { const names = " + json.dumps(list(SLIDERS.values())) + "; const shapes = {}; "
    "names.forEach((list, i) => { if (values[i] > 0) list.forEach(name => { shapes[name] = values[i]; }); }); "
    "return Object.keys(shapes).length ? JSON.stringify(shapes) : 'neutral'; }"
)


@dataclass
class Panel:
    """What a tab hands on.

    Attributes:
        kind: of its history entries. tab: its id. fields: setting's name -> the control that holds it.
    """

    kind: str
    tab: str
    fields: dict[str, Any] = field(default_factory=dict)


def photo(engine: Engine, label: str, **options: Any) -> gr.Image:
    """A picture from a file, the clipboard or the camera, kept as it was sent: `inputs.picture` reads it."""
    image = gr.Image(
        label=label,
        type="filepath",
        sources=["upload", "webcam", "clipboard"],
        height=options.pop("height", 260),
        buttons=[],
        **options,
    )
    image.preprocess = place_of  # a subclass would make Gradio write a stub beside our source
    hold(engine, image)
    return image


def hold(engine: Engine, given: gr.Image | gr.Files) -> None:
    """What is given here goes with the session."""

    def note(files: str | list[str] | None, request: gr.Request) -> None:
        engine.sessions.hold(str(request.session_hash), *([files] if isinstance(files, str) else files or []))

    given.change(note, given, queue=False, api_visibility="private", show_progress="hidden")


def inventing(engine: Engine, backbone: gr.Dropdown, into: gr.Image) -> None:
    """A button for those without a picture at hand: somebody who does not exist is put into `into`."""
    button = gr.Button("No picture? Invent somebody", size="sm")

    def make(
        backbone: str,
        request: gr.Request,
        progress: Any = gr.Progress(),  # noqa: B008 - how Gradio knows that it is wanted
    ) -> str:
        with told():
            session = str(request.session_hash)
            place = engine.new_folder(session) / "nobody.png"

            def work(job: Job) -> Path:
                from mien.making.portraits import Portraits
                from mien.making.wishes import PortraitWish

                model = engine.model(backbone)
                (one,) = Portraits(model, PortraitWish()).invent(
                    1, secrets.randbelow(MAX_SEED), callback=job.watch(model.backbone)
                )
                return one.save(place)

            for update in engine.run(session, work):
                if isinstance(update, Step):
                    progress((update.step, update.total), unit="steps")
            return str(place)

    button.click(make, backbone, into, api_visibility="private", show_progress_on=into, **MODEL)


def expression_fields(engine: Engine) -> dict[str, Any]:
    """How the expression is given, and the controls for each way."""
    how = gr.Radio(list(HOW), value="words", label="Expression by")
    text = gr.Textbox(
        value="joy",
        label="Words, emoji or a mix",
        info="joy · 😏 · anger:0.5 · joy:0.6+surprise:0.4 · the tab Expressions shows all words",
        max_lines=2,
        max_length=MAX_TEXT,
    )
    image = photo(engine, "Expression's picture (anybody's)", visible=False)
    with gr.Accordion("Sliders", open=True, visible=False) as box:
        moved = [gr.Slider(0, 1, 0, step=0.05, label=name) for name in SLIDERS]

    def show(which: str) -> list[Any]:
        return [
            gr.update(visible=which != "picture"),
            *(gr.update(visible=which == name) for name in HOW[1:]),
        ]

    how.change(show, how, [text, image, box], api_visibility="private", queue=False)
    for slider in moved:  # in the browser: the sliders write what a person could have typed
        slider.input(None, moved, text, js=WRITE, api_visibility="private")
    return {"how": how, "text": text, "picture": image, "sliders": moved}


def wanted(how: str, text: str, path: str | None) -> Expression:
    """The expression that the fields of `expression_fields` say; its picture is read.

    Raises:
        InputError: it cannot be used.
    """
    if how not in HOW:
        raise InputError(f"An expression is given by one of: {', '.join(HOW)}.")
    return parse(picture(path, "expression's picture")) if how == "picture" else words(text)


def sampling_fields() -> dict[str, Any]:
    """Seed, steps and scales."""
    with gr.Accordion("Settings", open=False):
        with gr.Row():
            seed = gr.Number(0, label="Seed", info="same seed, same picture", precision=0, minimum=0)
            steps = gr.Slider(0, 100, 0, step=1, label="Steps", info="0: the model's own")
        with gr.Row():
            id_scale = gr.Slider(0, 2, 1, step=0.05, label="Identity's weight")
            expression_scale = gr.Slider(0, 2, 1, step=0.05, label="Expression's weight")
        scale = gr.Slider(0, 15, 0, step=0.5, label="Guidance", info="0: the model's own")
    return {
        "seed": seed,
        "steps": steps,
        "id_scale": id_scale,
        "expression_scale": expression_scale,
        "guidance": scale,
    }


def sampling(steps: float, id_scale: float, expression_scale: float, guidance: float) -> dict[str, Any]:
    """What the fields of `sampling_fields` say, but for the seed, as settings of a wish."""
    return {
        "steps": own(steps),
        "guidance": guidance or None,
        "id_scale": id_scale,
        "expression_scale": expression_scale,
    }


def buttons(what: str) -> tuple[gr.Button, gr.Button]:
    """The button that starts, and the one that stops."""
    with gr.Row():
        return gr.Button(what, variant="primary", scale=3), gr.Button("Stop", variant="stop", scale=1)


def stop_by(button: gr.Button, engine: Engine) -> None:
    """`button` stops the session's jobs at their next step."""

    def stop(request: gr.Request) -> None:
        if not engine.stop(str(request.session_hash)):
            gr.Info("Nothing is running.")

    button.click(stop, queue=False, api_visibility="private")


def on_the_way(update: Step, place: Path, progress: Any) -> tuple[Any, ...] | None:
    """Tell the progress bar; with a preview, what a panel's outputs (preview, result, files, note, history) become."""
    progress((update.step, update.total), unit="steps")
    if update.preview is None:
        return None
    shown = save_image(update.preview, place / f"preview_{update.step}.png", {"kind": "preview"})
    return str(shown), gr.skip(), gr.skip(), f"Step {update.step} of {update.total}", gr.skip()
