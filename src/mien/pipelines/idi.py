"""What IDI asks of the pipelines (EmojiDiff, section A.1): *restruct* by the portraits, *faceswap* by the refacing, the
photo engine or any other swapper, *carry* by the photo engine; and the worker of them."""

from __future__ import annotations

import hashlib
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mien.data.filters import Limits, load_quality
from mien.data.idi import CARRY, FACESWAP, RESTRUCT, Generator, Swapper, Worker, complete
from mien.data.observe import Memory, load_observer
from mien.data.records import Manifest
from mien.errors import WHY, InputError, choice, saying
from mien.expressions.spec import parse
from mien.face.subject import Subject
from mien.images import read_image
from mien.metrics.scoring import SAME_PERSON
from mien.pipelines.photo import TEETH, PhotoPipeline
from mien.pipelines.photo_swap import SwapPipeline
from mien.types import Face
from mien.warping.draw import draw
from mien.warping.target import Solver, reading

if TYPE_CHECKING:
    from mien.pipelines.portrait import PortraitPipeline

SWAPPERS = ("photo", "reface", "facefusion", "command")
SMALL = 256  # px
HEAD = 2**20  # bytes of a weight file that its fingerprint looks at: headers and the first layers


def restruct(pipe: PortraitPipeline, **settings: Any) -> Generator:
    """The Base E-Adapter's portraits. settings: of ``PortraitPipeline.generate``."""
    from mien.pipelines.diffusers_names import to_pil

    def generate(
        identities: Sequence[Subject],
        expressions: Sequence[Subject],
        prompts: Sequence[str],
        seeds: Sequence[int],
    ) -> list[Image.Image]:
        embeds = pipe.embed(identities, expressions, len(seeds))
        return to_pil(pipe.generate(embeds["identity"], embeds["expression"], prompts, seeds, **settings))

    return generate


def reface_swapper(backbone: str, device: str, dtype: str, **settings: Any) -> Swapper:
    """*Faceswap* by our own refacing model: the target's photo with the identity's face (DiffSFSR, face swapping).
    settings: steps and guidance; None: the model's own."""
    from mien.pipelines.reface import RefacePipeline

    pipe = RefacePipeline.from_backbone(backbone, device, dtype)
    return lambda target, identity, seed: pipe(target, identity=identity, seed=seed, **settings)[0]


class PhotoCarrier:
    """*Carry*: another person's photograph with the target's expression, by the photo engine.

    The expression is matched as it is, since a pair must read alike; who judges the pairs reads it after each of
    `rounds` corrections, and the nearest is kept. What is in an open mouth is the target's. Small pictures are worked
    on at twice their size, for smooth lips. analyse: PIL picture → faces, largest first.
    """

    def __init__(self, analyse: Callable[[Image.Image], Sequence[Face]], rounds: int = 4) -> None:
        self.analyse, self.rounds, self.pipe = analyse, rounds, PhotoPipeline(analyse)

    def __call__(self, target: Image.Image, identity: Image.Image, seed: int = 0) -> Image.Image:
        zoom = 2 if max(identity.size) <= SMALL else 1
        shown = self._subject(target)
        person = enlarged(self._subject(identity), zoom)
        lips = shown.face.landmarks[[13, 14], 1]
        is_open = lips[1] - lips[0] > TEETH * np.ptp(shown.face.landmarks[:, 1])
        sitter = self.pipe.sit(person, teeth=shown if is_open else None)
        wanted = self.pipe.wanted(sitter, parse(shown), relative=False)
        solver = Solver(sitter.own, wanted.value, wanted.weight)
        best, nearest = identity, np.inf
        for _ in range(self.rounds + 1):
            drawn = draw(sitter.image, sitter.face.landmarks, solver.before, solver.after, sitter.mouth)
            image = Image.fromarray(drawn.image).resize(identity.size, Image.Resampling.LANCZOS)
            if not (faces := self.analyse(image)):
                break
            read = reading(faces[0].blendshapes, faces[0].landmarks)
            off = np.abs(read - wanted.value)
            if (far := off[:52].mean() / Limits.exp + off[52:].sum() / Limits.lms) < nearest:
                best, nearest = image, far
            solver.correct(read)
        return best

    def _subject(self, image: Image.Image) -> Subject:
        faces = self.analyse(image)
        if not faces:
            raise InputError("no face was found in one of the two pictures: leave it out")
        return Subject(image, faces[0])


def enlarged(subject: Subject, zoom: int) -> Subject:
    """The subject's picture at a multiple of its size."""
    image, face = subject.image, subject.face
    size = image.width * zoom, image.height * zoom
    bigger = replace(face, box=face.box * zoom, landmarks=face.landmarks * zoom)
    return Subject(image.resize(size, Image.Resampling.LANCZOS), bigger)


