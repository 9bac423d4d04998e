"""The same picture again, from what its metadata say of its making and from the pictures that it was made of.

The metadata are a stranger's words: they are checked before anything is done with them, and they never choose
a folder, a hub id or a download; those come from whoever asks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.expressions.spec import Expression, parse
from mien.images import read_image
from mien.making.recording import Fingerprints
from mien.making.wishes import BACKBONES, MAX_BATCH, REGIONS, PhotoWish, PortraitWish, RefaceWish, Request
from mien.provenance import read_provenance
from mien.types import InputError

if TYPE_CHECKING:
    from PIL import Image

    from mien.making.made import Made, Maker
    from mien.making.subjects import Looked
    from mien.pipelines.inputs import FaceChoice

Settings = dict[str, Any]
WORDS = {"backbone": "the model's weights", "adapter": "the adapter's weights", "face": "the face networks"}
VERBS = {"portrait": "mien generate", "reface": "mien reface"}
WISHES: dict[str, type[PortraitWish] | type[RefaceWish]] = {"portrait": PortraitWish, "reface": RefaceWish}
OPTIONS = {"portrait": {"identity": "IDENTITY"}, "reface": {"photo": "PHOTO", "identity": "--identity"}}


@dataclass(frozen=True)
class Again:
    """A picture that is to be made again: what its metadata said, and the request and the wish that they come to."""

    source: Path
    old: Settings
    request: Request
    wish: PortraitWish | RefaceWish | PhotoWish
    prints: Fingerprints

    def check(self, models: dict[str, str], force: bool) -> None:
        """Whether the files of the models are those of then (unless `force`). Raises `InputError`: they are not."""
        for part, sha in models.items():
            if self.old["models"].get(part) != sha and not force:
                raise InputError(
                    f"{self.source} was made with other files of {WORDS[part]} than those here: install that "
                    "version, or add --force to make it with these."
                )

    def batch(self, maker: Maker) -> list[Looked]:
        """It, as often as its batch was large: the last bits of matrix products depend on that and on its slot."""
        return [maker.look(self.request)] * self.old["batch"]["size"]

    def why(self, made: Made) -> str | None:
        """Why a repetition is not the same, as far as can be told; None: it is, bit for bit."""
        old, new = self.old, made.settings
        return None if new["pixels"] == old["pixels"] else why(old, new)


def read_again(
    source: Path,
    kind: str,
    pictures: dict[str, Path | None],
    expression: str | None,
    force: bool,
    people: Mapping[FaceChoice, Sequence[Path]] | None = None,
) -> Again:
    """What is needed to make `source` again. Raises `InputError`: `source` does not say how it was made; a picture is
    another than then; or one was not given.

    Args:
        kind: "portrait" or "reface". pictures: what was given again, by the names of `OPTIONS`. expression: the same.
        force: other pictures than then will do. people: instead of one identity, for each face its person's pictures;
            "": for the face of then.
    """
    old = read_settings(source, kind)
    inputs, prints = old["inputs"], Fingerprints(old["inputs"]["salt"])
    then = _Then(source, prints, force)
    several = isinstance(inputs["identity"], list)
    if people and not several:
        raise InputError(f"{source} was made with one identity picture at most: give --identity as then.")
    given = {
        name: then.picture(name, option, inputs[name], pictures[name])
        for name, option in OPTIONS[kind].items()
        if not (several and name == "identity")
    }
    changed = then.people(inputs["identity"], people or {}, old["face"]) if several else None
    wanted: Expression | None = None
    if inputs["expression"] is not None:
        wanted = then.expression(inputs["expression"], expression)
    elif expression is not None:
        raise InputError(f"{source} kept the photo's own expression: leave --expression out.")
    who, photo = given.get("identity"), given.get("photo")
    request = Request(who, wanted, old["prompt"], old["seed"], photo, changed)
    asked: type[Any] = PhotoWish if old.get("engine") == "photo" else WISHES[kind]
    # newer fields have defaults
    known = {field.name: old.get(field.name, field.default) for field in fields(asked)}
    wish = asked(**known | ({"teeth": None, "finish": None} if asked is PhotoWish else {}))
    return Again(source, old, request, wish, prints)


@dataclass(frozen=True)
class _Then:
    """What `source` was made of, by its `prints`, against what is given again; `force`: others will do."""

    source: Path
    prints: Fingerprints
    force: bool

    def picture(self, name: str, option: str, recorded: str | None, path: Path | None) -> Image.Image | None:
        """A picture, if it is the one of then; None where there was none then."""
        if recorded is None:
            if path is not None:
                raise InputError(f"{self.source} was made without {option}: leave it out.")
            return None
        if path is None:
            whose = "person" if option == "IDENTITY" else name
            raise InputError(f"{self.source} does not hold the {whose}'s picture: give {option} again.")
        image = read_image(path)
        if not self.force and self.prints(image) != recorded:
            raise InputError(
                f"{self.source} was made from another {name} picture than {path}: give it, or add --force."
            )
        return image

    def people(
        self, recorded: list[dict[str, Any]], people: Mapping[FaceChoice, Sequence[Path]], face: FaceChoice
    ) -> dict[FaceChoice, list[Image.Image]]:
        """The pictures of new people, if they are those of then; `face`: whose are those of nobody named."""
        given = {which if which != "" else face: files for which, files in people.items()}
        count = {one["face"]: len(one["pictures"]) for one in recorded}
        if {which: len(files) for which, files in given.items()} != count:
            raise InputError(
                f"{self.source} does not hold the {sum(count.values())} pictures of its new faces: give each "
                "--identity again, as then."
            )
        read = {which: [read_image(path) for path in given[which]] for which in count}
        if not self.force and any(
            [self.prints(image) for image in read[one["face"]]] != one["pictures"] for one in recorded
        ):
            raise InputError(
                f"{self.source} was made from other identity pictures: give those, or add --force."
            )
        return read

    def expression(self, recorded: list[dict[str, Any]], given: str | None) -> Expression:
        """The expression of the record, its pictures taken from what was given and checked."""
        if given is not None:
            expression = parse(given)
            read = tuple(
                replace(part, picture=read_image(part.picture)) if isinstance(part.picture, Path) else part
                for part in expression.parts
            )
            expression = replace(expression, parts=read)
            if self.prints.describe(expression) != recorded and not self.force:
                raise InputError(f"{self.source} was made with another expression: give it, or add --force.")
            return expression
        if any("picture" in part for part in recorded):
            raise InputError(
                f"{self.source} does not hold the expression's picture: give EXPRESSION again, as then."
            )
        parts = []
        for part in recorded:
            given_part = part.get("word", part.get("blendshapes", "neutral"))
            known = None if given_part == {} else parse(given_part).parts[0]
            if known is None or known.word != part.get("word"):
                raise InputError(f"{self.source} names an expression that is none of ours: it was edited.")
            parts.append(replace(known, weight=part["weight"]))
        return Expression(tuple(parts), "as recorded")


def read_settings(source: Path, kind: str) -> Settings:
    """The settings of a picture of that kind ("portrait", "reface"), all there and all of the right kind. Raises
    `InputError`: they are not."""
    found = read_provenance(source)
    if found is None:
        raise InputError(
            f"{source} does not say how it was made: only pictures of `{VERBS[kind]}` whose metadata were not "
            "stripped can be made again."
        )
    settings = found["settings"]
    if settings.get("kind") != kind:
        other = next((verb for name, verb in VERBS.items() if settings.get("kind") == name), None)
        hint = f"`{other} --from` makes it again" if other else "give the picture that its -o wrote"
        raise InputError(f"{source} is not a picture of `{VERBS[kind]}`: {hint}.")
    checks = {**_SHARED, **_OF_KIND[kind]}
    if settings.get("engine") == "photo":
        checks = {name: right for name, right in checks.items() if name not in _OF_DIFFUSION} | _OF_PHOTO
    wrong = next((name for name, right in checks.items() if not right(settings.get(name))), None)
    if wrong == "finish":
        raise InputError(f"{source} was finished by another model: only the command itself makes it again.")
    if wrong is not None:
        raise InputError(f"{source} does not say its {wrong} in a way that can be used: it was edited.")
    return settings


Check = Callable[[Any], bool]


def _number(low: float = 0.0, high: float = sys.float_info.max) -> Check:
    return lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and low <= v <= high


def _whole(low: int = 0, high: int = 2**63 - 1) -> Check:
    return lambda v: isinstance(v, int) and not isinstance(v, bool) and low <= v <= high


def _is(kind: type) -> Check:
    return lambda v: isinstance(v, kind)


def _one_of(*values: Any) -> Check:
    return lambda v: any(v is one or (isinstance(v, str) and v == one) for one in values)


def _or_none(check: Check) -> Check:
    return lambda v: v is None or check(v)


def _list_of(check: Check, most: int) -> Check:
    return lambda v: isinstance(v, list) and 0 < len(v) <= most and all(map(check, v))


def _record(**checks: Check) -> Check:
    """A dictionary whose values at these keys pass; others are not looked at."""
    return lambda v: isinstance(v, dict) and all(check(v.get(name)) for name, check in checks.items())


def _hex(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 64 and all(c in "0123456789abcdef" for c in value)


def _face(value: Any) -> bool:
    return value in ("largest", "left", "right") if isinstance(value, str) else _whole()(value)


def _face_or_all(value: Any) -> bool:
    return value == "all" or _face(value)


def _batch(value: Any) -> bool:
    sized = _record(size=_whole(1, MAX_BATCH), slot=_whole())
    return sized(value) and value["slot"] < value["size"]


def _part(value: Any) -> bool:
    """A part of an expression: its weight, and at most one of a word, a picture and blendshapes."""
    kinds = {"word": str, "picture": str, "blendshapes": dict}
    extra = value.keys() - {"weight"} if _record(weight=_number(0, 1))(value) else {"", "no part"}
    return len(extra) <= 1 and all(name in kinds and isinstance(value[name], kinds[name]) for name in extra)


_PARTS = _list_of(_part, 16)
_PEOPLE = _list_of(_record(face=_face_or_all, pictures=_list_of(_hex, sys.maxsize)), 64)


def _new_people(value: Any) -> bool:
    return _PEOPLE(value) and len({one["face"] for one in value}) == len(value)


def _reface_inputs(value: Any) -> bool:
    known = _record(
        salt=_hex,
        photo=_or_none(_hex),
        identity=lambda v: v is None or _hex(v) or _new_people(v),
        expression=_or_none(_PARTS),
    )
    return known(value) and not (value.get("identity") is None and value.get("expression") is None)


def _scheduler(value: Any) -> bool:
    from mien.pipelines.schedulers import scheduler_names

    return isinstance(value, str) and value in scheduler_names().values()


_SHARED: dict[str, Check] = {
    "prompt": _is(str),
    "seed": _whole(),
    "steps": _whole(1, 1000),
    "guidance": _number(),
    "id_scale": _number(),
    "expression_scale": _number(),
    "face": _face,
    "expression_face": _face,
    "backbone": _is(str),
    "adapter": _or_none(_is(str)),
    "device": _one_of("cpu", "cuda", "mps"),
    "dtype": _one_of("float32", "bfloat16", "float16"),
    "models": lambda v: isinstance(v, dict) and all(map(_hex, v.values())),
    "environment": _record(threads=_whole(1, 1024)),
    "batch": _batch,
    "pixels": _hex,
}
_OF_KIND: dict[str, dict[str, Check]] = {
    "portrait": {
        "negative_prompt": _is(str),
        "num_images": _whole(1),
        "lead": lambda v: v is None or (_number(0, 1)(v) and v < 1),
        "inputs": _record(salt=_hex, identity=_hex, expression=_PARTS),
    },
    "reface": {"identity_face": _face, "scheduler": _scheduler, "inputs": _reface_inputs},
}
_OF_DIFFUSION = (
    "steps", "guidance", "id_scale", "expression_scale", "negative_prompt", "num_images", "scheduler", "lead",
)  # fmt: skip
_OF_PHOTO: dict[str, Check] = {
    "strength": _number(0, 1.5),
    "relative": _is(bool),
    "region": _one_of(*REGIONS),
    "face": _face_or_all,
    "identity_face": _face,
    "teeth": _one_of(False),  # with a second photo or a finish, the command itself makes it again
    "turn": lambda v: v is None or (_list_of(_number(-15, 15), 3)(v) and len(v) == 3),
    "finish": _one_of(None),
}


def same_threads(old: Settings, device: str) -> str:
    """Where to make it: `device`, or for "auto" where it was made; on a CPU with as many threads as then."""
    place = old["device"] if device == "auto" else device
    if old["device"] == "cpu" and place == "cpu":
        import torch

        torch.set_num_threads(old["environment"]["threads"])  # the order of sums depends on it
    return str(place)


def model_of(source: Path, old: Settings, backbone: str, adapter: str | None) -> str:
    """Which model to load: a name that is ours, else what the command line says; its hash is compared."""
    if old["adapter"] is not None and adapter is None:
        raise InputError(f"{source} was made with the adapter {old['adapter']!r}: add --adapter FOLDER.")
    if backbone != "mini":
        return backbone
    if old["backbone"] not in BACKBONES:
        raise InputError(f"{source} was made with the model {old['backbone']!r}: add --backbone.")
    return str(old["backbone"])


def why(old: Settings, new: Settings) -> str:
    """Why a repetition is not the same, as far as can be told."""
    for name in ("device", "dtype", "scheduler"):
        if old.get(name) != new.get(name):
            return (
                f"then {name} was {_short(old.get(name))}, here it is {new.get(name)}: the last bits differ."
            )
    for name in ("inputs", "models"):
        if old[name] != new[name]:
            return f"the {name} are others than then."
    then, now = old["environment"], new["environment"]
    for name in ("torch", "processor", "threads"):
        if then.get(name) != now[name]:
            return f"then {name} was {_short(then.get(name))}, here it is {now[name]}: the last bits differ."
    return "the picture differs, although its settings, models and pictures are the same."


def _short(value: Any) -> str:
    """A stranger's value: printable, and not too long."""
    return repr(value).strip("'")[:500]
