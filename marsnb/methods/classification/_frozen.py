"""Freezing of parts of the model in a stage of a method."""

import torch
from torch import Tensor, nn

from marsnb.models.classifier import Classifier, freeze_batchnorm


def train_only(model: Classifier, *parts: nn.Module | nn.Parameter) -> None:
    """Let only ``parts`` of the model learn from here on; frozen batch normalisation stays frozen.

    The optimizer, built once for all stages, goes on holding every parameter. It leaves alone those without a gradient,
    so gradients of the stage before are dropped here: with one, even of 0, Adam's momentum would go on moving them.

    Args:
        model: changed in place.
        parts: of ``model``.
    """
    model.requires_grad_(False)
    for part in parts:
        part.requires_grad_(True)
    if model.batchnorm == "frozen":
        freeze_batchnorm(model.backbone)
    model.zero_grad(set_to_none=True)


def frozen_features(model: Classifier, images: Tensor) -> Tensor:
    """Features of a backbone that stays as it is: no gradient, and batch statistics neither used nor taken.

    The backbone is left in evaluation mode. It is put there at every call, since Lightning puts all of a method into
    training mode after the epoch's first hook may have run.

    Shape:
        ``(B, 3, H, W)`` to ``(B, num_features)``.
    """
    model.backbone.eval()
    with torch.no_grad():
        return model.features(images)
