"""Refacing on a tiny inpainting model: what changes, what stays bit for bit, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from mien.backbones import Backbone, load_backbone
from mien.expressions.turning import turned
from mien.face.align import box_matrix, invert, transform_points
from mien.models.attention import times
from mien.models.e_adapter import EAdapter
from mien.pipelines.inputs import Person
from mien.pipelines.reface import RefacePipeline
from mien.types import Face, InputError
from mien.weights.adapters import AdapterSpec
from tests import tiny
from tests.face.faces import flat_landmarks
from tests.pipelines.test_portrait import MeanColour


def face_at(box: tuple[float, float, float, float], angle: float = 0.0, confidence: float = 1.0) -> Face:
    points = transform_points(flat_landmarks(), invert(box_matrix(np.array(box), angle)))
    return Face(np.array(box, float), points, np.zeros(52), np.zeros(3), confidence)


BOX = (30.0, 20.0, 70.0, 60.0)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory) -> Backbone:
    folder = tiny.add_adapter(tiny.save_folder(tmp_path_factory.mktemp("model"), "sd15-inpainting"))
    return load_backbone(str(folder), "cpu")


def make(backbone: Backbone, faces=None) -> RefacePipeline:
    analyze = (lambda image: [face_at(BOX)]) if faces is None else faces
    adapter = backbone.load_adapter()
    return RefacePipeline(
        backbone, adapter, analyze=analyze, identity_encoder=MeanColour(12), expression_encoder=MeanColour(9)
    )


@pytest.fixture
def pipe(backbone):
    pipe = make(backbone)
    yield pipe
    pipe.adapter.detach()


def noise(seed: int, size: tuple[int, int] = (100, 90)) -> Image.Image:
    return Image.fromarray(
        np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    )


RED, GREEN, BLUE = (Image.new("RGB", (100, 90), colour) for colour in ("red", "green", "blue"))
PHOTO = noise(0)


def changed(a: Image.Image, b: Image.Image) -> np.ndarray:
    return np.abs(np.asarray(a, int) - np.asarray(b, int)).max(-1)


def test_the_photo_keeps_every_bit_outside_the_mask(pipe) -> None:
    (result,) = pipe(PHOTO, RED, GREEN, steps=3)
    assert (result.size, result.mode) == (PHOTO.size, "RGB")
    difference = changed(result, PHOTO)
    (again,) = pipe.reface(PHOTO, RED, GREEN, steps=3)
    assert changed(again.image(), result).max() == 0
    mask = again.mask()
    assert mask.shape == (90, 100) and mask.max() == 1 and difference[mask == 0].max() == 0
    scene = again.scene
    rows, columns = np.mgrid[0:90, 0:100]
    centres = np.stack([columns.ravel(), rows.ravel()], 1) + 0.5
    places = np.floor(transform_points(centres, scene.matrix)).astype(int)
    inside = ((places >= 0) & (places < len(scene.region))).all(1)
    near = np.zeros(len(places), bool)
    for dx in (-1, 0, 1):
        for dy in (-1, 0, 1):
            x, y = (places + (dx, dy)).clip(0, len(scene.region) - 1).T
            near |= inside & (scene.region[y, x] > 0)
    assert difference.reshape(-1)[~near].max() == 0
    assert (difference.reshape(-1)[near] > 0).mean() > 0.5 and 0.1 < near.mean() < 0.4


def test_what_is_not_given_comes_from_the_photo(pipe) -> None:
    reenacted = pipe(PHOTO, expression=GREEN, steps=3)[0]
    swapped = pipe(PHOTO, identity=RED, steps=3)[0]
    assert changed(reenacted, pipe(PHOTO, PHOTO, GREEN, steps=3)[0]).max() == 0
    assert changed(swapped, pipe(PHOTO, RED, PHOTO, steps=3)[0]).max() == 0
    assert changed(reenacted, swapped).max() > 0
    both = pipe([PHOTO, PHOTO], [RED, None], [None, GREEN], steps=3)
    assert changed(both[0], swapped).max() <= 1 and changed(both[1], reenacted).max() <= 1


def test_an_embedded_expression_is_told_at_the_photos_pose(backbone) -> None:
    """A reference that differs from another by its pose alone gives the same picture; the photo's own stays as read."""

    class Read(MeanColour):
        name = "embedded"

        def __call__(self, image: Image.Image, face: Face) -> torch.Tensor:
            return turned(torch.linspace(-1, 1, self.width), face.pose, np.zeros(3))

    def faces(image: Image.Image) -> list[Face]:
        return [replace(face_at(BOX), pose=np.array([image.getpixel((0, 0))[0] / 10, -3.0, 0.0]))]

    adapter = EAdapter.create(backbone.unet, 12, 57)
    encoders = {"identity_encoder": MeanColour(12), "expression_encoder": Read(57)}
    pipe = RefacePipeline(backbone, adapter, analyze=faces, **encoders)
    told: list[torch.Tensor] = []
    crops = pipe.crops
    pipe.crops = lambda scenes, who, how, *rest, **more: (
        told.append(how) or crops(scenes, who, how, *rest, **more)
    )
    try:
        for wish in (RED, GREEN, None):
            pipe(PHOTO, BLUE, wish, steps=2)
        pipe.turn = False
        pipe(PHOTO, BLUE, RED, steps=2)
    finally:
        adapter.detach()
    red, green, own, as_read = (how[0] for how in told)
    assert torch.equal(own, pipe.encoder("expression")(PHOTO, faces(PHOTO)[0]))
    assert torch.equal(as_read, pipe.encoder("expression")(RED, faces(RED)[0]))
    assert torch.allclose(red, green, atol=1e-5) and not torch.allclose(as_read, green, atol=0.1)


