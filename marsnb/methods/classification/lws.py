"""Decoupled training: learnable weight scaling."""

from typing import Any

import torch
from torch import Tensor, nn

from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Schedule
from marsnb.methods.classification._stages import TwoStageMethod, train_only
from marsnb.models.classifier import Classifier


class ScaledLinear(nn.Linear):
    """A linear layer whose outputs have one factor each, ``scale``, at first 1; it takes over weight and bias."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear.in_features, linear.out_features, device="meta")  # neither memory nor random numbers
        self.weight, self.bias = linear.weight, linear.bias
        self.scale = nn.Parameter(torch.ones_like(linear.weight[:, 0]))

    def forward(self, input: Tensor) -> Tensor:
        """Each logit of the linear layer times its class's scale."""
        return self.scale * super().forward(input)


@METHODS.register("lws")
class LearnableWeightScaling(TwoStageMethod):
    """Cross entropy in two stages: the whole network, then only one scale per class with balanced batches.

    Open choices, besides those that ``crt`` has, too: a scale multiplies the whole logit, bias included, as in the
    reference's code (its text scales the weights of a classifier without bias); the second stage is as long as the
    first (reference: 5 epochs after 90 or 200; see `TwoStageMethod`). Backbone and head are frozen, batch statistics
    included.

    The scales, which are part of the head when it is scored, have a rate of their own. A step of SGD is as long as its
    gradient, which is large for a scale; a step of Adam is about as long as the rate, for weights of a few hundredths
    and for scales alike, which begin at 1 and have to come to several times that. At the head's 1e-3, the 1,300 steps
    before the first decay of a run of six passes over MSL are a way of 1.3 at the most; at ten times that it is 13, and
    the scales settle.

    Args:
        rate_scale: rate of the scales, as a multiple of the head's (reference: 1, with SGD).

    Reference: Kang et al., Decoupling representation and classifier, arXiv 1910.09217, section 4.
    """

    rate_scale: float = 10.0

    def __init__(self, model: Classifier, schedule: Schedule, **settings: Any) -> None:
        super().__init__(model, schedule, **settings)
        model.head = ScaledLinear(model.head)

    @property
    def scale(self) -> nn.Parameter:
        """The head's scales, ``(classes,)``."""
        assert isinstance(self.model.head, ScaledLinear)
        return self.model.head.scale

    def rates(self, epoch: int) -> dict[str, float]:
        """As for every method, and ``scale``'s, which decays with the others."""
        rates = super().rates(epoch)
        return rates | {"scale": self.rate_scale * rates["head"]}

    def trained_parameters(self) -> dict[str, list[nn.Parameter]]:
        """As for every method, but the scales are a group of their own."""
        groups = super().trained_parameters()
        groups["head"] = [p for p in groups["head"] if p is not self.scale]
        return {**groups, "scale": [self.scale]}

    def enter(self, stage: int, first: bool) -> None:
        """Train all but the scales in the first stage, and nothing but the scales in the second."""
        model = self.model
        if stage == 0:
            train_only(model, model.backbone, model.head)
            self.scale.requires_grad_(False)
        else:
            train_only(model, self.scale)
