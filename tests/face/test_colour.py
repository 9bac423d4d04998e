"""Colours of a pasted crop: slow differences go, structure stays, one-sided edges do not bleed over the face."""

from __future__ import annotations

import numpy as np

from mien.face.colour import apart, match_colour, match_skin


def picture(size: int = 64) -> np.ndarray:
    rows, columns = np.mgrid[0:size, 0:size]
    waves = 20 * np.sin(rows / 2.0) * np.sin(columns / 2.0)
    return (np.stack([waves + 90, waves + 120, waves + 150], -1)).round().astype(np.uint8)


def disc(size: int = 64, radius: float = 24) -> np.ndarray:
    rows, columns = np.mgrid[0:size, 0:size]
    return (np.hypot(rows - size / 2, columns - size / 2) < radius).astype(np.float32)


def test_a_cast_is_taken_out() -> None:
    photo, mask = picture(), disc()
    crop = (photo.astype(int) + (12, -9, 6)).astype(np.uint8)
    matched = match_colour(crop, photo, mask).astype(int)
    rim = (disc(radius=24) > 0) & (disc(radius=20) == 0)
    assert np.abs(matched - photo)[rim].mean() < 2
    assert np.abs(matched - photo).mean() < 0.3 * np.abs(crop.astype(int) - photo).mean()


def test_equal_surroundings_change_nothing_and_the_face_keeps_its_structure() -> None:
    photo, mask = picture(), disc()
    crop = np.where(mask[..., None] > 0, 255 - photo, photo).astype(np.uint8)
    assert np.array_equal(match_colour(crop, photo, mask), crop)


def test_light_from_one_side_is_followed() -> None:
    photo, mask = picture(), disc()
    ramp = np.linspace(-20, 20, 64)[None, :, None]
    crop = np.round(photo - ramp).clip(0, 255).astype(np.uint8)
    matched = match_colour(crop, photo, mask).astype(float)
    wanted = matched - crop
    assert wanted[32, 12].mean() < -5 and wanted[32, 51].mean() > 5


def test_nothing_known_means_nothing_done() -> None:
    photo = picture()
    crop = (photo.astype(int) + 30).astype(np.uint8)
    assert np.array_equal(match_colour(crop, photo, np.ones((64, 64), np.float32)), crop)


def lab(picture: np.ndarray) -> np.ndarray:
    """CIE 1976 L*a*b* of sRGB, white D65, by the standards' formulas."""
    v = picture / 255.0
    linear = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    t = linear @ to_xyz.T / to_xyz.sum(1)
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def test_skin_becomes_the_photos_skin() -> None:
    """Of a dark photo, a grey one and one of another hue."""
    crop, skin = picture(), disc() > 0
    dark = (picture()[::-1] * 0.25).astype(np.uint8)
    grey = np.repeat(picture()[..., :1], 3, axis=2)
    for photo in (dark, grey, picture()[..., ::-1].copy()):
        matched = match_skin(crop, photo, skin)
        found, wanted = lab(matched)[skin], lab(photo)[skin]
        assert np.abs(found.mean(0) - wanted.mean(0)).max() < 1
        assert (found.std(0) < wanted.std(0) * 1.05 + 0.5).all()
    assert np.ptp(match_skin(crop, grey, skin).astype(int), axis=2).max() <= 1
    assert match_skin(crop, dark, np.zeros_like(skin)) is crop


def test_what_is_apart() -> None:
    photo = np.full((4, 4, 3), 128, np.uint8)
    for level, share in ((128, 0.0), (110, 0.0), (0, 1.0), (255, 1.0)):
        assert np.all(apart(np.full_like(photo, level), photo) == share)
