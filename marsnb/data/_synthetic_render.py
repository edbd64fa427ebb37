"""Draws the pictures of synthetic Mars with numpy alone.

Everything random comes from ``Generator.random`` alone, and everything is computed in 64 bits and rounded once, so that
machines agree on the pixels.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from marsnb.data._synthetic_scenes import COLOURS, SCENES, Part, View

Array = NDArray[np.float64]

NATIVE = 96  # side of a rendered image in pixels
THUMBNAIL = 48  # side of the thumbnail's pixels
GAP_SOL = 565  # the first sol of the test set
LAST_SOL = 1060
DAMAGE = ("over-exposed", "colour channel", "low resolution", "blur")  # the paper's Fig. 4

_AXIS = (np.arange(NATIVE) + 0.5) * 2 / NATIVE - 1  # pixel centres in half image widths
_EVEN = np.linspace(0, 1, NATIVE)
_Y, _X = np.meshgrid(_AXIS, _AXIS, indexing="ij")


def _ellipse(p: Array, q: Array, part: Part) -> Array:
    return (np.sqrt((p / part.w) ** 2 + (q / part.h) ** 2) - 1) * min(part.w, part.h)


def _box(p: Array, q: Array, part: Part) -> Array:
    corner = max(part.m, 0.04) * min(1.0, part.w, part.h)
    dp, dq = np.abs(p) - part.w + corner, np.abs(q) - part.h + corner
    outside = np.sqrt(np.maximum(dp, 0) ** 2 + np.maximum(dq, 0) ** 2)
    return outside + np.minimum(np.maximum(dp, dq), 0) - corner


def _dots(p: Array, q: Array, part: Part, share: float = 0.4) -> Array:
    n, m = max(int(part.n), 1), max(int(part.m), 1)
    step_p, step_q = 2 * part.w / n, 2 * part.h / m
    fold_p = p - step_p * (np.clip(np.floor(p / step_p + n / 2), 0, n - 1) + 0.5 - n / 2)
    fold_q = q - step_q * (np.clip(np.floor(q / step_q + m / 2), 0, m - 1) + 0.5 - m / 2)
    return np.sqrt(fold_p**2 + fold_q**2) - share * min(step_p, step_q)


def _checker(p: Array, q: Array, part: Part) -> Array:
    wave_p, wave_q = np.sin(np.pi * p * part.n / part.w), np.sin(np.pi * q * part.m / part.h)
    return np.maximum(_box(p, q, part), wave_p * wave_q * 0.08)


def _mesh(p: Array, q: Array, part: Part) -> Array:
    wave = np.sin(np.pi * p * part.n / part.w) * np.sin(np.pi * q * part.n / part.h)
    return np.maximum(_ellipse(p, q, part), 0.03 * (0.2 - np.abs(wave)))


def _spokes(p: Array, q: Array, part: Part) -> Array:
    radius, sector = np.sqrt(p**2 + q**2), 2 * np.pi / part.n
    angle = np.mod(np.arctan2(q, p), sector) - sector / 2
    return np.maximum(radius - part.w, np.abs(radius * np.sin(angle)) - part.h)


def _gear(p: Array, q: Array, part: Part) -> Array:
    teeth = np.clip(3 * np.sin(part.n * np.arctan2(q, p)), -1, 1)
    return np.sqrt(p**2 + q**2) - part.w * (1 + part.m * teeth)


def _fan(p: Array, q: Array, part: Part) -> Array:
    radius, angle = np.sqrt(p**2 + q**2), np.arctan2(q, p)
    wedge = np.maximum(radius - part.w, (np.abs(angle) - part.h) * radius)
    return np.maximum(wedge, 0.03 * (np.abs(np.sin(angle * part.n)) - 0.75))


SHAPES: dict[str, Callable[[Array, Array, Part], Array]] = {  # signed distance to the edge, about right near the edge
    "disc": _ellipse,
    "ring": lambda p, q, part: np.abs(_ellipse(p, q, part)) - part.m,
    "box": _box,
    "half": lambda p, q, part: np.maximum(_ellipse(p, q, part), -q),
    "cross": lambda p, q, part: np.maximum(_ellipse(p, q, part), p * q / part.w),
    "dots": _dots,
    "pips": lambda p, q, part: _dots(p, q, part, 0.24),
    "checker": _checker,
    "mesh": _mesh,
    "spokes": _spokes,
    "gear": _gear,
    "fan": _fan,
}


def _shade(p: Array, q: Array, part: Part, sun: tuple[float, float]) -> Array:
    u, v = p / part.w, q / part.h
    if part.shade == "tube":  # lit along its length
        return 0.5 + 0.7 * np.clip(1 - (v - 0.4 * np.sign(sun[1])) ** 2, 0, 1)
    if part.shade in ("dome", "dish"):
        sign = 1 if part.shade == "dome" else -1
        return np.clip(1.25 - 0.45 * ((u - 0.5 * sign * sun[0]) ** 2 + (v - 0.5 * sign * sun[1]) ** 2), 0.35, 1.25)
    return 1 + 0.12 * np.clip(u * sun[0] + v * sun[1], -1.5, 1.5)


class _Frame:
    """Maps object units to the image: ``image = near * turn(object - centre) + shift``, in half image widths."""

    def __init__(self, near: float, turn: float, x: float, y: float, sun: tuple[float, float]) -> None:
        self.near, self.turn, self.x, self.y, self.sun = near, turn, x, y, sun

    def draw(self, image: Array, part: Part, gain: float) -> None:
        c, s = np.cos(self.turn), np.sin(self.turn)
        x, y = self.x + self.near * (c * part.x - s * part.y), self.y + self.near * (s * part.x + c * part.y)
        reach = self.near * (np.hypot(part.w, part.h) + part.m * (part.shape == "ring")) * 1.1 + 0.1
        edges = [int(np.clip((e + 1) * NATIVE / 2, 0, NATIVE)) for e in (y - reach, y + reach, x - reach, x + reach)]
        window = (slice(edges[0], edges[1]), slice(edges[2], edges[3]))
        if edges[0] >= edges[1] or edges[2] >= edges[3]:
            return
        turn = self.turn + np.radians(part.turn)
        c, s = np.cos(turn), np.sin(turn)
        dx, dy = (_X[window] - x) / self.near, (_Y[window] - y) / self.near
        p, q = c * dx + s * dy, c * dy - s * dx  # the part's own axes, object units
        sun = (c * self.sun[0] + s * self.sun[1], c * self.sun[1] - s * self.sun[0])
        distance = SHAPES[part.shape](p, q, part) * self.near  # half image widths
        cover = np.clip(0.5 - distance * NATIVE / 2, 0, 1)[..., None]
        shadow = 1 - 0.35 * np.clip(1 - distance / 0.08, 0, 1)[..., None]
        colour = gain * np.asarray(COLOURS[part.colour]) * _shade(p, q, part, sun)[..., None]
        image[window] = image[window] * shadow * (1 - cover) + colour * cover


def _between(values: Array, positions: Array) -> Array:
    """Values along the first axis, smoothly interpolated at ``positions`` in ``[0, len(values) - 1]``."""
    low = np.minimum(positions.astype(int), len(values) - 2)
    share = positions - low
    share = (share * share * (3 - 2 * share)).reshape(-1, *[1] * (values.ndim - 1))
    return values[low] * (1 - share) + values[low + 1] * share


def _line(rng: np.random.Generator, cells: int) -> Array:
    """Smooth noise in [0, 1] along a line, ``(96,)``."""
    return _between(rng.random(cells), _EVEN * (cells - 1))


def _noise(rng: np.random.Generator, cells: int, far: float = 0.0) -> Array:
    """Smooth noise in [0, 1], ``(96, 96)``, ``cells`` wide; ``far`` in [0, 1) leans it back, as ground seen aslant."""
    depth = int(cells / (1 - far))  # cells from the lower to the upper edge: square at the lower one
    across = _between(rng.random((cells, depth)), _EVEN * (cells - 1))  # (column, depth)
    rows = _EVEN[::-1] * (1 - far) / (1 - far * _EVEN[::-1])  # 0 at the lower edge, 1 at the upper
    return _between(np.ascontiguousarray(across.T), rows * (depth - 1))  # (row, column)


@lru_cache(maxsize=64)
def _taps(before: int, after: int, sigma: float) -> tuple[NDArray[np.intp], Array]:
    """For each of ``after`` new pixels: which old ones it takes and their weights, both ``(taps, after)``."""
    reach = 3 * sigma if sigma else max(before / after, 1.0)
    centre = (np.arange(after) + 0.5) * before / after - 0.5
    index = np.floor(centre - reach).astype(int) + np.arange(int(2 * reach) + 3)[:, None]
    gap = np.abs(index - centre)
    weights = np.exp(-0.5 * (gap / sigma) ** 2) if sigma else np.clip(1 - gap / reach, 0, 1)
    weights = weights * ((index >= 0) & (index < before))
    return np.clip(index, 0, before - 1), weights / weights.sum(axis=0)


def resample(image: Array, size: int, sigma: float = 0.0) -> Array:
    """Image ``(H, H, 3)`` at ``(size, size, 3)``, with a triangle filter, or a Gaussian of ``sigma`` pixels.

    No matrix product: it would go to threads, slow on small matrices, and round differently from machine to machine.
    """
    if size == len(image) and not sigma:
        return image
    for _ in range(2):  # rows, then columns
        taps = zip(*_taps(len(image), size, sigma), strict=True)
        image = sum(image[index] * weight[:, None, None] for index, weight in taps if weight.any()).swapaxes(0, 1)
    return image


def _terrain(rng: np.random.Generator, age: float, sun: tuple[float, float], far: float) -> Array:
    height = 0.5 * _noise(rng, 5, far) + 0.25 * _noise(rng, 13, far) + 0.15 * _noise(rng, 44, far)
    cells, amount = 8 + int(30 * rng.random()), rng.random()
    rocks = np.clip((_noise(rng, cells, far) - 0.98 + 0.4 * amount) * 8, 0, 1)
    height = height + 0.14 * rocks
    relief = np.clip(sun[0] * np.gradient(height, axis=1) + sun[1] * np.gradient(height, axis=0), -0.12, 0.12)
    sand, stone = np.asarray([0.72, 0.52, 0.38]), np.asarray([0.52, 0.43, 0.37])
    grey = np.asarray([0.60, 0.54, 0.47])
    mix = np.clip(0.25 * rng.random() + 0.3 * age * rng.random(), 0, 1)
    tone = 0.85 + 0.35 * (height - 0.45)
    image = (sand * (1 - mix) + grey * mix) * (tone - 3 * relief)[..., None]
    return image * (1 - 0.6 * rocks[..., None]) + 0.6 * (rocks * (1 - 4 * relief))[..., None] * stone


def _background(rng: np.random.Generator, view: View, age: float, sun: tuple[float, float]) -> Array:
    if view.background == "ground":
        return _terrain(rng, age, sun, 0.7 * rng.random())
    if view.background == "horizon":
        slope = np.tan(np.radians(view.turn * (2 * rng.random() - 0.6) + 6 * (rng.random() - 0.5)))
        ridge = (_line(rng, 9) - 0.5) * 0.25 + (_line(rng, 31) - 0.5) * 0.05
        line = 0.9 * rng.random() - 0.5 + slope * _AXIS + ridge
        land = np.clip(0.5 + (_Y - line) * NATIVE / 3, 0, 1)[..., None]
        sky = np.asarray([0.84, 0.68, 0.54]) * (0.95 + 0.12 * _Y)[..., None]
        hills = np.clip(0.5 + (_Y - line + 0.3 * rng.random() * (1 + np.roll(ridge, 29) * 4)) * NATIVE / 5, 0, 1)[
            ..., None
        ]
        sky = sky * (1 - 0.14 * hills)
        return sky * (1 - land) + _terrain(rng, age, sun, 0.75) * land
    base, spread = (0.66, 0.12) if view.background == "deck" else (0.27, 0.3)
    tone = base * (0.8 + 0.4 * rng.random()) + spread * (_noise(rng, 4) - 0.5) + 0.08 * (_noise(rng, 24) - 0.5)
    return tone[..., None] * np.asarray([1.0, 0.94, 0.86] if view.background == "deck" else [1.0, 0.8, 0.62])


def _machinery(rng: np.random.Generator, count: int) -> list[tuple[Part, float]]:
    """Pieces of machinery that any class may have behind it."""
    colours = ("dark", "grey", "steel", "copper", "black", "pale")
    pieces = []
    for r in rng.random((count, 9)):
        shape = ("box", "box", "box", "disc", "ring", "gear", "dots")[int(7 * r[0])]
        x, y, w = 2.4 * r[1] - 1.2, 2.4 * r[2] - 1.2, 0.12 + 0.4 * r[3]
        h = w if shape in ("disc", "ring", "gear") else 0.05 + 0.3 * r[4]
        shade = ("flat", "tube", "dome")[int(3 * r[5])] if shape in ("box", "disc") else "flat"
        n, m = {"ring": (0.0, 0.06), "gear": (9.0, 0.1), "dots": (3.0, 2.0)}.get(shape, (0.0, 0.0))
        pieces.append((Part(shape, x, y, w, h, colours[int(6 * r[6])], shade, 360 * r[7], n, m), 0.65 + 0.5 * r[8]))
    return pieces


def _damage(image: Array, kind: str, rng: np.random.Generator) -> Array:
    strength, which = rng.random(), int(4 * rng.random())
    if kind == "over-exposed":
        return image * (1.6 + 1.2 * strength) + 0.05
    if kind == "colour channel":
        grey = image.mean(axis=2, keepdims=True)
        if which == 3:  # no colour at all
            return np.repeat(grey, 3, axis=2)
        gains = np.full(3, 1.15)
        gains[which] = 0.2 + 0.3 * strength  # one channel is lost and filled from the others
        return (0.4 * image + 0.6 * grey) * gains
    if kind == "low resolution":
        return resample(resample(image, 10 + int(8 * strength)), NATIVE)
    return resample(image, NATIVE, 2.0 + round(4 * strength) / 2)


def render(
    name: str, sol: int, damage: str, thumbnail: bool, scene: np.random.Generator, noise: np.random.Generator
) -> Array:
    """Draws one image.

    Args:
        name: class of the object.
        sol: Martian day: decides view (early or late), light, tint and dust.
        damage: one of ``DAMAGE``, or an empty string.
        thumbnail: whether this is the small copy of the frame.
        scene: random numbers of the frame; two files of one frame have equal ones.
        noise: random numbers of the file.

    Returns:
        Image ``(96, 96, 3)`` in [0, 1].
    """
    kind = SCENES[name]
    view = kind.early if sol < GAP_SOL else kind.late
    age = min(sol / LAST_SOL, 1.0)
    r = scene.random(12)
    sun = (float(np.cos(2 * np.pi * r[0])), float(np.sin(2 * np.pi * r[0])))
    image = _background(scene, view, age, sun)  # (96, 96, 3)
    near = view.near * (0.82 + 0.36 * r[1])
    turn = np.radians(view.turn + 36 * (r[2] - 0.5))
    c, s = np.cos(turn), np.sin(turn)
    x, y = 0.4 * (r[3] - 0.5) - near * (c * view.x - s * view.y), 0.4 * (r[4] - 0.5) - near * (s * view.x + c * view.y)
    behind = _Frame(0.8, 0.0, 0.5 * x, 0.5 * y, sun)
    for part, gain in _machinery(scene, view.clutter):
        behind.draw(image, part, gain)
    front = _Frame(near, float(turn), x, y, sun)
    for part, q in zip(kind.parts, scene.random((len(kind.parts), 5)), strict=True):
        moved = part._replace(
            x=part.x + 0.1 * (q[0] - 0.5), y=part.y + 0.1 * (q[1] - 0.5), turn=part.turn + 12 * (q[2] - 0.5)
        )
        front.draw(image, moved, 0.8 + 0.35 * q[3])
    dust = np.clip(_noise(scene, 7) - 0.55 + 0.2 * age * r[5], 0, 1)[..., None]
    image = image * (1 - dust) + dust * np.asarray(COLOURS["dust"])
    tint = np.asarray([1.04 - 0.05 * age, 0.99, 0.95 + 0.08 * age]) + 0.08 * (r[6:9] - 0.5)
    light = (0.72 + 0.5 * r[9]) * (1 + 0.25 * r[10] * (sun[0] * _X + sun[1] * _Y))
    image = image * tint * light[..., None]
    if damage:
        image = _damage(image, damage, scene)
    if thumbnail:
        image = resample(resample(image, THUMBNAIL), NATIVE)
    grain = noise.random((NATIVE, NATIVE, 1)) + noise.random((NATIVE, NATIVE, 1)) - 1
    return np.clip(image + 0.05 * grain, 0, 1)
