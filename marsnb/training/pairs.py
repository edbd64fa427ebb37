"""From decoded pairs of image and mask to the batches of a training step: a Lightning data module."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
from marsnb.training.trainer import Epoch, Feeder


@dataclass
class PairArrays:
    """The arrays a run reads."""

    images: np.ndarray  # (N, H, W, channels) uint8
    masks: np.ndarray  # (N, H, W) uint8
    splits: dict[str, NDArray[np.int64]]  # positions by name of the split
    bank: Bank | None = None  # images and their mirror images through the frozen trunk, where there is one
    pixels: tuple[str, ...] = ()  # streams that are fed images besides

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


class _Epoch(Epoch):
    """Of training pairs; every stream walks them in its own order."""

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
        mine, bank = distributed.part(len(chosen), self.rank, self.size), self.arrays.bank
        whole, chosen = len(chosen), chosen[mine]
        masks = self.arrays.masks[chosen]
        if bank is None:
            return {"images": to_images(self.arrays.images[chosen]), "masks": torch.from_numpy(masks)}
        views = view_pairs(whole, bank.views, step, seed, same=False)[0][mine]
        mirrored = (views % 2 == 1)[:, None, None]  # the odd views of a bank are mirrored
        low, deep = (to_images(m) for m in bank.gather(chosen, views))
        item = {"low": low, "deep": deep, "masks": torch.from_numpy(np.where(mirrored, masks[:, :, ::-1], masks))}
        if name in self.arrays.pixels:
            images = self.arrays.images[chosen]
            item["images"] = to_images(np.where(mirrored[..., None], images[:, :, ::-1], images))
        return item


class PairBatches(Feeder):
    """Feeds a method of segmentation; see `Feeder`."""

    dataset, what = _Epoch, "pairs"

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.augmentation = MaskedAugmentation(self.spec.image_size, crop=self.spec.crop)

    def augment(self, item: dict[str, Any], name: str) -> MaskBatch:
        """One stream's raw batch, augmented where it has no views from the bank."""
        if "low" not in item:
            images, labels = self.augmentation(to_unit(item["images"]), item["masks"])
            return MaskBatch(images.contiguous(memory_format=torch.channels_last), labels)
        kept, labels = trunk_features((item["low"], item["deep"])), item["masks"].to(torch.int64)
        if "images" not in item:
            return MaskBatch(kept, labels)
        return MaskBatch(to_unit(item["images"]).contiguous(memory_format=torch.channels_last), labels, kept)
