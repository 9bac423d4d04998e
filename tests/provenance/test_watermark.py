"""The invisible watermark: found after what it promises to survive, on nothing else, and hardly there."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from scipy.fft import dctn, idctn

from mien.images import read_image
from mien.provenance import watermark

SIGNS, COUNT = "++-+--++-+++++++", 3564
EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def scene(seed: int, size: tuple[int, int] = (256, 256)) -> Image.Image:
    """Soft shapes of skin and cloth over a gradient, with fine grain: what has no fine detail hides least."""
    rng = np.random.default_rng(seed)
    big = Image.fromarray(
        np.linspace((60, 80, 110), (200, 190, 170), 512).astype(np.uint8)[:, None].repeat(512, 1)
    )
    draw = ImageDraw.Draw(big)
    for _ in range(12):
        x, y, r = (int(v) for v in rng.integers((0, 0, 20), (512, 512, 140)))
        draw.ellipse((x - r, y - r, x + r, y + r), tuple(int(v) for v in rng.integers(30, 230, 3)))
    soft = np.asarray(big.filter(ImageFilter.GaussianBlur(3)), float)
    grain = rng.normal(0, 2, (512, 512, 1))
    return Image.fromarray((soft + grain).clip(0, 255).astype(np.uint8)).resize(
        size, Image.Resampling.LANCZOS
    )


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def scaled(image: Image.Image, factor: float) -> Image.Image:
    size = (round(image.width * factor), round(image.height * factor))
    return image.resize(size, Image.Resampling.LANCZOS)


def psnr(a: Image.Image, b: Image.Image) -> float:
    error = np.mean((np.asarray(a, float) - np.asarray(b, float)) ** 2)
    return float(10 * np.log10(255**2 / error))


@pytest.mark.parametrize("size", [(256, 256), (512, 384), (128, 128)])
@pytest.mark.parametrize("seed", range(3))
def test_survives_what_it_promises_and_is_not_seen(seed: int, size: tuple[int, int]) -> None:
    image = scene(seed, size)
    marked = watermark.embed(image)
    assert marked.size == image.size and marked.mode == "RGB"
    assert psnr(image, marked) > 40
    assert not watermark.find(image).found
    damages = [marked, jpeg(marked, 90)]
    if min(size) >= 256:
        damages += [jpeg(scaled(marked, factor), 75) for factor in (0.5, 0.63, 0.77, 0.9, 1.0)]
    for damaged in damages:
        assert watermark.find(damaged).found


def test_turned_and_mirrored_pictures() -> None:
    marked = watermark.embed(scene(5, (300, 260)))
    for way in Image.Transpose:
        assert watermark.find(jpeg(marked.transpose(way), 85)).found


def test_the_same_picture_gets_the_same_mark() -> None:
    """The key's signs are fixed for ever: files marked today are found by later versions."""
    image = scene(1, (128, 128))
    assert np.array_equal(np.asarray(watermark.embed(image)), np.asarray(watermark.embed(image)))
    signs = watermark._signs()
    band = watermark._band()
    assert "".join("+" if s > 0 else "-" for s in signs[band][:16]) == SIGNS
    assert int(band.sum()) == COUNT and set(np.unique(signs[band])) == {-1.0, 1.0}
    assert not signs[~band].any()


def test_the_statistic_is_the_correlation_of_the_docstring() -> None:
    """z = sum(s x) / sqrt(sum(x^2)), by a loop; and turning features is turning pictures."""
    x = np.where(watermark._band(), np.random.default_rng(0).normal(size=(128, 128)), 0.0)
    signs = watermark._signs()
    top = sum(float(s) * float(v) for s, v in zip(signs.ravel(), x.ravel(), strict=True))
    assert watermark._correlate(x) == pytest.approx(top / np.sqrt(sum(float(v) ** 2 for v in x.ravel())))
    picture = idctn(x, norm="ortho")
    turned = [
        dctn(way, norm="ortho") for way in (np.rot90(picture), picture[:, ::-1], picture.T, picture[::-1])
    ]
    found = list(watermark._turns(x))
    assert len(found) == 8
    for one in turned:
        assert any(np.allclose(one, other, atol=1e-9) for other in found)


