"""FineFace's adapter (Varanka et al. 2024, arXiv 2407.20175): the expression as 12 action units, for SD1.5.

    token = [a, W a + c] in R^D
    Z = Attn(Q, K_text, V_text) + lambda_id Attn(Q, K_id, V_id) + lambda_exp Attn(Q, K_au, V_au)

with a the intensities of the units in the order of `UNITS`. So it is an E-Adapter whose expression projection is of a
kind of its own and makes one token; the identity beside it is IP-Adapter FaceID's "portrait" kind of 16 tokens. Its
files hold ``au_encoder.*`` and, by the UNet's own names, ``….attn2.processor.au_to_k.weight`` and ``au_to_v``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.models.adapter_files import read_state
from mien.models.attention import KeyValue
from mien.models.branch import AdapterBranch, attention_layers
from mien.models.projection import units_projection
from mien.types import InputError

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

UNITS = ("1", "2", "4", "5", "6", "9", "12", "15", "17", "20", "25", "26")
LARGEST = 5.0  # of an intensity: FACS' A to E are 1 to 5
FILES = ("sd15_au_encoder.ckpt", "sd15_attn_processors.ckpt")


def load_fineface(unet: UNet2DConditionModel, folder: Path) -> AdapterBranch:
    """FineFace's two files (`FILES`) in a folder as the expression branch of an E-Adapter for this UNet. Raises
    `InputError`: a file is missing, damaged, or for another UNet."""
    projection: Any = units_projection(read_state(folder / FILES[0]), str(folder / FILES[0]))
    weights, layers = read_state(folder / FILES[1]), []
    for name, attn in attention_layers(unet).items():
        layer = KeyValue(attn.to_k.in_features, attn.to_k.out_features)
        for ours, theirs in (("to_k_ip", "au_to_k"), ("to_v_ip", "au_to_v")):
            found = weights.get(f"{name}.processor.{theirs}.weight")
            wanted = getattr(layer, ours).weight
            if found is None or found.shape != wanted.shape or projection.dim != found.shape[1]:
                raise InputError(
                    f"{folder / FILES[1]}: {name}.processor.{theirs} is missing or of another shape than this UNet's "
                    f"{tuple(wanted.shape)}: FineFace is for SD1.5"
                )
            wanted.data.copy_(found)
        layers.append(layer)
    return AdapterBranch(projection, layers)
