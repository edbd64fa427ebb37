"""Focal loss on softmax probabilities: what is recognised already counts less."""

import torch
from torch import Tensor
from torch.nn import functional as F

from marsnb.losses import LOSSES, Loss

GAMMA = 2.0
"""The reference's exponent."""


def focal(logits: Tensor, labels: Tensor, gamma: float = GAMMA) -> Tensor:
    """Mean cross entropy of each image times (1 - p) ** gamma, p being the probability of its class.

    This is the form for classes that exclude each other. torchvision and segmentation-models-pytorch have the
    one-vs-all form on sigmoids, which is another loss.

    Args:
        logits: of the classes, ``(B, C)``; the result is in float32 (float64 for float64 input).
        labels: class of each image, ``(B,)``, int64.
        gamma: at least 0; 0 gives cross entropy (reference: 2).

    Raises:
        ValueError: ``gamma`` is negative.

    Reference: Lin et al., Focal loss for dense object detection, arXiv 1708.02002, Eq. 4.
    """
    if gamma < 0:
        raise ValueError(f"gamma must be at least 0, got {gamma}")
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    ce = F.cross_entropy(logits, labels, reduction="none")  # (B,), minus the logarithm of p
    # (B,), 1 - p without cancellation; never 0, where a power below 1 has no finite gradient
    missing = (-torch.expm1(-ce)).clamp(min=torch.finfo(ce.dtype).tiny)
    return (missing**gamma * ce).mean()


@LOSSES.register("focal")
class Focal(Loss):
    """Module form of `focal`."""

    function = staticmethod(focal)
