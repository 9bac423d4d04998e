"""Pages of HTML that need nothing else, from the templates of `pages/`: style, pictures and charts are inside them."""

from __future__ import annotations

import base64
import io
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from mien.metrics import chart


def render(template: str, **values: Any) -> str:
    """A page: `title`, `heading` and what else the template asks for; all text is escaped."""
    shared: dict[str, Any] = {"style": "", "body": ""}
    return _environment().get_template(template).render(**{**shared, **values}) + "\n"


def document(title: str, heading: str, body: str, style: str = "") -> str:
    """A page without a template of its own: `body` is HTML; `style` is CSS beside the pages' own."""
    return render("page.html.jinja", title=title, heading=heading, body=Markup(body), style=Markup(style))


def figure(picture: Image.Image, caption: str) -> str:
    """A picture with its caption, as HTML."""
    macros: Any = _environment().get_template("figure.html.jinja").module
    return str(macros.figure(picture, caption))


def inside(picture: Image.Image) -> str:
    """A picture as JPEG, for the source of an image."""
    data = io.BytesIO()
    picture.convert("RGB").save(data, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode('ascii')}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("pages")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inside"] = inside
    for name, colours in (("light", chart.COLOURS), ("dark", chart.DARK)):
        environment.globals[name] = Markup(";".join(f"--m{i}:{colour}" for i, colour in enumerate(colours)))
    return environment
