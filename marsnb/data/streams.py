"""Streams: what one training step is fed.

A stream is an endless sequence of index batches over one split. It is a pure function of (seed, step), so a run that
stops can go on from any step without having kept a generator's state.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from marsnb.data.base import Indices
from marsnb.registry import Registry


@dataclass(frozen=True)
class Stream:
    """How the batches of one stream are drawn."""

    source: str  # train or unlabelled
    draw: str  # shuffled (each once per pass), balanced (a class at random, then an image of it), class_pairs
    views: int  # 1, or 2 augmented views per item
    augmentation: str  # ordinary or strong
    batch: str  # labelled (the paper's 16), classes (one per class, the paper's 24) or unlabelled (16)


STREAMS: Registry[Stream] = Registry("stream", "marsnb.data")
STREAMS.register("labelled")(Stream("train", "shuffled", 1, "ordinary", "labelled"))
STREAMS.register("labelled_strong")(Stream("train", "shuffled", 1, "strong", "labelled"))
STREAMS.register("labelled_balanced")(Stream("train", "balanced", 1, "ordinary", "labelled"))
STREAMS.register("class_pairs")(Stream("train", "class_pairs", 2, "strong", "classes"))
STREAMS.register("image_pairs")(Stream("train", "shuffled", 2, "strong", "classes"))
STREAMS.register("unlabelled")(Stream("unlabelled", "shuffled", 1, "ordinary", "unlabelled"))
STREAMS.register("unlabelled_pairs")(Stream("unlabelled", "shuffled", 2, "strong", "unlabelled"))


def _generator(*key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(key))


def shuffled(n: int, batch: int, step: int, seed: int) -> Indices:
    """Batch ``step`` of an endless walk through ``n`` items, each pass in a new order: ``(batch,)`` of ``0 .. n-1``."""
    wanted = np.arange(step * batch, (step + 1) * batch)
    orders = {p: _generator(seed, p).permutation(n) for p in np.unique(wanted // n)}
    return np.array([orders[i // n][i % n] for i in wanted], dtype=np.int64)


def balanced(labels: Indices, batch: int, step: int, seed: int) -> Indices:
    """A class drawn uniformly, then an image of it: class-balanced sampling; positions in ``labels``, ``(batch,)``."""
    rng = _generator(seed, step)
    classes = rng.choice(np.unique(labels), batch)
    return np.array([rng.choice(np.flatnonzero(labels == c)) for c in classes], dtype=np.int64)


def class_pairs(labels: Indices, step: int, seed: int, groups: Indices | None = None) -> tuple[Indices, Indices]:
    """Two different images of every class present; a class with one image is paired with itself (paper, Eq. 2).

    Args:
        labels: class of each item.
        step: global step number.
        seed: the stream's own.
        groups: what each item is a picture of, such as its exposure; the second image is then of another group where
            the class has two, so that a pair is no image beside its own thumbnail.

    Returns:
        Two ``(C,)`` arrays of positions in ``labels``, in the order of the classes.
    """
    rng = _generator(seed, step)
    first, second = [], []
    for c in np.unique(labels):
        members = np.flatnonzero(labels == c)
        one = rng.choice(members)
        others = members[members != one]
        if groups is not None and (groups[others] != groups[one]).any():
            others = others[groups[others] != groups[one]]
        first.append(one)
        second.append(rng.choice(others) if len(others) else one)
    return np.array(first, dtype=np.int64), np.array(second, dtype=np.int64)


def view_pairs(n: int, views: int, step: int, seed: int, same: bool) -> tuple[Indices, Indices]:
    """Which of the kept ``views`` of each of ``n`` items a step sees: first and second, ``(n,)`` each.

    With ``same`` both are of one image, and so differ where there is more than one view.
    """
    rng = _generator(seed, step, 1)
    first = rng.integers(0, views, n)
    second = (first + rng.integers(1, views, n)) % views if same and views > 1 else rng.integers(0, views, n)
    return first, second


def batches(
    stream: Stream, labels: Indices, n: int, batch: int, steps: range, seed: int, groups: Indices | None = None
) -> Iterator[tuple[Indices, Indices]]:
    """Index batches of ``stream`` for a range of global steps.

    Args:
        stream: how to draw.
        labels: class of each item; of no use to ``shuffled``.
        n: number of items.
        batch: items per batch (ignored by ``class_pairs``, which has one per class).
        steps: global step numbers.
        seed: the stream's own seed.
        groups: see ``class_pairs``.

    Yields:
        Positions of the first and of the second view; equal where both views are of one image.
    """
    for step in steps:
        if stream.draw == "class_pairs":
            yield class_pairs(labels, step, seed, groups)
        else:
            even = stream.draw == "balanced"
            chosen = balanced(labels, batch, step, seed) if even else shuffled(n, batch, step, seed)
            yield chosen, chosen
