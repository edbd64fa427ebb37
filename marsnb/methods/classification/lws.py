"""Decoupled training: learnable weight scaling."""

import torch
from torch import Tensor, nn

from marsnb.methods.classification import METHODS
from marsnb.methods.classification._decoupling import DecoupledMethod
from marsnb.methods.classification._frozen import train_only
from marsnb.methods.classification._parts import Schedule
from marsnb.models.classifier import Classifier


class ScaledLinear(nn.Linear):
    """A linear layer whose outputs have one factor each, at first 1.

    Args:
        linear: its weight and bias are taken over, not copied.

    Attributes:
        scale: ``(out_features,)``.

    Shape:
        ``(B, in_features)`` to ``(B, out_features)``.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear.in_features, linear.out_features, device="meta")  # neither memory nor random numbers
        self.weight, self.bias = linear.weight, linear.bias
        self.scale = nn.Parameter(torch.ones_like(linear.weight[:, 0]))

    def forward(self, input: Tensor) -> Tensor:
        """Each logit of the linear layer times its class's scale."""
        return self.scale * super().forward(input)


@METHODS.register("lws")
class LearnableWeightScaling(DecoupledMethod):
    """Cross entropy in two stages: the whole network, then only one scale per class with balanced batches.

    Open choices: a scale multiplies the whole logit, bias included, as in the reference's code (its text scales the
    weights of a classifier without bias); the second stage is 0.33 of the run's epochs, as for ``crt``, so 10 after the
    paper's 30, where the reference has 5 after 90 or 200; it has the run's own rates (the head's for the scales) and
    Adam, not SGD at 0.2 with a cosine; a balanced batch draws the class of each image by itself, where the reference
    takes 4 images of each class drawn. Backbone and head are frozen, batch statistics included.

    Args:
        model: backbone and heads; its head is replaced by one with scales, which are part of it when it is scored.
        schedule: learning rates; they begin anew with the second stage.

    Reference: Kang et al., Decoupling representation and classifier, arXiv 1910.09217, section 4.
    """

    def __init__(self, model: Classifier, schedule: Schedule) -> None:
        super().__init__(model, schedule)
        model.head = ScaledLinear(model.head)

    def enter(self, stage: int, first: bool) -> None:
        """Train all but the scales in the first stage, and nothing but the scales in the second."""
        model, head = self.model, self.model.head
        assert isinstance(head, ScaledLinear)
        if stage == 0:
            train_only(model, model.backbone, head)
            head.scale.requires_grad_(False)
        else:
            train_only(model, head.scale)
