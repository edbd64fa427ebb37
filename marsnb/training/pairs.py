"""From decoded pairs of image and mask to the batches of a training step: a Lightning data module."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from marsnb.data.augment import MaskedAugmentation
from marsnb.data.segmentation import SegmentationData, open_pairs
from marsnb.data.streams import shuffled
from marsnb.errors import DataError
from marsnb.methods.segmentation._parts import MaskBatch
from marsnb.training.batches import to_unit
from marsnb.training.spec import SegmentationSpec


@dataclass
class PairArrays:
    """The arrays a run reads.

    Attributes:
        images: ``(N, H, W, channels)`` uint8.
        masks: ``(N, H, W)`` uint8.
        splits: positions by name of the split.
    """

    images: np.ndarray
    masks: np.ndarray
    splits: dict[str, NDArray[np.int64]]


def open_pair_arrays(data: SegmentationData, spec: SegmentationSpec) -> PairArrays:
    """Decoded pairs of a data set, at the run's size.

    Raises:
        DataError: a split that the run needs is empty.
    """
    splits = {"train": data.train, "val": data.val, "test": data.test}
    for name in ("train", *spec.evaluate):
        if not len(splits[name]):
            raise DataError(
                f"the {name} list of {data.name} is empty under protocol {data.protocol}: choose another split protocol"
            )
    images, masks = open_pairs(data.source, spec.image_size)
    return PairArrays(images, masks, splits)


def to_colour(array: np.ndarray) -> Tensor:
    """``(B, H, W, 1 or 3)`` uint8 to ``(B, 3, H, W)`` uint8: grey images get three equal channels."""
    images = torch.from_numpy(np.ascontiguousarray(array)).permute(0, 3, 1, 2)
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


class _Epoch(IterableDataset):
    """The batches of one epoch, by stream name, not yet augmented."""

    def __init__(self, arrays: PairArrays, streams: dict[str, int], spec: SegmentationSpec, steps: range) -> None:
        self.arrays, self.streams, self.spec, self.steps = arrays, streams, spec, steps

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        train = self.arrays.splits["train"]
        for step in self.steps:
            batch: dict[str, Any] = {"step": step}
            for name, place in self.streams.items():
                seed = self.spec.seed * 1000 + place
                chosen = train[shuffled(len(train), self.spec.batch_labelled, step, seed)]
                masks = torch.from_numpy(np.ascontiguousarray(self.arrays.masks[chosen]))
                batch[name] = {"images": to_colour(self.arrays.images[chosen]), "masks": masks}
            yield batch


class PairBatches(pl.LightningDataModule):
    """Feeds a method its streams; every stream walks the training pairs in its own order.

    Augmentation runs on the whole batch, on the device.

    Args:
        arrays: what is read.
        streams: names of the method's streams.
        spec: the run.
    """

    def __init__(self, arrays: PairArrays, streams: tuple[str, ...], spec: SegmentationSpec) -> None:
        super().__init__()
        self.arrays, self.streams, self.spec = arrays, streams, spec
        self.steps = spec.steps_per_epoch or len(arrays.splits["train"]) // spec.batch_labelled
        if self.steps < 1:
            raise DataError(f"the training list has fewer than {spec.batch_labelled} pairs: lower batch_labelled")
        self.augmentation = MaskedAugmentation(spec.image_size)

    def train_dataloader(self) -> DataLoader:
        """The coming epoch's batches; Lightning asks anew each epoch."""
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        streams = {name: place for place, name in enumerate(self.streams)}
        steps = range(epoch * self.steps, (epoch + 1) * self.steps)
        return DataLoader(_Epoch(self.arrays, streams, self.spec, steps), batch_size=None)

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, MaskBatch]:
        """Lightning's hook, on the device.

        Augmentation is a function of the seed and the step, so a resumed run draws the same whatever came before; so
        are the method's own draws, dropout among them, which come after it from the same generator.
        """
        torch.manual_seed(self.spec.seed * 1_000_003 + batch.pop("step"))
        fed = {}
        for name, item in batch.items():
            images, labels = self.augmentation(to_unit(item["images"]), item["masks"])
            fed[name] = MaskBatch(images.contiguous(memory_format=torch.channels_last), labels)
        return fed
