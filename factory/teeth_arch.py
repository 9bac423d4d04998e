"""The arch that teeth stand on in the atlas of `factory.teeth`, and how people differ from the mean."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import RBFInterpolator

PX = 10.0  # atlas pixels a unit; about a millimetre: the outer eye corners are 90 units apart
HALF, ABOVE, BELOW = 32.0, 22.0, 3.0  # the atlas reaches so far sideways, above and below the biting edge
WIDTH, HEIGHT = int(2 * HALF * PX), int((ABOVE + BELOW) * PX)
FACTORS = 6  # as many as measures of a face
GRID = 10  # atlas pixels a cell of the fields


def points(mark: dict) -> np.ndarray:
    """The marks of one mouth as points [18 + 16 + 8, 2]: gaps (gum, edge), edges, gums, crowns' middles."""
    gaps = np.array(mark["gaps"], float)
    top, bottom = gaps[:, :2], gaps[:, 2:]
    xe, xg = (bottom[1:, 0] + bottom[:-1, 0]) / 2, (top[1:, 0] + top[:-1, 0]) / 2
    edge, gum = np.c_[xe, mark["edges"]], np.c_[xg, mark["gums"]]
    return np.concatenate([top, bottom, edge, gum, 0.5 * (edge + gum)])


FLATTER = 0.75  # of how far the edges rise towards the sides: what is left is the cameras'
RUNS = ((0, 9), (9, 9), (18, 8), (26, 8), (34, 8))  # of `points`: first, count
ORDER = np.concatenate([first + np.arange(count)[::-1] for first, count in RUNS])


def mirrored(p: np.ndarray, middle: float = 0.0) -> np.ndarray:
    return p[ORDER] * [-1, 1] + [2 * middle, 0]


def mean_arch(marks: list[np.ndarray], gum_seen: list[bool]) -> np.ndarray:
    """The mean of all mouths' points, symmetric, in atlas pixels."""
    unit = []
    for p in marks:
        width = (p[14, 0] - p[12, 0]) / 2  # of a central incisor
        unit.append((p - [p[13, 0], p[21:23, 1].mean()]) / width * 8.8)
    mean = np.mean(unit, 0)
    seen = np.mean([p for p, s in zip(unit, gum_seen, strict=True) if s], 0)
    mean[26:34], mean[34:42] = seen[26:34], 0.5 * (mean[18:26] + seen[26:34])
    mean = 0.5 * (mean + mirrored(mean))
    edges = np.r_[9:18, 18:26]
    mean[edges, 1] *= FLATTER
    return mean * PX + [WIDTH / 2, ABOVE * PX]


def frame(arch: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """The arch with far points that keep the warp steady outside of it."""
    up, aside = np.array([0, 65 * scale]), np.array([90 * scale, 0])
    far = arch[18:26] + up, arch[26:34] - up, arch[[8, 17]] + aside, arch[[0, 9]] - aside
    return np.concatenate([arch, *far])


def differences(marks: list[np.ndarray], gum_seen: list[bool]) -> np.ndarray:
    """How each person's points differ from the mean of all, [n, 42, 2] atlas pixels; 0 for a gum line that is hidden.

    The middle line and the edge of the central incisors beside it stay where they are: a step there looks like a flaw.
    """
    unit = np.array([(p - [p[13, 0], p[21:23, 1].mean()]) / (p[14, 0] - p[12, 0]) * 2 * 8.8 for p in marks])
    off = unit - unit.mean(0)
    gums = np.r_[0:9, 26:42]
    off[np.ix_([not seen for seen in gum_seen], gums)] = 0
    off[:, [4, 13]] = 0
    off[:, 21:23, 1] = off[:, 38:40, 1] = 0
    off[:, 9:18, 1] *= 0.5
    return off * PX


def fields(off: np.ndarray, arch: np.ndarray) -> np.ndarray:
    """Displacements of points [42, 2] spread over the atlas, [rows, columns, 2] atlas pixels, one every `GRID`."""
    warp = RBFInterpolator(
        frame(arch), np.concatenate([off, np.zeros((len(frame(arch)) - len(off), 2))]), smoothing=1.0
    )
    rows, columns = np.mgrid[0 : HEIGHT + 1 : GRID, 0 : WIDTH + 1 : GRID]
    return warp(np.c_[columns.ravel(), rows.ravel()]).reshape(*rows.shape, 2)


def shades(colours: np.ndarray, weights: np.ndarray, arch: np.ndarray) -> np.ndarray:
    """log brightness of each person's eight teeth against the mean's [n, 8], the mean over teeth taken out."""
    found = []
    for colour, weight in zip(colours[::2], weights[::2], strict=True):
        row = []
        for tooth in range(8):
            x, y = arch[34 + tooth].astype(int)
            part = np.s_[y - 20 : y + 20, x - 12 : x + 12]
            row.append(np.log((colour[part].mean(-1) * weight[part]).sum() / max(weight[part].sum(), 1e-3)))
        found.append(row)
    off = np.array(found) - np.mean(found, 0)
    return 0.5 * np.clip(off - off.mean(1, keepdims=True), -0.12, 0.12)  # the rest is lips' shade


def lower_differences(rng: np.random.Generator) -> np.ndarray:
    """Displacements of the lower teeth [rows, columns, 2] atlas pixels: turned, lifted and crowded a little."""
    rows, columns = np.mgrid[0 : HEIGHT + 1 : GRID, 0 : WIDTH + 1 : GRID].astype(float)
    field = np.zeros((*rows.shape, 2))
    for centre in np.arange(-5, 5) * 54 + WIDTH / 2 + 27:
        near = np.exp(-(((columns - centre) / 30) ** 2))
        aside, lift, turn, wide = rng.normal(0, 1, 4)
        field[..., 0] += near * (
            2.0 * aside + 0.06 * turn * (rows - BELOW * PX) + 0.07 * wide * (columns - centre)
        )
        field[..., 1] += near * (3.5 * lift + 0.05 * turn * (columns - centre))
    return field
