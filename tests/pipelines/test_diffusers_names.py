"""diffusers' own names in both pipelines, and one sentence for every argument that cannot be."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

import mien
from mien.pipelines.diffusers_names import METHODS, NOT_LOADED, REFUSED
from mien.pipelines.portrait import PortraitPipeline
from mien.pipelines.reface import RefacePipeline
from mien.types import InputError
from tests import tiny
from tests.pipelines.test_portrait import BLUE, GREEN, RED, MeanColour, different, one_face
from tests.pipelines.test_portrait_ecosystem import largest, load


@pytest.fixture(scope="module", params=["sd15", "sdxl"])
def folder(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.add_adapter(tiny.save_folder(tmp_path_factory.mktemp(request.param), request.param))


@pytest.fixture
def pipe(folder: Path) -> PortraitPipeline:
    return load(folder)


@pytest.fixture(scope="module")
def untouched(folder: Path) -> PortraitPipeline:
    """One for all that is refused, which changes nothing."""
    return load(folder)


def test_their_names_mean_ours(pipe: PortraitPipeline) -> None:
    ours = pipe([RED, BLUE], GREEN, "a cat", "ugly", 7, steps=3, guidance=2.5, num_images=2)
    theirs = pipe(
        identity=[RED, BLUE], expression=GREEN, prompt="a cat", negative_prompt="ugly", seed=7,
        num_inference_steps=3, guidance_scale=2.5, num_images_per_prompt=2,
    )  # fmt: skip
    assert len(theirs) == 4 and theirs.images is theirs
    assert [largest(a, b) for a, b in zip(ours, theirs, strict=True)] == [0] * 4
    with pytest.raises(InputError, match="num_inference_steps is diffusers' name for steps"):
        pipe(RED, GREEN, steps=2, num_inference_steps=2)


def test_a_generator_draws_what_the_seed_draws(pipe: PortraitPipeline) -> None:
    (seeded,) = pipe(RED, GREEN, seed=5)
    (drawn,) = pipe(RED, GREEN, generator=torch.Generator().manual_seed(5))
    assert largest(seeded, drawn) == 0
    pair = pipe(
        [RED, BLUE], GREEN, generator=[torch.Generator().manual_seed(s) for s in (5, 6)], batch_size=1
    )
    assert largest(pair[0], seeded) == 0 and largest(pair[1], pipe(BLUE, GREEN, seed=6)[0]) == 0
    one = torch.Generator().manual_seed(5)
    first, second = (pipe(RED, GREEN, generator=one)[0] for _ in range(2))
    assert largest(first, seeded) == 0 and different(second, first) > 0
    with pytest.raises(InputError, match="a list of 2"):
        pipe([RED, BLUE], GREEN, generator=[one])


def test_outputs_are_one_picture(pipe: PortraitPipeline) -> None:
    found = {
        kind: pipe([RED, BLUE], GREEN, seed=1, output_type=kind) for kind in ("pil", "np", "pt", "latent")
    }
    side = pipe.backbone.size
    assert found["np"].shape == (2, side, side, 3) and found["pt"].shape == (2, 3, side, side)
    assert found["latent"].shape == (2, 4, 8, 8)
    np.testing.assert_array_equal(found["np"], found["pt"].permute(0, 2, 3, 1).numpy())
    levels = np.stack([np.asarray(image) for image in found["pil"]])
    np.testing.assert_array_equal((found["np"] * 255).round(), levels)
    decoded = (pipe.backbone.decode(found["latent"]).clamp(-1, 1) + 1) / 2
    torch.testing.assert_close(decoded, found["pt"], rtol=0, atol=1e-5)


def test_callbacks_change_latents_and_interrupt(pipe: PortraitPipeline) -> None:
    seen: list[tuple[int, float]] = []

    def zero(given: Any, i: int, t: torch.Tensor, tensors: dict[str, Any]) -> dict[str, Any]:
        assert given is pipe and set(tensors) == {"latents"}
        seen.append((i, float(t)))
        return {"latents": torch.zeros_like(tensors["latents"])} if i == 2 else tensors

    found = pipe(RED, GREEN, steps=3, callback_on_step_end=zero, output_type="latent")
    assert [i for i, _ in seen] == [0, 1, 2] and seen[0][1] > seen[-1][1]
    assert not found.any()

    def stop(given: Any, i: int, t: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        given._interrupt = i == 0
        return tensors

    steps: list[int] = []
    made = pipe(
        [RED, BLUE], GREEN, steps=3, batch_size=1, callback_on_step_end=stop, callback=lambda k, *_: steps.append(k)
    )  # fmt: skip
    assert steps == [1] and len(made) == 1
    assert len(pipe([RED, BLUE], GREEN, steps=3)) == 2
    with pytest.raises(InputError, match="must give latents"):
        pipe(RED, GREEN, callback_on_step_end=lambda *_: {"latents": torch.zeros(1)})
    with pytest.raises(InputError, match="asks for"):
        pipe(RED, GREEN, callback_on_step_end=stop, callback_on_step_end_tensor_inputs=["prompt_embeds"])


def test_prompts_that_the_caller_has_encoded(pipe: PortraitPipeline) -> None:
    """By diffusers' own `encode_prompt`."""
    stock = pipe.backbone.as_diffusers()
    told = stock.encode_prompt(
        prompt="a cat",
        negative_prompt="ugly",
        device="cpu",
        num_images_per_prompt=1,
        do_classifier_free_guidance=True,
    )
    names = (
        "prompt_embeds",
        "negative_prompt_embeds",
        "pooled_prompt_embeds",
        "negative_pooled_prompt_embeds",
    )
    given = dict(zip(names, told, strict=False))
    (expected,) = pipe(RED, GREEN, "a cat", "ugly", seed=3)
    (found,) = pipe(RED, GREEN, seed=3, **given)
    assert largest(expected, found) <= 1
    assert different(pipe(RED, GREEN, seed=3)[0], found) > 0
    pair = pipe([RED, BLUE], GREEN, seed=3, batch_size=1, **given)
    assert (
        largest(pair[0], expected) <= 1
        and largest(pair[1], pipe(BLUE, GREEN, "a cat", "ugly", seed=3)[0]) <= 1
    )
    for change, words in (
        ({"prompt": "a dog"}, "in place of the prompt"),
        ({"prompt_embeds": given["prompt_embeds"][..., :5]}, "5 wide"),
        ({"prompt_embeds": given["prompt_embeds"] * float("nan")}, "NaN"),
        ({"prompt_embeds": None}, "need prompt_embeds"),
    ):
        with pytest.raises(InputError, match=words):
            pipe(RED, GREEN, **{**given, **change})