@dataclass(frozen=True)
class Recipe:
    """All that decides what IDI makes of a set. It can be pickled: a cluster's workers are made by it.

    Attributes:
        root: the set. methods: "restruct", "carry", "faceswap:NAME" with a name of `SWAPPERS`.
        backbone, adapter, device, dtype: of the pipelines, as for ``mien.load``. steps, guidance: None: the adapter's.
        id_scale, expression_scale: of restruct. command: of the swapper "command".
        quality: of `filters.QUALITIES`. limits: what is kept.
    """

    root: Path
    methods: tuple[str, ...] = (RESTRUCT,)
    backbone: str = "mini"
    adapter: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    steps: int | None = None
    guidance: float | None = None
    id_scale: float = 1.0
    expression_scale: float = 1.0
    command: str = ""
    quality: str = "auto"
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        known = [RESTRUCT, CARRY, *(f"{FACESWAP}:{name}" for name in SWAPPERS)]
        for method in self.methods:
            choice(method, known, "the way to make references")
        if not self.methods or len(set(self.methods)) != len(self.methods):
            raise InputError("Give each way to make references once, and at least one.")
        if f"{FACESWAP}:command" in self.methods and not self.command:
            raise InputError("The swapper command needs a command line: give one.")

    def make(self) -> Worker:
        """The worker, everything loaded. Raises `InputError`: the set or a model cannot be read."""
        manifest = Manifest.read(self.root)
        facts = manifest.facts
        observer = load_observer(facts["analyser"], facts["recogniser"])
        memory = Memory(observer)
        generator = None
        if RESTRUCT in self.methods:
            from mien.pipelines.portrait import PortraitPipeline

            pipe = PortraitPipeline.from_backbone(self.backbone, self.device, self.dtype, self.adapter)
            scales = {"id_scale": self.id_scale, "expression_scale": self.expression_scale}
            generator = restruct(pipe, steps=self.steps, guidance=self.guidance, **scales)
        makers: dict[str, Callable[[], Swapper]] = {
            CARRY: lambda: PhotoCarrier(memory),
            f"{FACESWAP}:photo": lambda: photo_swapper(memory),
            f"{FACESWAP}:reface": lambda: reface_swapper(
                self.backbone, self.device, self.dtype, steps=self.steps, guidance=self.guidance
            ),
            f"{FACESWAP}:facefusion": lambda: CommandSwapper(self.command or FACEFUSION, "facefusion"),
            f"{FACESWAP}:command": lambda: CommandSwapper(self.command),
        }
        swappers = {method: makers[method]() for method in self.methods if method != RESTRUCT}
        quality = load_quality(self.quality)
        return Worker(manifest, observer, quality, self.limits, generator, swappers, memory)

    def facts(self, manifest: Manifest, seed: int) -> dict[str, Any]:
        """What is written beside the pairs, and compared when a run is resumed: no path, weights by fingerprint."""
        quality = load_quality(self.quality).name
        recogniser = manifest.facts["recogniser"]
        found: dict[str, Any] = {
            "analyser": manifest.facts["analyser"],
            "recogniser": recogniser,
            "methods": list(self.methods),
            "seed": seed,
            "quality": quality,
            "limits": asdict(complete(self.limits, SAME_PERSON[recogniser], quality)),
        }
        if any(method in (RESTRUCT, f"{FACESWAP}:reface") for method in self.methods):
            from mien.weights.bases import find_folder

            folder = find_folder(self.backbone)
            found["backbone"] = Path(self.backbone).name
            found["weights"] = fingerprint([folder, *([Path(self.adapter)] if self.adapter else [])])
            scales = ("id_scale", "expression_scale") if RESTRUCT in self.methods else ()
            for name in ("steps", "guidance", *scales):
                found[name] = getattr(self, name)
        return found


def fingerprint(folders: Sequence[Path]) -> str:
    """Of the weight files in these folders, and of their adapters' settings: names, sizes and first mebibytes; 16
    hexadecimal digits."""
    digest = hashlib.sha256()
    for folder in folders:
        kinds = ("*.safetensors", "*.bin", "adapter.json")
        for path in sorted(path for kind in kinds for path in folder.rglob(kind)):
            digest.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}".encode())
            with path.open("rb") as handle:
                digest.update(handle.read(HEAD))
    return digest.hexdigest()[:16]


FACEFUSION = (
    "facefusion.py headless-run --processors face_swapper --source-paths {identity} --target-path {target} "
    "--output-path {output}"
)
TIMEOUT = 300.0  # seconds a swap may take


def photo_swapper(analyse: Callable[[Image.Image], Sequence[Face]]) -> Swapper:
    """The photo engine's: the identity's pixels in the target's pose, expression and light. No network. analyse: PIL
    picture → faces, largest first."""
    pipe = SwapPipeline(analyse)
    return lambda target, identity, seed: pipe(target, identity=identity)


class CommandSwapper:
    """Any program that reads two pictures and writes one; FaceFusion's headless command is `FACEFUSION`. command: with
    the words {target}, {identity} and {output}; no shell reads it. name: for reports."""

    def __init__(self, command: str, name: str = "command", timeout: float = TIMEOUT) -> None:
        self.words, self.name, self.timeout = shlex.split(command), name, timeout
        for place in ("{target}", "{identity}", "{output}"):
            if not any(place in word for word in self.words):
                raise InputError(f"The swapper's command has no {place}: say where it goes.")

    def __call__(self, target: Image.Image, identity: Image.Image, seed: int = 0) -> Image.Image:
        with tempfile.TemporaryDirectory(prefix="mien-swap-") as folder:
            paths = {name: str(Path(folder) / f"{name}.png") for name in ("target", "identity", "output")}
            target.save(paths["target"])
            identity.save(paths["identity"])
            words = self.words
            for name, path in paths.items():
                words = [word.replace(f"{{{name}}}", path) for word in words]
            with (
                saying(f"The swapper {words[0]} cannot be started ({WHY}).", OSError),
                saying(f"the swapper took longer than {self.timeout:g} s", subprocess.TimeoutExpired),
            ):
                done = subprocess.run(
                    words, capture_output=True, text=True, errors="replace", timeout=self.timeout, check=False
                )
            if done.returncode or not Path(paths["output"]).is_file():
                lines = (done.stderr or done.stdout).strip().splitlines() or ["it wrote no picture"]
                raise InputError(f"the swapper failed with {done.returncode}: {lines[-1][:200]}")
            return read_image(paths["output"])
