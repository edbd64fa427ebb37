"""Class-balanced loss: cross entropy weighted by the inverse effective number of a class's images."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from marsnb.losses import LOSSES

BETA = 0.9999
"""The reference's value for long-tailed sets of this size."""


def effective_weights(counts: Sequence[int], beta: float = BETA) -> Tensor:
    """Weight of each class, inverse to its effective number of images (1 - beta^n) / (1 - beta); ``(C,)``, float32.

    The weights of the classes that have images add up to the number of these classes; a class without one has weight 0.

    Args:
        counts: training images of each class.
        beta: 0 to below 1; 0 gives equal weights, towards 1 the weights become inverse to the counts.

    Raises:
        ValueError: ``beta`` is not in [0, 1), or no class has an image.

    Reference: Cui et al., Class-balanced loss based on effective number of samples, arXiv 1901.05555, Eq. 2 and 3.2.
    """
    if not 0 <= beta < 1:
        raise ValueError(f"beta must be 0 to below 1, got {beta}")
    n = torch.as_tensor(counts, dtype=torch.float64)
    present = n > 0
    if not present.any():
        raise ValueError("no class has an image")
    weights = torch.where(present, (1 - beta) / (1 - beta ** n.clamp(min=1)), torch.zeros_like(n))
    return (weights * present.sum() / weights.sum()).float()


def class_balanced(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Mean over the batch of each image's cross entropy times the weight of its class.

    It is not divided by the weights of the batch, which would make an image's share depend on its neighbours.

    Args:
        logits: of the classes, ``(B, C)``.
        labels: class of each image, ``(B,)``, int64.
        weights: of the classes, ``(C,)``, e.g. from `effective_weights`.

    Reference: Cui et al., arXiv 1901.05555, Eq. 5 (softmax form).
    """
    ce = F.cross_entropy(logits, labels, reduction="none")  # (B,)
    return (weights.to(ce)[labels] * ce).mean()


@LOSSES.register("class_balanced")
class ClassBalanced(nn.Module):
    """Module form of `class_balanced`, made from the counts; see `effective_weights`."""

    weights: Tensor

    def __init__(self, counts: Sequence[int], beta: float = BETA) -> None:
        super().__init__()
        self.register_buffer("weights", effective_weights(counts, beta), persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch; see `class_balanced`."""
        return class_balanced(logits, labels, self.weights)
