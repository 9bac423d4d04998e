"""The snippets of docs/diffusers.md and the README run as they are printed, on models that are at hand."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from safetensors.torch import save_file

from mien.backbones import load_backbone
from mien.models.e_adapter import EAdapter
from tests import published, tiny
from tests.pipelines.test_portrait_ecosystem import kohya

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


def snippets(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)


def snippet(name: str, words: str) -> str:
    """The one snippet of a page that holds these words."""
    (found,) = [text for text in snippets(name) if words in text]
    return found


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Path:
    """A folder with the pictures and the adapter that the snippets name."""
    shutil.copy(EXAMPLES / "identity.png", tmp_path / "me.jpg")
    shutil.copy(EXAMPLES / "expression.png", tmp_path / "smile.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(text: str, **names) -> dict:
    names = {"torch": torch, **names}
    exec(compile(text, "snippet", "exec"), names)
    return names


def test_the_first_lines_change_a_photo(desk) -> None:
    (readme,) = [text for text in snippets("README.md") if "load_photo()" in text]
    run(readme)
    assert Image.open(desk / "joy.png").size == Image.open(desk / "me.jpg").size


@pytest.mark.slow
def test_the_first_lines_make_a_portrait(desk) -> None:
    (readme,) = [text for text in snippets("README.md") if 'load("mini")' in text]
    run(readme.replace("seed=0", "seed=0, steps=2"))
    assert (desk / "portrait.png").stat().st_size > 1000


def test_published_adapters_lead_and_finish_as_printed(desk, monkeypatch) -> None:
    """On tiny models that lie where `mien models fetch` puts the real ones."""
    models = published.fetch_all(desk / "models", "sd15", monkeypatch)
    run(snippet("docs/diffusers.md", "an astronaut, oil painting").replace("seed=0", "seed=0, steps=2"))
    assert Image.open(desk / "portrait.png").size == (16, 16)
    done = run(snippet("docs/diffusers.md", "lead=0.3").replace("lead=0", "steps=4, lead=0"))
    assert done["led"].tobytes() != done["plain"].tobytes()
    tiny.save_folder(models / "sd15-inpaint", "sd15-inpainting")
    run(snippet("docs/diffusers.md", "Finisher").replace("strength=0.3", "strength=0.04"))
    assert Image.open(desk / "finished.png").size == Image.open(desk / "me.jpg").size


def test_schedulers_precision_and_memory(desk) -> None:
    folder = tiny.save_folder(desk / "sdxl", "sdxl")
    unet = load_backbone(str(folder), "cpu").unet
    EAdapter.create(unet, 12, 9).save(desk / "my_adapter")
    save_file(kohya(unet)[0], desk / "style.safetensors")
    (desk / "my_adapter" / "adapter.json").write_text(
        '{"identity_encoder": "embedded", "expression_encoder": "embedded"}'
    )
    text = snippet("docs/diffusers.md", "EulerAncestralDiscrete")
    for printed, here in (
        ('"sdxl"', f'"{folder}"'),
        ('dtype="float16"', 'dtype="float32"'),
        ('offload="model"', 'device="cpu"'),
    ):
        assert printed in text
        text = text.replace(printed, here)
    pipe = run(text)["pipe"]
    assert type(pipe.scheduler).__name__ == "EulerAncestralDiscreteScheduler"


@torch.no_grad()
def test_a_unet_of_ones_own_and_stock_diffusers(desk) -> None:
    folder = tiny.save_folder(desk / "sd15", "sd15")
    stock = StableDiffusionPipeline.from_pretrained(folder)
    EAdapter.create(stock.unet, 12, 9).save(desk / "my_adapter")
    identity, expression = torch.randn(1, 12), torch.randn(1, 9)
    given = {
        "identity_embeds": identity,
        "expression_embeds": expression,
        "text_embeds": torch.randn(1, 7, 32),
    }
    done = run(
        snippet("docs/diffusers.md", "adapter.attach(unet)"),
        unet=stock.unet,
        z_t=torch.randn(1, 4, 8, 8),
        t=torch.tensor([500]),
        **given,
    )
    assert done["eps"].shape == (1, 4, 8, 8)
    text = snippet("docs/diffusers.md", "set_ip_adapter_scale").replace(
        'stock("a photo"', 'stock("a photo", num_inference_steps=2'
    )
    assert len(run(text, stock=stock, identity=identity, expression=expression)["images"]) == 1


@pytest.mark.slow
def test_the_embedded_model_in_stock_diffusers(desk) -> None:
    text = snippet("docs/diffusers.md", "as_text_to_image(stock").replace(
        "num_inference_steps=20", "num_inference_steps=2"
    )
    (image,) = run(text)["images"]
    assert image.size == (128, 128) and (desk / "portrait.png").exists()
