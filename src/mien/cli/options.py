"""Options that mean the same to several verbs: written once, so that every `--help` says the same of them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import fields
from functools import cache, partial, wraps
from importlib.util import find_spec
from inspect import Parameter, Signature, getdoc, signature
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin

import typer
from typer import Option

from mien.cli import checks
from mien.cli.console import Told, show, tell
from mien.errors import InputError, choice
from mien.making.makers import open_maker
from mien.making.wishes import ENGINES, MAX_BATCH, REGIONS, PhotoWish, PortraitWish, RefaceWish
from mien.tables import fills

if TYPE_CHECKING:
    from mien.making.made import Maker
    from mien.pipelines.inputs import FaceChoice
    from mien.spread import Cluster

BESIDE_FROM = (
    "source", "output", "strip", "backbone", "adapter", "device", "force", "overwrite", "as_json", "verbose", "quiet",
)  # fmt: skip
MINI = 128  # px, what the embedded model draws


Json = Annotated[bool, Option("--json", help="Print the result as JSON on stdout.")]
Overwrite = Annotated[bool, Option("--overwrite", help="Also replace a file that mien did not make.")]
Quiet = Annotated[bool, Option("--quiet", "-q", help="No progress bar.")]


def shared(
    *,
    prompt: Annotated[str, Option(callback=checks.text)] = "",
    negative_prompt: Annotated[str, Option(callback=checks.text)] = "",
    seed: Annotated[int, Option(min=0, callback=checks.small_seed)] = 0,
    steps: Annotated[int | None, Option(min=1)] = None,
    guidance: Annotated[float | None, Option(min=0)] = None,
    id_scale: Annotated[float, Option(min=0)] = 1.0,
    expression_scale: Annotated[float, Option(min=0)] = 1.0,
    device: Annotated[str, Option(callback=checks.device)] = "auto",
    dtype: Annotated[str, Option(callback=checks.dtype)] = "auto",
    backbone: Annotated[str, Option(callback=checks.backbone)] = "mini",
    adapter: str | None = None,
    face: Annotated[str, Option(callback=checks.parse_face)] = "largest",
    expression_face: Annotated[str, Option(callback=checks.parse_face)] = "largest",
    out_dir: Path | None = None,
    batch_size: Annotated[int, Option(min=1, max=MAX_BATCH)] = 8,
    source: Annotated[Path | None, Option("--from")] = None,
    force: bool = False,
    num_images: Annotated[int, Option("--num-images", "-n", min=1, max=MAX_BATCH)] = 1,
    engine: str = "auto",
    strength: Annotated[float, Option(min=0, max=1.5)] = 1.0,
    relative: Annotated[bool, Option("--relative/--absolute")] = True,
    region: str = "all",
    teeth: Annotated[Path | None, Option(callback=checks.there)] = None,
    finish: str | None = None,
    finish_strength: Annotated[float, Option(min=0.02, max=1)] = PhotoWish.finish_strength,
    ray: Annotated[str | None, Option(callback=checks.ray)] = None,
    workers: Annotated[int, Option(min=1)] = 2,
    gpus: Annotated[float, Option(min=0)] = 0.0,
    as_json: Json = False,
    overwrite: Overwrite = False,
    verbose: Annotated[bool, Option("--verbose")] = False,
    quiet: Quiet = False,
) -> None:
    """Options that mean the same to several verbs, and their defaults: `verb` gives them to one.

    Args:
        prompt: What the picture should look like.
        negative_prompt: What it should not look like.
        seed: Same seed, same picture.
        steps: Denoising steps.  [default: the model's]
        guidance: How strictly to obey.  [default: the model's]
        id_scale: Weight of the identity.
        expression_scale: Weight of the expression.
        device: auto, cpu, cuda, cuda:1, mps.
        dtype: auto, float32, bfloat16, float16.
        backbone: mini, sd15, sdxl, sd15-inpaint, sdxl-inpaint, a diffusers folder, a checkpoint in one .safetensors
            file, or a hub id.
        adapter: Folder of an E-Adapter; published: IP-Adapter's own, for SD1.5 and SDXL; fineface, arc2face: for
            SD1.5.  [default: the backbone's own]
        face: Whose face: largest, left, right, or N, from 0, the largest.
        expression_face: The same for pictures of expressions.
        out_dir: With --pairs: the folder to write to.
        batch_size: With --pairs: pictures at a time.
        source: Make this picture again, from its metadata and the same pictures.
        force: With --from: go on with other models or pictures than then.
        num_images: Pictures, of seed, seed + 1 …
        engine: photo: the photo's own pixels, moved, at its own size. diffusion: drawn anew, with prompts. auto: photo,
            unless something is asked of it that only diffusion does.
        strength: Photo engine: how much of the expression; 0 leaves the photo.
        relative: Photo engine: take over how the expression's face moved from its rest, or match it as it is.
        region: Photo engine: what may change: all, eyes, brows or mouth.
        teeth: Photo engine: another photo of the same person, showing their teeth, for an opened mouth.
        finish: Photo engine: a model (sd15-inpaint, sdxl-inpaint, a folder …) that draws again, at the photo's size,
            what was not in the photo: the inside of a mouth, lids, folds.
        finish_strength: With --finish: how freely; near 0 it stays as it is.
        ray: Spread the work over a Ray cluster: local (this machine), auto (the cluster it is in) or HOST:PORT.
        workers: With --ray: how many processes.
        gpus: With --ray: share of a GPU each of them holds.
        verbose: Also print scores as numbers, and times.
    """


ENGINE = ("engine", "strength", "relative", "region", "teeth")
FINISH = ("finish", "finish_strength")
WORDS = ("prompt", "negative_prompt")
SCALES = ("seed", "steps", "guidance", "id_scale", "expression_scale")
DIFFUSION = (*SCALES, "device", "dtype", "backbone", "adapter")
FACES = ("face", "expression_face")
CLUSTER = ("ray", "workers", "gpus")
TOLD = ("overwrite", "as_json", "quiet")
PICTURES = ("num_images", *FACES, "out_dir", "batch_size", *CLUSTER, "source", "force", *TOLD, "verbose")


def verb(*groups: Sequence[str]) -> Callable[[Callable[..., Told | None]], Callable[..., None]]:
    """Makes a function what typer takes for a verb. Its docstring's `Args:` are the help of its parameters. Behind them
    come the options of `shared` in `groups`, but for those that it has itself; it reads them in its context's `params`.
    One that returns `Told` has --json; what it returns is printed.
    """

    def made(function: Callable[..., Told | None]) -> Callable[..., None]:
        text, own = _documented(function)
        _, others = _documented(shared)
        answers = signature(function).return_annotation == "Told"
        wanted = dict.fromkeys([*chain(*groups), *(["as_json"] if answers else [])])
        more = [others[name] for name in wanted if name not in own]

        @wraps(function)
        def called(**given: Any) -> None:
            if "context" in given:
                params = given["context"].params
                params.update({name: given[name] for name in params})  # as annotated: before, paths are text
            told = function(**{name: given[name] for name in own})
            if told is not None:
                show(told, given["as_json"])

        called.__doc__ = text
        called.__signature__ = Signature([*own.values(), *more])  # type: ignore[attr-defined]
        return called

    return made


@cache
def _documented(function: Callable[..., Told | None]) -> tuple[str, dict[str, Parameter]]:
    """A function's docstring without its `Args:`, and its parameters, of which these are the help."""
    text, _, args = (getdoc(function) or "").partition("\n\nArgs:\n")
    helps = dict(re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", args, re.M))
    parameters = dict(signature(function, eval_str=True).parameters)
    for name, said in helps.items():
        kind = parameters[name].annotation
        kind, info = get_args(kind) if get_origin(kind) is Annotated else (kind, Option())
        info = copy(info)
        info.help = " ".join(line.strip() for line in said.splitlines())
        parameters[name] = parameters[name].replace(annotation=Annotated[kind, info])
    return text, parameters


class Group(typer.Typer):
    """Verbs, each made by `verb`."""

    def command(self, name: str | None = None, **how: Any) -> Any:
        register = super().command(name, **how)
        return lambda function: register(verb()(function))


def group(purpose: str) -> Group:
    """A verb that has verbs of its own."""
    return Group(help=purpose, no_args_is_help=True, rich_markup_mode=None, add_completion=False)


def parse_people(
    given: Sequence[str], find: Callable[[str], Path] = Path
) -> tuple[Path | None, dict[FaceChoice, list[Path]] | None]:
    """--identity, once or several times: one picture; or, for each face of the photo, the pictures of its new person.
    FACE=FILE names the face: left, right or a number; FILE alone is for the face that --face chooses (""). find: name
    of a file → where it lies. Raises `InputError`: some name a face and others do not."""
    people: dict[FaceChoice, list[Path]] = {}
    for one in given:
        which, equals, file = one.partition("=")
        named = equals and (which in checks.PLACES or which.isdigit()) and not find(one).exists()
        people.setdefault(checks.parse_face(which) if named else "", []).append(find(file if named else one))
    if "" in people and len(people) > 1:
        raise InputError(
            f"--identity {people[''][0]} does not say which face becomes it: write left={people[''][0]}, "
            "or name no face at all."
        )
    if len(given) == 1 and "" in people:
        return people[""][0], None
    return None, people or None


def cluster(context: typer.Context, table: bool = True) -> Cluster | None:
    """The cluster of --ray, --workers and --gpus; None: this process. table: whether there is work to spread.
    Raises `InputError`: there is none, --ray is missing, or Ray is not installed."""
    given = context.params
    for name in ("workers", "gpus"):
        if given["ray"] is None and is_given(context, name):
            raise InputError(f"--{name} belongs to --ray: add --ray local, or leave it out.")
    if given["ray"] is None:
        return None
    if not table:
        raise InputError("--ray spreads the rows of a table: add --pairs FILE.csv, or leave it out.")
    if find_spec("ray") is None:
        raise InputError('--ray needs Ray: pip install "mien[ray]".')
    from mien.spread import Cluster

    return Cluster(given["ray"], given["workers"], given["gpus"])


OF_PHOTO = ("strength", "relative", "region", "teeth", "finish", "finish_strength")
OF_DIFFUSION = (
    "prompt", "negative_prompt", "seed", "steps", "scheduler", "guidance", "id_scale", "expression_scale",
    "num_images", "device", "dtype", "adapter", "batch_size", "lead",
)  # fmt: skip
HARMLESS = ("seed", "device", "dtype", "batch_size")  # of these, what the photo engine may be given in vain


def by_photo(
    context: typer.Context, possible: bool, table: Path | None = None, columns: Sequence[str] = ()
) -> bool:
    """Whether the photo engine makes what is asked for: by --engine, or by what else is given. possible: a photo and an
    expression are given, and nothing that the engine lacks. table: of many pictures; if it has anything in one of
    `columns`, diffusion makes all of them."""
    engine, region = str(context.params["engine"]), str(context.params["region"])
    choice(engine, ENGINES, "engine")
    choice(region, REGIONS, "region")
    given = {name for name in context.params if is_given(context, name)}
    photo = [spelt(context, name) for name in OF_PHOTO if name in given]
    diffusion = [spelt(context, name) for name in OF_DIFFUSION if name in given and name not in HARMLESS]
    if table is not None and engine != "diffusion":
        diffusion += [f"the column {name}" for name in columns if fills(table, (name,))]
    other = context.params["backbone"] != "mini"
    if engine == "diffusion" or (engine == "auto" and (other or diffusion or not possible)):
        if photo:
            why = "which --engine diffusion excludes" if engine == "diffusion" else "which does not go with "
            why += "" if engine == "diffusion" else (diffusion[0] if diffusion else "what else is asked for")
            raise InputError(f"{photo[0]} belongs to the photo engine, {why}: leave one of them out.")
        if engine == "auto" and diffusion and possible and not other and not context.params["quiet"]:
            tell(
                f"{diffusion[0]} is for diffusion, which draws the face anew at {MINI} x {MINI} pixels: leave it "
                "out to keep the photo's own."
            )
        return False
    if engine == "photo" and (diffusion or other):
        what = diffusion[0] if diffusion else "--backbone"
        raise InputError(f"{what} belongs to diffusion, which --engine photo excludes: leave one out.")
    if not possible:
        raise InputError("--engine photo needs a photo of the person and an expression: give both.")
    return True


Wish = TypeVar("Wish", PortraitWish, RefaceWish, PhotoWish)


def wish_of(context: typer.Context, form: type[Wish], **more: Any) -> Wish:
    """What is given, as a wish; `more`: what no option says."""
    names = [field.name for field in fields(form) if field.name in context.params]
    return form(**{name: context.params[name] for name in names}, **more)


def begun(context: typer.Context) -> dict[str, Any]:
    """What is given, by name, when the verb `began`, and whether its output was named (`output_given`)."""
    named = is_given(context, "output")
    return {**context.params, "began": time.perf_counter(), "output_given": named}


def model_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that say which model, as `mien.load` takes them."""
    return {name: given[name] for name in ("backbone", "device", "dtype", "adapter")}


def loading(given: Mapping[str, Any], wish: PortraitWish | RefaceWish | PhotoWish) -> Callable[..., Maker]:
    """Makes a maker of a wish by the options of its model, given whom to tell; it can be pickled."""
    return partial(open_maker, wish, **model_of(given), scheduler=given.get("scheduler"))


def is_given(context: typer.Context, name: str) -> bool:
    """Whether a parameter stands on the command line, rather than being its default."""
    given = context.get_parameter_source(name)
    return given is not None and given.name == "COMMANDLINE"


def check_mode(context: typer.Context, single: Sequence[str]) -> None:
    """One picture, the rows of --pairs, or a picture again by --from: `InputError` if what is given belongs to another.
    `single`: the parameters that say what one picture is made of."""
    given = context.params
    if (given["pairs"] is None) != (given["out_dir"] is None):
        raise InputError("--pairs FILE.csv and --out-dir DIR belong together: give both.")
    if given["source"] is not None:
        for name in given:
            if name not in (*single, *BESIDE_FROM) and is_given(context, name):
                raise InputError(f"{spelt(context, name)} is the picture's own with --from: leave it out.")
        return
    if given["force"]:
        raise InputError("--force belongs to --from PICTURE: leave it out.")
    for name in (*single, "output", "strip"):
        if given["pairs"] is not None and is_given(context, name):
            raise InputError(
                f"{spelt(context, name)} is for one picture; with --pairs the rows name the pictures, and --out-dir "
                "says where the results go: leave it out."
            )


def spelt(context: typer.Context, name: str) -> str:
    """A parameter as it is written: --output, IDENTITY."""
    (found,) = (one for one in context.command.params if one.name == name)
    name = str(getattr(found, "metavar", None) or name)
    return found.opts[0] if found.param_type_name == "option" else name
