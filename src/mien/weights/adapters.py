"""An adapter's files: one a branch, the encoders they go with, and the defaults; a folder's, or the published ones.

Nothing here reads a tensor: of a file of weights no more than the header is looked at.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from mien import weights
from mien.errors import InputError, saying
from mien.files import read_json, write_text

FILES = {"identity": "identity.safetensors", "expression": "expression.safetensors"}
FAMILIES = {768: "sd15", 2048: "sdxl"}  # by the width of the UNet's cross-attention
LEAD = 0.2  # of published adapters: how much the photo engine's picture is what the latents start from


@dataclass(frozen=True)
class AdapterSpec:
    """Files of both branches (either may be None), the encoders they go with, and the generation defaults.

    Several recognisers are joined by "+". ``framing``: how the training pictures frame a face, for refacing:
    "canonical" (``face.align``) or "ffhq" (``face.templates``). ``reface_steps``, ``reface_guidance``: refacing's own
    (None: as portraits); ``reface_identity``: what a lambda_id of 1 is. ``lead``: see ``pipelines.lead``.
    """

    identity: Path | None
    expression: Path | None
    identity_encoder: str = "arcface"
    expression_encoder: str = "clip"
    steps: int = 20
    guidance: float = 5.0
    framing: str = "canonical"
    reface_steps: int | None = None
    reface_guidance: float | None = None
    reface_identity: float = 1.0
    lead: float = 0.0

    @property
    def settings(self) -> dict[str, Any]:
        """All but the files: what ``adapter.json`` says."""
        return {name: value for name, value in vars(self).items() if name not in FILES}

    def write(self, folder: Path) -> None:
        """Write ``adapter.json``, beside the files."""
        write_text(folder / "adapter.json", json.dumps(self.settings, indent=1) + "\n")


PUBLISHED = {
    "sd15": ("ip_adapter_faceid_sd15", "ip_adapter_sd15"),
    "sdxl": ("ip_adapter_faceid_sdxl", "ip_adapter_sdxl"),
}


OTHERS = {"fineface": "FineFace", "arc2face": "Arc2Face's Expression Adapter"}  # by the names of `by_name`


def published(width: int | None, name: str) -> AdapterSpec:
    """IP-Adapter FaceID as identity and the image-prompt IP-Adapter as expression, where they are or would be. width:
    of the UNet's cross-attention. name: the model's, for errors. Raises `InputError`: there are none for this family.
    """
    family = FAMILIES.get(width or 0)
    if family is None:
        raise InputError(f"there are no published adapters for {name}, only for SD1.5 and SDXL")
    files = [weights.entry(one) for one in PUBLISHED[family]]
    identity, expression = (weights.place(model, model.files[0]) for model in files)
    return AdapterSpec(identity, expression, steps=30, guidance=7.5 if family == "sd15" else 5.0, lead=LEAD)


def by_name(adapter: str, width: int | None, name: str) -> AdapterSpec | None:
    """The adapter of others with that name, "published", "fineface" or "arc2face", where its files are or would be;
    None: no adapter has this name. The arguments and errors are those of `published`."""
    if adapter == "published":
        return published(width, name)
    if adapter not in OTHERS:
        return None
    if FAMILIES.get(width or 0) != "sd15":
        raise InputError(f"{OTHERS[adapter]} is for models of SD1.5's family, which {name} is not")
    if adapter == "arc2face":
        identity, expression = map(weights.entry, ("ip_adapter_faceid_sd15", "arc2face_expression_sd15"))
        who, how = (weights.place(model, model.files[0]) for model in (identity, expression))
        return AdapterSpec(who, how, expression_encoder="flame", steps=25, guidance=3.0)
    portrait = weights.entry("ip_adapter_faceid_portrait_sd15")
    files_of_units = weights.models_folder() / weights.entry("fineface_sd15").root
    place = weights.place(portrait, portrait.files[0])
    return AdapterSpec(place, files_of_units, expression_encoder="action_units", steps=50, guidance=7.5)


def _unfit(name: str, value: Any) -> str | None:
    """What a setting of ``adapter.json`` must be, if it is not; what may be left out may be null."""
    if value is None and AdapterSpec.__dataclass_fields__[name].default is None:
        return None
    if name.endswith("steps"):
        return None if type(value) is int and value >= 1 else "a whole number from 1"
    if name == "lead":
        return None if type(value) in (int, float) and 0 <= value < 1 else "a number from 0, less than 1"
    if name in ("guidance", "reface_guidance", "reface_identity"):
        return None if type(value) in (int, float) and value >= 0 else "a number from 0"
    return None if isinstance(value, str) else "a text"


def read_adapter_spec(folder: Path) -> AdapterSpec:
    """The adapter in a folder: its files, and ``adapter.json`` if there is one."""
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such adapter folder")
    identity, expression = (
        next((p for p in (folder / file, folder / f"{branch}.bin") if p.is_file()), None)
        for branch, file in FILES.items()
    )
    if identity is None and expression is None:
        raise InputError(f"{folder}: holds neither {FILES['identity']} nor {FILES['expression']}")
    settings = read_json(folder / "adapter.json") if (folder / "adapter.json").is_file() else {}
    fields = AdapterSpec.__dataclass_fields__.keys() - FILES.keys()
    if unknown := sorted(settings.keys() - fields):
        raise InputError(f"{folder / 'adapter.json'}: unknown key {unknown[0]!r}: known are {sorted(fields)}")
    for name, value in settings.items():
        if wanted := _unfit(name, value):
            raise InputError(f"{folder / 'adapter.json'}: {name} must be {wanted}, not {value!r}")
    return AdapterSpec(identity, expression, **settings)


def find_adapter(
    adapter: str | Path | None, own: Path | None, width: int | None, name: str
) -> AdapterSpec | None:
    """An adapter by a name of `by_name` or its folder, checked against the model as far as its files are here; None:
    the model's own, if it has one. own: folder of that. width, name: as of `published`. Raises `InputError`: there is
    no such adapter, or it is for another family."""
    if adapter is None:
        return read_adapter_spec(own) if own is not None and own.is_dir() else None
    spec = by_name(str(adapter), width, name) or read_adapter_spec(Path(adapter))
    for path in (spec.identity, spec.expression):
        if path is not None and path.is_file():
            check_width(path, width, name)
    return spec


def header(path: Path) -> dict[str, list[int]]:
    """Names and shapes of the tensors of a safetensors file, by its header alone. Raises `InputError`: it has none."""
    with (
        saying(
            f"{path}: is not a complete safetensors file: use another copy of it", OSError, SafetensorError
        ),
        safe_open(path, framework="np") as file,
    ):
        return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118


def check_width(path: Path, width: int | None, name: str) -> None:
    """Whether a branch's file is for a UNet of this cross-attention width, as far as its header tells. Raises
    `InputError`: it is for another family."""
    if path.suffix != ".safetensors" or width is None:
        return
    norm = header(path).get("image_proj.norm.weight")
    if norm is not None and norm != [width]:
        raise InputError(
            f"{path}: is made for a UNet of cross-attention width {norm[0]}, {name} has {width}: use an adapter of "
            "this model's family"
        )
