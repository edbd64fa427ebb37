"""Lightning's trainer and data module as every run here wants them: no logger, bar or checkpoints but our own."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]
from pytorch_lightning.strategies import DDPStrategy
from torch.utils.data import DataLoader, IterableDataset

from marsnb import distributed
from marsnb.errors import DataError

LONGEST_WAIT = timedelta(hours=6)  # that processes of a run wait for the first one, which alone scores
COMPILED = ("backbone", "encoder", "decoder", "decoder_s")  # parts of the models that are worth compiling


def make_trainer(
    device: torch.device, precision: str, epochs: int, callbacks: list[pl.Callback], folder: Path, devices: int = 1
) -> pl.Trainer:
    """A quiet trainer, which asks for its batches anew each epoch, and may write into ``folder``.

    ``precision`` is Lightning's name of it, or ``auto`` (see `precision_on`). Of several ``devices`` each has a
    process, and this is one of them, started by ``training.parallel``.
    """
    one: Any = 1 if device.index is None else [device.index]
    # A step may leave parts of the model out: segmentation's first does without the head for classes.
    several = DDPStrategy(
        process_group_backend="nccl" if device.type == "cuda" else "gloo",
        find_unused_parameters=True,
        timeout=LONGEST_WAIT,
    )
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="gpu" if device.type == "cuda" else device.type,
        devices=one if devices == 1 else devices,
        strategy=several if devices > 1 else "auto",
        plugins=[LightningEnvironment()] if devices > 1 else None,
        precision=precision_on(device, precision),  # type: ignore[arg-type]
        benchmark=device.type == "cuda",
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
        default_root_dir=folder,
    )


def fit(trainer: pl.Trainer, method: Any, batches: Any, **more: Any) -> None:
    """``trainer.fit``, out of which Ctrl-C comes as such: Lightning makes an exit with code 1 of it."""
    try:
        trainer.fit(method, batches, **more)
    except SystemExit as end:
        if end.code == 1:
            raise KeyboardInterrupt from None
        raise


def precision_on(device: torch.device, precision: str) -> str:
    """``auto`` is bfloat16 by autocast on a GPU that computes in it, else single precision."""
    if precision != "auto":
        return precision
    return "bf16-mixed" if device.type == "cuda" and torch.cuda.is_bf16_supported(False) else "32-true"


def compile_model(model: torch.nn.Module, backend: str = "inductor") -> None:
    """Compile the networks of a ``Classifier`` or a ``Segmenter`` where they are: names and what is saved stay."""
    for name in COMPILED:
        part = getattr(model, name, None)
        if part is not None:
            part.compile(backend=backend)


def feeding(trainer: pl.Trainer | None) -> dict[str, Any]:
    """How a ``DataLoader`` of whole batches feeds a trainer.

    For a GPU, a process of its own gathers the next batches into pinned memory, from which they are sent while the GPU
    computes; on the CPU it would only take computing time away.
    """
    if trainer is None or trainer.strategy.root_device.type != "cuda":
        return {"batch_size": None}
    return {"batch_size": None, "num_workers": 1, "prefetch_factor": 2, "pin_memory": True}


def part_seed(seed: int, step: int) -> int:
    """What a step's random numbers are drawn from: each process of a run has its own."""
    return seed * 1_000_003 + step + distributed.rank() * 67_108_859  # torch takes 32 bits of it on the CPU


class Epoch(IterableDataset):
    """The batches of one epoch, by stream name, not yet augmented; of several processes each has its part of them."""

    def __init__(self, arrays: Any, streams: dict[str, int], spec: Any, steps: range) -> None:
        self.arrays, self.streams, self.spec, self.steps = arrays, streams, spec, steps
        self.rank, self.size = distributed.rank(), distributed.size()

    def __len__(self) -> int:
        return len(self.steps)


class Feeder(pl.LightningDataModule):
    """Feeds a method its streams, in an epoch only those that ``streams_at`` names, of what ``arrays`` hold.

    Augmentation runs on the whole batch, on the device.

    Raises:
        DataError: the training list is shorter than a batch.
    """

    dataset: type[Epoch]
    what = "images"

    def __init__(
        self,
        arrays: Any,
        streams: tuple[str, ...],
        spec: Any,
        streams_at: Callable[[int], tuple[str, ...]] | None = None,
    ) -> None:
        super().__init__()
        self.arrays, self.streams, self.spec = arrays, streams, spec
        self.streams_at = streams_at or (lambda epoch: streams)
        self.steps = spec.steps_per_epoch or len(arrays.splits["train"]) // spec.batch_labelled
        if self.steps < 1:
            raise DataError(f"the training list has fewer than {spec.batch_labelled} {self.what}: lower batch_labelled")

    def train_dataloader(self) -> DataLoader:
        """The coming epoch's batches; Lightning asks anew each epoch."""
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        wanted = self.streams_at(epoch)
        # A stream's place among all of the method's seeds it, also in a stage that leaves others out.
        streams = {name: place for place, name in enumerate(self.streams) if name in wanted}
        steps = range(epoch * self.steps, (epoch + 1) * self.steps)
        return DataLoader(self.dataset(self.arrays, streams, self.spec, steps), **feeding(self.trainer))

    def augment(self, item: dict[str, Any], name: str) -> Any:
        """One stream's raw batch as the method takes it."""
        raise NotImplementedError

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Lightning's hook, on the device.

        Augmentation is a function of the seed, the step and the process's rank, so a resumed run draws the same
        whatever came before; so are the method's own draws, dropout among them, which come after it from the same
        generator.
        """
        torch.manual_seed(part_seed(self.spec.seed, batch.pop("step")))
        return {name: self.augment(item, name) for name, item in batch.items()}
