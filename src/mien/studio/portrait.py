"""The tab Portrait: this person, with that expression."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from mien.expressions.spec import Expression
from mien.provenance import save_image
from mien.provenance.hashes import new_salt
from mien.studio.engine import Engine, Job, Step
from mien.studio.fields import (
    GALLERY,
    MODEL,
    Panel,
    buttons,
    expression_fields,
    inventing,
    on_the_way,
    photo,
    sampling_fields,
    stop_by,
    wanted,
)
from mien.studio.history import remember
from mien.studio.inputs import MAX_SEED, MAX_TEXT, number, own, picture, prompt, told

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
            wish = {
                "negative_prompt": prompt(negative_prompt, "negative prompt"),
                "steps": own(steps),
                "guidance": guidance or None,
                "id_scale": id_scale,
                "expression_scale": expression_scale,
                "num_images": number(variations, 1, MOST, "number of variations"),
            }
            engine.sessions.hold(str(request.session_hash), identity, expression_picture)
            who = picture(identity, "person's picture")
            what = wanted(how, expression, expression_picture)
            words, first = prompt(prompt_text), number(seed, 0, MAX_SEED, "seed")
            place = engine.new_folder(str(request.session_hash))

            def work(job: Job) -> Any:
                return portraits(engine, job, place, backbone, wish, who, what, words, first)

            yield None, [], None, "", history
            for update in engine.run(str(request.session_hash), work):
                if isinstance(update, Step):
                    if shown := on_the_way(update, place, progress):
                        yield shown
                    continue
                paths, lines, settings = update
                entry: dict[str, Any] = {"kind": "portrait", "how": how, "text": expression}
                entry |= {
                    "picture": paths[0],
                    "label": f"{what.text[:40]} · seed {first}",
                    "settings": settings,
                }
                yield None, paths, paths, "  \n".join(lines), remember(history, entry)

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


def portraits(
    engine: Engine,
    job: Job,
    place: Path,
    backbone: str,
    wish: dict[str, Any],
    who: Any,
    what: Expression,
    words: str,
    seed: int,
) -> tuple[list[str], list[str], dict[str, Any]]:
    """Make and write them: paths, a line on each, and the settings that the first one carries.

    They hold what `mien generate --from` needs.
    """
    from mien.cli.generate.portraits import Target
    from mien.cli.generate.wish import Wish, in_words

    maker = engine.portraits(backbone)
    try:
        maker.wish = Wish(**wish)
        person = maker.look(Path("the person's picture"), "face", who)
        if what.picture is not None:
            face = maker.look(Path("the expression's picture"), "expression_face", what.picture).seen
            target = Target(what, face.face.blendshapes, face)
        else:
            target = maker.express(what)
        images = maker.make([(person, target)], [words], [seed], job.watch(maker.pipe.backbone))
        salt, paths, lines = new_salt(), [], []
        shared = {**maker.settings, "backbone": backbone, "prompt": words}
        for slot, image in enumerate(images):
            scores = maker.score(image, person, target)
            record = maker.record(person, target, image, salt, slot, len(images))
            file = place / f"portrait_{seed + slot}.png"
            save_image(image, file, {**shared, "seed": seed + slot, **record, "scores": scores})
            paths.append(str(file))
            lines.append(f"Seed {seed + slot}: {in_words(scores)}")
        return paths, lines, {**shared, "seed": seed}
    finally:
        maker.wish = replace(maker.wish, num_images=1)
        maker.forget()
