"""Networks that look at faces, as the package reads them (`mien.face.network`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn


def save_network(network: nn.Module, path: Path, config: dict[str, Any]) -> None:
    """One safetensors file in float16 whose metadata holds the constructor's arguments."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        key: (value.half() if value.is_floating_point() else value).detach().cpu().contiguous()
        for key, value in network.state_dict().items()
    }
    save_file(tensors, path, metadata={"config": json.dumps(config)})
