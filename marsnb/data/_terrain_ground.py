"""The ground of synthetic terrain: what lies where, seen aslant by a mast camera that looks below the horizon.

Everything random comes from ``Generator.random`` alone, as in ``_synthetic_render``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Codes = NDArray[np.uint8]

NATIVE = 128  # side of an image and of its mask in pixels
LAST_SOL = 2579  # of the paper's AI4Mars
SOIL, BEDROCK, SAND, BIG_ROCK = range(4)
TABLE2 = ((0.446, 0.446, 0.098), (0.261, 0.572, 0.161))  # soil, bedrock, sand; train and validation, test
MIDDLE = (743, 2033)  # middle sols of train and validation, and of test
ROCKS = (2.6, 1.6)  # mean rocks per image at those sols: about twice the paper's area, so that there are some to learn

_AXIS = (np.arange(NATIVE) + 0.5) * 2 / NATIVE - 1  # pixel centres in half image widths
Y, X = np.meshgrid(_AXIS, _AXIS, indexing="ij")
_LATTICE = 64


@dataclass(frozen=True)
class Rock:
    """A big rock: a convex solid of flat faces, as the camera sees it.

    Attributes:
        x, y, size: middle and half width, half image widths.
        angle, inset, slope: of each face, ``(faces,)``.
    """

    x: float
    y: float
    size: float
    angle: Array
    inset: Array
    slope: Array

    def height(self, dx: float = 0.0, dy: float = 0.0, scale: float = 1.0) -> tuple[Array, NDArray[np.intp]]:
        """Height above the ground, positive inside, and the face that is seen there, both ``(128, 128)``."""
        p, q = (X - self.x - dx) / (self.size * scale), (Y - self.y - dy) / (0.8 * self.size * scale)
        faces = np.stack([
            s * (i - np.cos(a) * p - np.sin(a) * q) for a, i, s in zip(self.angle, self.inset, self.slope, strict=True)
        ])  # (faces, 128, 128)
        return faces.min(axis=0), faces.argmin(axis=0)


@dataclass(frozen=True)
class Ground:
    """One scene.

    Attributes:
        x, y: position on the ground of each pixel, ``(128, 128)``; 1 is half the width of the lower edge.
        step: depth of one pixel on the ground, ``(128, 128)``.
        codes: soil, bedrock or sand, ``(128, 128)``, as if no rock lay there.
        rocks: far ones first.
    """

    x: Array
    y: Array
    step: Array
    codes: Codes
    rocks: tuple[Rock, ...]

    def truth(self) -> Codes:
        """Class of each pixel, ``(128, 128)``, codes 0 to 3; none is without a label."""
        codes = self.codes.copy()
        for rock in self.rocks:
            codes[rock.height()[0] > 0] = BIG_ROCK
        return codes


def noise(rng: np.random.Generator, x: Array, y: Array, scale: float) -> Array:
    """Smooth noise in [0, 1] at ground positions; ``scale`` is the size of its lumps."""
    table = rng.random((_LATTICE, _LATTICE))
    corners, shares = [], []
    for value in (y / scale, x / scale):
        low = np.floor(value)
        share = value - low
        corners.append(low.astype(np.intp))
        shares.append(share * share * (3 - 2 * share))
    (i, j), (s, t) = corners, shares
    i0, i1, j0, j1 = i % _LATTICE, (i + 1) % _LATTICE, j % _LATTICE, (j + 1) % _LATTICE
    upper, lower = table[i0, j0] * (1 - t) + table[i0, j1] * t, table[i1, j0] * (1 - t) + table[i1, j1] * t
    return upper * (1 - s) + lower * s


def _top(field: Array, among: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """The ``share`` of the pixels of ``among`` in which the field is highest."""
    values = np.sort(field[among])
    count = round(share * len(values))
    return among & (field >= values[-count]) if count else np.zeros_like(among)


def drift(early: float, late: float, sol: int) -> float:
    """A value that changes evenly with the sols; ``early`` and ``late`` are those at the middles of the two splits."""
    return early + (late - early) * (sol - MIDDLE[0]) / (MIDDLE[1] - MIDDLE[0])


def _rock(rng: np.random.Generator, nearness: float) -> Rock:
    r = rng.random((9, 3))  # one row per face; the last row is of the rock
    angle = 2 * np.pi * (np.arange(8) + 0.8 * r[:8, 0]) / 8
    y = 2 * (0.12 + 0.85 * r[8, 1]) - 1
    size = (0.09 + 0.15 * r[8, 2] ** 2) * (nearness + (1 - nearness) * (y + 1) / 2)
    return Rock(2 * r[8, 0] - 1, y, size, angle, 0.72 + 0.4 * r[:8, 1], 0.5 + 1.2 * r[:8, 2] ** 2)


def make_ground(rng: np.random.Generator, sol: int) -> Ground:
    """A scene of a sol: the mix of classes drifts with the sols as the areas of Table 2 do.

    Reference:
        Table 2 of arXiv 2206.02180.
    """
    r = rng.random(8)
    nearness = 0.42 + 0.16 * r[0]  # size of a thing at the upper edge, 1 at the lower one
    depth = 1 / (nearness + (1 - nearness) * (Y + 1) / 2)
    x, y = X * depth, 3.5 * depth
    step = 3.5 * (1 - nearness) * depth**2 / NATIVE
    mix = np.array([drift(early, late, sol) for early, late in zip(*TABLE2, strict=True)])
    mix = np.clip(mix, 0, None) / mix.sum()
    # one class is drawn by the mix and gets more of this image: on average over images the mix stays what it was
    chosen = int(np.searchsorted(np.cumsum(mix), r[1], "right").clip(0, 2))
    extra = 0.75 * r[2]
    mix = (1 - extra) * mix + extra * (np.arange(3) == chosen)
    bent_x, bent_y = x + 0.25 * noise(rng, x, y, 0.3), y + 0.25 * noise(rng, x, y, 0.3)
    everywhere = np.ones_like(x, bool)
    field = noise(rng, bent_x, bent_y, 1.3) + 0.3 * noise(rng, bent_x, bent_y, 0.4)
    stone = _top(field, everywhere, float(mix[BEDROCK]))
    field = noise(rng, bent_x, bent_y, 1.6) + 0.2 * noise(rng, bent_x, bent_y, 0.5)
    sand = _top(field, ~stone, float(mix[SAND] / (mix[SAND] + mix[SOIL])))
    codes = np.where(stone, BEDROCK, np.where(sand, SAND, SOIL)).astype(np.uint8)
    mean = max(drift(*ROCKS, sol), 0.0)
    rocks = [_rock(rng, nearness) for _ in range(int(-np.log(1 - r[3]) * mean + r[4]))]
    return Ground(x, y, step, codes, tuple(sorted(rocks, key=lambda rock: rock.y)))
