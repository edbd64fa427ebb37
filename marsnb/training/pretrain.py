"""Start weights ``moco_mars``: MoCo v2 on the Mars images of a run themselves, without their labels.

``moco_mars`` begins from random weights, ``moco_mars:imagenet-lite`` from those (any start that `build_backbone` knows
may stand after the colon). The weights are a file under ``MARSNB_RUNS``; a run that wants the same ones finds it there.
There is no checkpoint within pretraining: one that was stopped starts again.
"""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from marsnb import paths
from marsnb.data.arrays import to_images, to_unit
from marsnb.data.augment import strong
from marsnb.data.base import ClassificationData
from marsnb.data.streams import shuffled
from marsnb.errors import RecipeError
from marsnb.files import locked, write_whole
from marsnb.methods.pretraining.moco import MoCo
from marsnb.models._weights import file_digest
from marsnb.models.backbones import build_backbone
from marsnb.training.batches import open_arrays, training_list
from marsnb.training.spec import ClassificationSpec
from marsnb.training.trainer import fit, make_trainer

NAME = "moco_mars"
REPORT_EVERY = 50  # steps between two lines of progress


class PretrainSpec(BaseModel):
    """Budget and settings of a pretraining.

    # departure: MoCo v2 trains 200 epochs of ImageNet with 256 images a step. This is minutes on two cores: one look or
    # so at every image. Hence also a smaller momentum (at 0.999 the key encoder would still be 0.82 of what it began as
    # after 200 steps) and a smaller queue. The rate stays, as there are few steps to use it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = 200
    batch: int = 32  # images a step, two views of each
    lr: float = 0.03  # first rate (MoCo v2: 0.03)
    momentum: float = 0.99  # of the key encoder (MoCo v2: 0.999)
    temperature: float = 0.2  # of the loss (MoCo v2: 0.2)
    queue: int = 4096  # negatives, a multiple of ``batch`` (MoCo v2: 65,536); never more than half of the images

    @model_validator(mode="after")
    def _fits(self) -> "PretrainSpec":
        if self.steps < 1 or self.batch < 2:  # batch normalisation needs two images
            raise ValueError("steps must be at least 1 and batch at least 2")
        if self.queue < self.batch or self.queue % self.batch:
            raise ValueError("queue must be a multiple of batch")
        return self


def start_before(start: str) -> str | None:
    """What pretraining begins from: ``random`` of ``moco_mars``, ``x`` of ``moco_mars:x``; ``None`` of others."""
    name, _, before = start.partition(":")
    if name != NAME:
        return None
    return before if ":" in start else "random"


def moco_mars_weights(
    spec: ClassificationSpec, data: ClassificationData, device: torch.device, budget: PretrainSpec | None = None
) -> Path:
    """Pretrain the backbone of a run on the images it may train on, or find the file of an earlier time.

    The images are the labelled training images (``spec.train_on``), without their labels, and the unlabelled ones; test
    images are never among them. The global random state is left as it was, so a run goes on alike whether it trained or
    found the weights.

    Returns:
        A file with the state dict of a `Backbone`: a start for `build_backbone`.

    Raises:
        RecipeError: the spec's start is not ``moco_mars`` or ``moco_mars:START``, or START is unknown.
        DataError: an image cannot be decoded, or start weights cannot be had.
        TrainingError: the loss is not finite; no file is written.
    """
    budget, before = budget or PretrainSpec(), start_before(spec.start)
    if before is None:
        raise RecipeError(f"start {spec.start!r} needs no pretraining: use {NAME!r} or '{NAME}:START'")
    path = paths.runs() / "weights" / f"{NAME}-{_hash(spec, data, budget, before)}.pt"
    with locked(path.with_suffix(".lock")):  # a second run that wants the same weights waits, and finds them
        if not path.exists():
            content = io.BytesIO()
            torch.save(_pretrain(spec, data, device, budget, before), content)
            write_whole(path, content.getvalue())
    return path


def _hash(spec: ClassificationSpec, data: ClassificationData, budget: PretrainSpec, before: str) -> str:
    """Hash of all that decides the weights, but for the code and the device; 16 hex digits."""
    names, indices = data.source.names, training_list(data, spec.train_on).indices
    decides = {
        "budget": budget.model_dump(),
        "backbone": spec.backbone,
        "start": next(iter(file_digest(before)), before),
        "image_size": spec.image_size,
        "precision": spec.precision,
        "seed": spec.seed,
        "images": [data.source.fingerprint, [names[i] for i in indices]],
        "unlabelled": data.unlabelled.fingerprint if data.unlabelled else None,
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Pool:
    """The images that pretraining sees: the chosen ones of ``labelled``, then all of ``unlabelled``."""

    labelled: np.ndarray  # (N, H, W, 3) uint8, all labelled images, test images too
    indices: NDArray[np.int64]  # those of them that train
    unlabelled: np.ndarray | None  # as ``labelled``

    def __len__(self) -> int:
        return len(self.indices) + (0 if self.unlabelled is None else len(self.unlabelled))

    def take(self, positions: NDArray[np.int64]) -> np.ndarray:
        """Images by their position in the pool, ``(B, H, W, 3)``."""
        own = positions < len(self.indices)
        images = np.empty((len(positions), *self.labelled.shape[1:]), np.uint8)
        images[own] = self.labelled[self.indices[positions[own]]]
        if self.unlabelled is not None:
            images[~own] = self.unlabelled[positions[~own] - len(self.indices)]
        return images


def open_pool(spec: ClassificationSpec, data: ClassificationData) -> Pool:
    """Decode the images, or find them decoded; the cache is the one that training uses."""
    more = data.unlabelled is not None and len(data.unlabelled.names) > 0
    arrays = open_arrays(data, spec.image_size, unlabelled=more)
    return Pool(arrays.images, training_list(data, spec.train_on).indices, arrays.unlabelled)


class _Steps(IterableDataset):
    """One batch of images a step, each image once a pass."""

    def __init__(self, pool: Pool, budget: PretrainSpec, seed: int) -> None:
        self.pool, self.budget, self.seed = pool, budget, seed

    def __len__(self) -> int:
        return self.budget.steps

    def __iter__(self) -> Iterator[Tensor]:
        for step in range(self.budget.steps):
            yield to_images(self.pool.take(shuffled(len(self.pool), self.budget.batch, step, self.seed)))


class _Views(pl.LightningDataModule):
    """Feeds two strongly augmented views of each image; augmentation runs on the device."""

    def __init__(self, pool: Pool, budget: PretrainSpec, spec: ClassificationSpec) -> None:
        super().__init__()
        self.steps, self.augment = _Steps(pool, budget, spec.seed), strong(spec.image_size)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.steps, batch_size=None)

    def on_after_batch_transfer(self, batch: Tensor, dataloader_idx: int) -> tuple[Tensor, ...]:
        images = to_unit(batch)  # (B, 3, H, W) uint8 -> float32 in [0, 1]
        return tuple(self.augment(images).contiguous(memory_format=torch.channels_last) for _ in range(2))


class _Report(pl.Callback):
    """A line of progress now and then."""

    def __init__(self, label: str) -> None:
        self.label, self.console = label, Console()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(pl_module, MoCo)
        done, recent = len(pl_module.losses), pl_module.losses[-REPORT_EVERY:]
        if done % REPORT_EVERY == 0 or done == pl_module.steps:
            line = f"{self.label}  step {done}/{pl_module.steps}  loss {sum(recent) / len(recent):.4f}"
            self.console.print(line, highlight=False)


def _pretrain(
    spec: ClassificationSpec, data: ClassificationData, device: torch.device, budget: PretrainSpec, before: str
) -> dict[str, Tensor]:
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(spec.seed)
        backbone = build_backbone(spec.backbone, before, seed=spec.seed)  # first: an unknown start costs no decoding
        pool = open_pool(spec, data)
        # A queue as long as the data would hold an earlier view of most images, and call it a negative of itself.
        queue = max(budget.batch, min(budget.queue, len(pool) // 2 // budget.batch * budget.batch))
        method = MoCo(backbone, queue=queue, **budget.model_dump(exclude={"batch", "queue"}))
        method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        report = _Report(f"{NAME}, from {before}, {len(pool):,} images")
        # one epoch of ``budget.steps`` batches
        trainer = make_trainer(device, spec.precision, 1, [report], paths.runs() / "weights")
        fit(trainer, method, _Views(pool, budget, spec))
    return {name: tensor.detach().cpu().contiguous() for name, tensor in backbone.state_dict().items()}
