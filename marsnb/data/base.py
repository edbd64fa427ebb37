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
    """An ordered list of images that can be decoded one by one, in any process (it must pickle).

    Attributes:
        names: one name per image, unique.
        fingerprint: hex digest of what decides the pixels (file names and sizes, or generator version and seed).
    """

    names: Sequence[str]
    fingerprint: str

    def decode(self, index: int, size: int) -> Image:
        """Image ``index`` squashed to ``size`` x ``size``, RGB, uint8; an unreadable file raises ``DataError``."""
        ...


@dataclass(frozen=True)
class LabelledList:
    """A list of (image, class): one split of a data set.

    Attributes:
        indices: positions in the data set's ``ImageSource``, shape ``(n,)``, int64.
        labels: classes ``0 .. C-1``, shape ``(n,)``, int64.
    """

    indices: Indices
    labels: Indices

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

    Attributes:
        name: name in the registry, e.g. ``"msl"``.
        protocol: name of the split protocol, e.g. ``"by_frame"``.
        source: all labelled images.
        train, val, test: the splits; ``indices`` point into ``source``.
        unlabelled: images without labels, a source of its own; ``None`` where there are none.
        class_names: C names, in the order of the labels.
        fingerprint: hex digest of the images, the labels and the splits (not of the unlabelled images).
        synthetic: whether the images are generated; every table and figure of such data says SYNTHETIC.
        note: one sentence on what was used and left out, for tables and logs.
        groups: number of the exposure that each image of ``source`` comes from, shape ``(len(source.names),)``, int64:
            two images of one number are one scene. ``None`` where that is not known.
    """

    name: str
    protocol: str
    source: ImageSource
    train: LabelledList
    val: LabelledList
    test: LabelledList
    unlabelled: ImageSource | None
    class_names: tuple[str, ...]
    fingerprint: str
    synthetic: bool
    note: str = ""
    groups: Indices | None = None


def number_groups(keys: Sequence[str]) -> Indices:
    """Number equal keys alike, from 0 in their sorted order: what ``ClassificationData.groups`` holds."""
    return np.unique(np.array(keys, dtype=np.str_), return_inverse=True)[1].astype(np.int64)