def test_every_input_and_the_seed_matter(pipe) -> None:
    (first,) = pipe(PHOTO, RED, GREEN, seed=4, steps=3)
    assert changed(pipe(PHOTO, RED, GREEN, seed=4, steps=3)[0], first).max() == 0
    for other in (
        pipe(PHOTO, BLUE, GREEN, seed=4, steps=3),
        pipe(PHOTO, RED, BLUE, seed=4, steps=3),
        pipe(PHOTO, RED, GREEN, "night", seed=4, steps=3),
        pipe(PHOTO, RED, GREEN, seed=5, steps=3),
        pipe(PHOTO, RED, GREEN, seed=4, steps=2),
        pipe(PHOTO, RED, GREEN, seed=4, steps=3, guidance=1.0),
        pipe(PHOTO, RED, GREEN, seed=4, steps=3, id_scale=0.0),
        pipe(PHOTO, Person(RED, BLUE), GREEN, seed=4, steps=3),
    ):
        assert changed(other[0], first).max() > 0


@pytest.mark.parametrize("name", ["PNDM", "EulerDiscrete", "DPMSolverMultistep", "LCM"])
def test_what_surrounds_the_face_stays_as_it_is_drawn(backbone, monkeypatch, name) -> None:
    """Where nothing is to be drawn the latents end as the photo's, and on the way are noisy as the rest."""
    pipe = make(backbone)
    pipe.scheduler = name
    seen: list[torch.Tensor] = []
    known: list[torch.Tensor] = []
    encode = type(backbone).encode
    monkeypatch.setattr(type(backbone), "encode", lambda self, x: known.append(encode(self, x)) or known[-1])
    pipe.reface(PHOTO, RED, GREEN, steps=4, callback=lambda i, n, z: seen.append(z.clone()))
    region = torch.from_numpy(pipe.look(PHOTO).region)[None, None]
    kept = torch.nn.functional.adaptive_max_pool2d(region, seen[-1].shape[-1])[0, 0] == 0
    assert 0 < kept.sum() < kept.numel()
    off = [(z - known[-1])[0][:, kept].abs().max().item() for z in seen]
    assert off[-1] == 0 and off[0] > 0.01
    assert seen[-1][0][:, ~kept].sub(known[-1][0][:, ~kept]).abs().max() > 0.01


