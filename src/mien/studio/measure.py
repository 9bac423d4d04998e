"""The tab Measure: what the analyser sees in pictures, and how alike they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from mien.face.blendshapes import NAMES
from mien.face.overlay import draw_faces, strongest
from mien.provenance import COMPOSITE, save_image
from mien.studio.engine import Engine, Job
from mien.studio.fields import GALLERY, MODEL, hold
from mien.studio.inputs import picture, told
from mien.types import InputError

MOST = 12  # pictures at a time
HEADERS = ["picture", "face", "sure", "yaw°", "pitch°", "roll°", "strongest blendshapes"]
WIDTHS = ["20%", "8%", "8%", "9%", "10%", "9%", "36%"]
SCORES = ["picture", "Exp (best 0)", "LMS (best 0)", "ID (best 1)", "pose°"]


def panel(engine: Engine) -> None:
    """Build the tab's content inside the open tab."""
    given = gr.Files(label=f"Pictures, at most {MOST}", file_types=["image"])
    hold(engine, given)
    start = gr.Button("Measure", variant="primary")
    gallery = gr.Gallery(label="Landmarks and strongest blendshapes", interactive=False, **GALLERY)
    table = gr.Dataframe(
        headers=HEADERS, label="Faces", interactive=False, wrap=True, column_widths=WIDTHS, elem_id="faces"
    )
    scores = gr.Dataframe(
        headers=SCORES, label="Compared with the first picture", interactive=False, wrap=True
    )
    numbers = gr.JSON(label="All numbers", open=False)

    def measure(pictures: list[str] | None, request: gr.Request) -> tuple[Any, ...]:
        """Faces of pictures: drawn, in a table, scored against the first one, and all 52 blendshapes as JSON."""
        with told():
            paths = pictures or []
            engine.sessions.hold(str(request.session_hash), *paths)
            if not 1 <= len(paths) <= MOST:
                raise InputError(f"{len(paths)} pictures were given: give from 1 to {MOST}.")
            images = [picture(path, f"picture {number}") for number, path in enumerate(paths, 1)]

            def work(job: Job) -> list[Any]:
                from mien.metrics.scoring import load_scorer

                scorer, seen = load_scorer(), []
                for image in images:
                    job.check()
                    faces = scorer.analyse(image)
                    seen.append((faces, scorer.observe_face(image, faces[0], len(faces)) if faces else None))
                return [scorer, seen]

            scorer, seen = list(engine.run(str(request.session_hash), work))[-1]
            place = engine.new_folder(str(request.session_hash))
            shown, rows, compared, said = [], [], [], []
            first = seen[0][1]
            for number, (image, (faces, observed)) in enumerate(zip(images, seen, strict=True), 1):
                drawn = draw_faces(image, faces)
                file = save_image(drawn, place / f"measured_{number}.png", {"kind": "measured"}, COMPOSITE)
                name = Path(paths[number - 1]).name
                shown.append((str(file), f"{number}: {len(faces)} face(s)"))
                rows += [[f"{number} {name}", *row(i, face)] for i, face in enumerate(faces)]
                said.append({"picture": number, "faces": [as_json(face) for face in faces]})
                if number > 1 and first is not None and observed is not None:
                    values = scorer.compare(observed, first, first)
                    pose = [round(values[key], 3) for key in ("exp", "lms", "id", "pose")]
                    compared.append([f"{number} {name}", *pose])
            return shown, rows, compared, said

    start.click(measure, given, [gallery, table, scores, numbers], api_name="measure", **MODEL)


def row(number: int, face: Any) -> list[Any]:
    """A face's line of the table, after the picture's name."""
    named = ", ".join(f"{name} {value:.2f}" for name, value in strongest(face.blendshapes, 4))
    return [number, round(face.confidence, 3), *(round(float(v), 1) for v in face.pose), named]


def as_json(face: Any) -> dict[str, Any]:
    """A face's numbers without its 478 landmarks: box in px, pose in degrees, blendshapes in [0, 1]."""
    return {
        "box": [round(float(v), 1) for v in face.box],
        "confidence": round(face.confidence, 4),
        "pose": [round(float(v), 2) for v in face.pose],
        "blendshapes": {name: round(float(v), 4) for name, v in zip(NAMES, face.blendshapes, strict=True)},
    }
