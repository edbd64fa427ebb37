"""How far classes lie apart in a set of features: silhouettes and distances, with intervals over images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 1000
"""Resamples of the images."""
METRICS = ("silhouette", "intra", "inter", "ratio")
"""Silhouette; mean distance within a class; to the other classes; the latter over the former."""
ALL, CHANGE = "all classes", "ours - baseline"
"""Names of a mean over the classes, and of a difference, in the kept numbers."""
PAPERS_LAYER = "encoder"
"""Section 7.4: "the output of the last layer in the encoder"."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Separation:
    """Values for all classes and for each, of the sample itself (draw 0) and of its resamples.

    Attributes:
        values: by metric, ``(1 + DRAWS, 1 + C)``; column 0 is the mean over the classes.
        between: mean distance from the elements of one class to those of another, ``(1 + DRAWS, C, C)``.
    """

    values: dict[str, Floats]
    between: Floats

    def nearest(self) -> tuple[int, int]:
        """The two classes that lie nearest to each other."""
        return _nearest(self.between[0])

    def share_nearest(self, pair: tuple[int, int]) -> float:
        """Share of the resamples in which two classes are the nearest."""
        return float(np.mean([_nearest(one) == tuple(sorted(pair)) for one in self.between[1:]]))


def _nearest(between: Floats) -> tuple[int, int]:
    both = (between + between.T) / 2
    both[np.tril_indices(len(both))] = np.inf
    row, column = np.unravel_index(np.nanargmin(np.where(np.isnan(both), np.inf, both)), both.shape)
    return int(row), int(column)


def draws(images: int, seed: int = 0, count: int = DRAWS) -> Floats:
    """How often each image is in the sample (row 0: once) and in each resample, ``(1 + count, images)``."""
    rng = np.random.default_rng(seed)
    times = rng.multinomial(images, np.full(images, 1 / images), count)
    return np.concatenate([np.ones((1, images)), times]).astype(float)


def separate(features: NDArray, classes: NDArray[np.int64], images: NDArray[np.int64], times: Floats) -> Separation:
    """Cosine distances (1 - cosine) between elements of **different images**, summarised by class.

    Elements of one image are alike for more reasons than their class, and an image that a resample has twice would be
    at distance 0 from itself: pairs within an image never count. An element's silhouette is (b - a) / max(a, b), a the
    mean distance to its own class and b that to the nearest other class; a class's is the mean over its elements.

    Args:
        features: of the elements, of any norm but 0.
        classes: of each, 0 .. C-1, each there.
        images: of each, 0 .. I-1.
        times: how often each image counts; see `draws`.

    Shape:
        ``features``: ``(n, D)``; ``classes``, ``images``: ``(n,)``; ``times``: ``(R, I)``.
    """
    c, i, n = int(classes.max()) + 1, times.shape[1], len(classes)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    distance = 1 - unit.astype(float) @ unit.T.astype(float)  # (n, n)
    distance[images[:, None] == images] = 0
    cell = np.eye(i * c)[images * c + classes]  # (n, I C), which image and class each element is of
    sums = (distance @ cell).reshape(n, i, c)
    counts = np.broadcast_to(cell.sum(axis=0).reshape(i, c), (n, i, c)).copy()
    counts[np.arange(n), images] = 0
    total, number = (np.einsum("ri,nic->rnc", times, part, optimize=True) for part in (sums, counts))  # (R, n, C)
    mean = np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)
    weight = times[:, images]  # (R, n)
    own = mean[:, np.arange(n), classes]  # (R, n)
    others = mean.copy()
    others[:, np.arange(n), classes] = np.nan
    nearest = np.where(np.isnan(others), np.inf, others).min(axis=2)
    nearest[np.isinf(nearest)] = np.nan
    silhouette = (nearest - own) / np.maximum(np.maximum(own, nearest), 1e-12)
    away = _nanmean(others)
    values = {
        name: _by_class(value, weight, classes, c)
        for name, value in (("silhouette", silhouette), ("intra", own), ("inter", away))
    }
    values["ratio"] = values["inter"] / values["intra"]
    between = np.stack([_by_class(mean[:, :, other], weight, classes, c)[:, 1:] for other in range(c)], axis=2)
    return Separation(values, between)


def _nanmean(values: Floats) -> Floats:
    there = ~np.isnan(values)
    number = there.sum(axis=-1)
    total = np.where(there, values, 0).sum(axis=-1)
    return np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)


def _by_class(values: Floats, weight: Floats, classes: NDArray[np.int64], c: int) -> Floats:
    """Weighted mean over the elements of each class, after their mean over classes: ``(R, n)`` to ``(R, 1 + C)``."""
    there = ~np.isnan(values)
    weight = weight * there  # (R, n)
    member = np.eye(c)[classes]  # (n, C)
    total, number = (weight * np.where(there, values, 0)) @ member, weight @ member  # (R, C) each
    mean = np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)
    return np.concatenate([_nanmean(mean)[:, None], mean], axis=1)


def interval(values: Floats) -> tuple[float, float, float]:
    """Value of the sample, and the middle 95 % of its resamples; NaN where it is not defined."""
    found = values[1:][np.isfinite(values[1:])]
    if not len(found):
        return float(values[0]), float("nan"), float("nan")
    low, high = np.quantile(found, [0.025, 0.975])
    return float(values[0]), float(low), float(high)
