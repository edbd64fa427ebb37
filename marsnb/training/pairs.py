"""From decoded pairs of image and mask to the batches of a training step: a Lightning data module."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from marsnb import distributed
from marsnb.data.arrays import to_images, to_unit
from marsnb.data.augment import MaskedAugmentation
from marsnb.data.bank import Bank
from marsnb.data.segmentation import SegmentationData, open_pairs, require_labels
from marsnb.data.streams import shuffled, view_pairs
from marsnb.errors import DataError
from marsnb.methods.segmentation._parts import MaskBatch
from marsnb.models.trunk import TrunkFeatures
from marsnb.training.spec import SegmentationSpec
from marsnb.training.trainer import feeding, part_seed


@dataclass
class PairArrays:
    """The arrays a run reads.

    Attributes:
        images: ``(N, H, W, channels)`` uint8.
        masks: ``(N, H, W)`` uint8.
        splits: positions by name of the split.
        bank: images and their mirror images through the frozen trunk; ``None`` without one.
        pixels: streams that are fed images besides.
    """

    images: np.ndarray
    masks: np.ndarray
    splits: dict[str, NDArray[np.int64]]
    bank: Bank | None = None
    pixels: tuple[str, ...] = ()

    def inputs(self, indices: NDArray[np.int64], device: torch.device) -> Tensor | TrunkFeatures:
        """The chosen images as a segmenter takes them: in [0, 1], or what the trunk made of them."""
        if self.bank is not None:
            return trunk_features(self.bank.gather(indices, np.zeros(len(indices), np.int64)), device)
        images = to_unit(to_images(self.images[indices]).to(device))
        return images.contiguous(memory_format=torch.channels_last)


def trunk_features(maps: Iterable[np.ndarray | Tensor], device: torch.device | None = None) -> TrunkFeatures:
    """A bank's maps as a segmenter takes them."""
    tensors = (m if isinstance(m, Tensor) else to_images(m) for m in maps)
    low, deep = (to_unit(m.to(device)).contiguous(memory_format=torch.channels_last) for m in tensors)
    return TrunkFeatures(low, deep)


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
    require_labels(data, masks, ("train", *spec.evaluate))
    return PairArrays(images, masks, splits)


class _Epoch(IterableDataset):
    """The batches of one epoch, by stream name, not yet augmented; of several processes each has its part of them."""

    def __init__(self, arrays: PairArrays, streams: dict[str, int], spec: SegmentationSpec, steps: range) -> None:
        self.arrays, self.streams, self.spec, self.steps = arrays, streams, spec, steps
        self.mine = distributed.part(spec.batch_labelled, distributed.rank(), distributed.size())

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        train = self.arrays.splits["train"]
        for step in self.steps:
            batch: dict[str, Any] = {"step": step}
            for name, place in self.streams.items():
                seed = self.spec.seed * 1000 + place
                chosen = train[shuffled(len(train), self.spec.batch_labelled, step, seed)]
                batch[name] = self._item(name, chosen, step, seed)
            yield batch

    def _item(self, name: str, chosen: NDArray[np.int64], step: int, seed: int) -> dict[str, Any]:
        whole, chosen, bank = len(chosen), chosen[self.mine], self.arrays.bank
        masks = self.arrays.masks[chosen]
        if bank is None:
            return {"images": to_images(self.arrays.images[chosen]), "masks": torch.from_numpy(masks)}
        views = view_pairs(whole, bank.views, step, seed, same=False)[0][self.mine]
        mirrored = (views % 2 == 1)[:, None, None]  # the odd views of a bank are mirrored
        low, deep = (to_images(m) for m in bank.gather(chosen, views))
        item = {"low": low, "deep": deep, "masks": torch.from_numpy(np.where(mirrored, masks[:, :, ::-1], masks))}
        if name in self.arrays.pixels:
            images = self.arrays.images[chosen]
            item["images"] = to_images(np.where(mirrored[..., None], images[:, :, ::-1], images))
        return item


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
        self.augmentation = MaskedAugmentation(spec.image_size, crop=spec.crop)

    def train_dataloader(self) -> DataLoader:
        """The coming epoch's batches; Lightning asks anew each epoch."""
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        streams = {name: place for place, name in enumerate(self.streams)}
        steps = range(epoch * self.steps, (epoch + 1) * self.steps)
        return DataLoader(_Epoch(self.arrays, streams, self.spec, steps), **feeding(self.trainer))

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, MaskBatch]:
        """Lightning's hook, on the device.

        Augmentation is a function of the seed, the step and the process's rank, so a resumed run draws the same
        whatever came before; so are the method's own draws, dropout among them, which come after it from the same
        generator.
        """
        torch.manual_seed(part_seed(self.spec.seed, batch.pop("step")))
        fed = {}
        for name, item in batch.items():
            if "low" not in item:
                images, labels = self.augmentation(to_unit(item["images"]), item["masks"])
                fed[name] = MaskBatch(images.contiguous(memory_format=torch.channels_last), labels)
                continue
            kept, labels = trunk_features((item["low"], item["deep"])), item["masks"].to(torch.int64)
            if "images" in item:
                images = to_unit(item["images"]).contiguous(memory_format=torch.channels_last)
                fed[name] = MaskBatch(images, labels, kept)
            else:
                fed[name] = MaskBatch(kept, labels)
        return fed
