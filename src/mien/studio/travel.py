"""The tab Travel: one person from expression to expression, as a moving picture."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import gradio as gr

from mien.provenance import save_image
from mien.provenance.animation import save_animation
from mien.sheets import sheet
from mien.studio.engine import Engine, Job, Step
from mien.studio.fields import MODEL, Panel, buttons, inventing, on_the_way, photo, sampling_fields, stop_by
from mien.studio.history import remember
from mien.studio.inputs import MAX_SEED, MAX_TEXT, number, own, picture, prompt, told, words
from mien.types import InputError

MOST_FRAMES, MOST_STOPS = 48, 8
COLUMNS = 8  # of the sheet
BATCH = 4  # frames in work at a time: a stopped job ends soon


def panel(engine: Engine, backbone: gr.Dropdown, history: gr.State) -> Panel:
    """Build the tab's content inside the open tab."""
    with gr.Row():
        with gr.Column(min_width=300):
            identity = photo(engine, "The person")
            inventing(engine, backbone, identity)
            stops = gr.Textbox(
                "neutral, joy, surprise",
                label="Expressions on the way",
                info="words, emoji or mixes, with commas between",
                max_length=MAX_TEXT,
            )
            frames = gr.Slider(2, MOST_FRAMES, 12, step=1, label="Frames")
            fps = gr.Slider(1, 30, 8, step=1, label="Frames a second")
            back = gr.Checkbox(True, label="And back again")
            said = gr.Textbox("", label="Prompt", max_lines=4, max_length=MAX_TEXT)
            chosen = sampling_fields()
            start, stop = buttons("Travel")
        with gr.Column(min_width=300):
            preview = gr.Image(label="On the way", interactive=False, height=200, buttons=[])
            film = gr.Image(
                label="Film", type="filepath", interactive=False, format="gif", buttons=["fullscreen"]
            )
            files = gr.Files(label="Download: film and contact sheet, settings inside", interactive=False)
            note = gr.Markdown("", label="Note", elem_classes="note")

    def make(
        identity: str | None,
        expressions: str,
        frames: float,
        frames_a_second: float,
        and_back: bool,
        prompt_text: str,
        seed: float,
        steps: float,
        id_scale: float,
        expression_scale: float,
        guidance: float,
        backbone: str,
        history: list[dict[str, Any]],
        request: gr.Request,
        progress: Any = gr.Progress(),  # noqa: B008 - how Gradio knows that it is wanted
    ) -> Iterator[Any]:
        from mien.cli.generate.wish import Wish
        from mien.pipelines import travel as journeys

        with told():
            engine.sessions.hold(str(request.session_hash), identity)
            who = picture(identity, "person's picture")
            places = [words(stop) for stop in split(prompt(expressions, "list of expressions"))]
            count = number(frames, 2, MOST_FRAMES, "number of frames")
            wish: dict[str, Any] = {
                "steps": own(steps),
                "guidance": guidance or None,
                "id_scale": id_scale,
                "expression_scale": expression_scale,
            }
            draw: dict[str, Any] = {"seed": number(seed, 0, MAX_SEED, "seed"), "prompt": prompt(prompt_text)}
            names = journeys.names(places, count)
            place = engine.new_folder(str(request.session_hash))

            def work(job: Job) -> Any:
                maker = engine.portraits(backbone)
                try:
                    maker.wish = Wish(**wish)
                    callback = job.watch(maker.pipe.backbone)
                    images = journeys.travel(
                        maker.pipe, who, places, count, batch_size=BATCH, callback=callback, **wish, **draw
                    )
                    models = {"models": maker.maker.hashes, "environment": maker.maker.environment}
                    return images, maker.settings | models
                finally:
                    maker.forget()

            yield None, None, None, "", history
            for update in engine.run(str(request.session_hash), work):
                if isinstance(update, Step):
                    if shown := on_the_way(update, place, progress):
                        yield shown
                    continue
                images, settings = update
                settings |= {
                    "kind": "travel", "expressions": [stop.text for stop in places], "frames": count, **draw,
                    "backbone": backbone,
                }  # fmt: skip
                moving = [*images, *images[-2:0:-1]] if and_back else images
                gif = save_animation(
                    moving, place / "travel.gif", settings, number(frames_a_second, 1, 30, "rate")
                )
                cells = list(zip(names, images, strict=True))
                rows = [cells[i : i + COLUMNS] for i in range(0, len(cells), COLUMNS)]
                still = save_image(drawn(rows, images[0].height), place / "travel.png", settings)
                label = " → ".join(stop.text[:16] for stop in places)
                entry: dict[str, Any] = {
                    "kind": "travel",
                    "picture": str(still),
                    "label": label,
                    "settings": settings,
                }
                entry |= {"text": expressions}
                done = f"{count} frames."
                yield None, str(gif), [str(gif), str(still)], done, remember(history, entry)

    inputs = [
        identity, stops, frames, fps, back, said, chosen["seed"], chosen["steps"], chosen["id_scale"],
        chosen["expression_scale"], chosen["guidance"], backbone, history,
    ]  # fmt: skip
    outputs = [preview, film, files, note, history]
    start.click(make, inputs, outputs, api_name="travel", show_progress_on=preview, **MODEL)
    stop_by(stop, engine)
    return Panel("travel", "travel", {"text": stops, "frames": frames, "prompt": said, **chosen})


def drawn(rows: Any, height: int) -> Any:
    """The contact sheet (PIL RGB) of labelled pictures."""
    return sheet(rows, max(128, height // 2))


def split(text: str) -> list[str]:
    """The stops of a journey, separated by commas, arrows or new lines.

    Raises:
        InputError: there are fewer than two, or too many.
    """
    stops = [stop.strip() for stop in re.split(r"[,\n→]", text) if stop.strip()]
    if not 2 <= len(stops) <= MOST_STOPS:
        raise InputError(f"{len(stops)} expressions on the way: give from 2 to {MOST_STOPS}.")
    return stops
