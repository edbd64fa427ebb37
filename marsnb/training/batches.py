"""From decoded images to the batches of a training step: a Lightning data module."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marsnb import distributed
from marsnb.data.arrays import to_images, to_unit
from marsnb.data.augment import AUGMENTATIONS
from marsnb.data.bank import Bank
from marsnb.data.base import ClassificationData, LabelledList
from marsnb.data.cache import open_cached
from marsnb.data.streams import STREAMS, batches, view_pairs
from marsnb.errors import DataError
from marsnb.methods.classification._parts import Batch, PairBatch
from marsnb.training.trainer import Epoch, Feeder


@dataclass
class Arrays:
    """The arrays a run reads."""

    images: np.ndarray  # (N, H, W, 3) uint8, or (N, F) float32 features where the backbone is frozen
    unlabelled: np.ndarray | None  # the same for the unlabelled images; ``None`` where the method uses none
    splits: dict[str, LabelledList]
    groups: NDArray[np.int64] | None = None  # exposure of each image, where the data set knows it
    banks: dict[str, Bank] = field(default_factory=dict)  # views through the trunk, by stream; others are fed images
    scored: Any = None  # what stands for ``images`` where a split is scored: the bank's plain views
    shown: Bank | None = None  # two strong views of what the diagnostics look at; drawn anew if ``None``


def open_arrays(data: ClassificationData, size: int, *, unlabelled: bool, train_on: str = "train") -> Arrays:
    """Decoded images of a data set, and of its unlabelled part if asked for; ``train_on`` as in ``ClassificationSpec``.

    Raises:
        DataError: a split is empty, or unlabelled images are wanted and there are none.
    """
    if unlabelled and (data.unlabelled is None or not len(data.unlabelled.names)):
        raise DataError(
            f"{data.name} has no unlabelled images, which this method needs: put some into MARSNB_DATA/pds-browse, or "
            "name their folder in data_options of the data set folder"
        )
    splits = {"train": training_list(data, train_on), "val": data.val, "test": data.test}
    for name, split in splits.items():
        if not len(split):
            raise DataError(
                f"the {name} list of {data.name} is empty: choose another split protocol than {data.protocol}"
            )
    more = open_cached(data.unlabelled, size) if unlabelled and data.unlabelled is not None else None
    return Arrays(open_cached(data.source, size), more, splits, getattr(data, "groups", None))


def training_list(data: ClassificationData, train_on: str) -> LabelledList:
    """The labelled images that train; ``train_on`` as in ``ClassificationSpec``."""
    if train_on == "train":
        return data.train
    parts = data.train, data.val
    return LabelledList(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("indices", "labels")))


class _Epoch(Epoch):
    """Of labelled images, pairs of one class, and two views of images without labels."""

    def _stream(self, position: int, name: str) -> Iterator[dict[str, Tensor]]:
        stream, train = STREAMS[name], self.arrays.splits["train"]
        if stream.source == "train":
            images, indices, labels = self.arrays.images, train.indices, train.labels
        else:
            assert self.arrays.unlabelled is not None
            images = self.arrays.unlabelled
            indices, labels = np.arange(len(images)), np.full(len(images), -1)
        sizes = {
            "labelled": self.spec.batch_labelled,
            "classes": len(np.unique(train.labels)),
            "unlabelled": self.spec.batch_unlabelled,
        }
        groups = self.arrays.groups[indices] if self.arrays.groups is not None and stream.source == "train" else None
        seed, bank = self.spec.seed * 1000 + position, self.arrays.banks.get(name)
        drawn = batches(stream, labels, len(indices), sizes[stream.batch], self.steps, seed, groups)
        for step, (first, second) in zip(self.steps, drawn, strict=True):
            same, mine = first is second, distributed.part(len(first), self.rank, self.size)
            views = None if bank is None else view_pairs(len(first), bank.views, step, seed, same)
            first, second = first[mine], second[mine]
            item = {"labels": torch.from_numpy(labels[first])}
            if bank is not None and views is not None:
                views = views[0][mine], views[1][mine]
                for key, chosen, view in zip(("first", "second")[: stream.views], (first, second), views, strict=False):
                    item[key] = to_images(bank.gather(indices[chosen], view)[0])
            else:
                item["first"] = to_images(images[indices[first]])
                if stream.views == 2:
                    item["second"] = item["first"] if same else to_images(images[indices[second]])
            yield item

    def __iter__(self) -> Iterator[dict[str, Any]]:
        parts = [self._stream(i, name) for name, i in self.streams.items()]
        for step, items in zip(self.steps, zip(*parts, strict=True), strict=True):
            yield {"step": step, **dict(zip(self.streams, items, strict=True))}


class Batches(Feeder):
    """Feeds a method of classification; see `Feeder`."""

    dataset = _Epoch

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.augmentations = {name: make(self.spec.image_size) for name, make in AUGMENTATIONS.items()}

    def augment(self, item: dict[str, Tensor], name: str) -> Batch | PairBatch:
        """One stream's raw batch, augmented: a ``Batch`` for one view, a ``PairBatch`` for two."""
        stream = STREAMS[name]
        if item["first"].ndim == 2:  # features of a frozen backbone
            return Batch(item["first"], item["labels"])
        views = [to_unit(item[key]) for key in ("first", "second")[: stream.views]]
        if item["first"].dtype == torch.uint8:  # views from the bank are augmented
            views = [self.augmentations[stream.augmentation](view) for view in views]
        views = [view.contiguous(memory_format=torch.channels_last) for view in views]
        return PairBatch(views[0], views[1], item["labels"]) if stream.views == 2 else Batch(views[0], item["labels"])
