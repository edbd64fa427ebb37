"""Lightning's trainer as every run here wants it: no logger, bar or checkpoints but our own."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]
from pytorch_lightning.strategies import DDPStrategy

from marsnb import distributed

LONGEST_WAIT = timedelta(hours=6)
"""That processes of a run wait for the first one, which alone scores."""
COMPILED = ("backbone", "encoder", "decoder", "decoder_s")
"""Parts of the models that are worth compiling."""


def make_trainer(
    device: torch.device,
    precision: str,
    epochs: int,
    callbacks: list[pl.Callback],
    folder: Path,
    devices: int = 1,
) -> pl.Trainer:
    """A quiet trainer, which asks for its batches anew each epoch.

    Args:
        device: where to train.
        precision: Lightning's name of it, or ``auto``; see ``precision_on``.
        epochs: how many.
        callbacks: what watches the run.
        folder: where Lightning may write.
        devices: processes of the run, each with a device; this is one of them, started by ``training.parallel``.
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
    """Compile a model's networks where they are: names of parameters and what is saved stay as they are.

    Args:
        model: a ``Classifier`` or a ``Segmenter``.
        backend: of ``torch.compile``.
    """
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
