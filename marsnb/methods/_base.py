"""What every training method is, whatever its task: stages, the guard against a broken loss, settings."""

import inspect
import math
from dataclasses import dataclass
from typing import Any, ClassVar, get_origin

import pytorch_lightning as pl
import torch
from torch import Tensor

from marsnb.distributed import averaged
from marsnb.errors import RecipeError, TrainingError
from marsnb.models.batchnorm import synchronised_batchnorm


@dataclass(frozen=True)
class Task:
    """What a method may know of the run besides its batches."""

    class_counts: tuple[int, ...]
    """Training images of each class, 0 where a class has none; none are given for segmentation."""
    epochs: int
    """Of one stage."""
    steps: int
    """Per epoch."""


class Method(pl.LightningModule):
    """Names its streams and turns one batch of each into named losses; a subclass per task says how it is optimised.

    A method of several stages lists in ``stages`` how long each is, says in ``streams_of`` what each is fed, and writes
    ``enter``; the schedule begins anew with each stage. What a method needs of the run it takes in ``prepare``.

    Args:
        model: backbone and heads.
        schedule: learning rates.
        settings: of the method: annotated attributes of its class that have a default (and are no ``ClassVar``).

    Raises:
        RecipeError: the method has no such setting.

    Attributes:
        task: set by ``prepare``.
        epoch, stage: where training is, both from 0; ``epoch`` counts within the stage.
        progress: share of the stage's steps that are done, 0 to below 1.
        epoch_losses: of the steps of the epoch so far, by name.
    """

    streams: ClassVar[tuple[str, ...]] = ("labelled",)
    stages: ClassVar[tuple[float, ...]] = (1.0,)
    """Length of each stage, as a multiple of the run's epochs."""
    pixels: tuple[str, ...] = ()
    """Streams that must come as images, since the method changes their pixels by its own hands (mixing, cutting,
    turning, adding noise); the others may come already through the model's frozen trunk."""
    divisible: ClassVar[bool] = False
    """Whether a step on several processes, each with its part of the batch, is the step of one on all of it."""

    def __init__(self, model: Any, schedule: Any, **settings: Any) -> None:
        super().__init__()
        for name, value in method_settings(type(self), settings).items():
            setattr(self, name, value)
        self.model = model
        self.schedule = schedule
        self.epoch_losses: dict[str, list[float]] = {}
        self.task = Task((), 1, 1)
        self.epoch, self.stage, self.progress = 0, 0, 0.0

    def prepare(self, task: Task) -> None:
        """Take what the run knows, before the first step; a subclass makes here what depends on it: class weights."""
        self.task = task

    @classmethod
    def streams_of(cls, stage: int) -> tuple[str, ...]:
        """The streams that a stage is fed, a part of ``streams``."""
        return cls.streams

    def enter(self, stage: int, first: bool) -> None:
        """Freeze what ``stage`` freezes; if this is its ``first`` epoch, also start anew what it starts anew.

        Called at every epoch's start in a method of several stages, so that a resumed run is as it was.
        """

    def decided_by(self, stage: int) -> dict[str, Any] | None:
        """The settings that decide the stages up to this one; ``None`` where it is not shared with other runs.

        Runs of a method whose other settings differ alone train those stages once (``marsnb.training.shared``).
        """
        return None

    def stage_epochs(self) -> list[int]:
        """Epochs of each stage, at least one each."""
        return [max(1, round(share * self.task.epochs)) for share in self.stages]

    def stage_at(self, epoch: int) -> tuple[int, int]:
        """(stage, epoch within it) of an epoch of the whole run; past the end, the last stage."""
        lengths = self.stage_epochs()
        for stage, length in enumerate(lengths[:-1]):
            if epoch < length:
                return stage, epoch
            epoch -= length
        return len(lengths) - 1, epoch

    def begin_epoch(self, epoch: int) -> None:
        """Set stage and epoch for an epoch of the whole run, counted from 0."""
        self.stage, self.epoch = self.stage_at(epoch)
        self.progress = self.epoch / self.stage_epochs()[self.stage]
        if len(self.stage_epochs()) > 1:
            self.enter(self.stage, first=self.epoch == 0)

    def progress_at(self, batch_idx: int) -> float:
        """Share of the stage's steps that are done when a batch of this epoch begins, 0 to below 1."""
        return (self.epoch + batch_idx / self.task.steps) / self.stage_epochs()[self.stage]

    def step(self, **batches: Any) -> dict[str, Tensor]:
        """Named losses of one batch per stream; ``loss`` is their weighted sum, the one that is minimised."""
        raise NotImplementedError

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Lightning's hook: one step, guarded against a loss that is not finite."""
        self.progress = self.progress_at(batch_idx)
        with synchronised_batchnorm():
            losses = self.step(**batch)
        for name, scalar in zip(losses, averaged(torch.stack(list(losses.values()))).tolist(), strict=True):
            if not math.isfinite(scalar):
                raise TrainingError(
                    f"{name} became {scalar} at step {self.global_step} (epoch {self.current_epoch}); "
                    f"lower the learning rates, or train in 32-bit precision"
                )
            self.epoch_losses.setdefault(name, []).append(scalar)
        return losses["loss"]

    def set_rates(self, rates: dict[str, float]) -> None:
        """Give each named group of the optimizer its learning rate."""
        for group in self.optimizers().param_groups:  # type: ignore[union-attr]
            group["lr"] = rates[group["name"]]


def method_settings(method: type[Method], given: dict[str, Any]) -> dict[str, Any]:
    """The settings of a method: its defaults, with ``given`` put over them; an unknown one raises ``RecipeError``."""
    known: dict[str, Any] = {}
    for kind in reversed(method.__mro__[: method.__mro__.index(Method)]):  # what a class inherits comes first
        noted: dict[str, Any] = inspect.get_annotations(kind)
        own = {name for name in noted if not (hasattr(Method, name) or get_origin(noted[name]) is ClassVar)}
        known |= {name: default for name, default in vars(kind).items() if name in own}
    unknown = sorted(set(given) - set(known))
    if unknown:
        names = ", ".join(sorted(known)) or "none"
        raise RecipeError(f"method setting {unknown[0]!r} is unknown to {method.__name__}; known: {names}")
    return known | given