def test_the_surroundings_reach_the_model(pipe) -> None:
    pixels = np.asarray(PHOTO).copy()
    pixels[:24, :] = 0  # above the face, within its crop's corners
    before, after = pipe(PHOTO, RED, GREEN, steps=3)[0], pipe(Image.fromarray(pixels), RED, GREEN, steps=3)[0]
    assert changed(before, after)[35:45, 45:55].max() > 0  # in the middle of the face


def test_company_in_a_batch_does_not_change_a_photo(pipe) -> None:
    photos, people = [PHOTO, noise(1, (120, 80)), noise(2)], [RED, GREEN, BLUE]
    together = pipe(photos, people, seed=[1, 2, 3], steps=3)
    split = pipe(photos, people, seed=[1, 2, 3], steps=3, batch_size=2)
    alone = [pipe(p, w, seed=s, steps=3)[0] for p, w, s in zip(photos, people, [1, 2, 3], strict=True)]
    for image, other, single in zip(together, split, alone, strict=True):
        assert image.size == other.size == single.size
        assert changed(image, other).max() <= 1 and changed(image, single).max() <= 1


def test_the_face_that_is_meant_is_the_one_that_changes(backbone) -> None:
    boxes = ((4.0, 10.0, 40.0, 46.0), (60.0, 40.0, 90.0, 70.0))
    pipe = make(backbone, lambda image: [face_at(box) for box in boxes])
    try:
        left, right = (
            changed(pipe(PHOTO, RED, GREEN, face=w, identity_face=0, expression_face=0, steps=2)[0], PHOTO)
            for w in ("left", 1)
        )
    finally:
        pipe.adapter.detach()
    assert left[20:36, 14:30].max() > 0 and left[:, 50:].max() == 0
    assert right[48:62, 68:82].max() > 0 and right[:, :50].max() == 0