def test_saved_moved_and_loaded_again(pipe: PortraitPipeline, tmp_path: Path) -> None:
    (expected,) = pipe(RED, GREEN, "a cat", seed=2)
    assert (
        pipe.to("cpu") is pipe
        and pipe.to(torch.float32) is pipe
        and pipe.to("cpu", dtype=torch.float32) is pipe
    )
    assert largest(pipe(RED, GREEN, "a cat", seed=2)[0], expected) == 0
    parts = pipe.components
    assert parts["unet"] is pipe.backbone.unet and parts["adapter"] is pipe.adapter and "tokenizer" in parts
    pipe.save_pretrained(tmp_path / "saved")
    again = PortraitPipeline.from_pretrained(tmp_path / "saved", torch_dtype=torch.float32, device="cpu")
    again._analyze, again._encoders = pipe._analyze, pipe._encoders
    assert largest(again(RED, GREEN, "a cat", seed=2)[0], expected) == 0
    stock = diffusers.DiffusionPipeline.from_pretrained(tmp_path / "saved")
    assert type(stock.unet).__name__ == "UNet2DConditionModel"
    half = pipe.to(torch.bfloat16)(RED, GREEN, "a cat", seed=2)[0]
    assert 0 < different(half, expected) < 12
    for call, words in (
        (lambda: pipe.save_pretrained(tmp_path / "saved"), "not an empty folder"),
        (lambda: pipe.to("gpu7"), "no device"),
        (lambda: pipe.to(torch.float16), "black images"),
        (lambda: pipe.to(), "a device or a dtype"),
        (lambda: pipe.enable_model_cpu_offload(device="cpu"), "leave it out"),
        (lambda: PortraitPipeline.from_pretrained("mini", use_safetensors=False), "pickles"),
        (
            lambda: PortraitPipeline.from_pretrained("mini", torch_dtype="float32", dtype="float32"),
            "one of them",
        ),
    ):
        with pytest.raises(InputError, match=words):
            call()


