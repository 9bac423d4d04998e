"""`adapter="published"`: IP-Adapter's own files for SD1.5 and SDXL, as stock diffusers runs them."""

from __future__ import annotations

from pathlib import Path

import diffusers
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import mien
from mien.models.e_adapter import EAdapter
from mien.preflight import NotHere
from mien.types import InputError
from tests import published, single_file, tiny

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@torch.no_grad()
def test_it_is_what_diffusers_makes_of_the_two_files(family, tmp_path, monkeypatch) -> None:
    """From the pictures on: ArcFace and CLIP look, both branches act, FaceID's low-rank layers too."""
    folder = published.fetch_all(tmp_path / "models", family, monkeypatch)
    pipe = mien.load(family, "cpu", adapter="published", scheduler="ddim")
    assert pipe.backbone.adapter is not None and pipe.backbone.adapter.lead > 0
    me = Image.open(EXAMPLES / "identity.png").convert("RGB")
    embeds = pipe.embed(me, me)
    assert embeds["identity"].shape == (1, 512) and embeds["expression"].shape == (1, published.CLIP_WIDTH)
    result = pipe.generate(embeds["identity"], embeds["expression"], ["a cat"], [5], None, 4, 3.0, 0.7, 0.9)

    kind = diffusers.StableDiffusionPipeline if family == "sd15" else diffusers.StableDiffusionXLPipeline
    stock = kind.from_pretrained(folder / family, variant="fp16", torch_dtype=torch.float32)
    stock.scheduler = pipe.scheduler
    stock.set_progress_bar_config(disable=True)
    stock.load_ip_adapter(
        [str(folder)] * 2,
        subfolder=["", ""],
        weight_name=list(published.FILES[family]),
        image_encoder_folder=None,
    )
    stock.set_ip_adapter_scale([0.7, 0.9])
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    expected = stock(
        "a cat",
        latents=noise,
        ip_adapter_image_embeds=[torch.stack([0 * e, e]) for e in embeds.values()],
        num_inference_steps=4,
        guidance_scale=3.0,
        output_type="pt",
    ).images
    assert ((result + 1) / 2 - expected).abs().max() <= 1e-4
    bare = pipe.generate(None, None, ["a cat"], [5], None, 4, 3.0)
    assert (bare - result).abs().max() > 0.05


def test_nothing_is_read_before_all_is_there(tmp_path, monkeypatch) -> None:
    """What is missing comes in one list, and no file of weights has been opened for its tensors by then."""
    folder = published.fetch_all(tmp_path / "models", "sd15", monkeypatch)
    (folder / "w600k_r50.onnx").unlink()
    (folder / published.FILES["sd15"][1]).unlink()

    def read(*_: object, **__: object) -> None:
        raise AssertionError("a tensor was read")

    for name in ("safetensors.safe_open", "safetensors.torch.load_file", "torch.load"):
        monkeypatch.setattr(name, read)
    monkeypatch.setattr(torch.nn.Module, "load_state_dict", read)
    with pytest.raises(NotHere) as caught:
        mien.load("sd15", "cpu", adapter="published")
    lines = caught.value.lines
    assert "2 things are missing" in lines[0] and "ip_adapter_sd15" in lines[1] and "arcface" in lines[2]
    assert lines[-1] == "Get all: mien models fetch ip_adapter_sd15 arcface_w600k_r50"


def test_an_adapter_of_another_family_is_refused_by_its_header(tmp_path, monkeypatch) -> None:
    folder = published.fetch_all(tmp_path / "models", "sd15", monkeypatch)
    EAdapter.create(tiny.sdxl_unet(), 12, 9).save(tmp_path / "other")
    for name in ("unet", "vae"):  # what would be read after it
        (folder / "sd15" / name / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match=r"identity\.safetensors: is made for.* width 64, sd15 has 768"):
        mien.load("sd15", "cpu", adapter=str(tmp_path / "other"))
    with pytest.raises(InputError, match="no published adapters for mini"):
        mien.load("mini", "cpu", adapter="published")


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@torch.no_grad()
def test_files_of_comfyui_and_a_checkpoint_in_one_file(family, tmp_path, monkeypatch) -> None:
    """ComfyUI's folders, the checkpoint in CompVis' layout: the picture is that of the diffusers folder."""
    folder = published.fetch_all(tmp_path / "models", family, monkeypatch)
    load = {"device": "cpu", "adapter": "published", "scheduler": "ddim"}
    expected = mien.load(family, **load).generate(None, None, ["a cat"], [5], None, 2, 2.0)
    comfy = tmp_path / "ComfyUI" / "models"
    for name, place in (
        *((file, "ipadapter") for file in published.FILES[family]),
        ("w600k_r50.onnx", "insightface/models/buffalo_l"),
    ):
        (comfy / place).mkdir(parents=True, exist_ok=True)
        (folder / name).rename(comfy / place / name)
    (comfy / "checkpoints").mkdir()
    checkpoint = single_file.save(folder / family, comfy / "checkpoints" / "mine.safetensors")
    for weights in (folder / family).rglob("*.safetensors"):
        weights.unlink()  # configurations and tokenizers stay
    monkeypatch.setenv("MIEN_COMFYUI", str(comfy.parent))
    pipe = mien.load("mine.safetensors", **load)
    result = pipe.generate(None, None, ["a cat"], [5], None, 2, 2.0)
    assert (result - expected).abs().max() <= 1e-5
    assert pipe.embed(Image.open(EXAMPLES / "identity.png"), None)["identity"].shape == (1, 512)
    (folder / family / "vae" / "config.json").unlink()
    with pytest.raises(NotHere, match=f"mien models fetch {family} --only-configs"):
        mien.load("mine.safetensors", **load)
    with pytest.raises(InputError, match="no such checkpoint"):
        mien.load("other.safetensors", **load)
    state = load_file(checkpoint)
    save_file({n: v for n, v in state.items() if not n.startswith("first_stage")}, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match="holds no autoencoder"):
        mien.load(str(tmp_path / "x.safetensors"), **load)
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    with pytest.raises(InputError, match="not a complete safetensors file"):
        mien.load("mine.safetensors", **load)


def test_a_model_without_an_adapter_is_refused_before_it_is_loaded(tmp_path, monkeypatch) -> None:
    published.unsealed(tmp_path / "models", monkeypatch)
    folder = tiny.save_folder(tmp_path / "sd15", "sd15")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match='has no adapter.*"published"'):
        mien.load(str(folder), "cpu")
