"""What other programs write into the pictures that they generate: PNG text and EXIF, told in our own words.

| program | where |
|---|---|
| Stable Diffusion web UI (A1111, Forge) | PNG text ``parameters``; in JPEG and WebP the EXIF UserComment |
| ComfyUI | PNG text ``prompt`` and ``workflow``, a graph as JSON; in WebP the EXIF tags Make and Model |
| NovelAI | PNG text ``Software``, ``Description`` and ``Comment``, the last as JSON |
| InvokeAI | PNG text ``invokeai_metadata``, JSON |

Strangers wrote it: sizes are bounded, kinds are checked, and nothing of it is believed but what it says.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from typing import Any

from PIL import Image

LONGEST = 1_000_000  # characters that are looked at
_EXIF, _USER_COMMENT, _MAKE, _MODEL = 0x8769, 0x9286, 0x010F, 0x0110
_LAST_LINE = re.compile(r"(?:^|\n)(Steps: \d+, [^\n]*)\s*$")
_PAIR = re.compile(r'\s*([\w \-/]+):\s*("(?:\\.|[^"\\])*"|[^,]*)(?:,|$)')
_WORDS = {
    "steps": "steps", "seed": "seed", "cfg scale": "guidance", "sampler": "scheduler", "model": "backbone",
    "cfg": "guidance", "scale": "guidance", "sampler_name": "scheduler", "uc": "negative_prompt",
    "cfg_scale": "guidance", "scheduler": "scheduler", "positive_prompt": "prompt", "noise_seed": "seed",
    "negative_prompt": "negative_prompt", "prompt": "prompt",
}  # fmt: skip
"""Others' words for what we have a word of."""


def read_foreign(image: Image.Image) -> tuple[str, dict[str, Any]] | None:
    """(program, settings) of a picture that another program says it made; None: nothing of the kind. Settings are texts
    and numbers, by our words where there are any."""
    text = {str(name): value[:LONGEST] for name, value in image.info.items() if isinstance(value, str)}
    text |= _exif(image)
    if "parameters" in text and (found := _web_ui(text["parameters"])):
        return "Stable Diffusion web UI", found
    if text.get("Software") == "NovelAI":
        said = {"prompt": text.get("Description", ""), **_object(text.get("Comment"))}
        return "NovelAI", _ours(said)
    if said := _object(text.get("invokeai_metadata")):
        return "InvokeAI", _ours(said)
    for name in ("prompt", "workflow"):
        if graph := _object(text.get(name)):
            return "ComfyUI", _comfy(graph)
    return None


def _exif(image: Image.Image) -> dict[str, str]:
    """PNG text's names for what stands in EXIF."""
    found = {}
    try:
        tags = image.getexif()
        comment = tags.get_ifd(_EXIF).get(_USER_COMMENT)
        if isinstance(comment, bytes) and len(comment) < 2 * LONGEST:
            found["parameters"] = _comment(comment)
        for tag in (_MAKE, _MODEL):  # ComfyUI's: "prompt:{…}", "workflow:{…}"
            name, _, value = str(tags.get(tag, ""))[:LONGEST].partition(":")
            if name.lower() in ("prompt", "workflow"):
                found[name.lower()] = value.strip("\0 ")
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, AttributeError, struct.error):
        return {}  # broken EXIF says nothing
    return found


def _comment(data: bytes) -> str:
    """EXIF's UserComment: eight bytes name the encoding; UTF-16 comes in either order of bytes."""
    code, body = data[:8], data[8:]
    if code != b"UNICODE\0":
        return (body if code in (b"ASCII\0\0\0", b"\0" * 8) else data).decode("utf-8", "replace").strip("\0 ")
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return body.decode("utf-16", "replace")
    big = body[::2].count(0) >= body[1::2].count(0)  # Latin letters have a zero first
    return body.decode("utf-16-be" if big else "utf-16-le", "replace").strip("\0 ")


def _web_ui(text: str) -> dict[str, Any]:
    """Lines of prompt, lines from "Negative prompt:", and a last line "Steps: 20, Sampler: …"."""
    last = _LAST_LINE.search(text)
    if last is None:
        return {}
    prompt, _, negative = text[: last.start()].partition("Negative prompt:")
    pairs = {name.strip(): value.strip().strip('"') for name, value in _PAIR.findall(last[1])}
    return _ours({"prompt": prompt.strip(), "negative_prompt": negative.strip(), **pairs})


def _comfy(graph: Mapping[str, Any]) -> dict[str, Any]:
    """Of the graph's nodes with a seed the first one's numbers, and the texts that lead into it."""
    nodes = {key: node for key, node in graph.items() if isinstance(node, dict)}
    inputs = {key: node["inputs"] for key, node in nodes.items() if isinstance(node.get("inputs"), dict)}
    for own in inputs.values():
        if not {"seed", "noise_seed"} & own.keys():
            continue
        said = dict(own)
        for ours, theirs in (("prompt", "positive"), ("negative_prompt", "negative")):
            link = own.get(theirs)
            node = inputs.get(str(link[0])) if isinstance(link, list) and link else None
            said[ours] = (node or {}).get("text", "")
        return _ours(said)
    return {}


def _ours(said: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in said.items():
        word = _WORDS.get(str(name).lower())
        if word is None or isinstance(value, bool) or not isinstance(value, (str, int, float)):
            continue
        if isinstance(value, str):
            value = value[:10_000]
            if word in ("steps", "seed", "guidance"):
                try:
                    value = float(value) if word == "guidance" else int(value[:40])
                except ValueError:
                    continue
        if (
            value not in ("", None)
            and value == value
            and abs(value if not isinstance(value, str) else 0) < 1e30
        ):
            found.setdefault(word, value)
    return found


def _object(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
