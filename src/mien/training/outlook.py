"""What a run of an SD1.5 or SDXL recipe asks of its surroundings: hours on named GPUs, disk, data, files, licences, and
which stage comes when. Nothing is read but configurations and a manifest's rows, and nothing is fetched.

    hours = steps x accumulation x batch x FLOP of a sample / (peak x USED x 3600)

FLOP of a sample are counted by torch on the meta device: a pass forward, one back to what is trained, another for the
gradients of the UNet's own weights where those are, and one more where activations are recomputed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien import preflight, weights
from mien.files import expand
from mien.types import InputError
from mien.weights import Entry
from mien.weights.adapters import AdapterSpec, read_adapter_spec
from mien.weights.bases import HUB_IDS, here, own_name

if TYPE_CHECKING:
    from mien.training.loop import LoopConfig

PEAKS = {"RTX 3090": 71e12, "RTX 4090": 165e12, "L40S": 362e12, "A100": 312e12, "H100": 989e12}
"""Dense bfloat16 FLOP a second by the makers' data sheets (tensor cores, float32 accumulation)."""
USED = 0.35  # of the peak that training reaches: an assumption, stated with every plan
ORDER = ("base", "refined", "ica")
GB = 1e9


@dataclass(frozen=True)
class Work:
    """FLOP of one sample, forward, of the UNet and of the decoder. trained: numbers that are learned. all_of_it:
    whether the UNet's own are. cells: latent numbers of one picture."""

    unet: float
    decoder: float
    trained: int
    all_of_it: bool
    cells: int


def check(recipe: Path, overrides: Sequence[str] = ()) -> None:
    """Whether all that a run needs is here, by its recipe alone: models, the adapter it starts from, faces. A recipe
    that cannot be read is let pass: who reads it whole says what is wrong with it.

    Raises:
        NotHere: something is missing. InputError: the backbone's folder, or the adapter's, is not whole.
    """
    import yaml  # OmegaConf loads too slowly for a first answer

    try:
        config = yaml.safe_load(recipe.read_text(encoding="utf-8"))
        for key, _, value in (override.partition("=") for override in overrides):
            *above, last = key.split(".")
            place = config
            for name in above:
                place = place.setdefault(name, {})
            place[last] = yaml.safe_load(value)
        stage, arguments = str(config["stage"]), dict(config["args"])
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError):
        return
    backbone, start = str(arguments.get("backbone")), arguments.get("adapter")
    needs = list(preflight.of_base(own_name(backbone)))
    needs += [preflight.Need(entry) for entry in _missing(_starts(arguments))]
    absent = []
    if isinstance(start, str) and not Path(start).is_dir():
        absent.append(f"  {start}: the adapter to start from, made by the stage before")
    elif "backbone" in arguments and "manifest" not in arguments and backbone != "mini":
        spec = AdapterSpec(None, None) if not isinstance(start, str) else read_adapter_spec(Path(start))
        needs += preflight.of_adapter(spec, False)
    absent += [f"  {line}" for line in data(stage, arguments) if " is not there" in line]
    preflight.refuse(needs, f"for the recipe {recipe.stem}", absent)


def outlook(stage: str, arguments: dict[str, Any], config: LoopConfig, work: Work) -> list[str]:
    """Lines for a person."""
    return [
        *hours(arguments, config, work),
        *disk(arguments, work),
        *data(stage, arguments),
        *files(arguments),
        *order(stage),
    ]


def hours(arguments: dict[str, Any], config: LoopConfig, work: Work) -> list[str]:
    """On named GPUs, one process."""
    again = 1 if arguments.get("checkpointing") else 0
    passes = 2 + again + (1 if work.all_of_it else 0)
    judged = min(int(arguments.get("judged") or config.batch_size), config.batch_size) / config.batch_size
    sample = passes * work.unet + (2 + again) * judged * work.decoder
    total = config.steps * config.accumulation * config.batch_size * sample
    told = ", ".join(f"{name} {total / (peak * USED * 3600):.0f} h" for name, peak in PEAKS.items())
    peak = f"{USED:.0%} of the peak in bfloat16"
    return [f"about {total / 1e18:.1f} x 10^18 FLOP; at {peak}: {told}; n GPUs: an nth"]


