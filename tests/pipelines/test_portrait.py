"""The portrait pipeline on tiny models of both families."""

from __future__ import annotations

import warnings
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from mien.backbones import load_backbone
from mien.models.autoencoder import PatchAutoencoder
from mien.models.latents import as_text_to_image
from mien.pipelines.inputs import choose_face
from mien.pipelines.portrait import PortraitPipeline
from mien.types import Face, InputError
from mien.weights.adapters import AdapterSpec
from tests import tiny


class MeanColour:
    """An encoder small enough to see through: [3] mean colour of the face's box, and noise fixed by it."""

    name = "mean-colour"

    def __init__(self, width: int) -> None:
        self.width = width

    def __call__(self, image: Image.Image, face: Face) -> torch.Tensor:
        colour = np.asarray(image.crop(tuple(int(v) for v in face.box))).mean((0, 1)) / 255
        return torch.from_numpy(np.resize(colour, self.width)).float()


def one_face(box=(0, 0, 20, 20)) -> Face:
    return Face(np.array(box, float), np.zeros((478, 3)), np.zeros(52), np.zeros(3), 1.0)


@pytest.fixture(scope="module", params=["sd15", "sdxl", "sd15-inpainting", "mini"])
def folder(request, tmp_path_factory) -> Path:
    return tiny.add_adapter(tiny.save_folder(tmp_path_factory.mktemp(request.param), request.param))


@pytest.fixture
def pipe(folder) -> PortraitPipeline:
    backbone = tiny.load(folder)
    return PortraitPipeline(
        backbone,
        backbone.load_adapter(),
        analyze=lambda image: [one_face()],
        identity_encoder=MeanColour(12),
        expression_encoder=MeanColour(9),
    )


RED, GREEN, BLUE = (Image.new("RGB", (24, 24), colour) for colour in ("red", "green", "blue"))


def different(a: Image.Image, b: Image.Image) -> float:
    return float(np.abs(np.asarray(a, float) - np.asarray(b, float)).mean())


def test_same_inputs_and_seed_give_the_same_image(pipe) -> None:
    (first,) = pipe(RED, GREEN, "a", seed=4)
    assert (first.size, first.mode) == ((pipe.backbone.size,) * 2, "RGB")
    assert different(pipe(RED, GREEN, "a", seed=4)[0], first) == 0
    for other in (
        pipe(BLUE, GREEN, "a", seed=4),
        pipe(RED, BLUE, "a", seed=4),
        pipe(RED, GREEN, "b", seed=4),
        pipe(RED, GREEN, "a", seed=5),
        pipe(RED, GREEN, "a", "ugly", seed=4),
        pipe(RED, GREEN, "a", seed=4, guidance=1.0),
        pipe(RED, GREEN, "a", seed=4, id_scale=0.5),
        pipe(RED, GREEN, "a", seed=4, expression_scale=0.0),
        pipe(None, GREEN, "a", seed=4),
        pipe(RED, None, "a", seed=4),
    ):
        assert different(other[0], first) > 0


def test_company_in_a_batch_does_not_change_an_image(pipe) -> None:
    identities, expressions = [RED, GREEN, BLUE], [BLUE, RED, RED]
    together = pipe(identities, expressions, ["a", "b", ""], seed=[1, 2, 3])
    split = pipe(identities, expressions, ["a", "b", ""], seed=[1, 2, 3], batch_size=2)
    alone = [
        pipe(i, e, p, seed=s)[0] for i, e, p, s in zip(identities, expressions, "ab", [1, 2], strict=False)
    ]
    assert len(together) == 3
    for image, other in [*zip(together, split, strict=True), *zip(together, alone, strict=False)]:
        assert np.abs(np.asarray(image, int) - np.asarray(other, int)).max() <= 1


def test_num_images_continue_the_seed(pipe) -> None:
    images = pipe([RED, GREEN], BLUE, seed=7, num_images=2)
    singles = [pipe(who, BLUE, seed=seed)[0] for who in (RED, GREEN) for seed in (7, 8)]
    for image, single in zip(images, singles, strict=True):
        assert np.abs(np.asarray(image, int) - np.asarray(single, int)).max() <= 1


def test_equals_stock_diffusers(pipe, folder) -> None:
    """Same latents, embeddings and scheduler through the stock pipeline with both adapter files loaded."""
    mini = isinstance(pipe.backbone.vae, PatchAutoencoder)
    inpainting = pipe.backbone.takes_background and not mini
    kind = f"StableDiffusion{'XL' if pipe.backbone.is_sdxl else 'Inpaint' if inpainting else ''}Pipeline"
    stock = getattr(diffusers, kind).from_pretrained(folder)
    if mini:  # 33 channels: more than the stock inpainting pipeline allows
        as_text_to_image(stock.unet, stock.vae)
    stock.scheduler = diffusers.DDIMScheduler.from_config(stock.scheduler.config)
    stock.set_progress_bar_config(disable=True)
    stock.load_ip_adapter(
        [str(folder / "adapter")] * 2,
        subfolder=["", ""],
        weight_name=["identity.safetensors", "expression.safetensors"],
        image_encoder_folder=None,
    )
    stock.set_ip_adapter_scale([0.8, 1.1])
    torch.manual_seed(0)
    embeds = [torch.randn(1, 12), torch.randn(1, 9)]
    channels = stock.unet.config.out_channels
    noise = torch.randn(channels, 8, 8, generator=torch.Generator().manual_seed(5))
    both = [torch.stack([torch.zeros_like(e), e]) for e in embeds]  # [2, 1, w], the unconditional half first
    given = {} if pipe.backbone.is_sdxl else {"negative_prompt": ""}
    if inpainting:
        size = (pipe.backbone.size,) * 2
        given |= {"image": Image.new("RGB", size), "mask_image": Image.new("L", size, 255), "strength": 1.0}
        # given, because diffusers would sample it
        given |= {"masked_image_latents": pipe.backbone.empty_background(1, *size)[0]}
    expected = stock(
        "a cat",
        **given,
        latents=noise[None],
        ip_adapter_image_embeds=both,
        num_inference_steps=4,
        guidance_scale=3.0,
        output_type="pt",
    ).images
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.backbone.scheduler.config)
    result = pipe.generate(*embeds, ["a cat"], [5], None, 4, 3.0, 0.8, 1.1)
    assert ((result + 1) / 2 - expected).abs().max() <= 1e-4


