"""Synthetic Mars: generated pictures of the 24 classes of MSL v1, for when no real image is at hand.

It is made so that what the paper is about shows on it within seconds: the imbalance of Table 1, the train-test gap of
Fig. 3 and the damage of Fig. 4. It says nothing about Mars: a number measured on it is not comparable with the paper's.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as PilImage

from marsnb.data import DATASETS
from marsnb.data._images import digest
from marsnb.data._synthetic import random_numbers
from marsnb.data._synthetic_drawing import DAMAGE, GAP_SOL, LAST_SOL, draw
from marsnb.data.base import ClassificationData, Image, LabelledList, number_groups
from marsnb.data.msl import MSL, paper_table1
from marsnb.data.pds import parse_name
from marsnb.errors import DataError

VERSION = 2  # raise it with any change of the pixels or of the plan
VAL_SHARE = 0.2  # of the images before sol 565; the paper gives none
VAL_SOL = 182  # chronological: train below, validate from here on, as MSL v1 does
TWIN_SHARE = 0.45  # of frames are kept as full image and thumbnail (MSL v1: 0.59)
DAMAGE_SHARE = (0.12, 0.25)  # of frames before and after sol 565

_PLAN, _UNLABELLED_PLAN, _SCENE, _NOISE, _SPLIT = range(5)  # independent streams of random numbers


TABLE1 = paper_table1()
"""The paper's images of each class, for training and validation, and for test."""
CLASSES = tuple(TABLE1)


def _rng(seed: int, stream: int, key: int = 0) -> np.random.Generator:
    return random_numbers(VERSION, seed, stream, key)


@dataclass
class SyntheticSource:
    """Images of synthetic Mars, drawn when asked for; any image can be drawn first, in any process."""

    seed: int  # of the whole world
    names: Sequence[str]  # in the pattern of MSL v1: sol, camera, ..., E full or I thumbnail
    fingerprint: str  # of the generator's version, the seed and the names
    labels: Sequence[int]  # of the unlabelled images too (nothing that trains may look there)
    damage: Sequence[str]  # one of DAMAGE, or empty

    def decode(self, index: int, size: int) -> Image:
        """Image ``index`` at ``size`` x ``size``, RGB, uint8."""
        name = self.names[index]
        frame, thumbnail = int(name[15:22]), name[22] == "I"
        scene, noise = _rng(self.seed, _SCENE, frame), _rng(self.seed, _NOISE, 2 * frame + thumbnail)
        image = draw(CLASSES[self.labels[index]], int(name[:4]), self.damage[index], thumbnail, scene, noise)
        return np.array(PilImage.fromarray(image).resize((size, size), PilImage.Resampling.BILINEAR))


def counts_like_table1(total: int, split: int) -> tuple[int, ...]:
    """Images per class: the paper's Table 1 scaled down, with at least six of every class for training, two for test.

    Args:
        total: number of images; too few raise ``DataError``.
        split: 0 for training and validation (paper: 5,386), 1 for test (paper: 1,305).
    """
    paper = np.array([TABLE1[name][split] for name in CLASSES])
    least = (6, 2)[split] * (paper > 0)
    if total < least.sum():
        raise DataError(f"{total} images are too few for the classes of synthetic Mars: ask for {least.sum()} or more")
    scale = total / paper.sum()
    while (counts := np.maximum(np.floor(paper * scale), least).astype(int)).sum() > total:
        scale *= 0.995  # as classes with the least count take more than their share
    counts[paper.argmax()] += total - counts.sum()
    return tuple(counts.tolist())


def _damage(rng: np.random.Generator, late: bool) -> str:
    hit, kind = rng.random(2)
    return DAMAGE[int(len(DAMAGE) * kind)] if hit < DAMAGE_SHARE[late] else ""


def _frames(seed: int, counts: tuple[int, ...], test: bool, first: int) -> list[tuple[str, int, str]]:
    """Name, label and damage of every image of one side of sol 565; frames are numbered from ``first``."""
    rng = _rng(seed, _PLAN, int(test))
    rows: list[tuple[str, int, str]] = []
    for label, count in enumerate(counts):
        done = 0
        while done < count:
            r = rng.random(4)
            # the first two frames of a class are single images from the early sols: every protocol trains on two
            twin = 2 <= done < count - 1 and r[0] < TWIN_SHARE
            early = (3, VAL_SOL) if done < 2 or r[1] < 0.6 else (VAL_SOL, GAP_SOL)
            low, high = (GAP_SOL, LAST_SOL + 1) if test else early
            sol, damage = low + int((high - low) * r[2]), _damage(rng, test)
            frame = _frame(sol, r[3], label + 1, 100, first + len(rows))
            rows += [(f"{frame}{kind}01_SYNT.JPG", label, damage) for kind in ("EI" if twin else "E")]
            done += 1 + twin
    return rows


