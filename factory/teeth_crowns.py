"""Crowns for the atlas of `factory.teeth`: what averaging people and their lips' shade took from enamel."""

from __future__ import annotations

import cv2
import numpy as np

from factory.teeth_arch import HEIGHT, WIDTH

NECK = np.array([1.0, 0.99, 0.965])  # dentine shows through
TIP = np.array([0.955, 0.96, 0.965])  # there is no dentine behind
CANINE = np.array([1.0, 0.994, 0.98])
# of the glints on a crown: sd of their places, of their lengths' and strengths' logarithms
ASTRAY, LONGER, STRONGER = 0.07, 0.3, 0.4


def model_crowns(enamel: np.ndarray, arch: np.ndarray) -> np.ndarray:
    """What averaging took from `enamel` [HEIGHT, WIDTH, 3]: crowns that are round, warm at the neck and translucent at
    the edge, and wet: glints along the ridges at both sides of each, no two alike."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    rng = np.random.default_rng(5)
    rough = cv2.GaussianBlur(
        rng.standard_normal((HEIGHT, WIDTH)).astype(np.float32), (0, 0), sigmaX=2.5, sigmaY=4.0
    )
    rough = np.clip(1 + 0.7 * rough / rough.std(), 0, 2.2)
    cloudy = cv2.GaussianBlur(
        rng.standard_normal((HEIGHT, WIDTH)).astype(np.float32), (0, 0), sigmaX=7, sigmaY=14
    )
    out = enamel * (1 + 0.014 * cloudy / cloudy.std())[..., None]
    for k in range(8):
        (xt, yt), (xb, yb) = 0.5 * (arch[k] + arch[k + 1]), 0.5 * (arch[9 + k] + arch[10 + k])
        half = 0.5 * (arch[10 + k, 0] - arch[9 + k, 0])
        top, bottom = arch[26 + k, 1], arch[18 + k, 1]
        across = (columns - xb - (xt - xb) * (rows - yb) / (yt - yb)) / half  # -1 to 1
        down = (rows - top) / (bottom - top)  # 0 at the gum, 1 at the edge
        mine = np.clip((1.02 - np.abs(across)) * half / 2, 0, 1)[..., None]
        gain = np.ones((HEIGHT, WIDTH, 3)) if k in (2, 3, 4, 5) else np.tile(CANINE, (HEIGHT, WIDTH, 1))
        gain *= (1 - 0.1 * np.clip((np.abs(across) - 0.5) / 0.5, 0, 1) ** 2)[..., None]
        gain *= NECK ** np.clip(1 - down / 0.35, 0, 1)[..., None]
        gain *= TIP ** np.clip((down - 0.76) / 0.19, 0, 1)[..., None]
        out *= 1 + mine * (gain - 1)
        inner = np.sign(3.5 - k)  # towards the middle line
        ridges = ((0.5, 36.0), (-0.52, 24.0)) if k in (3, 4) else ((0.3, 36.0),)
        for at, strength in ridges:
            at, tall = at + ASTRAY * rng.standard_normal(), 0.36 + ASTRAY * rng.standard_normal()
            long = 0.13 * np.exp(LONGER * rng.standard_normal())
            strength *= np.exp(STRONGER * rng.standard_normal() - STRONGER**2 / 2)
            slant = (across - inner * (at + 0.1 * (0.4 - down))) * half
            shine = np.exp(-((slant / (0.08 * half + 1.2)) ** 2) - ((down - tall) / long) ** 2) * rough
            soft = np.exp(-((slant / (0.35 * half)) ** 2) - ((down - 0.45) / 0.35) ** 2)
            out += (mine[..., 0] * (strength * shine + 4 * soft))[..., None]
    return out


def even(mean: np.ndarray, arch: np.ndarray, gum_line: np.ndarray, edge_line: np.ndarray) -> np.ndarray:
    """The average without the shade that the donors' lips and cheeks throw on its teeth."""
    rows = np.arange(HEIGHT)[:, None]
    out = mean.copy()
    place_in_crown = (rows - gum_line) / np.maximum(edge_line - gum_line, 1)  # 0 at the gum, 1 at the edge
    grey = mean.mean(-1)
    for tooth in range(1, 7):
        x0, x1 = arch[9 + tooth, 0], arch[10 + tooth, 0]
        mine = np.clip(1 - (np.abs(np.arange(WIDTH) - (x0 + x1) / 2) - (x1 - x0) / 2) / 3, 0, 1)[None]
        body = (mine > 0.9) & (place_in_crown > 0.35) & (place_in_crown < 0.85)
        middle = grey[body].mean(0) if body.any() else 200
        half = (x1 - x0) / 2
        core = np.exp(-(((np.arange(WIDTH) - (x0 + x1) / 2) / (0.5 * half)) ** 2))[None]
        profile = (grey * core).sum(1) / core.sum()
        profile = cv2.GaussianBlur(profile[:, None].astype(np.float32), (1, 0), sigmaX=0.1, sigmaY=6)
        upper = np.clip(1 - (place_in_crown - 0.3) / 0.25, 0, 1)
        gain = 1 + upper * (np.clip(0.93 * middle / np.maximum(profile, 40), 1, 2.2) - 1)
        to = LIGHT[min(tooth, 7 - tooth)] * 198 / middle
        out *= 1 + mine[..., None] * (gain * to - 1)[..., None]
    return out


LIGHT = (0.86, 0.93, 0.975, 1.0)  # brightness of first premolar, canine, lateral and central incisor


def parted(atlas: np.ndarray, lines: list[tuple[float, float, float, float]]) -> np.ndarray:
    """An atlas [h, w, 5] uint8, of RGB, alpha and gum's share, dark along the `lines` x, y, x, y px in which teeth
    meet: averaging left a glimpse of it."""
    rows, columns = np.mgrid[0 : atlas.shape[0], 0 : atlas.shape[1]] + 0.5
    dark = np.zeros(atlas.shape[:2])
    for x0, y0, x1, y1 in lines:
        down = (rows - y0) / (y1 - y0)
        off = columns - x0 - (x1 - x0) * down
        ends = np.clip(down / 0.2 + 0.3, 0, 1) * np.clip((1.1 - down) / 0.1, 0, 1)
        wide = 1.5 + 1.6 * np.clip((down - 0.6) / 0.4, 0, 1) ** 2  # towards their edge they leave each other
        ends = ends * (0.5 + 0.5 * np.clip((down - 0.6) / 0.4, 0, 1) ** 2)
        dark = np.maximum(dark, ends * np.exp(-((off / wide) ** 2) / 2))
    enamel = 1 - atlas[..., 4:] / 255.0
    out = atlas.astype(np.float64)
    out[..., :3] *= 1 - dark[..., None] * enamel * [0.36, 0.43, 0.46]  # flesh shines through
    return np.clip(out + 0.5, 0, 255).astype(np.uint8)
