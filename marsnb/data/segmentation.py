"""What every segmentation data set looks like to the rest of the package, and how its pixels are counted: no torch."""

import io
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from marsnb import paths
from marsnb.data._images import digest
from marsnb.data.base import Image, ImageSource, Indices
from marsnb.data.cache import open_cached
from marsnb.errors import DataError
from marsnb.files import write_whole

UNLABELLED = 255
"""Code of a pixel without a label."""

Mask = NDArray[np.uint8]
"""Class of each pixel, ``(height, width)``, ``0 .. C-1`` or ``UNLABELLED``."""


class PairSource(ImageSource, Protocol):
    """An ordered list of images with their masks; like any ``ImageSource`` it decodes in any process and pickles."""

    channels: int  # 1 where decode gives (size, size, 1), 3 where it gives colour

    def mask(self, index: int, size: int | None) -> Mask:
        """Mask ``index`` at ``size`` x ``size``, nearest neighbour (as it is stored where ``size`` is ``None``)."""
        ...


@dataclass(frozen=True)
class SegmentationData:
    """A segmentation data set, opened under one split protocol; see ``ClassificationData``."""

    name: str
    protocol: str
    source: PairSource  # in the order of time
    train: Indices  # positions in source, (n,)
    val: Indices  # which may be empty
    test: Indices
    class_names: tuple[str, ...]
    fingerprint: str
    synthetic: bool
    note: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images, in the order of ``source``."""
        return tuple(self.source.names)


@dataclass
class Masks:
    """The masks of a source as an ``ImageSource`` of their own, so that they are decoded once like images."""

    source: PairSource
    channels: int = 0  # of the cached array: none, it is (N, size, size)

    def __post_init__(self) -> None:
        self.names = self.source.names
        self.fingerprint = digest([self.source.fingerprint, "masks"])

    def decode(self, index: int, size: int) -> Image:
        """Mask ``index``, ``(size, size)``."""
        return self.source.mask(index, size)


def open_pairs(source: PairSource, size: int) -> tuple[np.memmap, np.memmap]:
    """Images and masks, squashed to squares of ``size`` pixels, decoded the first time and memory-mapped from then on.

    (lite: 256, paper: 512, from "if f is 128 x 128")

    Shape:
        Output: ``(N, size, size, channels)`` and ``(N, size, size)``, uint8, read-only.

    Raises:
        DataError: an image or a mask cannot be decoded, a mask has an unknown code, or the disk is full.
    """
    return open_cached(source, size), open_cached(Masks(source), size)


def require_labels(data: SegmentationData, masks: np.ndarray, splits: Iterable[str] = ("train", "test")) -> None:
    """Raise ``DataError`` where a split has no labelled pixel: nothing could be learned or scored there.

    The decoded ``masks`` of all of the data set, ``(N, size, size)``, are looked at only until a label is met; an empty
    split is none of its business.
    """
    for split in splits:
        chosen: Indices = getattr(data, split)
        if len(chosen) and not any((masks[i] != UNLABELLED).any() for i in chosen):
            raise DataError(
                f"none of the {len(chosen):,} masks of the {split} list of {data.name} has a labelled pixel, all are "
                f"{UNLABELLED}: put the published labels in their place"
            )


def pixel_counts(source: PairSource, classes: int) -> NDArray[np.int64]:
    """Pixels of each of ``classes`` in each mask at its own size, counted once and kept.

    Shape:
        Output: ``(N, C + 1)``, the last column is the unlabelled pixels.

    Raises:
        DataError: a mask cannot be decoded or has an unknown code.
    """
    path = paths.cache() / f"{digest([source.fingerprint, 'counts', classes])[:16]}-pixels.npy"
    shape = (len(source.names), classes + 1)
    try:
        known = np.load(path)
        if known.shape == shape:
            return known
    except (ValueError, EOFError, OSError):
        pass  # none, or half a file: count

    def count(index: int) -> NDArray[np.int64]:
        found = np.bincount(source.mask(index, None).reshape(-1), minlength=UNLABELLED + 1)
        return np.append(found[:classes], found[UNLABELLED])

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        counted = np.array(list(pool.map(count, range(shape[0]))), dtype=np.int64).reshape(shape)
    content = io.BytesIO()
    np.save(content, counted)
    write_whole(path, content.getvalue())
    return counted