def test_callback_counts_the_whole_call(pipe) -> None:
    seen = []
    pipe([RED, GREEN, BLUE], RED, batch_size=2, callback=lambda *a: seen.append((a[0], a[1], a[2].shape[0])))
    assert [s[:2] for s in seen] == [(i, 6) for i in range(1, 7)]
    assert [s[2] for s in seen] == [2, 2, 2, 1, 1, 1]


def test_sizes(pipe) -> None:
    unit = 2 * pipe.backbone.factor
    assert pipe(RED, GREEN, height=6 * unit, width=8 * unit)[0].size == (8 * unit, 6 * unit)
    with pytest.raises(InputError, match=f"multiples of {unit}"):
        pipe(RED, GREEN, height=6 * unit - 2)


def test_bfloat16_runs_and_stays_near(pipe, folder) -> None:
    backbone = load_backbone(str(folder), "cpu", "bfloat16")
    half = PortraitPipeline(backbone, backbone.load_adapter())
    embeds = torch.ones(1, 12), torch.ones(1, 9)
    a = pipe.generate(*embeds, [""], [1])
    b = half.generate(*embeds, [""], [1])
    assert (a - b).abs().mean() < 0.1


def test_float16_is_refused_on_the_cpu(folder) -> None:
    with pytest.raises(InputError, match="black images"):
        load_backbone(str(folder), "cpu", "float16")


def test_an_image_beyond_the_range_is_an_error_not_black(pipe) -> None:
    with torch.no_grad():
        pipe.backbone.unet.conv_out.bias.fill_(float("nan"))
    with pytest.raises(InputError, match="black"):
        pipe(RED, GREEN)


def test_bad_arguments(pipe, folder, tmp_path) -> None:
    for arguments, match in (
        ({"identity": [RED, GREEN], "expression": [RED] * 3}, "2 values of identity for 3 portraits"),
        ({"identity": [], "expression": RED}, "0 values"),
        ({"identity": 3, "expression": RED}, "give a file's path"),
        ({"identity": "nowhere.jpg", "expression": RED}, "nowhere.jpg"),
        ({"identity": RED, "expression": RED, "steps": 0}, "steps"),
        ({"identity": RED, "expression": RED, "num_images": 0}, "num_images"),
        ({"identity": RED, "expression": RED, "face": 1}, "no face 1"),
        ({"identity": RED, "expression": RED, "face": "big"}, "largest"),
    ):
        with pytest.raises(InputError, match=match) as caught:
            pipe(**arguments)
        assert "\n" not in str(caught.value)
    backbone = load_backbone(str(folder), "cpu")
    wrong = PortraitPipeline(
        backbone, backbone.load_adapter(), analyze=lambda _: [one_face()], identity_encoder=MeanColour(5)
    )
    with pytest.raises(InputError, match="gives 5 numbers, the adapter takes 12"):
        wrong(RED, None)
    no_face = PortraitPipeline(
        backbone, backbone.load_adapter(), analyze=lambda _: [], identity_encoder=MeanColour(12)
    )
    with pytest.raises(InputError, match="no face"):
        no_face(RED, None)
    only = AdapterSpec(folder / "adapter" / "identity.safetensors", None)
    backbone = load_backbone(str(folder), "cpu", adapter=only)
    one = PortraitPipeline(
        backbone, backbone.load_adapter(), analyze=lambda _: [one_face()], identity_encoder=MeanColour(12)
    )
    one(RED, None, steps=1)
    with pytest.raises(InputError, match="no expression branch"):
        one(RED, GREEN)


def test_bad_models(folder, tmp_path) -> None:
    for name, match in (
        ("midi", "no model 'midi'"),
        ("./nowhere/at/all", "no model"),
        (str(tmp_path), "config.json: is missing"),
    ):
        with pytest.raises(InputError, match=match):
            load_backbone(name, "cpu")
    with pytest.raises(InputError, match="no such adapter folder"):
        load_backbone(str(folder), "cpu", adapter=tmp_path / "nothing")
    with pytest.raises(InputError, match="holds neither"):
        load_backbone(str(folder), "cpu", adapter=tmp_path)
    with pytest.raises(InputError, match="no device"):
        load_backbone(str(folder), "gpu7")
    with pytest.raises(InputError, match="dtype 'half'"):
        load_backbone(str(folder), "cpu", "half")


def test_which_face_is_meant() -> None:
    faces = [one_face((40, 0, 60, 20)), one_face((5, 0, 15, 10)), one_face((80, 0, 84, 4))]
    with pytest.warns(UserWarning, match="3 faces, the largest"):
        assert choose_face(faces, "largest", "x") is faces[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choose_face(faces, "left", "x") is faces[1]
        assert choose_face(faces, "right", "x") is faces[2]
        assert choose_face(faces, 0, "x") is faces[0]
        assert choose_face(faces[:1], "largest", "x") is faces[0]
