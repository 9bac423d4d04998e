"""`mien inspect`: what a picture says of how it came about, and what is hidden in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument

from mien.cli import options
from mien.cli.console import BAD_INPUT, plain, print_json, tell
from mien.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

    from mien.provenance.metadata import Metadata
    from mien.provenance.watermark import Box, Found

SETTINGS_SHOWN = (
    "kind", "task", "prompt", "negative_prompt", "seed", "steps", "guidance", "id_scale", "expression_scale",
    "backbone", "adapter", "scheduler", "device", "dtype", "identity_encoder", "expression_encoder",
)  # fmt: skip


def inspect(
    pictures: Annotated[list[str], Argument(metavar="PICTURES")],
    faces: bool = True,
    as_json: options.Json = False,
) -> None:
    """Show whether a picture says that it was generated, and how: metadata, invisible watermark, C2PA manifest.

    A picture of which nothing is found may still be generated: metadata can be stripped, and other software has
    watermarks of its own.

    Args:
        pictures: Pictures, folders or globs, GIF and MP4 too; anybody's.
        faces: Where nothing else is found, look for the watermark on each face (slower).
    """
    from mien.images import find_images, unread

    for note in unread(pictures):
        tell(note)
    records, bad = [], 0
    for path in find_images(pictures):
        try:
            record = examine(path, faces)
        except InputError as error:
            tell(str(error))
            bad += 1
            continue
        records.append(record)
        if not as_json:
            print("\n".join(in_words(record)))
    if as_json:
        print_json(records)
    if bad:
        raise typer.Exit(BAD_INPUT)


def examine(path: Path, faces: bool = True) -> dict[str, Any]:
    """All that is known of the picture at `path`, as JSON values; `InputError` if it cannot be read.

    Returns:
        ``path``; ``generated``: "yes", "partly" or "unknown"; ``metadata``: source_type, software, settings and
            watermark as the metadata have them, or None; ``watermark``: found, statistic, chance (that a picture
            without one looks so) and box [x0, y0, x1, y1] px; ``c2pa``: see `signing.read_manifest`, or None.
    """
    from mien.images import read_image
    from mien.provenance import DIGITAL_SOURCE_TYPE, PARTLY_GENERATED, read_metadata
    from mien.provenance.animation import COMMENTED, first_frame, read_animation
    from mien.provenance.watermark import whole_box

    image = first_frame(path) if path.suffix.lower() in COMMENTED[1:] else read_image(path)
    if path.suffix.lower() in COMMENTED:
        said: Metadata | None = from_comment(read_animation(path) or {})
    else:
        said = read_metadata(path)
    found = look_for_mark(image, said, faces)
    manifest = read_c2pa(path)
    types = {said.source_type} if said else set()
    types |= set((manifest or {}).get("source_types", ()))
    whole = found.found and found.box == whole_box(image)
    if DIGITAL_SOURCE_TYPE in types or (whole and PARTLY_GENERATED not in types):
        generated = "yes"
    else:
        generated = "partly" if PARTLY_GENERATED in types or found.found else "unknown"
    return {
        "path": str(path),
        "generated": generated,
        "metadata": None if said is None else vars(said),
        "watermark": {
            "found": found.found,
            "statistic": round(found.statistic, 2),
            "chance": found.chance,
            "box": [round(edge, 1) for edge in found.box],
        },
        "c2pa": manifest,
    }


def from_comment(comment: dict[str, Any]) -> Metadata:
    """What the comment of a moving picture says, in the form of a still one's; a stranger may have written it."""
    from mien.provenance import Metadata

    kinds = {"digital_source_type": str, "software": str, "settings": dict, "watermark": dict}
    told = {name: comment[name] for name, kind in kinds.items() if isinstance(comment.get(name), kind)}
    return Metadata(told.pop("digital_source_type", None), **told)


