"""The ground of synthetic terrain, and its photograph: pebbled soil, cracked plates, rippled sand, big rocks.

Grey alone does not tell the classes apart: how bright each is changes from image to image by more than they differ.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from marsnb.data._synthetic import Array, noise

Codes = NDArray[np.uint8]
Here = NDArray[np.bool_]

NATIVE = 128  # side of an image and of its mask in pixels
LAST_SOL = 2579  # of the paper's AI4Mars
SOIL, BEDROCK, SAND, BIG_ROCK = range(4)
TABLE2 = ((0.446, 0.446, 0.098), (0.261, 0.572, 0.161))  # soil, bedrock, sand; train and validation, test
MIDDLE = (743, 2033)  # middle sols of train and validation, and of test
ROCKS = (2.6, 1.6)  # mean rocks per image at those sols: about twice the paper's area, so that there are some to learn

_TONE = (0.50, 0.52, 0.48)  # mean grey of soil, bedrock and sand
_SPREAD = 0.26  # how much it differs from image to image
_Y, _X = np.mgrid[:NATIVE, :NATIVE] / NATIVE


@dataclass(frozen=True)
class Ground:
    """One scene."""

    codes: Codes  # soil, bedrock or sand, (128, 128), as if no rock lay there
    rocks: tuple[Array, ...]  # corners of each big rock, (8, 2), pixels; far ones first

    def truth(self) -> Codes:
        """Class of each pixel, ``(128, 128)``, codes 0 to 3; none is without a label."""
        codes = self.codes.copy()
        for rock in self.rocks:
            codes[inside(rock)] = BIG_ROCK
        return codes


def inside(corners: Array) -> Here:
    """Pixels within a polygon, ``(128, 128)``."""
    picture = PilImage.new("1", (NATIVE, NATIVE))
    ImageDraw.Draw(picture).polygon(corners.ravel().tolist(), fill=1)
    return np.array(picture)


def _top(field: Array, among: Here, share: float) -> Here:
    """The ``share`` of the pixels of ``among`` in which the field is highest."""
    return among & (field >= np.quantile(field[among], 1 - share))


def drift(early: float, late: float, sol: int) -> float:
    """A value that changes evenly with the sols; ``early`` and ``late`` are those at the middles of the two splits."""
    return early + (late - early) * (sol - MIDDLE[0]) / (MIDDLE[1] - MIDDLE[0])


def _rock(rng: np.random.Generator) -> Array:
    """A big rock's corners; the nearer, that is the lower, the larger."""
    r = rng.random((9, 2))
    x, y = NATIVE * r[8]
    size = (4 + 12 * rng.random() ** 2) * (0.5 + 0.5 * y / NATIVE)  # half its width, pixels
    angle = 2 * np.pi * (np.arange(8) + 0.8 * r[:8, 0]) / 8
    reach = size * (0.8 + 0.4 * r[:8, 1])
    return np.stack([x + reach * np.cos(angle), y + 0.8 * reach * np.sin(angle)], axis=1)


def make_ground(rng: np.random.Generator, sol: int) -> Ground:
    """A scene of a sol: the mix of classes drifts with the sols as the areas of the paper's Table 2 do."""
    r = rng.random(5)
    mix = np.array([drift(early, late, sol) for early, late in zip(*TABLE2, strict=True)]).clip(0)
    mix /= mix.sum()
    # one class is drawn by the mix and gets more of this image: on average over images the mix stays what it was
    chosen = np.searchsorted(np.cumsum(mix), r[0], "right").clip(0, 2)
    mix = (1 - 0.75 * r[1]) * mix + 0.75 * r[1] * (np.arange(3) == chosen)
    everywhere = np.ones((NATIVE, NATIVE), bool)
    stone = _top(noise(rng, NATIVE, 4) + 0.3 * noise(rng, NATIVE, 14), everywhere, mix[BEDROCK])
    field = noise(rng, NATIVE, 4) + 0.2 * noise(rng, NATIVE, 12)
    sand = _top(field, ~stone, mix[SAND] / (mix[SAND] + mix[SOIL]))
    codes = np.where(stone, BEDROCK, np.where(sand, SAND, SOIL)).astype(np.uint8)
    count = int(-np.log(1 - r[2]) * max(drift(*ROCKS, sol), 0.0) + r[3])
    return Ground(codes, tuple(sorted((_rock(rng) for _ in range(count)), key=lambda rock: rock[:, 1].mean())))


