"""LDAM with deferred re-weighting."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from marsnb.losses.class_balanced import effective_weights
from marsnb.losses.ldam import LDAM
from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Batch, ClassificationMethod, Schedule, Task
from marsnb.models.classifier import Classifier

DEFERRED = 0.8  # share of the epochs before re-weighting begins in the reference: 160 of 200


class CosineLinear(nn.Linear):
    """A linear layer without bias, whose inputs and class vectors are scaled to unit norm: its outputs are cosines."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Cosine of each input with each class vector, in single precision also under autocast."""
        with torch.autocast(device_type=input.device.type, enabled=False):
            return F.linear(F.normalize(input.float()), F.normalize(self.weight))


@METHODS.register("ldam_drw")
class LDAMDRW(ClassificationMethod):
    """Cross entropy of cosines with a margin that is larger for rare classes, which late in training also weigh more.

    Re-weighting begins with the first decay of the learning rate, as in the reference (epoch 160 of 200), so it has as
    many epochs as follow that decay: 10 of the paper's 30.

    Open choices: the weights are those of the class-balanced loss, as in the reference, whose code also divides by
    their sum over the batch; the network's logits are the cosines themselves, so its confidences are low, and its
    answers the same.

    Args:
        max_margin: margin of the rarest class (reference: 0.5).
        scale: of the cosines (reference: 30).
        deferred: share of the epochs before re-weighting begins, which it does with the first epoch at or after it.
            ``None``: the first decay decides, or `DEFERRED` where the rates never decay.
        beta: of the class-balanced weights (reference: 0.9999).

    Reference: Cao et al., arXiv 1906.07413, section 3.
    """

    weights: Tensor

    max_margin: float = 0.5
    scale: float = 30.0
    deferred: float | None = None
    beta: float = 0.9999

    def __init__(self, model: Classifier, schedule: Schedule, **settings: Any) -> None:
        super().__init__(model, schedule, **settings)
        model.head = CosineLinear(model.head.in_features, model.head.out_features)

    def prepare(self, task: Task) -> None:
        """Make margins and weights from the class counts."""
        super().prepare(task)
        self.ldam = LDAM(task.class_counts, self.max_margin, self.scale)
        self.register_buffer("weights", effective_weights(task.class_counts, self.beta), persistent=False)

    def reweighted(self) -> bool:
        """Whether the weights count in this epoch."""
        if self.deferred is None and self.schedule.milestones:
            return self.epoch >= min(self.schedule.milestones)
        return self.epoch >= (DEFERRED if self.deferred is None else self.deferred) * self.task.epochs

    def step(self, labelled: Batch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_ldam, weighted from the first decay on."""
        cosines = self.model(labelled.images)  # (B, C)
        loss = self.ldam(cosines, labelled.labels, self.weights if self.reweighted() else None)
        return {"loss": loss, "ldam": loss}
