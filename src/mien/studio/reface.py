"""The tab Reface: another face, another expression or both, in a photo that otherwise keeps every pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image, ImageDraw, ImageFont

from mien.making.made import Maker
from mien.making.wishes import PhotoWish, RefaceWish, Request
from mien.metrics.words import words as in_words
from mien.provenance import COMPOSITE, save_image
from mien.studio import jobs
from mien.studio.engine import Engine, Job
from mien.studio.fields import (
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
from mien.types import Face, InputError

TASKS = ("swap", "reenact", "both")
MOST_FACES = 99
CHOSEN, OTHER = (0, 150, 255), (120, 126, 134)
SHOWN = 1024  # px of the longer side of the photo with boxes


def panel(engine: Engine, backbone: gr.Dropdown, history: gr.State) -> Panel:
    """Build the tab's content inside the open tab."""
    with gr.Row():
        with gr.Column(min_width=300):
            given = photo(engine, "The photo")
            inventing(engine, backbone, given)
            boxed = gr.Image(
                label="Its faces: click one", interactive=False, type="filepath", format="png", buttons=[]
            )
            which = gr.Number(
                0, label="Face", info="0 is the largest", precision=0, minimum=0, maximum=MOST_FACES
            )
            boxes = gr.State([])
            task = gr.Radio(
                [
                    ("Another person (swap)", "swap"),
                    ("Another expression (reenact)", "reenact"),
                    ("Both", "both"),
                ],
                value="reenact",
                label="What changes",
            )
            identity = photo(engine, "The other person", visible=False)
            with gr.Group() as express:
                expression = expression_fields(engine)
            said = gr.Textbox("", label="Prompt", info="what the face should look like", max_length=MAX_TEXT)
            chosen = sampling_fields()
            start, stop = buttons("Reface the photo")
        with gr.Column(min_width=300):
            preview = gr.Image(label="On the way", interactive=False, height=200, buttons=[])
            slider = gr.ImageSlider(
                label="Before and after", type="filepath", interactive=False, buttons=["fullscreen"]
            )
            files = gr.Files(label="Download, settings inside", interactive=False)
            note = gr.Markdown("", label="Note", elem_classes="note")

    def find(path: str | None, request: gr.Request) -> tuple[Any, list[list[float]], int, str]:
        with told():
            if path is None:
                return None, [], 0, ""
            image, session = picture(path, "photo"), str(request.session_hash)
            engine.sessions.hold(session, path)

            def work(job: Job) -> Sequence[Face]:
                from mien.face.analyze import analyze

                return analyze(image)

            faces = list(engine.run(session, work))[-1][: MOST_FACES + 1]
            found = [[round(float(v), 1) for v in face.box] for face in faces]
            drawn = draw_boxes(image, found, 0)
            file = save_image(drawn, engine.new_folder(session) / "faces.png", {"kind": "faces"}, COMPOSITE)
            words = "No face was found in the photo." if not found else f"{len(found)} face(s) found."
            return str(file), found, 0, words

    def click(
        path: str | None, found: list[list[float]], event: gr.SelectData, request: gr.Request
    ) -> tuple[Any, int]:
        with told():
            session = str(request.session_hash)
            image = picture(path, "photo")
            scale = max(1.0, max(image.size) / SHOWN)
            chosen_face = nearest(found, float(event.index[0]) * scale, float(event.index[1]) * scale)
            drawn = draw_boxes(image, found, chosen_face)
            file = save_image(drawn, engine.new_folder(session) / "faces.png", {"kind": "faces"}, COMPOSITE)
            return str(file), chosen_face

    def show(task: str) -> list[Any]:
        return [gr.update(visible=task != "reenact"), gr.update(visible=task != "swap")]

    def make(
        photo: str | None,
        task: str,
        face: float,
        identity: str | None,
        how: str,
        expression: str,
        expression_picture: str | None,
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
        with told():
            if task not in TASKS:
                raise InputError(f"What changes is one of: {', '.join(TASKS)}.")
            engine.sessions.hold(str(request.session_hash), photo, identity, expression_picture)
            before = picture(photo, "photo")
            who = None if task == "reenact" else picture(identity, "other person's picture")
            what = None if task == "swap" else wanted(how, expression, expression_picture)
            wish = RefaceWish(
                face=number(face, 0, MOST_FACES, "face's number"),
                **sampling(steps, id_scale, expression_scale, guidance),
            )
            asked = Request(who, what, prompt(prompt_text), number(seed, 0, MAX_SEED, "seed"), before)

            def work(job: Job, place: Path) -> Done:
                maker: Maker
                if task == "reenact" and jobs.by_photo(backbone, asked.prompt):
                    from mien.making.photographs import Photographs

                    maker = Photographs(PhotoWish("reface", face=wish.face))
                else:
                    from mien.making.refaces import Refaces

                    maker = Refaces(engine.model(backbone), wish)
                ((after, made),) = jobs.make(maker, asked, 1, job, place)
                entry: dict[str, Any] = {"kind": "reface", "how": how, "text": expression}
                entry |= {"picture": after, "label": f"{task} · seed {asked.seed}"}
                entry["settings"] = {**made.settings, "task": task}
                note = f"Done. {in_words(made.scores)}"
                return Done((photo, after), [after], note, entry)

            yield from jobs.follow(engine, request, history, progress, work)

    given.change(find, given, [boxed, boxes, which, note], api_name="faces", **MODEL)
    boxed.select(click, [given, boxes], [boxed, which], api_visibility="private")
    task.change(show, task, [identity, express], api_visibility="private", queue=False)
    outputs = [preview, slider, files, note, history]
    inputs = [
        given, task, which, identity, expression["how"], expression["text"], expression["picture"], said,
        chosen["seed"], chosen["steps"], chosen["id_scale"], chosen["expression_scale"], chosen["guidance"],
        backbone, history,
    ]  # fmt: skip
    start.click(make, inputs, outputs, api_name="reface", show_progress_on=preview, **MODEL)
    stop_by(stop, engine)
    return Panel(
        "reface",
        "reface",
        {
            "task": task, "face": which, "how": expression["how"], "text": expression["text"],
            "sliders": expression["sliders"], "prompt": said, **chosen,
        },
    )  # fmt: skip


def draw_boxes(image: Image.Image, boxes: Sequence[Sequence[float]], chosen: int) -> Image.Image:
    """The photo, at most `SHOWN` px, with its faces boxed and numbered; boxes are xyxy in px of `image`."""
    scale = min(1.0, SHOWN / max(image.size))
    drawn = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(max(14, max(drawn.size) // 40))
    for index, box in enumerate(boxes):
        colour = CHOSEN if index == chosen else OTHER
        x0, y0, x1, y1 = (v * scale for v in box)
        pen.rectangle((x0, y0, x1, y1), outline=colour, width=5 if index == chosen else 2)
        label = pen.textbbox((x0, y0), str(index), font=font)
        pen.rectangle((label[0] - 3, label[1] - 3, label[2] + 3, label[3] + 3), fill=colour)
        pen.text((x0, y0), str(index), fill=(255, 255, 255), font=font)
    return drawn


def nearest(boxes: Sequence[Sequence[float]], x: float, y: float) -> int:
    """The number of the box whose centre is nearest to a point, 0 if there is none."""
    away = [abs((b[0] + b[2]) / 2 - x) + abs((b[1] + b[3]) / 2 - y) for b in boxes]
    return away.index(min(away)) if away else 0
