"""The callback that watches a run: curves, collapse diagnostics, a checkpoint per epoch, one line at the end."""

import time
from collections.abc import Set
from contextlib import suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from marsnb.errors import DataError
from marsnb.files import write_whole
from marsnb.methods._base import Method
from marsnb.training.running import in_epoch
from marsnb.training.work import Work

CHECKPOINT = "last.ckpt"
PARTS = {"state_dict", "optimizer_states", "callbacks", "loops", "pytorch-lightning_version"}
"""What a run needs of its checkpoint to go on."""


def read_checkpoint(path: Path, parts: Set[str] = PARTS) -> dict[str, Any]:
    """What a run's checkpoint holds; no code in the file is run.

    Raises:
        DataError: it is damaged, or lacks one of ``parts``.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, UnpicklingError) as error:
        raise unusable(path, "it is damaged, or holds more than weights") from error
    if not isinstance(content, dict) or not content.keys() >= parts:
        raise unusable(path, "it is no run's checkpoint")
    return content


def unusable(path: Path, why: object) -> DataError:
    """The error of a checkpoint that cannot be used."""
    return DataError(f"{path} cannot be loaded ({str(why).splitlines()[0]}): delete the folder and train the run anew")


class Recorder(pl.Callback):
    """Scores and records every epoch, then writes the checkpoint whole: a run killed at any moment goes on from there.

    Every ``score_every`` epochs and the last are scored. A run is shown by its ``label``, and its checkpoint says what
    it was trained ``by`` (see ``shared.trained_by``). By the epochs done, ``ends`` says where to keep it for others.
    """

    def __init__(
        self,
        work: Work,
        folder: Path,
        label: str,
        score_every: int = 1,
        ends: dict[int, Path] | None = None,
        by: str = "",
    ) -> None:
        self.work, self.folder, self.label, self.score_every = work, folder, label, score_every
        self.ends, self.by, self.console = ends or {}, by, Console()
        self.curves: list[dict[str, Any]] = []
        self.seconds, self.images, self._started = 0.0, 0, 0.0
        self._progress: Progress | None = None
        self._task: Any = None

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must not lose."""
        return {"curves": self.curves, "seconds": self.seconds, "images": self.images, "by": self.by}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what an earlier process recorded."""
        self.curves, self.seconds, self.images = state_dict["curves"], state_dict["seconds"], state_dict["images"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the display."""
        # a notebook or a log file gets the one line at the end
        if not (self.console.is_terminal and trainer.is_global_zero):
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, transient=True, console=self.console)
        total = (trainer.max_epochs or 0) * self.work.batches.steps
        self._task = self._progress.add_task(self.label, total=total, completed=trainer.global_step)
        self._progress.start()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin an epoch's means and its clock."""
        in_epoch(self.folder, trainer.current_epoch + 1, trainer.max_epochs)
        assert isinstance(pl_module, Method)
        pl_module.epoch_losses = {}
        self._started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: dict[str, Any], batch_idx: int
    ) -> None:
        """Count the images and move the display on."""
        for item in batch.values():
            self.images += trainer.world_size * len(item.labels) * (2 if hasattr(item, "view2") else 1)
        if self._progress is not None:
            self._progress.update(self._task, completed=trainer.global_step)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Score, record, save; of several processes the first does, and the others wait for it in ``save``."""
        self.seconds += time.perf_counter() - self._started
        assert isinstance(pl_module, Method)
        if not trainer.is_global_zero:
            self.save(trainer)
            return
        epoch = trainer.current_epoch + 1
        values = {name: sum(all_) / len(all_) for name, all_ in pl_module.epoch_losses.items()}
        if epoch % self.score_every == 0 or epoch == trainer.max_epochs:
            values |= self.work.assess(pl_module, pl_module.device)
        pl_module.train()
        self.curves += [{"epoch": epoch, "metric": metric, "value": value} for metric, value in values.items()]
        self.save(trainer)
        line = self._line(trainer, epoch, values)
        if self._progress is not None:
            self._progress.update(self._task, description=line)
        if epoch == trainer.max_epochs:
            self.close()
            self.console.print(line, highlight=False)
            self.console.file.flush()  # a log file is then as live as a terminal

    def _line(self, trainer: pl.Trainer, epoch: int, values: dict[str, float]) -> str:
        """What the display says after an epoch."""
        names = [(split, f"{split}/{self.work.headline}") for split in ("val", "test")]
        shown = [f"{split} {100 * values[name]:.2f} %" for split, name in names if name in values]
        done = f"{epoch}/{trainer.max_epochs} epochs" if epoch < (trainer.max_epochs or 0) else f"{epoch} epochs"
        return "  ".join([self.label, done, f"loss {values.get('loss', float('nan')):.4f}", *shown])

    def save(self, trainer: pl.Trainer) -> None:
        """Write the checkpoint beside its name, then rename it."""
        partial = self.folder / f".{CHECKPOINT}.partial"
        try:
            trainer.save_checkpoint(partial)  # all processes meet here; the first writes
            if trainer.is_global_zero:
                partial.replace(self.folder / CHECKPOINT)
                end = self.ends.get(trainer.current_epoch + 1)
                if end is not None and not end.exists():
                    with suppress(OSError):  # a disk without room for another run's checkpoint is no reason to stop
                        write_whole(end, (self.folder / CHECKPOINT).read_bytes())
        finally:
            if trainer.is_global_zero:
                partial.unlink(missing_ok=True)

    def close(self) -> None:
        """Take the display down, however the run ended."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
