"""Draws the pictures of synthetic Mars: the objects of ``synthetic.yaml``, with Pillow, before a ground of noise."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFilter

from marsnb.data._synthetic import Array, noise, outlines, to_bytes, turned
from marsnb.data.base import Image

NATIVE = 96  # side of a drawn image in pixels
THUMBNAIL = 48  # side of the thumbnail's pixels
GAP_SOL = 565  # the first sol of the test set
LAST_SOL = 1060
DAMAGE = ("over-exposed", "colour channel", "low resolution", "blur")  # the paper's Fig. 4
COLOURS: dict[str, tuple[float, float, float]] = {
    "black": (0.10, 0.09, 0.09),
    "dark": (0.25, 0.22, 0.20),
    "grey": (0.45, 0.42, 0.39),
    "steel": (0.62, 0.59, 0.55),
    "pale": (0.76, 0.72, 0.65),
    "white": (0.90, 0.87, 0.81),
    "gold": (0.78, 0.60, 0.25),
    "copper": (0.60, 0.37, 0.21),
    "dust": (0.72, 0.50, 0.34),
    "red": (0.66, 0.33, 0.26),
    "blue": (0.28, 0.36, 0.52),
    "green": (0.40, 0.48, 0.32),
}

_FINE = 2  # objects are drawn larger and reduced, so that their edges are smooth
_AXIS = (np.arange(NATIVE) + 0.5) * 2 / NATIVE - 1  # pixel centres in half image widths
_Y, _X = np.meshgrid(_AXIS, _AXIS, indexing="ij")
_MACHINERY = ("box", "box", "disc", "gear", "dots")


@cache
def scenes() -> dict[str, dict[str, Any]]:
    """The classes with their two views and their parts."""
    return yaml.safe_load(Path(__file__).with_name("synthetic.yaml").read_text(encoding="utf-8"))


def _ground(rng: np.random.Generator, age: float, sun: Array) -> Array:
    """Sand with rocks, ``(96, 96, 3)``, lit from ``sun``."""
    rocks = np.clip((noise(rng, NATIVE, 8 + int(30 * rng.random())) - 0.98 + 0.4 * rng.random()) * 8, 0, 1)
    height = 0.5 * noise(rng, NATIVE, 5) + 0.25 * noise(rng, NATIVE, 13) + 0.15 * noise(rng, NATIVE, 44) + 0.14 * rocks
    down, across = np.gradient(height)
    relief = np.clip((sun[0] * across + sun[1] * down), -0.12, 0.12)
    mix = min(0.25 * rng.random() + 0.3 * age * rng.random(), 1.0)
    sand = (1 - mix) * np.array([0.72, 0.52, 0.38]) + mix * np.array([0.60, 0.54, 0.47])
    stone = rocks[..., None] * 0.6
    colour = (1 - stone) * sand + stone * np.array([0.52, 0.43, 0.37])
    return colour * (0.85 + 0.35 * (height - 0.45) - 3 * relief)[..., None]


def _background(rng: np.random.Generator, kind: str, turn: float, age: float, sun: Array) -> Array:
    if kind == "ground":
        return _ground(rng, age, sun)
    if kind == "horizon":
        slope = np.tan(np.radians(turn * (2 * rng.random() - 0.6) + 6 * (rng.random() - 0.5)))
        ridge = 0.25 * (noise(rng, NATIVE, 9)[0] - 0.5)  # along the horizon
        land = np.clip((_Y - 0.9 * rng.random() + 0.5 - slope * _X - ridge) * NATIVE / 3, 0, 1)[..., None]
        sky = np.array([0.84, 0.68, 0.54]) * (0.95 + 0.12 * _Y)[..., None]
        return sky * (1 - land) + _ground(rng, age, sun) * land
    base, spread, tint = (0.66, 0.12, [1.0, 0.94, 0.86]) if kind == "deck" else (0.27, 0.3, [1.0, 0.8, 0.62])
    tone = base * (0.8 + 0.4 * rng.random()) + spread * (noise(rng, NATIVE, 4) - 0.5) + 0.08 * noise(rng, NATIVE, 24)
    return tone[..., None] * np.array(tint)


def _part(
    pen: ImageDraw.ImageDraw, part: list[Any], near: float, turn: float, at: Array, sun: Array, gain: float
) -> None:
    """Draws a row of ``synthetic.yaml``: its shadow, itself, and what bulges towards the light or away from it."""
    shape, colour, numbers = part[0], part[1], part[2:]
    x, y, w, h, own, bulge, n, m = numbers + [0.0] * (8 - len(numbers))
    lit = -0.3 * bulge * min(w, h) * sun
    layers = [(1.0, 0.08 * sun, 0.25), (1.0, 0 * sun, 1.0), (0.7, 0.5 * lit, 1.18), (0.4, lit, 1.3)]
    for scale, shift, bright in layers if bulge else layers[:2]:
        fill = tuple(to_bytes(gain * bright * np.array(COLOURS[colour])).tolist())
        for outline in outlines(shape, n, m):
            points = turned(scale * outline * [w, h], own) + np.array([x, y])
            points = at + near * (turned(points, turn) + shift)  # half image widths
            pen.polygon(((points + 1) * _FINE * NATIVE / 2).ravel().tolist(), fill)


def _machinery(rng: np.random.Generator) -> list[Any]:
    """A piece of machinery, as a row of ``synthetic.yaml``, that any class may have behind it."""
    r = rng.random(8)
    shape, colour = _MACHINERY[int(len(_MACHINERY) * r[0])], ("dark", "grey", "steel", "copper", "black")[int(5 * r[1])]
    w, h = 0.12 + 0.4 * r[4], 0.05 + 0.3 * r[5]
    n, m = {"gear": (9, 0.1), "dots": (3, 2)}.get(shape, (0, 0))
    return [shape, colour, 2.4 * r[2] - 1.2, 2.4 * r[3] - 1.2, w, h if n == 0 else w, 360 * r[6], int(2 * r[7]), n, m]


def _damage(picture: PilImage.Image, kind: str, rng: np.random.Generator) -> PilImage.Image:
    strength, which = rng.random(), int(4 * rng.random())
    if kind == "over-exposed":
        return picture.point(lambda value: (1.6 + 1.2 * strength) * value + 12)
    if kind == "low resolution":
        small = 10 + int(8 * strength)
        return picture.resize((small, small), PilImage.Resampling.BILINEAR).resize(picture.size)
    if kind == "blur":
        return picture.filter(ImageFilter.GaussianBlur(2 + 2 * strength))
    grey = picture.convert("L").convert("RGB")
    if which == 3:  # no colour at all
        return grey
    gains = np.full(3, 1.15)
    gains[which] = 0.2 + 0.3 * strength  # one channel is lost and filled from the others
    return PilImage.fromarray(to_bytes(np.asarray(PilImage.blend(picture, grey, 0.6)) / 255 * gains))


def draw(
    name: str, sol: int, damage: str, thumbnail: bool, scene: np.random.Generator, grain: np.random.Generator
) -> Image:
    """Draws one image of a class, ``(96, 96, 3)``, or the thumbnail of its frame, with one of ``DAMAGE`` or none.

    The sol decides view (early or late), light, tint and dust; two files of one frame have equal random numbers of the
    ``scene``, and each its own of the ``grain``.
    """
    kind, age, r = scenes()[name], min(sol / LAST_SOL, 1.0), scene.random(12)
    background, near, *point, turn, clutter = kind["early" if sol < GAP_SOL else "late"]
    sun = turned(np.array([[1.0, 0.0]]), 360 * r[0])[0]
    behind = PilImage.fromarray(to_bytes(_background(scene, background, turn, age, sun)))
    picture = behind.resize((_FINE * NATIVE, _FINE * NATIVE))
    pen = ImageDraw.Draw(picture)
    near, turn = near * (0.82 + 0.36 * r[1]), turn + 36 * (r[2] - 0.5)
    at = 0.4 * (r[3:5] - 0.5) - near * turned(np.array([point]), turn)[0]
    for _ in range(clutter):
        _part(pen, _machinery(scene), 0.8, 0.0, 0.5 * at, sun, 0.65 + 0.5 * scene.random())
    for part in kind["parts"]:
        _part(pen, part, near, turn, at + near * 0.1 * (scene.random(2) - 0.5), sun, 0.8 + 0.35 * scene.random())
    image = np.asarray(picture.reduce(_FINE)) / 255
    dust = np.clip(noise(scene, NATIVE, 7) - 0.55 + 0.2 * age * r[5], 0, 1)[..., None]
    image = image * (1 - dust) + dust * np.array(COLOURS["dust"])
    tint = np.array([1.04 - 0.05 * age, 0.99, 0.95 + 0.08 * age]) + 0.08 * (r[6:9] - 0.5)
    light = (0.72 + 0.5 * r[9]) * (1 + 0.25 * r[10] * (sun[0] * _X + sun[1] * _Y))
    picture = PilImage.fromarray(to_bytes(image * tint * light[..., None]))
    if damage:
        picture = _damage(picture, damage, scene)
    if thumbnail:
        picture = picture.reduce(NATIVE // THUMBNAIL).resize((NATIVE, NATIVE))
    return to_bytes(np.asarray(picture) / 255 + 0.05 * (grain.random((NATIVE, NATIVE, 1)) * 2 - 1))
