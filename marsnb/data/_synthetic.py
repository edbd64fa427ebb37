"""What synthetic Mars and synthetic terrain share: random numbers, smooth noise, and outlines to draw with Pillow.

Everything random comes from ``Generator.random`` alone, whose numbers no version of numpy changes.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

Array = NDArray[np.float64]


def random_numbers(version: int, seed: int, stream: int, key: int = 0) -> np.random.Generator:
    """Random numbers of one thing in a world; those of two things, two seeds or two versions have nothing in common."""
    # always four numbers: SeedSequence takes trailing zeros for nothing
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((version, seed, stream, key))))


def resize(image: Array, size: int) -> Array:
    """Image ``(H, H)`` or ``(H, H, C)`` at ``size`` x ``size``, bicubic, antialiased."""
    planes = np.moveaxis(np.atleast_3d(image).astype(np.float32), 2, 0)  # (C, H, W): Pillow scales one plane of floats
    scaled = [PilImage.fromarray(plane).resize((size, size), PilImage.Resampling.BICUBIC) for plane in planes]
    return np.stack([np.asarray(plane, np.float64) for plane in scaled], axis=-1).reshape(size, size, *image.shape[2:])


def noise(rng: np.random.Generator, size: int, cells: int) -> Array:
    """Smooth noise around [0, 1], ``(size, size)``, its lumps a ``cells``-th of the image."""
    return resize(rng.random((cells, cells)), size)


def to_bytes(image: Array) -> NDArray[np.uint8]:
    """An image in [0, 1] as 8 bits, what is outside clipped."""
    return np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)


def turned(points: Array, degrees: float) -> Array:
    """Points ``(n, 2)`` turned about the origin."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return points @ np.array([[c, s], [-s, c]])


@cache
def outlines(shape: str, n: float = 0, m: float = 0) -> list[Array]:
    """Closed outlines, ``(points, 2)`` each, of a shape that fills ``[-1, 1]`` x ``[-1, 1]``.

    Of teeth, spokes or columns there are ``n``; ``m`` is the thickness of a ring, the depth of teeth, or rows of dots.
    """
    angle = np.arange(96) * np.pi / 48
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)  # (96, 2)
    if shape == "disc":
        return [circle]
    if shape == "box":
        return [np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])]
    if shape == "half":  # of a disc
        return [circle[:49]]
    if shape == "ring":
        around = np.concatenate([circle, circle[:1]])
        return [np.concatenate([around, (1 - m) * around[::-1]])]
    if shape == "gear":
        return [circle * (1 + m * np.sign(np.sin(n * angle + 0.01)))[:, None]]
    if shape == "spokes":  # a star
        number = np.arange(2 * n)
        star = np.stack([np.cos(number * np.pi / n), np.sin(number * np.pi / n)], axis=1)
        return [star * np.where(number % 2, 0.15, 1)[:, None]]
    if shape == "dots":
        columns, rows = ((2 * np.arange(int(k)) + 1) / k - 1 for k in (max(n, 1), max(m, 1)))
        return [np.array([x, y]) + 0.6 * circle[::4] / max(n, m, 1) for x in columns for y in rows]
    raise ValueError(f"nothing draws a {shape!r}")
