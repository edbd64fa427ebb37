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


class ClassificationMethod(pl.LightningModule):
    """A way to train a classifier: names its streams and turns one batch of each into named losses.

    A subclass states ``streams``, and writes ``step``, which gets one batch per stream by that name and returns named
    scalars, among them ``loss``, the one that is minimised. Its own settings are keyword arguments of its ``__init__``,
    with defaults.

    Args:
        model: backbone and heads.
        schedule: learning rates (paper: Adam, 1e-3 for the classification head, 1e-6 for the rest, x 0.1 at epochs 20
            and 25).
    """

    streams: ClassVar[tuple[str, ...]] = ("labelled",)
    embedding: ClassVar[str] = "features"
    """Which of the model's maps the collapse diagnostics look at besides the features: ``embed_s``, ``embed_u``."""
    precompute: ClassVar[bool] = False
    """Whether the backbone is frozen and the images can be replaced by their features once and for all."""

    def __init__(self, model: Classifier, schedule: Schedule) -> None:
        super().__init__()
        self.model = model
        self.schedule = schedule
        self.epoch_losses: dict[str, list[float]] = {}

    def step(self, **batches: Any) -> dict[str, Tensor]:
        """Named losses of one batch per stream; ``loss`` is their weighted sum."""
        raise NotImplementedError

    def cross_entropy(self, labelled: Batch) -> Tensor:
        """Eq. 4 on a labelled batch."""
        return F.cross_entropy(self.model(labelled.images), labelled.labels)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Lightning's hook: one step, guarded against a loss that is not finite."""
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
        """Parameters by group: ``head`` (H_cls), ``projection`` (H_s, H_u), ``backbone``."""
        groups = {
            "head": self.model.head,
            "projection": torch.nn.ModuleList([self.model.project_s, self.model.project_u]),
            "backbone": self.model.backbone,
        }
        return {name: [p for p in module.parameters() if p.requires_grad] for name, module in groups.items()}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, one group per learning rate (paper, section 6.1)."""
        rates = self.schedule.rates()
        groups = [{"params": p, "lr": rates[name], "name": name} for name, p in self.trained_parameters().items() if p]
        return torch.optim.Adam(groups, weight_decay=self.schedule.weight_decay)

    def on_train_epoch_start(self) -> None:
        """Set the epoch's learning rates; they depend on the epoch alone, so none is stored."""
        optimizer = self.optimizers()
        assert isinstance(optimizer, torch.optim.Optimizer) or hasattr(optimizer, "param_groups")
        rates = self.schedule.rates(self.current_epoch)
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