def test_without_a_mark_the_statistic_is_bounded_as_hoeffding_says() -> None:
    """P(z > t) <= exp(-t^2 / 2) over random signs, for the features of a real picture."""
    x = watermark._features(watermark._grid(scene(2)))
    values = x[watermark._band()]
    rng = np.random.default_rng(0)
    signs = (rng.choice([-1.0, 1.0], (4_000, len(values))) for _ in range(4))
    z = np.concatenate([some @ values for some in signs]) / np.sqrt((values**2).sum())
    assert abs(z.mean()) < 0.03 and abs(z.std() - 1) < 0.03
    for t in (1.0, 2.0, 3.0):
        assert (z > t).mean() <= np.exp(-t * t / 2)
    assert 8 * np.exp(-(watermark.THRESHOLD**2) / 2) < 1e-5


@pytest.mark.parametrize("colour", ["black", "white", "grey"])
def test_plain_pictures(colour: str) -> None:
    plain = Image.new("RGB", (256, 256), colour)
    assert not watermark.find(plain).found
    assert watermark.find(jpeg(watermark.embed(plain), 90)).found


def test_a_part_of_a_picture_and_nothing_else() -> None:
    photo = scene(3, (500, 400))
    rows, columns = np.mgrid[0:400, 0:500]
    mask = (1.2 - np.hypot((columns - 260) / 100, (rows - 180) / 120)).clip(0, 0.2) * 5
    marked = watermark.embed(photo, mask)
    before, after = np.asarray(photo), np.asarray(marked)
    assert np.array_equal(before[mask == 0], after[mask == 0])
    assert np.abs(before.astype(int) - after)[mask > 0.9].mean() > 0.2
    box = watermark.mask_box(mask)
    assert box[2] - box[0] == box[3] - box[1] and box[0] <= 260 - 119 and box[3] >= 180 + 143
    assert watermark.find(jpeg(marked, 75), box).found
    smaller = jpeg(scaled(marked, 0.6), 80)
    near = watermark.search(smaller, [(0.6 * 170, 0.6 * 90, 0.6 * 340, 0.6 * 275)])
    assert near is not None and near.found
    assert np.abs(np.array(near.box) - np.array(box) * 0.6).max() < 4
    clean = watermark.search(scaled(photo, 0.6), [(0.6 * 170, 0.6 * 90, 0.6 * 340, 0.6 * 275)])
    assert clean is not None and not clean.found
    assert watermark.search(photo, []) is None


@pytest.mark.parametrize("centre", [(0, 0), (499, 200), (250, 399)])
def test_a_part_at_the_edge_of_a_picture(centre: tuple[int, int]) -> None:
    photo = scene(4, (500, 400))
    rows, columns = np.mgrid[0:400, 0:500]
    mask = (np.hypot(columns - centre[0], rows - centre[1]) < 110).astype(float)
    marked = watermark.embed(photo, mask)
    assert np.array_equal(np.asarray(photo)[mask == 0], np.asarray(marked)[mask == 0])
    assert watermark.find(marked, watermark.mask_box(mask)).found


def test_what_cannot_be_marked_is_refused() -> None:
    with pytest.raises(ValueError, match="64 pixels"):
        watermark.embed(Image.new("RGB", (63, 400)))
    photo = scene(0, (200, 100))
    with pytest.raises(ValueError, match="0 everywhere"):
        watermark.embed(photo, np.zeros((100, 200)))
    with pytest.raises(ValueError, match="mask"):
        watermark.embed(photo, np.ones((200, 100)))


def test_our_own_portraits() -> None:
    for name in ("identity.png", "expression.png"):
        image = read_image(EXAMPLES / name)
        marked = watermark.embed(image)
        assert psnr(image, marked) > 42
        assert watermark.find(jpeg(marked, 90)).found


@pytest.mark.shared
def test_photographs_have_none(shared: Path) -> None:
    import tarfile

    with tarfile.open(shared / "data" / "portraits-of-nobody.tar") as tar:
        members = [member for member in tar.getmembers() if member.name.endswith(".jpg")][::30]
        for member in members:
            handle = tar.extractfile(member)
            assert handle is not None
            photo = Image.open(io.BytesIO(handle.read())).convert("RGB")
            assert not watermark.find(photo).found
            assert watermark.find(jpeg(scaled(watermark.embed(photo), 0.5), 75)).found
    assert len(members) > 20
