"""Colours of a pasted crop: slow differences go, structure stays, one-sided edges do not bleed over the face."""

from __future__ import annotations

import numpy as np

from mien.face.colour import match_colour


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
