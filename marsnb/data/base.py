"""What every classification data set looks like to the rest of the package: numpy only, no torch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""One decoded image, ``(height, width, 3)``, 8-bit RGB."""
Indices = NDArray[np.int64]
"""Positions in a list, ``(n,)``."""


class ImageSource(Protocol):
    """An ordered list of images that can be decoded one by one, in any process (it must pickle)."""

    names: Sequence[str]  # one per image, unique
    fingerprint: str  # hex digest of what decides the pixels: file names and sizes, or generator version and seed

    def decode(self, index: int, size: int) -> Image:
        """Image ``index`` squashed to ``size`` x ``size``, RGB, uint8; an unreadable file raises ``DataError``."""
        ...


@dataclass(frozen=True)
class LabelledList:
    """A list of (image, class): one split of a data set."""

    indices: Indices  # positions in the data set's ImageSource, (n,)
    labels: Indices  # classes 0 .. C-1, (n,)

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, int]]) -> Self:
        """The list of some (position, class)."""
        indices, labels = np.array(list(pairs), dtype=np.int64).reshape(-1, 2).T.copy()
        return cls(indices, labels)

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True)
class ClassificationData:
    """A classification data set, opened under one split protocol.

    Two images of ``source`` that have one number in ``groups`` are of one exposure, hence of one scene.
    """

    name: str  # in the registry: msl
    protocol: str  # of the split: by_frame
    source: ImageSource  # all labelled images
    train: LabelledList  # whose indices point into source
    val: LabelledList
    test: LabelledList
    unlabelled: ImageSource | None  # images without labels, a source of its own
    class_names: tuple[str, ...]  # C of them, in the order of the labels
    fingerprint: str  # hex digest of the images, the labels and the splits (not of the unlabelled images)
    synthetic: bool  # whether the images are generated; every table and figure of such data says SYNTHETIC
    note: str = ""  # one sentence on what was used and left out, for tables and logs
    groups: Indices | None = None  # (len(source.names),), where it is known


def number_groups(keys: Sequence[str]) -> Indices:
    """Number equal keys alike, from 0 in their sorted order: what ``ClassificationData.groups`` holds."""
    return np.unique(np.array(keys, dtype=np.str_), return_inverse=True)[1].astype(np.int64)
