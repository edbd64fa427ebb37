"""Synthetic terrain: generated grey images of Mars with masks, for when AI4Mars is not at hand.

It is made so that what the paper is about shows on it within minutes: few labels, wrong labels, and a mix of classes
and a light that change between train and test. It says nothing about Mars: a number measured on it is not comparable.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from marsnb.data import SEGMENTATION_DATASETS
from marsnb.data import _synthetic_ground as terrain
from marsnb.data._images import digest
from marsnb.data._synthetic import Array, noise, random_numbers, resize, to_bytes
from marsnb.data._synthetic_ground import NATIVE, Codes, Ground, inside, photograph
from marsnb.data.ai4mars import SOL_SECONDS, SOL_ZERO, AI4Mars, sol_of, split
from marsnb.data.base import Image, Indices
from marsnb.data.segmentation import UNLABELLED, Mask, SegmentationData
from marsnb.errors import DataError

VERSION = 2  # raise it with any change of the pixels or of the plan
TWIN_SHARE = 0.08  # of the views are photographed and labelled twice
UNLABELLED_SHARE = (0.16, 0.72)  # of the pixels of a mask, least and most
BARE_SHARE = 0.01  # of the masks have no label at all, as in AI4Mars
WRONG_SHARE = 0.45  # of the masks have a patch of a wrong class
MISSED_SHARE = 0.18  # of the big rocks are not outlined

_PLAN, _GROUND, _LOOK, _SHOT, _LABEL = range(5)  # independent streams of random numbers
_MISTAKEN = np.array([terrain.SAND, terrain.SOIL, terrain.SOIL], np.uint8)  # what soil, bedrock and sand are taken for


def _rng(seed: int, stream: int, key: int = 0) -> np.random.Generator:
    return random_numbers(VERSION, seed, stream, key)


def _moved(codes: Codes, dx: Array | int, dy: Array | int) -> Codes:
    """Codes taken from pixels so many to the right and below."""
    below, right = np.indices(codes.shape)
    rows, columns = (np.rint(at).astype(np.intp).clip(0, NATIVE - 1) for at in (below + dy, right + dx))
    return codes[rows, columns]


def draw_labels(ground: Ground, rng: np.random.Generator) -> Mask:
    """What annotators make of a scene: ``(128, 128)``, codes 0 to 3 and 255.

    Outlines stray by a few pixels, some patches get a wrong class, some rocks are missed; far ground, borders between
    classes and stretches at random get no label.
    """
    r = rng.random(6)
    stray = [12 * (noise(rng, NATIVE, 6) - 0.5) for _ in range(2)]  # pixels
    codes = _moved(ground.codes, *stray)
    border = np.zeros(codes.shape, bool)
    for dx, dy in ((3, 0), (-3, 0), (0, 3), (0, -3)):
        border |= _moved(codes, dx, dy) != codes
    if r[0] < WRONG_SHARE:
        patch = noise(rng, NATIVE, 4)
        wrong = patch > np.quantile(patch, 0.75 + 0.2 * r[1])
        codes = np.where(wrong, _MISTAKEN[codes], codes)
    for rock in ground.rocks:
        missed, scale = rng.random(2)
        if missed >= MISSED_SHARE:
            middle = rock.mean(axis=0)
            codes[inside(middle + (0.7 + 0.5 * scale) * (rock - middle))] = terrain.BIG_ROCK
    far = np.linspace(0.35, -0.35, NATIVE)[:, None]
    doubt = noise(rng, NATIVE, 7) + far + 0.4 * border
    low, high = UNLABELLED_SHARE
    share = 1.0 if r[2] < BARE_SHARE else low + (high - low) * r[3]
    codes[doubt >= np.quantile(doubt, 1 - share)] = UNLABELLED
    return codes


@dataclass
class TerrainPairs:
    """Images of synthetic terrain with their masks, a ``PairSource``: drawn when asked for, in any process.

    Names follow the pattern of Navcam: clock, then site and drive, which two images of one view share.
    """

    seed: int
    names: Sequence[str]
    sols: Indices = field(compare=False)  # they follow from the names
    fingerprint: str
    channels: int = 1

    def __len__(self) -> int:
        return len(self.names)

    def _drawn(self, index: int) -> tuple[Array, Mask, Codes]:
        name = self.names[index]
        return _draw(self.seed, int(name[18:25]), int(name[4:13]), int(self.sols[index]))

    def decode(self, index: int, size: int) -> Image:
        """Image ``index``, ``(size, size, 1)``."""
        return to_bytes(resize(self._drawn(index)[0], size))

    def mask(self, index: int, size: int | None = None) -> Mask:
        """Mask ``index`` at ``(size, size)``, nearest neighbour; at its own 128 x 128 without a size."""
        return _nearest(self._drawn(index)[1], size)

    def truth(self, index: int, size: int | None = None) -> Mask:
        """What is really there, codes 0 to 3 in every pixel; nothing that trains may look here."""
        return _nearest(self._drawn(index)[2], size)


@lru_cache(maxsize=320)  # 0.16 MB each
def _draw(seed: int, view: int, clock: int, sol: int) -> tuple[Array, Mask, Codes]:
    """Image ``(128, 128, 1)``, labels and truth ``(128, 128)``: all three start from one ground."""
    ground = terrain.make_ground(_rng(seed, _GROUND, view), sol)
    image = photograph(ground, sol, _rng(seed, _LOOK, view), _rng(seed, _SHOT, clock))
    drawn = image, draw_labels(ground, _rng(seed, _LABEL, clock)), ground.truth()
    for array in drawn:
        array.flags.writeable = False
    return drawn


def _nearest(codes: Codes, size: int | None) -> Mask:
    if size is None:
        return codes
    taken = ((np.arange(size) + 0.5) * NATIVE / size).astype(np.intp)
    return codes[np.ix_(taken, taken)]


def _names(seed: int, count: int, late: bool) -> list[str]:
    """Names of the images of one side of sol 1486, some views twice, a minute apart."""
    rng = _rng(seed, _PLAN, int(late))
    low, high = (AI4Mars.last_train_sol + 1, terrain.LAST_SOL) if late else (1, AI4Mars.last_train_sol)
    names: list[str] = []
    view = 1 + 1_000_000 * late
    while len(names) < count:
        r = rng.random(3)
        sol = low + int((high - low + 1) * r[0])
        clock = int(SOL_ZERO + (sol + 0.3 + 0.4 * r[1]) * SOL_SECONDS)
        for second in (0, 60)[: 1 + (r[2] < TWIN_SHARE and len(names) < count - 1)]:
            names.append(f"NLB_{clock + second:09d}EDR_F{view:07d}SYNT{len(names):05d}M1.JPG")
        view += 1
    return names


@SEGMENTATION_DATASETS.register("synthetic_terrain")
def open_synthetic_terrain(
    protocol: str = "sol", *, seed: int = 0, train: int = 160, test: int = 104
) -> SegmentationData:
    """Opens synthetic terrain; nothing is read and nothing is drawn yet.

    Args:
        protocol: ``sol``, ``time`` or ``choice``, as for AI4Mars.
        seed: seed of the world, 0 to 2**32 - 1.
        train: pairs of sols 1 to 1486, validation included (of the 16,386 of the paper about 60 %, as here).
        test: pairs of sols 1487 to 2579.

    Raises:
        DataError: the seed is out of range or a count is too small.
        RecipeError: there is no such protocol.
    """
    if not 0 <= seed < 2**32:
        raise DataError(f"seed {seed} of synthetic terrain is out of range: use 0 to 2**32 - 1")
    if min(train, test) < 4:
        raise DataError(f"{train} and {test} pairs of synthetic terrain are too few: ask for 4 or more of each")
    names = tuple(sorted(_names(seed, train, False) + _names(seed, test, True)))  # by the clock
    sols = np.array([sol_of(name) for name in names], dtype=np.int64)
    source = TerrainPairs(seed, names, sols, digest(["synthetic_terrain", VERSION, seed, *names]))
    parts = split(sols, protocol, "synthetic_terrain")
    counts = ", ".join(f"{len(part)} {name}" for name, part in parts.items() if len(part))
    return SegmentationData(
        name="synthetic_terrain",
        protocol=protocol,
        source=source,
        **parts,
        class_names=AI4Mars.class_names,
        fingerprint=digest([source.fingerprint, *map(len, parts.values())]),
        synthetic=True,
        note=f"SYNTHETIC: {len(names)} generated pairs (seed {seed}; {protocol}: {counts}) whose mix of classes and "
        "light drift with the sols, with about as much unlabelled as AI4Mars and some wrong labels.",
    )
