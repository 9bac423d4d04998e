"""Arc2Face's Expression Adapter: stock diffusers' noise, and blendshapes as its 55 numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

import mien
from mien.expressions.flame import MAPS, WIDTH, flame
from mien.face.blendshapes import INDEX
from mien.models.e_adapter import EAdapter
from mien.types import InputError
from tests import published


@pytest.fixture
def maps(tmp_path):
    """The two maps, random, in the shapes of the published ones."""
    folder, rng = tmp_path / "blendshapes_to_flame", np.random.default_rng(3)
    folder.mkdir()
    for name, shape in MAPS.items():
        np.save(folder / name, rng.normal(size=shape))
    return folder


def test_55_numbers_in_smirks_order(maps) -> None:
    shapes = np.zeros(52)
    shapes[INDEX["jawOpen"]], shapes[INDEX["eyeBlinkRight"]] = 0.8, 0.6
    told = flame(shapes, maps)
    expression, pose = (np.load(maps / name) for name in MAPS)
    jaw = 0.8 * pose[INDEX["jawOpen"], 3:] + 0.6 * pose[INDEX["eyeBlinkRight"], 3:]
    both = 0.8 * expression[INDEX["jawOpen"]] + 0.6 * expression[INDEX["eyeBlinkRight"]]
    assert told.shape == (WIDTH,) and np.allclose(told[:50], both) and np.allclose(told[50:52], [0, 0.6])
    assert np.isclose(told[52], max(jaw[0], 0)) and np.allclose(told[53:], jaw[1:].clip(-0.2, 0.2))
    np.save(maps / "bs2exp.npy", np.zeros((52, 100)))
    other = maps.rename(maps.with_name("other"))
    with pytest.raises(InputError, match=r"bs2exp\.npy: is of shape \(52, 100\)"):
        flame(shapes, other)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
@torch.no_grad()
def test_it_is_what_diffusers_makes_of_the_file(kind, maps, tmp_path, monkeypatch) -> None:
    folder = published.fetch_all(tmp_path / "models", "sd15", monkeypatch)
    maps.rename(folder / "blendshapes_to_flame")
    stock = StableDiffusionPipeline.from_pretrained(
        folder / "sd15", variant="fp16", torch_dtype=torch.float32
    )
    branch = EAdapter.create(stock.unet, None, WIDTH, expression_projection=kind).expression
    parts: dict[str, dict[str, torch.Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for name, value in branch.state_dict().items():
        part, _, rest = name.partition(".")
        parts[part][rest] = value + 0.05 * torch.randn_like(value)
    (folder / "arc2face").mkdir()
    torch.save(parts, folder / "arc2face" / "exp_adapter.bin")
    pipe = mien.load("sd15", "cpu", adapter="arc2face", scheduler="ddim")
    told = pipe.embed(None, "surprise")["expression"]
    assert told.shape == (1, WIDTH) and told.abs().max() > 0.1
    result = pipe.generate(None, told, ["a cat"], [5], None, 2, 3.0, 1.0, 0.8)

    stock.scheduler = pipe.scheduler
    stock.set_progress_bar_config(disable=True)
    files = [folder / published.FILES["sd15"][0], folder / "arc2face" / "exp_adapter.bin"]
    stock.load_ip_adapter(
        [str(file.parent) for file in files],
        subfolder=["", ""],
        weight_name=[file.name for file in files],
        image_encoder_folder=None,
    )
    stock.set_ip_adapter_scale([0.0, 0.8])  # FaceID's low-rank layers act, its tokens do not
    expected = stock(
        "a cat",
        latents=torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5)),
        ip_adapter_image_embeds=[torch.zeros(2, 1, 512), torch.stack([0 * told, told])],
        num_inference_steps=2,
        guidance_scale=3.0,
        output_type="pt",
    ).images
    assert ((result + 1) / 2 - expected).abs().max() <= 1e-4
