"""From decoded images to the batches of a training step: a Lightning data module."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from marsnb.data.augment import AUGMENTATIONS
from marsnb.data.base import ClassificationData, LabelledList
from marsnb.data.cache import open_cached
from marsnb.data.streams import STREAMS, batches
from marsnb.errors import DataError
from marsnb.methods.classification._parts import Batch, PairBatch
from marsnb.training.spec import ClassificationSpec


@dataclass
class Arrays:
    """The arrays a run reads.

    Attributes:
        images: ``(N, H, W, 3)`` uint8, or ``(N, F)`` float32 features where the backbone is frozen.
        unlabelled: the same for the unlabelled images; ``None`` where the method uses none.
        splits: the labelled lists by name.
    """

    images: np.ndarray
    unlabelled: np.ndarray | None
    splits: dict[str, LabelledList]


def open_arrays(data: ClassificationData, size: int, *, unlabelled: bool, train_on: str = "train") -> Arrays:
    """Decoded images of a data set, and of its unlabelled part if asked for; ``train_on`` as in ``ClassificationSpec``.

    Raises:
        DataError: a split is empty, or unlabelled images are wanted and there are none.
    """
    if unlabelled and (data.unlabelled is None or not len(data.unlabelled.names)):
        raise DataError(
            f"{data.name} has no unlabelled images, which this method needs: put some into MARSNB_DATA/pds-browse"
        )
    splits = {"train": training_list(data, train_on), "val": data.val, "test": data.test}
    for name, split in splits.items():
        if not len(split):
            raise DataError(
                f"the {name} list of {data.name} is empty: choose another split protocol than {data.protocol}"
            )
    more = open_cached(data.unlabelled, size) if unlabelled and data.unlabelled is not None else None
    return Arrays(open_cached(data.source, size), more, splits)


def join(first: LabelledList, second: LabelledList) -> LabelledList:
    """The images of both lists."""
    return LabelledList(np.concatenate([first.indices, second.indices]), np.concatenate([first.labels, second.labels]))


def training_list(data: ClassificationData, train_on: str) -> LabelledList:
    """The labelled images that train; ``train_on`` as in ``ClassificationSpec``."""
    return data.train if train_on == "train" else join(data.train, data.val)


def to_images(array: np.ndarray) -> Tensor:
    """A gathered batch as a tensor: ``(B, H, W, 3)`` uint8 becomes ``(B, 3, H, W)`` uint8; features pass."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor


def to_unit(images: Tensor) -> Tensor:
    """uint8 0 to 255 to float32 0 to 1; features pass."""
    return images.float().div_(255.0) if images.dtype == torch.uint8 else images


class _Epoch(IterableDataset):
    """The batches of one epoch, by stream name, not yet augmented."""

    def __init__(
        self, arrays: Arrays, streams: dict[str, int], spec: ClassificationSpec, epoch: int, steps: int
    ) -> None:
        self.arrays, self.streams, self.spec = arrays, streams, spec
        self.steps = range(epoch * steps, (epoch + 1) * steps)

    def __len__(self) -> int:
        return len(self.steps)

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
        seed = self.spec.seed * 1000 + position
        for first, second in batches(stream, labels, len(indices), sizes[stream.batch], self.steps, seed):
            item = {"first": to_images(images[indices[first]]), "labels": torch.from_numpy(labels[first])}
            if stream.views == 2:
                same = first is second
                item["second"] = item["first"] if same else to_images(images[indices[second]])
            yield item

    def __iter__(self) -> Iterator[dict[str, Any]]:
        parts = [self._stream(i, name) for name, i in self.streams.items()]
        for step, items in zip(self.steps, zip(*parts, strict=True), strict=True):
            yield {"step": step, **dict(zip(self.streams, items, strict=True))}


class Batches(pl.LightningDataModule):
    """Feeds a method its streams; augmentation runs on the whole batch, on the device.

    Args:
        arrays: what is read.
        streams: names of the method's streams.
        spec: the run.
        streams_at: those of them that an epoch is fed; all of them if ``None``.
    """

    def __init__(
        self,
        arrays: Arrays,
        streams: tuple[str, ...],
        spec: ClassificationSpec,
        streams_at: Callable[[int], tuple[str, ...]] | None = None,
    ) -> None:
        super().__init__()
        self.streams_at = streams_at
        self.arrays, self.streams, self.spec = arrays, streams, spec
        self.steps = spec.steps_per_epoch or len(arrays.splits["train"]) // spec.batch_labelled
        if self.steps < 1:
            raise DataError(f"the training list has fewer than {spec.batch_labelled} images: lower batch_labelled")
        self.augmentations = {name: make(spec.image_size) for name, make in AUGMENTATIONS.items()}

    def train_dataloader(self) -> DataLoader:
        """The coming epoch's batches; Lightning asks anew each epoch."""
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        wanted = self.streams_at(epoch) if self.streams_at is not None else self.streams
        # A stream's place among all of the method's seeds it, also in a stage that leaves others out.
        streams = {name: place for place, name in enumerate(self.streams) if name in wanted}
        return DataLoader(_Epoch(self.arrays, streams, self.spec, epoch, self.steps), batch_size=None)

    def augment(self, item: dict[str, Tensor], name: str) -> Batch | PairBatch:
        """One stream's raw batch, augmented: a ``Batch`` for one view, a ``PairBatch`` for two."""
        stream = STREAMS[name]
        if item["first"].ndim == 2:  # features of a frozen backbone
            return Batch(item["first"], item["labels"])
        change = self.augmentations[stream.augmentation]
        views = [
            change(to_unit(item[key])).contiguous(memory_format=torch.channels_last)
            for key in ("first", "second")[: stream.views]
        ]
        return PairBatch(views[0], views[1], item["labels"]) if stream.views == 2 else Batch(views[0], item["labels"])

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Batch | PairBatch]:
        """Lightning's hook, on the device.

        Augmentation is a function of the seed and the step, so a resumed run draws the same whatever came before.
        """
        torch.manual_seed(self.spec.seed * 1_000_003 + batch.pop("step"))
        return {name: self.augment(item, name) for name, item in batch.items()}
