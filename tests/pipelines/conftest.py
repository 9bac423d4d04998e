"""A portrait pipeline that is made in no time."""

from __future__ import annotations

import pytest
import torch

from mien.backbones import load_backbone
from mien.models.e_adapter import EAdapter
from mien.pipelines.portrait import PortraitPipeline
from tests import tiny
from tests.pipelines.test_inputs import Looks, Numbers, one_face


class Still(Looks):
    """An identity encoder of the width that the tiny adapter takes."""

    name, width = "still", 12

    def __call__(self, image, face):
        return torch.linspace(-1, 1, 12)


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> PortraitPipeline:
    folder = tiny.save_folder(tmp_path_factory.mktemp("sd15"), "sd15")
    backbone = load_backbone(str(folder), "cpu")
    torch.manual_seed(1)
    adapter = EAdapter.create(backbone.unet, 12, 57)
    for parameter in adapter.parameters():
        parameter.data.add_(0.5 * torch.randn_like(parameter))
    made = PortraitPipeline(
        backbone, adapter, analyze=one_face, identity_encoder=Still(), expression_encoder=Numbers()
    )
    made.steps = 4
    return made