def _frame(sol: int, camera: float, sequence: int, line: int, number: int) -> str:
    """First 22 characters of a name in the pattern of MSL v1."""
    return f"{sol:04d}{('ML', 'MR', 'MH')[int(3 * camera)]}{sequence:06d}{line:03d}{number:07d}"


def _unlabelled(seed: int, count: int) -> list[tuple[str, int, str]]:
    """Frames of the whole mission, half of them of classes drawn as in Table 1, half of any class."""
    rng, rows = _rng(seed, _UNLABELLED_PLAN), []
    paper = np.cumsum([sum(counts) for counts in TABLE1.values()])
    for number in range(count):
        r = rng.random(4)
        label = int(np.searchsorted(paper, r[0] * paper[-1], "right")) if number % 2 else int(len(CLASSES) * r[0])
        sol = 3 + int((LAST_SOL - 3) * r[1])
        name = f"{_frame(sol, r[2], 0, 200, 5_000_000 + number)}E01_SYNT.JPG"
        rows.append((name, label, _damage(rng, sol >= GAP_SOL)))
    return rows


def _source(seed: int, rows: list[tuple[str, int, str]]) -> SyntheticSource:
    names, labels, damage = zip(*rows, strict=True)
    return SyntheticSource(seed, names, digest(["synthetic", VERSION, seed, *rows]), labels, damage)


def _validation(source: SyntheticSource, known: list[int], protocol: str) -> set[int]:
    """Which of the images before sol 565 validate."""
    if protocol == "chronological":
        return {i for i in known if int(source.names[i][:4]) >= VAL_SOL}
    groups: dict[str, list[int]] = {}
    for i in known:
        name = source.names[i]
        groups.setdefault(parse_name(name).frame if protocol == "by_frame" else name, []).append(i)
    left = Counter(source.labels[members[0]] for members in groups.values())  # groups of each class that still train
    chosen: set[int] = set()
    order = np.argsort(_rng(source.seed, _SPLIT).random(len(groups)), kind="stable")
    for members in (list(groups.values())[int(g)] for g in order):
        label = source.labels[members[0]]
        if left[label] > 2 and len(chosen) + len(members) <= VAL_SHARE * len(known):
            chosen.update(members)
            left[label] -= 1
    return chosen


@DATASETS.register("synthetic")
def open_synthetic(
    protocol: str = "by_frame", *, seed: int = 0, train: int = 480, test: int = 240, unlabelled: int = 96
) -> ClassificationData:
    """Opens synthetic Mars; nothing is read and nothing is drawn yet.

    Args:
        protocol: ``by_frame`` keeps full image and thumbnail of a frame on one side of the train-validation split,
            ``paper`` shuffles images, ``chronological`` trains on sols 3-181 and validates on 182-564. Test is always
            sols 565-1060.
        seed: seed of the world, 0 to 2**32 - 1; two seeds share no image.
        train: images for training and validation together (paper: 5,386).
        test: test images (paper: 1,305).
        unlabelled: images without labels (paper: 34k); 0 for none.

    Raises:
        DataError: the protocol is unknown, the seed is out of range or a count is too small.
    """
    if protocol not in MSL.protocols:
        raise DataError(f"synthetic Mars has no protocol {protocol!r}: use one of {', '.join(MSL.protocols)}")
    if not 0 <= seed < 2**32:
        raise DataError(f"seed {seed} of synthetic Mars is out of range: use 0 to 2**32 - 1")
    if unlabelled < 0:
        raise DataError(f"{unlabelled} unlabelled images cannot be drawn: use 0 or more")
    before = _frames(seed, counts_like_table1(train, 0), False, 1)
    after = _frames(seed, counts_like_table1(test, 1), True, 2_000_000)  # the same test images whatever ``train`` is
    source = _source(seed, sorted(before + after))  # by sol, as the archive is
    known = [i for i, name in enumerate(source.names) if int(name[:4]) < GAP_SOL]
    held = _validation(source, known, protocol)
    lists = [[i for i in known if i not in held], sorted(held), list(range(len(known), len(source.names)))]
    training, validation, testing = (LabelledList.of((i, source.labels[i]) for i in indices) for indices in lists)
    return ClassificationData(
        name="synthetic",
        protocol=protocol,
        source=source,
        train=training,
        val=validation,
        test=testing,
        unlabelled=_source(seed, _unlabelled(seed, unlabelled)) if unlabelled else None,
        class_names=CLASSES,
        fingerprint=digest([source.fingerprint, *lists]),
        synthetic=True,
        note=f"SYNTHETIC: {len(source.names)} generated images (seed {seed}) with Table 1's imbalance, a train-test "
        f"gap and {sum(map(bool, source.damage))} damaged images; {unlabelled} more without labels.",
        groups=number_groups([parse_name(name).frame for name in source.names]),
    )
