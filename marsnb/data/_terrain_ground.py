"""The ground of synthetic terrain: what lies where, seen aslant by a mast camera that looks below the horizon.

Everything random comes from ``Generator.random`` alone, as in ``_synthetic_render``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Codes = NDArray[np.uint8]
Window = tuple[slice, slice]

NATIVE = 128  # side of an image and of its mask in pixels
LAST_SOL = 2579  # of the paper's AI4Mars
SOIL, BEDROCK, SAND, BIG_ROCK = range(4)
TABLE2 = ((0.446, 0.446, 0.098), (0.261, 0.572, 0.161))  # soil, bedrock, sand; train and validation, test
MIDDLE = (743, 2033)  # middle sols of train and validation, and of test
ROCKS = (2.6, 1.6)  # mean rocks per image at those sols: about twice the paper's area, so that there are some to learn

_AXIS = (np.arange(NATIVE) + 0.5) * 2 / NATIVE - 1  # pixel centres in half image widths
Y, X = np.meshgrid(_AXIS, _AXIS, indexing="ij")
_WRAP = 63  # noise repeats after 64 lumps


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

    def seen(self, dx: float = 0.0, dy: float = 0.0, scale: float = 1.0) -> tuple[Window, Array, NDArray[np.intp]]:
        """The rock, moved and scaled: where it is, how high it is there (positive inside), and which face is seen."""
        x, y, reach = self.x + dx, self.y + dy, 1.3 * self.size * scale
        edges = [int(np.clip((e + 1) * NATIVE / 2, 0, NATIVE)) for e in (y - reach, y + reach, x - reach, x + reach)]
        window = (slice(edges[0], edges[1] + 1), slice(edges[2], edges[3] + 1))
        p, q = (X[window] - x) / (self.size * scale), (Y[window] - y) / (0.8 * self.size * scale)
        height, face = np.full(p.shape, np.inf), np.zeros(p.shape, np.intp)
        for k, (a, i, s) in enumerate(zip(self.angle, self.inset, self.slope, strict=True)):
            plane = s * (i - np.cos(a) * p - np.sin(a) * q)
            face, height = np.where(plane < height, k, face), np.minimum(plane, height)
        return window, height, face


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
            window, height, _ = rock.seen()
            codes[window][height > 0] = BIG_ROCK
        return codes


def noise(rng: np.random.Generator, x: Array, y: Array, scale: float) -> Array:
    """Smooth noise in [0, 1] at ground positions; ``scale`` is the size of its lumps."""
    table = rng.random((_WRAP + 1) ** 2)
    (i, s), (j, t) = _split(y / scale), _split(x / scale)
    i0, i1, j0, j1 = (i & _WRAP) * (_WRAP + 1), ((i + 1) & _WRAP) * (_WRAP + 1), j & _WRAP, (j + 1) & _WRAP
    upper, lower = table.take(i0 + j0), table.take(i1 + j0)
    upper += t * (table.take(i0 + j1) - upper)
    lower += t * (table.take(i1 + j1) - lower)
    upper += s * (lower - upper)
    return upper


def _split(value: Array) -> tuple[NDArray[np.int64], Array]:
    """The whole part, and the rest eased in and out."""
    whole = np.floor(value)
    rest = value - whole
    return whole.astype(np.int64), rest * rest * (3 - 2 * rest)


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
