"""Lightning's trainer as every run here wants it: no logger, bar or checkpoints but our own."""

from pathlib import Path

import pytorch_lightning as pl
import torch


def make_trainer(
    device: torch.device, precision: str, epochs: int, callbacks: list[pl.Callback], folder: Path
) -> pl.Trainer:
    """A quiet trainer on one device, which asks for its batches anew each epoch.

    Args:
        device: where to train.
        precision: Lightning's name of it.
        epochs: how many.
        callbacks: what watches the run.
        folder: where Lightning may write.
    """
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="gpu" if device.type == "cuda" else device.type,
        devices=1 if device.index is None else [device.index],
        precision=precision,  # type: ignore[arg-type]
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        default_root_dir=folder,
    )
