"""Photographs the ground of synthetic terrain, with numpy alone: pebbled soil, cracked plates, ripples, boulders.

Grey alone does not tell the classes apart: how bright each is changes from image to image by more than they differ.
"""

import numpy as np
from numpy.typing import NDArray

from marsnb.data._terrain_ground import BEDROCK, LAST_SOL, NATIVE, SAND, SOIL, Array, Ground, Rock, X, Y, noise

_TONE = (0.50, 0.54, 0.47)  # mean grey of soil, bedrock and sand
_SPREAD = 0.16  # how much it differs from image to image
_NEIGHBOURS = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
_WRAP = 63  # the pattern of points repeats after 64

Sun = tuple[float, float, float]
"""Where the light comes from, to the right and away from the camera, and how strongly it models."""


class _Cells:
    """The nearest of points strewn over the ground, one in each square of edge ``cell``, for positions ``(n,)``.

    Attributes:
        dx, dy: from the nearest point, in cells.
        near, gap: distance to it, and how much further the second nearest is.
        draw: three random numbers of the nearest point, ``(3, n)``.
    """

    def __init__(self, rng: np.random.Generator, x: Array, y: Array, cell: float) -> None:
        table = rng.random((5, (_WRAP + 1) ** 2))
        x, y = x / cell, y / cell
        column, row = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
        self.near, second = np.full(x.shape, np.inf), np.full(x.shape, np.inf)
        self.dx, self.dy = np.zeros(x.shape), np.zeros(x.shape)
        owner = np.zeros(x.shape, np.intp)
        for i, j in _NEIGHBOURS:
            point = ((row + i) & _WRAP) * (_WRAP + 1) + ((column + j) & _WRAP)
            dx, dy = x - column - j - 0.1 - 0.8 * table[0, point], y - row - i - 0.1 - 0.8 * table[1, point]
            distance = np.sqrt(dx * dx + dy * dy)
            closer = distance < self.near
            second = np.where(closer, self.near, np.minimum(second, distance))
            self.near = np.where(closer, distance, self.near)
            self.dx, self.dy = np.where(closer, dx, self.dx), np.where(closer, dy, self.dy)
            owner = np.where(closer, point, owner)
        self.gap = second - self.near
        self.draw = table[2:, owner]


def _soil(rng: np.random.Generator, x: Array, y: Array, step: Array, sun: Sun) -> Array:
    """Fine ground strewn with pebbles that throw shadows."""
    lumps, grain = noise(rng, x, y, 0.4) - 0.5, noise(rng, x, y, 0.07) - 0.5
    tone = 0.10 * lumps + 0.12 * grain + 0.07 * (rng.random(x.shape) - 0.5)
    for cell in (0.085, 0.21):
        pebbles = _Cells(rng, x, y, cell)
        radius = (0.16 + 0.26 * pebbles.draw[0]) * (pebbles.draw[1] < 0.6)
        there = pebbles.near < radius
        shift = 0.9 * radius
        fallen = np.sqrt((pebbles.dx + sun[0] * shift) ** 2 + (pebbles.dy + sun[1] * shift) ** 2) < radius
        lit = (sun[0] * pebbles.dx + sun[1] * pebbles.dy) / np.maximum(radius, 0.1)
        stone = 0.16 * (pebbles.draw[2] - 0.4) + 0.16 * sun[2] * lit
        tone = np.where(there, stone, tone - 0.16 * sun[2] * fallen)
    return tone


def _bedrock(rng: np.random.Generator, x: Array, y: Array, step: Array, sun: Sun) -> Array:
    """Flat plates with cracks between them; each leans its own way and shows its layers."""
    r = rng.random(5)
    bent_x, bent_y = x + 0.16 * noise(rng, x, y, 0.18), y + 0.16 * noise(rng, x, y, 0.18)
    turn = np.pi * (r[0] - 0.5) * 0.5
    along, across = np.cos(turn) * bent_x + np.sin(turn) * bent_y, np.cos(turn) * bent_y - np.sin(turn) * bent_x
    plates = _Cells(rng, 0.7 * along, across, 0.3 + 0.22 * r[1])
    crack = np.clip(1 - plates.gap / 0.09, 0, 1)
    edge = np.clip(1 - plates.gap / 0.28, 0, 1) * (sun[0] * plates.dx + sun[1] * plates.dy) / (plates.near + 0.1)
    period = 0.07 + 0.05 * r[2]
    straight = np.cos(turn) * y - np.sin(turn) * x + 0.05 * noise(rng, x, y, 0.4)
    wave = np.sin(2 * np.pi * (straight / period + plates.draw[0]))  # layers run on, displaced from plate to plate
    layers = np.clip(2.5 * wave, -1, 1) * np.clip(period / (2 * step) - 0.6, 0, 1) * plates.draw[1]
    rough = 0.10 * (noise(rng, x, y, 0.05) - 0.5) + 0.03 * (rng.random(x.shape) - 0.5)
    tone = 0.16 * (plates.draw[2] - 0.5) + 0.09 * layers * sun[2] + 0.17 * sun[2] * edge + rough
    return tone * (1 - crack) - 0.26 * crack