def test_what_the_guide_of_ip_adapters_calls(
    pipe: PortraitPipeline, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """docs/source/en/using-diffusers/ip_adapter.md of diffusers 0.39: what runs; the rest says why not."""
    for given in ({"image_encoder": None}, {"safety_checker": None, "requires_safety_checker": False}):
        PortraitPipeline.from_pretrained(folder, dtype=torch.float32, **given)
    capfd.readouterr()
    pipe.to(torch.float32)
    assert pipe.device.type == "cpu" and pipe.dtype == torch.float32 and pipe.unet is pipe.backbone.unet
    assert "float32" not in capfd.readouterr().err  # diffusers' warning of nothing
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.enable_vae_slicing()
    defaults = dict.fromkeys(REFUSED) | {"return_dict": True, "eta": 0.0, "guidance_rescale": 0.0}
    (found,) = pipe(RED, GREEN, "a cat", seed=1, **defaults, negative_prompt=None, generator=None).images
    assert largest(found, pipe(RED, GREEN, "a cat", seed=1)[0]) == 0
    for name in METHODS:
        with pytest.raises(InputError, match=f"^{name}: ") as caught:
            getattr(pipe, name)("h94/IP-Adapter", subfolder="models", weight_name=["a.bin", "b.bin"])
        assert "\n" not in str(caught.value)
    for name in NOT_LOADED:
        with pytest.raises(InputError, match=f"^{name}: "):
            PortraitPipeline.from_pretrained(folder, **{name: "fp16"})
    with pytest.raises(AttributeError, match="'colour'"):
        _ = pipe.colour
    with pytest.raises(InputError, match="there is no such LoRA"):
        pipe.load_lora_weights(folder / "nowhere", weight_name="lora.safetensors")


@pytest.mark.parametrize("name", REFUSED)
def test_what_diffusers_takes_and_we_do_not_is_said(untouched: PortraitPipeline, name: str) -> None:
    with pytest.raises(InputError, match=f"^{name}: ") as caught:
        untouched(RED, GREEN, **{name: RED})
    assert "\n" not in str(caught.value)
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        untouched(RED, GREEN, colour="red")


BAD: tuple[tuple[dict[str, Any], str], ...] = (
    ({"steps": 2.5}, "steps must be a whole number, not 2.5"), ({"steps": True}, "steps must be a whole number"),
    ({"steps": "3"}, "steps must be a whole number, not '3'"), ({"steps": 0}, "steps must be at least 1"),
    ({"guidance": float("nan")}, "guidance must be a finite number, not nan"), ({"guidance": "2"}, "guidance must be"),
    ({"guidance": float("inf")}, "guidance must be a finite"), ({"guidance": torch.ones(2)}, "guidance must be"),
    ({"seed": 2**64}, "seed must be less than 2.*64"), ({"seed": None}, "seed must be a whole number, not None"),
    ({"seed": 1.5}, "seed must be a whole number"), ({"seed": True}, "seed must be"),
    ({"seed": [1, "2"]}, "seed must be"),
    ({"seed": 2**64 - 1, "num_images_per_prompt": 2}, "seed must be less"), ({"seed": -(2**63) - 1}, "seed must be"),
    ({"id_scale": "1"}, "id_scale must be a finite number, not '1'"), ({"id_scale": None}, "id_scale must be"),
    ({"expression_scale": float("nan")}, "expression_scale must be"), ({"id_scale": {"": "1"}}, "id_scale.*must be"),
    ({"id_scale": [1.0]}, "id_scale must be a finite number, not a list"),
    ({"identity": np.zeros((8, 8, 3))}, "a ndarray of shape .8, 8, 3. was given as identity"),
    ({"identity": b"x"}, "a bytes was given as identity"), ({"identity": torch.zeros(3, 8, 8)}, "a Tensor of shape"),
    ({"expression": np.zeros((8, 8, 3))}, "expression"), ({"prompt": 3}, "prompt must be a text, not 3"),
    ({"prompt": None}, "prompt must be a text"), ({"batch_size": 1.5}, "batch_size must be a whole"),
    ({"num_images_per_prompt": 0}, "num_images must be at least 1"), ({"output_type": "jpg"}, "output_type 'jpg'"),
    ({"generator": 5}, "generator must be a torch.Generator"), ({"callback_on_step_end": 5}, "must be a function"),
)  # fmt: skip


@pytest.mark.parametrize(("given", "words"), BAD)
def test_bad_arguments_are_one_sentence(
    untouched: PortraitPipeline, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        untouched(**{"identity": RED, "expression": GREEN, **given})
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_a_person_of_several_pictures(pipe: PortraitPipeline) -> None:
    (one,) = pipe(mien.Person(RED, BLUE), GREEN, seed=1)
    purple = Image.fromarray(np.full((24, 24, 3), (128, 0, 128), np.uint8))
    assert different(one, pipe(purple, GREEN, seed=1)[0]) < 1 < different(one, pipe(RED, GREEN, seed=1)[0])
    assert len(pipe([mien.Person(RED, BLUE), GREEN], GREEN)) == 2
    with pytest.raises(InputError, match="nobody"):
        mien.Person()
    for nested in ({"identity": [[RED, BLUE]]}, {"identity": RED, "expression": [[RED, BLUE]]}):
        with pytest.raises(
            InputError, match="a list in a list: several pictures of one person are mien.Person"
        ):
            pipe(**{"expression": GREEN, **nested})


@pytest.fixture(scope="module")
def reface(tmp_path_factory: pytest.TempPathFactory) -> RefacePipeline:
    from mien.backbones import load_backbone

    backbone = load_backbone(
        str(tiny.add_adapter(tiny.save_folder(tmp_path_factory.mktemp("m"), "mini"))), "cpu"
    )
    return RefacePipeline(
        backbone,
        backbone.load_adapter(),
        analyze=lambda image: [framed()],
        identity_encoder=MeanColour(12),
        expression_encoder=MeanColour(9),
    )


def framed() -> Any:
    from tests.face.faces import rng_landmarks

    landmarks = rng_landmarks(0)
    flat = landmarks[:, :2]
    face = one_face()
    return type(face)(np.concatenate([flat.min(0), flat.max(0)]), landmarks, face.blendshapes, face.pose, 1.0)


def test_refacing_takes_them_too(reface: RefacePipeline) -> None:
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (288, 256, 3), np.uint8))
    ours = [reface(photo, RED, GREEN, seed=seed, steps=2, guidance=1.5)[0] for seed in (4, 5)]
    theirs = reface(
        photo=photo, identity=RED, expression=GREEN, seed=4, num_inference_steps=2, guidance_scale=1.5,
        num_images_per_prompt=2,
    )  # fmt: skip
    assert theirs.images is theirs
    assert [largest(a, b) <= 1 for a, b in zip(ours, theirs, strict=True)] == [True, True]
    drawn = reface(photo, RED, generator=torch.Generator().manual_seed(4), steps=2, output_type="np")
    assert drawn.shape == (1, 288, 256, 3)
    np.testing.assert_array_equal(
        (drawn[0] * 255).round(), np.asarray(reface(photo, RED, seed=4, steps=2)[0])
    )
    calls: list[int] = []

    def stop(given: Any, i: int, t: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        calls.append(i)
        given._interrupt = True
        return {"latents": torch.zeros_like(tensors["latents"])}

    changed = reface(photo, RED, GREEN, seed=4, steps=2, callback_on_step_end=stop)
    assert calls == [0] and different(changed[0], ours[0]) > 0
    names = list(inspect.signature(RefacePipeline.__call__).parameters)
    assert names[:4] == ["self", "photo", "identity", "expression"] and "num_inference_steps" in names
    shared = list(inspect.signature(RefacePipeline.reface).parameters)
    assert shared[:-1] == names[: len(shared) - 1] and shared[-1] == "num_images"
    (a, b), (c,) = (
        reface.reface(photo, RED, seed=4, steps=2, num_images=2),
        reface(photo, RED, seed=5, steps=2),
    )
    assert different(a.image(), b.image()) > 0 and different(b.image(), c) == 0
    assert reface.to("cpu") is reface and reface.components["adapter"] is reface.adapter


@pytest.mark.parametrize(
    ("given", "words"),
    [
        *((given, words) for given, words in BAD if not {"expression", "identity"} & given.keys()),
        ({"photo": np.zeros((8, 8, 3))}, "a ndarray of shape .8, 8, 3. was given as photo"),
        ({"output_type": "latent"}, "output_type 'latent'"), ({"output_type": "refaced"}, "output_type 'refaced'"),
        ({"ip_adapter_image": RED}, "identity=PICTURE"),
    ],
)  # fmt: skip
def test_bad_arguments_of_refacing(reface: RefacePipeline, given: dict[str, Any], words: str) -> None:
    photo = Image.new("RGB", (256, 288), (90, 120, 60))
    with pytest.raises(InputError, match=words) as caught:
        reface(**{"photo": photo, "identity": RED, **given})
    assert "\n" not in str(caught.value)
