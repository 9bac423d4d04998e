"""The tab Portrait: this person, with that expression."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from mien.expressions.spec import Expression
from mien.making.made import Maker
from mien.making.wishes import PhotoWish, PortraitWish, Request
from mien.metrics.words import words as in_words
from mien.studio import jobs
from mien.studio.engine import Engine, Job
from mien.studio.fields import (
    GALLERY,
    MODEL,
    Panel,
    buttons,
    expression_fields,
    inventing,
    photo,
    sampling,
    sampling_fields,
    stop_by,
    wanted,
)
from mien.studio.inputs import MAX_SEED, MAX_TEXT, number, picture, prompt, told
from mien.studio.jobs import Done

MOST = 8  # portraits of one job


def panel(engine: Engine, backbone: gr.Dropdown, history: gr.State) -> Panel:
    """Build the tab's content inside the open tab."""
    with gr.Row():
        with gr.Column(min_width=300):
            identity = photo(engine, "The person")
            inventing(engine, backbone, identity)
            expression = expression_fields(engine)
            said = gr.Textbox(
                "", label="Prompt", info="what the picture should look like", max_lines=4, max_length=MAX_TEXT
            )
            avoided = gr.Textbox("", label="Not wanted", max_lines=2, max_length=MAX_TEXT)
            count = gr.Slider(1, MOST, 1, step=1, label="Variations", info="of seed, seed + 1 …")
            chosen = sampling_fields()
            start, stop = buttons("Make the portrait")
        with gr.Column(min_width=300):
            preview = gr.Image(label="On the way", interactive=False, height=200, buttons=[])
            gallery = gr.Gallery(label="Portraits", interactive=False, **GALLERY)
            files = gr.Files(label="Download, settings inside", interactive=False)
            note = gr.Markdown("", label="Note", elem_classes="note")

    def make(
        identity: str | None,
        how: str,
        expression: str,
        expression_picture: str | None,
        prompt_text: str,
        negative_prompt: str,
        variations: float,
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
        with told():
            engine.sessions.hold(str(request.session_hash), identity, expression_picture)
            wish = PortraitWish(
                negative_prompt=prompt(negative_prompt, "negative prompt"),
                num_images=number(variations, 1, MOST, "number of variations"),
                **sampling(steps, id_scale, expression_scale, guidance),
            )
            asked = Request(
                picture(identity, "person's picture"),
                wanted(how, expression, expression_picture),
                prompt(prompt_text),
                number(seed, 0, MAX_SEED, "seed"),
            )

            def work(job: Job, place: Path) -> Done:
                maker: Maker
                if jobs.by_photo(backbone, asked.prompt, wish.negative_prompt) and wish.num_images == 1:
                    from mien.making.photographs import Photographs

                    maker = Photographs(PhotoWish("portrait"))
                else:
                    from mien.making.portraits import Portraits

                    maker = Portraits(engine.model(backbone), wish)
                done = jobs.make(maker, asked, wish.num_images, job, place)
                paths = [path for path, _ in done]
                lines = [f"Seed {made.told['seed']}: {in_words(made.scores)}" for _, made in done]
                entry: dict[str, Any] = {"kind": "portrait", "how": how, "text": expression}
                entry |= {"picture": paths[0], "label": f"{_text(asked)} · seed {asked.seed}"}
                entry["settings"] = {**maker.settings, **done[0][1].told}
                return Done(paths, paths, "  \n".join(lines), entry)

            yield from jobs.follow(engine, request, history, progress, work)

    outputs = [preview, gallery, files, note, history]
    inputs = [
        identity, expression["how"], expression["text"], expression["picture"], said, avoided, count,
        chosen["seed"], chosen["steps"], chosen["id_scale"], chosen["expression_scale"], chosen["guidance"],
        backbone, history,
    ]  # fmt: skip
    start.click(make, inputs, outputs, api_name="portrait", show_progress_on=preview, **MODEL)
    stop_by(stop, engine)
    return Panel(
        "portrait",
        "portrait",
        {
            "how": expression["how"], "text": expression["text"], "sliders": expression["sliders"],
            "prompt": said, "negative_prompt": avoided, "num_images": count, **chosen,
        },
    )  # fmt: skip


def _text(asked: Request) -> str:
    return asked.expression.text[:40] if isinstance(asked.expression, Expression) else ""