def _sand(rng: np.random.Generator, x: Array, y: Array, step: Array, sun: Sun) -> Array:
    """Wind ripples: long wavy crests, smooth in between."""
    r = rng.random(4)
    turn, length = np.pi * (0.5 + 0.45 * (r[0] - 0.5) * 2), 0.15 + 0.13 * r[1]
    c, s = float(np.cos(turn)), float(np.sin(turn))
    phase = (c * x + s * y + 0.22 * noise(rng, x, y, 0.7) + 0.05 * noise(rng, x, y, 0.2)) / length
    slope = np.cos(2 * np.pi * phase) + 0.35 * np.cos(4 * np.pi * phase + 0.9)
    facing = c * sun[0] + s * sun[1]
    facing = (1 if facing > 0 else -1) * max(abs(facing), 0.5)
    fade = np.clip(length / (2 * step) - 0.8, 0, 1) * (0.45 + 0.55 * noise(rng, x, y, 0.9))
    smooth = 0.10 * (noise(rng, x, y, 0.8) - 0.5) + 0.03 * (rng.random(x.shape) - 0.5)
    return 0.15 * sun[2] * slope * facing * fade + smooth


_TEXTURES = {SOIL: _soil, BEDROCK: _bedrock, SAND: _sand}


def _boulder(tone: Array, rock: Rock, rng: np.random.Generator, sun: Sun) -> None:
    """Draws a rock and its shadow over the ground."""
    long = 0.35 + 0.5 * sun[2]
    shadow: NDArray[np.bool_] = np.zeros(tone.shape, bool)
    for part in (0.25, 0.5, 0.75, 1.0):
        dx, dy = -sun[0] * long * part * rock.size, (0.22 + 0.25 * sun[1]) * part * rock.size
        window, height, _ = rock.seen(dx, dy, 1 - 0.2 * part)
        shadow[window] |= height > 0
    tone[shadow] *= 0.45
    window, height, face = rock.seen()
    facing = np.cos(rock.angle) * sun[0] - np.sin(rock.angle) * (0.5 * sun[1] + 0.6)  # upper faces see the sky
    bright = 0.36 + 0.2 * rng.random() + 0.2 * sun[2] * facing * np.minimum(rock.slope, 1.2)
    top = height > 0.4 + 0.2 * rng.random()
    skin = np.where(top, 0.62 - 0.1 * rng.random(), bright[face])
    skin += 0.22 * (noise(rng, X[window], Y[window], 0.06) - 0.5)
    tone[window] = np.where(height > 0, skin, tone[window])


def photograph(ground: Ground, sol: int, look: np.random.Generator, shot: np.random.Generator) -> Array:
    """Takes the picture of a scene.

    Args:
        ground: the scene.
        sol: Martian day. Light drifts with it: the sun moves from the left to the right, images grow darker and hazier.
        look: random numbers of the scene's surface and light; two shots of one view have equal ones.
        shot: random numbers of the shot: exposure and noise.

    Returns:
        Image ``(128, 128, 1)`` in [0, 1].
    """
    age, r = sol / LAST_SOL, look.random(8)
    side = -1.0 if r[0] < 0.95 - 0.9 * age else 1.0
    away = 1.2 * (r[1] - 0.5)
    sun = (side * float(np.sqrt(1 - away**2)), away, 0.75 + 0.35 * age + 0.35 * r[2])
    tone = np.zeros(ground.x.shape)
    for code, texture in _TEXTURES.items():
        here, bright = ground.codes == code, _TONE[code] + _SPREAD * (r[3 + code] - 0.5)
        surface = texture(look, ground.x[here], ground.y[here], ground.step[here], sun)
        tone[here] = bright + surface - (surface.mean() if surface.size else 0)
    tone += 0.16 * (noise(look, ground.x, ground.y, 1.1) - 0.5) + 0.08 * (noise(look, ground.x, ground.y, 0.35) - 0.5)
    for rock in ground.rocks:
        _boulder(tone, rock, look, sun)
    haze = (0.12 + 0.28 * age) * np.clip(0.6 - 0.6 * Y, 0, 1) ** 1.5
    tone = tone * (1 - haze) + 0.62 * haze
    gain = (1.22 - 0.42 * age) * (0.9 + 0.2 * r[6]) * (0.97 + 0.06 * shot.random())
    tone = gain * tone * (1 - 0.1 * (X**2 + Y**2))
    return np.clip(tone + 0.03 * (shot.random((NATIVE, NATIVE)) - 0.5), 0, 1)[..., None]
