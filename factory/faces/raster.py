"""A small software renderer: vertex normals, and a z-buffer triangle rasteriser with interpolated vertex
values.

Coordinates: camera space is x right, y up, z towards the viewer. Screen space is x right and y down in
pixels (pixel (row, column) has its centre at column + 0.5, row + 0.5); depth is any number that grows
towards the viewer. Everything here is compiled by numba when first used and
knows nothing of faces.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mien.types import FloatArray

IndexArray = NDArray[np.integer]


@njit(cache=True, fastmath=True)
def vertex_normals(vertices, triangles):  # type: ignore[no-untyped-def]
    """Unit normals [n, 3] float32 of `vertices` [n, 3] float32: area-weighted mean over `triangles` [m, 3]
    int32.

    Triangles are counter-clockwise seen from outside. A vertex of no triangle has the normal 0.
    """
    normals = np.zeros_like(vertices)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = (
            vertices[b, 0] - vertices[a, 0],
            vertices[b, 1] - vertices[a, 1],
            vertices[b, 2] - vertices[a, 2],
        )
        vx, vy, vz = (
            vertices[c, 0] - vertices[a, 0],
            vertices[c, 1] - vertices[a, 1],
            vertices[c, 2] - vertices[a, 2],
        )
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for k in (a, b, c):
            normals[k, 0] += nx
            normals[k, 1] += ny
            normals[k, 2] += nz
    for i in range(normals.shape[0]):
        length = np.sqrt(normals[i, 0] ** 2 + normals[i, 1] ** 2 + normals[i, 2] ** 2)
        if length > 0:
            for k in range(3):
                normals[i, k] /= length
    return normals


@njit(cache=True, fastmath=True)
def rasterise(points, triangles, values, alpha, cull, image, depth):  # type: ignore[no-untyped-def]
    """Draw `triangles` [m, 3] int32 into `image` [h, w, c] and `depth` [h, w] (both float32, changed in
    place).

    Args:
        points: [n, 3] float32: screen x, screen y, depth (larger is nearer).
        values: [n, c] float32, interpolated linearly over each triangle.
        alpha: 1 draws solid and writes depth; below 1 blends and leaves depth as it is.
        cull: leave out triangles that are clockwise in camera space (their backs).
    """
    height, width, channels = image.shape
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        xa, ya, xb, yb, xc, yc = (
            points[a, 0],
            points[a, 1],
            points[b, 0],
            points[b, 1],
            points[c, 0],
            points[c, 1],
        )
        area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)  # y is down: a front has a negative area
        if area == 0 or (cull and area > 0):
            continue
        x0 = max(0, int(np.ceil(min(xa, xb, xc) - 0.5)))
        x1 = min(width - 1, int(np.floor(max(xa, xb, xc) - 0.5)))
        y0 = max(0, int(np.ceil(min(ya, yb, yc) - 0.5)))
        y1 = min(height - 1, int(np.floor(max(ya, yb, yc) - 0.5)))
        za, zb, zc = points[a, 2], points[b, 2], points[c, 2]
        inverse = 1.0 / area
        for y in range(y0, y1 + 1):
            py = y + 0.5
            for x in range(x0, x1 + 1):
                px = x + 0.5
                wa = ((xb - px) * (yc - py) - (xc - px) * (yb - py)) * inverse
                wb = ((xc - px) * (ya - py) - (xa - px) * (yc - py)) * inverse
                wc = 1.0 - wa - wb
                if wa < 0 or wb < 0 or wc < 0:
                    continue
                z = wa * za + wb * zb + wc * zc
                if z <= depth[y, x]:
                    continue
                if alpha >= 1.0:
                    depth[y, x] = z
                    for k in range(channels):
                        image[y, x, k] = wa * values[a, k] + wb * values[b, k] + wc * values[c, k]
                else:
                    for k in range(channels):
                        value = wa * values[a, k] + wb * values[b, k] + wc * values[c, k]
                        image[y, x, k] += alpha * (value - image[y, x, k])


def reduce_area(image: FloatArray, factor: int) -> FloatArray:
    """Mean over `factor` x `factor` blocks: [h, w, c] → [h / factor, w / factor, c]."""
    height, width, channels = image.shape
    return image.reshape(height // factor, factor, width // factor, factor, channels).mean((1, 3))


def visibility(
    vertices: FloatArray, triangles: IndexArray, direction: FloatArray, bias: float, size: int = 256
) -> FloatArray:
    """Share [n] float32 in [0, 1] of a parallel light from `direction` [3] (unit, towards the light) that
    each vertex sees.

    One shadow map (Williams 1978) with 3 x 3 percentage-closer filtering (Reeves 1987). `bias` is in the
    units of the vertices: the depth by which something must lie nearer to the light to cast a shadow.
    """
    helper = np.array([0.0, 1.0, 0.0]) if abs(direction[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    right = np.cross(helper, direction)
    right /= np.linalg.norm(right)
    up = np.cross(direction, right)
    seen = vertices @ np.stack([right, up, direction], 1).astype(np.float32)
    low, high = seen[:, :2].min(0), seen[:, :2].max(0)
    scale = (size - 8) / float((high - low).max())
    points = np.empty((len(seen), 3), np.float32)
    points[:, 0] = (seen[:, 0] - low[0]) * scale + 4
    points[:, 1] = size - 4 - (seen[:, 1] - low[1]) * scale
    points[:, 2] = seen[:, 2]
    depth = np.full((size, size), -1e9, np.float32)
    rasterise(points, triangles, points[:, 2:], 1.0, False, np.zeros((size, size, 1), np.float32), depth)
    columns, rows = points[:, 0].astype(np.int64), points[:, 1].astype(np.int64)
    lit = np.zeros(len(vertices), np.float32)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            lit += (
                depth[np.clip(rows + dy, 0, size - 1), np.clip(columns + dx, 0, size - 1)]
                < points[:, 2] + bias
            )
    return lit / 9.0