def test_without_a_photo_the_scene_comes_from_the_prompt(backbone) -> None:
    pipe = make(backbone, lambda image: [face_at((2, 1, 14, 13))])
    try:
        (result,) = pipe(None, RED, GREEN, prompt="a park", steps=3)
        (other,) = pipe(None, RED, GREEN, prompt="a room", steps=3)
        scene = pipe.generate(None, None, ["a park"], [0], steps=3)
        with pytest.raises(InputError, match="neither a photo nor a prompt"):
            pipe(None, RED, GREEN)
    finally:
        pipe.adapter.detach()
    assert result.size == (16, 16) and changed(result, other).max() > 0
    levels = ((scene[0] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    assert changed(result, Image.fromarray(levels))[0, 0] == 0  # a corner of the scene stays


def test_any_scheduler_and_progress(pipe) -> None:
    from diffusers import DDIMScheduler, EulerDiscreteScheduler

    assert type(pipe.scheduler).__name__ == "PNDMScheduler"
    first = pipe(PHOTO, RED, steps=4)[0]
    for kind in (DDIMScheduler, EulerDiscreteScheduler):
        pipe.scheduler = kind.from_config(pipe.scheduler.config)
        steps: list[tuple[int, int]] = []
        (result,) = pipe(PHOTO, RED, steps=4, callback=lambda i, n, z, s=steps: s.append((i, n)))
        assert changed(result, first).max() > 0 and steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_missing_faces_are_named(backbone) -> None:
    def faces(image: Image.Image):
        return [] if image.getpixel((0, 0)) == (0, 0, 255) else [face_at(BOX)]

    pipe = make(backbone, faces)
    try:
        for arguments, what in (
            ((BLUE, RED, GREEN), "the photo: no face"),
            ((PHOTO, BLUE, GREEN), "the identity picture: no face"),
            ((PHOTO, RED, BLUE), "the expression picture: no face"),
        ):
            with pytest.raises(InputError, match=what):
                pipe(*arguments, steps=1)
    finally:
        pipe.adapter.detach()


def test_doubtful_and_cut_off_faces_are_refused(backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    def doubtful(image: Image.Image, **options: object) -> list[Face]:
        return [face_at(BOX, confidence=0.55)]

    monkeypatch.setattr("mien.face.analyze.analyze", doubtful)
    own = RefacePipeline(backbone, backbone.load_adapter())
    with pytest.raises(InputError, match="0.55, less than 0.8"):
        own.look(PHOTO)
    own.adapter.detach()
    theirs = make(backbone, doubtful)  # MediaPipe says 0.5 of every face: its own threshold
    assert theirs.look(PHOTO).face.confidence == 0.55
    theirs.adapter.detach()
    outside = make(backbone, lambda image: [face_at((85.0, 20.0, 125.0, 60.0))])
    with pytest.raises(InputError, match="% of the face is in the picture"):
        outside.look(PHOTO)
    outside.adapter.detach()


def test_what_cannot_be_done_is_refused(pipe, backbone) -> None:
    with pytest.raises(InputError, match="nothing is to be changed"):
        pipe(PHOTO)
    with pytest.raises(InputError, match="2 values of identity for 3"):
        pipe([PHOTO] * 3, [RED] * 2)
    with pytest.raises(InputError, match="batch_size"):
        pipe(PHOTO, RED, batch_size=0)
    with pytest.raises(InputError, match="given as photo"):
        pipe(3, RED)
    plain = replace(backbone, unet=tiny.sd15_unet())
    with pytest.raises(InputError, match="takes no background"):
        RefacePipeline(plain, pipe.adapter)
    assert backbone.adapter is not None
    odd = replace(backbone, adapter=replace(backbone.adapter, framing="round"))
    with pytest.raises(InputError, match="framing 'round'"):
        RefacePipeline(odd, pipe.adapter)
    assert AdapterSpec(None, None).framing == "canonical"
    one_branch = EAdapter.create(backbone.unet, 12, None)
    with pytest.raises(InputError, match="has no expression"):
        RefacePipeline(backbone, one_branch)


def test_steps_are_the_papers_or_the_models_own(pipe: RefacePipeline) -> None:
    """50 with PNDM, unless a model comes with a sampler of its own, as mini does with its steps."""
    assert pipe.steps == 50 and type(pipe.scheduler).__name__ == "PNDMScheduler"
    mini = RefacePipeline.from_backbone("mini", device="cpu")
    assert mini.backbone.adapter is not None
    assert mini.steps == mini.backbone.adapter.reface_steps < 50
    assert mini.scheduler.config.algorithm_type == "sde-dpmsolver++"


def test_refacing_has_settings_of_its_own(backbone: Backbone) -> None:
    """What an adapter says of refacing holds there and not for portraits; its lambda_id of 1 is their 1.5."""
    spec = backbone.adapter
    assert spec is not None
    own = replace(backbone, adapter=replace(spec, reface_steps=2, reface_guidance=1.25, reface_identity=1.5))
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 100, 3), dtype=np.uint8))
    told = make(own)
    assert (told.steps, told.guidance) == (2, 1.25)
    (ours,) = told(photo, identity=photo, seed=3)
    told.adapter.detach()
    plain = make(backbone)
    assert (plain.steps, plain.guidance) == (50, spec.guidance)
    (theirs,) = plain(photo, identity=photo, seed=3, steps=2, guidance=1.25, id_scale=1.5)
    (other,) = plain(photo, identity=photo, seed=3, steps=2, guidance=1.25)
    plain.adapter.detach()
    assert np.array_equal(ours, theirs) and not np.array_equal(ours, other)


def test_a_scale_is_multiplied_in_every_form() -> None:
    assert times(0.5, 3.0) == 1.5
    assert times({"up": 0.5, "": 1.0}, 2.0) == {"up": 1.0, "": 2.0}
    by_time = times(lambda t: {"": t}, 2.0)
    assert callable(by_time) and torch.equal(by_time(torch.ones(2))[""], torch.full((2,), 2.0))  # type: ignore[index,arg-type]