def disk(arguments: dict[str, Any], work: Work) -> list[str]:
    """What a run writes."""
    checkpoints = 2 * 4 * 4 * work.trained  # two of weights, average and two moments, in float32
    lines = [f"disk: {checkpoints / GB:.1f} GB of checkpoints (last/ and previous/)"]
    if (arguments.get("data") or {}).get("latents"):
        each = 2 * work.cells  # float16
        lines.append(f"disk: {each / 1e3:.0f} kB a picture of latents, {each * 1e4 / GB:.1f} GB for 10,000")
    return lines


def data(stage: str, arguments: dict[str, Any]) -> list[str]:
    """The set of faces, needed and found."""
    root = (arguments.get("data") or {}).get("root") or arguments.get("manifest")
    if not root:
        return ["data: the recipe names no set of faces"]
    how = "mien data idi" if stage in ("refined", "ica") else "mien data ingest"
    return [_set(str(one), how) for one in (root if isinstance(root, list) else [root])]


def _set(root: str, how: str) -> str:
    place = expand(root)
    if not place.exists():
        return f"data: {root} is not there: `{how}` makes it (docs/data.md)"
    from mien.data.records import Manifest

    try:
        return f"data: {root}, {len(Manifest.read(place)):,} records"
    except InputError as error:
        return f"data: {error}"


def files(arguments: dict[str, Any]) -> list[str]:
    """Models that are missing, how to get them, and whose terms bind the result."""
    names = _names(arguments)
    wanted, missing = _known(names), _missing(names)
    lines = [preflight.Need(entry).line() for entry in missing]
    if lines:
        needs = [preflight.Need(entry) for entry in missing]
        lines = [f"missing files, {len(missing)}:", *lines, f"get all: {preflight.command(needs)}"]
    bound = [entry.name for entry in wanted if not entry.commercial]
    terms = f"not for commercial use, by {', '.join(bound)}" if bound else "by the base model's alone"
    return [*(lines or ["missing files: none"]), f"the result's terms: {terms}"]


def order(stage: str) -> list[str]:
    """What comes before and after."""
    if stage not in ORDER:
        return ["order: data ingest, this, then `mien reface --backbone runs/NAME/export`"]
    steps = ["data ingest", "base", "data idi (with base's adapter)", "refined", "ica"]
    place = {"base": 1, "refined": 3, "ica": 4}[stage]
    return ["order: " + " > ".join(f"[{step}]" if k == place else step for k, step in enumerate(steps))]


def _names(arguments: dict[str, Any]) -> list[str]:
    """Names in the registry of weights, of the base, of what the adapter starts from and of the encoders."""
    base = own_name(str(arguments.get("backbone")))
    names = ([base] if base in HUB_IDS else []) + _starts(arguments)
    if "manifest" not in arguments:  # the adapter's stages look with ArcFace and CLIP
        names += ["arcface_w600k_r50", "clip_vit_h"]
    elif base not in ("mini", "None"):
        names.append("clip_vit_h")
    return names


def _starts(arguments: dict[str, Any]) -> list[str]:
    """Of what the adapter starts from, and of the recognisers that the recipe names."""
    start = arguments.get("adapter")
    known = {"arcface": "arcface_w600k_r50", "auraface": "auraface", "dlib": "dlib_recogniser"}
    names = [str(value) for value in start.values()] if isinstance(start, dict) else []
    return names + [known[one] for one in arguments.get("recognisers") or () if one in known]


def _missing(names: Sequence[str]) -> list[Entry]:
    def there(entry: Entry) -> bool:
        return here(entry.name) is not None if entry.name in HUB_IDS else weights.sized(entry)

    return [entry for entry in _known(names) if not there(entry)]


def _known(names: Sequence[str]) -> list[Entry]:
    foreign = {entry.name: entry for entry in weights.entries() if not entry.shipped}
    return [foreign[name] for name in dict.fromkeys(names) if name in foreign]