def look_for_mark(image: Image, said: Metadata | None, faces: bool) -> Found:
    """The best reading of the watermark: over the whole picture, where its metadata say, or on its faces."""
    from mien.provenance import watermark

    found = watermark.find(image)
    if found.found:
        return found
    place = _box((said.watermark or {}).get("box") if said else None, image)
    if place is not None:
        there = watermark.find(image, place)
        if there.found:
            return there
    if not faces or not watermark.room(watermark.whole_box(image)):
        return found
    from mien.face.analyze import analyze

    boxes: list[Box] = [
        (float(b[0]), float(b[1]), float(b[2]), float(b[3])) for b in (f.box for f in analyze(image))
    ]
    near = watermark.search(image, boxes[:8])
    return near if near is not None and near.found else found


def read_c2pa(path: Path) -> dict[str, Any] | None:
    """The picture's C2PA manifest; where the library is missing, only whether there seems to be one."""
    from mien.provenance import check_format, signing
    from mien.provenance.metadata import MEDIA_TYPES

    try:
        kind = check_format(path)
    except InputError:
        return None  # manifests in other formats are not looked at
    if signing.available():
        return signing.read_manifest(path, MEDIA_TYPES[kind])
    if b"c2pa" in path.read_bytes():
        return {
            "state": "not checked",
            "problems": ['to check it: pip install "mien[c2pa]"'],
            "source_types": [],
        }
    return None


def in_words(record: dict[str, Any]) -> list[str]:
    """A record of `examine` for a person; text from the picture is shown without control characters."""
    said, mark, manifest = record["metadata"], record["watermark"], record["c2pa"]
    verdict = {
        "yes": "generated by a model",
        "partly": "partly generated by a model",
        "unknown": "nothing says that it is generated (which does not prove that it is not)",
    }
    lines = [f"{plain(record['path'])}: {verdict[record['generated']]}"]
    if said is None or not (said["source_type"] or said["software"]):
        lines.append("  metadata   nothing of the kind")
    else:
        kind = str(said["source_type"] or "no source type").rsplit("/", 1)[-1]
        lines.append(f"  metadata   {plain(kind)}, by {plain(said['software'] or 'unnamed software')}")
    if mark["found"]:
        lines.append(
            f"  watermark  found (z = {mark['statistic']:.1f}; chance in an unmarked picture {mark['chance']:.0e})"
        )
    else:
        left_out = ((said or {}).get("watermark") or {}).get("why")
        lines.append("  watermark  none found" + (f" ({plain(str(left_out))})" if left_out else ""))
    if manifest is None:
        lines.append("  C2PA       no manifest")
    else:
        signer = f", signed by {plain(str(manifest['signer']))}" if manifest.get("signer") else ""
        problems = f" ({', '.join(map(plain, manifest['problems']))})" if manifest["problems"] else ""
        lines.append(f"  C2PA       {plain(manifest['state'])}{signer}{problems}")
    settings = (said or {}).get("settings") or {}
    shown = [
        f"{name}={plain(settings[name])}" for name in SETTINGS_SHOWN if settings.get(name) not in (None, "")
    ]
    models = settings.get("models")
    if isinstance(models, dict):
        shown += [f"{plain(name)}:sha256={plain(sha)[:12]}" for name, sha in models.items()]
    if shown:
        lines.append("  settings   " + ", ".join(shown))
    return lines


def _box(fractions: Any, image: Image) -> Box | None:
    """The place that metadata name, in pixels, if it is one: a stranger wrote it."""
    from mien.provenance.watermark import room

    if not isinstance(fractions, list) or len(fractions) != 4:
        return None
    if not all(isinstance(v, (int, float)) and not isinstance(v, bool) and -2 <= v <= 3 for v in fractions):
        return None
    x0, y0, x1, y1 = (v * side for v, side in zip(fractions, (*image.size, *image.size), strict=True))
    return (x0, y0, x1, y1) if room((x0, y0, x1, y1)) else None
