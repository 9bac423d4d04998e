"""Base models: named ones, diffusers folders, the hub's, and checkpoints in one file; where they are here."""

from __future__ import annotations

from pathlib import Path

from mien import weights
from mien.errors import InputError, nearest, saying
from mien.files import expand, read_json
from mien.weights import copies
from mien.weights.adapters import FAMILIES, header

HUB_IDS = {  # of named models, which the registry of weights has under the same names; None: shipped
    "mini": None,
    "sd15": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
    "sd15-inpaint": "stable-diffusion-v1-5/stable-diffusion-inpainting",
    "sdxl-inpaint": "diffusers/stable-diffusion-xl-1.0-inpainting-0.1",
}
NETWORKS = {
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
    "text_encoder_2": "model",
}
HUB_FILES = [
    "model_index.json",
    "scheduler/*.json",
    "tokenizer*/*",
    *(f"{part}/config.json" for part in NETWORKS),
    *(f"{part}/{stem}.safetensors" for part, stem in NETWORKS.items()),
    *(f"adapter/{name}" for name in ("adapter.json", "identity.safetensors", "expression.safetensors")),
]
_UNET = "model.diffusion_model."
_PARTS = {  # of one file by family: where each network's tensors begin
    "sd15": {"cond_stage_model.transformer.text_model.": "text encoder"},
    "sdxl": {
        "conditioner.embedders.0.transformer.text_model.": "text encoder",
        "conditioner.embedders.1.model.transformer.": "second text encoder",
    },
}


def own_name(backbone: str) -> str:
    """The name of a model that is given by the hub id of a named one; of others what is given."""
    return next((name for name, hub in HUB_IDS.items() if backbone == hub), backbone)


def variant(folder: Path, part: str) -> str | None:
    """ "fp16" where a network's weights are there in that variant alone, else None."""
    stem = NETWORKS[part]
    plain = any((folder / part / f"{stem}.safetensors{end}").is_file() for end in ("", ".index.json"))
    return "fp16" if not plain and (folder / part / f"{stem}.fp16.safetensors").is_file() else None


def lacks(folder: Path) -> str | None:
    """The first file that a diffusers folder of SD1.5's or SDXL's family lacks; None: it is whole."""
    parts = ["unet", "vae", "text_encoder"]
    if width_of(folder) == 2048:
        parts.append("text_encoder_2")
    for part in parts:
        if not (folder / part / "config.json").is_file():
            return f"{part}/config.json"
        stem = NETWORKS[part]
        ends = (".safetensors", ".safetensors.index.json", ".fp16.safetensors")
        if not any((folder / part / f"{stem}{end}").is_file() for end in ends):
            return f"{part}/{stem}.safetensors"
        tokenizer = part.replace("text_encoder", "tokenizer")
        if tokenizer != part and not (folder / tokenizer).is_dir():
            return tokenizer
    scheduler = "scheduler/scheduler_config.json"
    return None if (folder / scheduler).is_file() else scheduler


def here(name: str) -> Path | None:
    """The whole folder of a named or the hub's model, fetched by `mien models fetch` or into the hub's cache; None:
    it is not on this machine, or in part."""
    if name == "mini":
        return weights.SHIPPED_FOLDER / weights.entry(name).root
    own = [weights.models_folder() / name] if name in HUB_IDS else []
    cached = copies.snapshot(HUB_IDS.get(name) or name)
    found = [folder for folder in (*own, cached) if folder is not None and lacks(folder) is None]
    return found[0] if found else None


def single_file(name: str) -> Path | None:
    """A checkpoint in one file: its path, or its name in ComfyUI's ``models/checkpoints``; None: it is not one. Raises
    `InputError`: it is named like one and is not there."""
    if not name.endswith(".safetensors"):
        return None
    place, comfyui = expand(name), copies.comfyui()
    places = [place, *([comfyui / "checkpoints" / name] if comfyui is not None else [])]
    found = next((one for one in places if one.is_file()), None)
    if found is None:
        raise InputError(f"{name}: there is no such checkpoint: give its path, or set MIEN_COMFYUI")
    return found


def configs_of(checkpoint: Path) -> tuple[str, Path | None]:
    """Whose configurations and tokenizers a checkpoint in one file needs, "sd15" or "sdxl", and where they are (None:
    not here). Raises `InputError`: it is of neither family, or a network is not in it."""
    keys = header(checkpoint)
    if not any(key.startswith(_UNET) for key in keys):
        raise InputError(f"{checkpoint}: is not a checkpoint of SD1.5 or SDXL in one file")
    family = FAMILIES.get(width_of(checkpoint) or 0)
    if family is None:
        raise InputError(f"{checkpoint}: is of a family that is not supported: use one of SD1.5 or SDXL")
    for beginning, network in (_PARTS[family] | {"first_stage_model.": "autoencoder"}).items():
        if not any(key.startswith(beginning) for key in keys):
            raise InputError(f"{checkpoint}: holds no {network} ({beginning}*): use a whole checkpoint")
    wanted = [file.path for file in weights.entry(family).files if not file.path.endswith(".safetensors")]
    own, cached = weights.models_folder(), copies.snapshot(HUB_IDS[family] or "")
    if all((own / path).is_file() for path in wanted):
        return family, own / family
    if cached is not None and all((cached / path.partition("/")[2]).is_file() for path in wanted):
        return family, cached
    return family, None


def width_of(place: Path) -> int | None:
    """The UNet's cross-attention width of a diffusers folder or of a checkpoint in one file; None: it does not say."""
    if place.is_file():
        keys = header(place)
        return next((shape[1] for key, shape in keys.items() if key.endswith("attn2.to_k.weight")), None)
    config = place / "unet" / "config.json"
    width = read_json(config).get("cross_attention_dim") if config.is_file() else None
    return width if isinstance(width, int) else None


def find_folder(name: str) -> Path:
    """The folder of a named model, a path or a hub id (fetched into the hub's cache once), or a checkpoint's file.
    Raises `InputError`: there is no such model, or it is a named one that has not been fetched."""
    if name == "mini":
        return weights.path(name)
    if name in HUB_IDS:
        if (whole := here(name)) is not None:
            return whole
        raise InputError(f"{name} is not on this machine: run `mien models fetch {name}`")
    place = expand(name)
    if place.is_dir():
        return place
    if (file := single_file(name)) is not None:
        return file
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise InputError(
            f"there is no model {name!r}{nearest(name, HUB_IDS)}: use {', '.join(HUB_IDS)}, "
            "a diffusers folder, a .safetensors checkpoint or a hub id"
        )
    from huggingface_hub import snapshot_download

    # the hub's client raises its own, requests' and the system's kinds
    with saying(f"the model {name} cannot be fetched: give a folder, or check name and network", Exception):
        return Path(snapshot_download(name, allow_patterns=HUB_FILES))