def _relief(height: Array, sun: Array) -> Array:
    """How much brighter a surface of that height is, from ``-1`` to ``1``: the slopes towards the sun."""
    down, across = np.gradient(height)
    return np.tanh(-(sun[0] * across + sun[1] * down))


def _soil(rng: np.random.Generator, sun: Array) -> Array:
    """Fine ground strewn with pebbles."""
    grain = gaussian_filter(rng.random((NATIVE, NATIVE)), 0.8)
    pebbles = gaussian_filter(rng.random((NATIVE, NATIVE)), 2.2)
    pebbles = np.clip(pebbles - np.quantile(pebbles, 0.85), 0, None)
    return 0.5 * (grain - 0.5) + 0.3 * _relief(100 * pebbles, sun)


def _bedrock(rng: np.random.Generator, sun: Array) -> Array:
    """Flat plates with dark cracks between them, each as bright as it likes."""
    points = rng.random((24 + int(30 * rng.random()), 2)) * 1.2 - 0.1
    bent = np.stack([_X, _Y], axis=-1) + 0.06 * np.stack([noise(rng, NATIVE, 12), noise(rng, NATIVE, 12)], axis=-1)
    distance, owner = cKDTree(points).query(bent.reshape(-1, 2), k=2)
    gap = (distance[:, 1] - distance[:, 0]).reshape(NATIVE, NATIVE)
    tone = 0.1 * (rng.random(len(points))[owner[:, 0]].reshape(NATIVE, NATIVE) - 0.5)
    edge = 0.16 * _relief(40 * np.minimum(gap, 0.04), sun)
    return np.where(gap < 0.012, -0.2, tone + edge) + 0.04 * (rng.random((NATIVE, NATIVE)) - 0.5)


def _sand(rng: np.random.Generator, sun: Array) -> Array:
    """Wind ripples: long wavy crests, smooth in between."""
    angle, length = np.pi * (rng.random() - 0.5) * 0.45, 0.06 + 0.05 * rng.random()
    phase = (np.cos(angle) * _X + np.sin(angle) * _Y + 0.09 * noise(rng, NATIVE, 5)) / length
    height = np.sin(2 * np.pi * phase) + 0.3 * np.sin(4 * np.pi * phase + 0.9)
    return 0.14 * _relief(3 * height, sun) + 0.02 * (rng.random((NATIVE, NATIVE)) - 0.5)


def photograph(ground: Ground, sol: int, look: np.random.Generator, shot: np.random.Generator) -> Array:
    """Takes the picture of a scene, ``(128, 128, 1)`` in [0, 1].

    Light drifts with the sols: the sun moves from the left to the right, images grow darker and hazier. Of the random
    numbers, ``look`` is the surface and light, equal in two shots of one view; ``shot`` is exposure and noise.
    """
    age, r = sol / LAST_SOL, look.random(6)
    sun = np.array([-1.0 if r[0] < 0.95 - 0.9 * age else 1.0, 1.2 * (r[1] - 0.5)])  # where it stands: right, down
    tone = np.zeros((NATIVE, NATIVE))
    for code, texture in enumerate((_soil, _bedrock, _sand)):
        here, surface = ground.codes == code, texture(look, sun)
        bright = _TONE[code] + _SPREAD * (r[2 + code] - 0.5)
        tone[here] = bright + surface[here] - (surface[here].mean() if here.any() else 0)
    tone += 0.16 * (noise(look, NATIVE, 5) - 0.5)
    for rock in ground.rocks:
        size = np.ptp(rock[:, 0]) / 2
        tone[inside(rock - sun * [0.8 * size, 0] + [0, 0.3 * size])] *= 0.5  # its shadow
        here = inside(rock)
        face = inside(rock - sun * 0.9 * size)  # what of it turns away from the sun
        skin = np.where(face, 0.36, 0.62) + 0.3 * (gaussian_filter(look.random(tone.shape), 1) - 0.5)
        tone[here] = skin[here]
    haze = (0.12 + 0.28 * age) * np.clip(0.6 - 1.2 * _Y + 0.6, 0, 1) ** 1.5
    tone = tone * (1 - haze) + 0.62 * haze
    gain = (1.22 - 0.42 * age) * (0.9 + 0.2 * r[5]) * (0.97 + 0.06 * shot.random())
    return np.clip(gain * tone + 0.03 * (shot.random((NATIVE, NATIVE)) - 0.5), 0, 1)[..., None]
