"""What the classification methods share: the optimizer, the guard against a broken loss, the parameters of a method."""

import inspect
import math
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from marsnb.errors import RecipeError, TrainingError
from marsnb.models.classifier import Classifier


class Schedule(Protocol):
    """Learning rates as a function of the epoch (``marsnb.training.schedule``)."""

    @property
    def weight_decay(self) -> float:
        """L2 penalty of the optimizer."""
        ...

    def rates(self, epoch: int = 0) -> dict[str, float]:
        """Rate of each parameter group in ``epoch``."""
        ...


@dataclass(frozen=True)
class Batch:
    """One batch of labelled images.

    Attributes:
        images: ``(B, 3, H, W)`` in [0, 1], augmented.
        labels: ``(B,)``, int64.
    """

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class PairBatch:
    """One batch of pairs of views.

    Attributes:
        view1, view2: ``(B, 3, H, W)`` in [0, 1]; row i of both belong together.
        labels: ``(B,)``, int64; -1 where there is no label.
    """

    view1: Tensor
    view2: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Task:
    """What a method may know of the run besides its batches.

    Attributes:
        class_counts: training images of each class; 0 where a class has none.
        epochs, steps: of one stage, and steps per epoch.
    """

    class_counts: tuple[int, ...]
    epochs: int
    steps: int


class ClassificationMethod(pl.LightningModule):
    """A way to train a classifier: names its streams and turns one batch of each into named losses.

    A subclass states ``streams``, and writes ``step``, which gets one batch per stream by that name and returns named
    scalars, among them ``loss``, the one that is minimised. Its own settings are keyword arguments of its ``__init__``,
    with defaults. What it needs of the run (class counts, length) it takes in ``prepare``.

    A method of several stages lists in ``stages`` how long each is, as a multiple of the run's epochs, says in
    ``streams_of`` what each is fed, and writes ``enter``; the schedule begins anew with each stage.

    Args:
        model: backbone and heads.
        schedule: learning rates (paper: Adam, 1e-3 for the classification head, 1e-6 for the rest, x 0.1 at epochs 20
            and 25).

    Attributes:
        task: set by ``prepare``.
        epoch, stage: where training is, both from 0; ``epoch`` counts within the stage.
        progress: share of the stage's steps that are done, 0 to below 1.
    """

    streams: ClassVar[tuple[str, ...]] = ("labelled",)
    stages: ClassVar[tuple[float, ...]] = (1.0,)
    """Length of each stage, as a multiple of the run's epochs."""
    embedding: ClassVar[str] = "features"
    """Which of the model's maps the collapse diagnostics look at besides the features: ``embed_s``, ``embed_u``."""
    precompute: ClassVar[bool] = False
    """Whether the backbone is frozen and the images can be replaced by their features once and for all."""

    def __init__(self, model: Classifier, schedule: Schedule) -> None:
        super().__init__()
        self.model = model
        self.schedule = schedule
        self.epoch_losses: dict[str, list[float]] = {}
        self.task = Task((), 1, 1)
        self.epoch, self.stage, self.progress = 0, 0, 0.0

    def prepare(self, task: Task) -> None:
        """Take what the run knows, before the first step and before a checkpoint is loaded.

        A subclass makes here what depends on it, such as class weights (call ``super().prepare``).
        """
        self.task = task

    @classmethod
    def streams_of(cls, stage: int) -> tuple[str, ...]:
        """The streams that a stage is fed, a part of ``streams``."""
        return cls.streams

    def enter(self, stage: int, first: bool) -> None:
        """Freeze what ``stage`` freezes; if this is its ``first`` epoch, also start anew what it starts anew.

        Called at the start of every epoch of a method with several stages, so that a resumed run is as it was.
        """

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
        if len(self.stages) > 1:
            self.enter(self.stage, first=self.epoch == 0)

    def step(self, **batches: Any) -> dict[str, Tensor]:
        """Named losses of one batch per stream; ``loss`` is their weighted sum."""
        raise NotImplementedError

    def cross_entropy(self, labelled: Batch) -> Tensor:
        """Eq. 4 on a labelled batch."""
        return F.cross_entropy(self.model(labelled.images), labelled.labels)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Lightning's hook: one step, guarded against a loss that is not finite."""
        self.progress = (self.epoch + batch_idx / self.task.steps) / self.stage_epochs()[self.stage]
        losses = self.step(**batch)
        for name, value in losses.items():
            scalar = float(value.detach())
            if not math.isfinite(scalar):
                raise TrainingError(
                    f"{name} became {scalar} at step {self.global_step} (epoch {self.current_epoch}); "
                    f"lower the learning rates, or train in 32-bit precision"
                )
            self.epoch_losses.setdefault(name, []).append(scalar)
        return losses["loss"]

    def trained_parameters(self) -> dict[str, list[torch.nn.Parameter]]:
        """Parameters by group: ``head`` (H_cls, and a method's own parts), ``projection`` (H_s, H_u), ``backbone``."""
        projection = torch.nn.ModuleList([self.model.project_s, self.model.project_u])
        inside = {id(p) for p in self.model.parameters()}
        groups = {
            "head": [*self.model.head.parameters(), *(p for p in self.parameters() if id(p) not in inside)],
            "projection": list(projection.parameters()),
            "backbone": list(self.model.backbone.parameters()),
        }
        return {name: [p for p in group if p.requires_grad] for name, group in groups.items()}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, one group per learning rate (paper, section 6.1)."""
        rates = self.schedule.rates()
        groups = [{"params": p, "lr": rates[name], "name": name} for name, p in self.trained_parameters().items() if p]
        return torch.optim.Adam(groups, weight_decay=self.schedule.weight_decay)

    def on_train_epoch_start(self) -> None:
        """Set the epoch's stage and learning rates; they depend on the epoch alone, so none is stored."""
        self.begin_epoch(self.current_epoch)
        optimizer = self.optimizers()
        assert isinstance(optimizer, torch.optim.Optimizer) or hasattr(optimizer, "param_groups")
        # A stage that is half as long decays at half the epoch.
        rates = self.schedule.rates(int(self.epoch / self.stages[self.stage]))
        for group in optimizer.param_groups:  # type: ignore[union-attr]
            group["lr"] = rates[group["name"]]


def method_settings(method: type[ClassificationMethod], given: dict[str, Any]) -> dict[str, Any]:
    """The settings of a method: its defaults, with ``given`` put over them.

    Raises:
        RecipeError: ``given`` has a key that the method does not know.
    """
    known = {
        name: parameter.default
        for name, parameter in inspect.signature(method.__init__).parameters.items()
        if name not in ("self", "model", "schedule") and parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    unknown = sorted(set(given) - set(known))
    if unknown:
        names = ", ".join(sorted(known)) or "none"
        raise RecipeError(f"method setting {unknown[0]!r} is unknown to {method.__name__}; known: {names}")
    return known | given
