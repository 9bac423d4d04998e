"""The tab Travel: one person from expression to expression, as a moving picture."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from mien.making.wishes import PhotoWish, PortraitWish
from mien.studio import jobs
from mien.studio.engine import Engine, Job
from mien.studio.fields import MODEL, Panel, buttons, inventing, photo, sampling, sampling_fields, stop_by
from mien.studio.inputs import MAX_SEED, MAX_TEXT, number, picture, prompt, told, words
from mien.studio.jobs import Done
from mien.types import InputError

MOST_FRAMES, MOST_STOPS = 48, 8
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
        from mien.pipelines.travel import positions

        with told():
            engine.sessions.hold(str(request.session_hash), identity)
            who = picture(identity, "person's picture")
            places = [words(stop) for stop in split(prompt(expressions, "list of expressions"))]
            count = number(frames, 2, MOST_FRAMES, "number of frames")
            positions(len(places), count)  # refuses too few frames
            wish = PortraitWish(**sampling(steps, id_scale, expression_scale, guidance))
            said, first = prompt(prompt_text), number(seed, 0, MAX_SEED, "seed")
            rate = number(frames_a_second, 1, 30, "rate")

            def work(job: Job, place: Path) -> Done:
                from mien.making import films

                if jobs.by_photo(backbone, said):
                    from mien.making.photographs import Photographs

                    maker = Photographs(PhotoWish("portrait"))
                    film = films.photo_travel(maker, who, places, count, job.watch(None))
                else:
                    from mien.making.portraits import Portraits

                    model = engine.model(backbone)
                    film = films.travel(
                        Portraits(model, wish),
                        who,
                        places,
                        count,
                        said,
                        first,
                        BATCH,
                        job.watch(model.backbone),
                    )
                gif, still = film.write(place / "travel.gif", place / "travel.png", rate, and_back)
                label = " → ".join(stop.text[:16] for stop in places)
                entry: dict[str, Any] = {"kind": "travel", "picture": str(still), "label": label}
                entry |= {"settings": film.settings, "text": expressions}
                return Done(str(gif), [str(gif), str(still)], f"{count} frames.", entry)

            yield from jobs.follow(engine, request, history, progress, work)

    inputs = [
        identity, stops, frames, fps, back, said, chosen["seed"], chosen["steps"], chosen["id_scale"],
        chosen["expression_scale"], chosen["guidance"], backbone, history,
    ]  # fmt: skip
    outputs = [preview, film, files, note, history]
    start.click(make, inputs, outputs, api_name="travel", show_progress_on=preview, **MODEL)
    stop_by(stop, engine)
    return Panel("travel", "travel", {"text": stops, "frames": frames, "prompt": said, **chosen})


def split(text: str) -> list[str]:
    """The stops of a journey, separated by commas, arrows or new lines.

    Raises:
        InputError: there are fewer than two, or too many.
    """
    stops = [stop.strip() for stop in re.split(r"[,\n→]", text) if stop.strip()]
    if not 2 <= len(stops) <= MOST_STOPS:
        raise InputError(f"{len(stops)} expressions on the way: give from 2 to {MOST_STOPS}.")
    return stops
