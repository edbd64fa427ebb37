"""S4L with rotation: tell by how many quarter turns an image was turned."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Batch, ClassificationMethod, Schedule
from marsnb.models.classifier import Classifier

TURNS = 4


def rotated_copies(images: Tensor) -> Tensor:
    """Every image by 0 to 3 quarter turns, ``(B, C, S, S)`` to ``(4B, C, S, S)``: all upright, then all by one turn."""
    return torch.cat([torch.rot90(images, turns, dims=(2, 3)) for turns in range(TURNS)])


def rotation_labels(images: Tensor) -> Tensor:
    """Turns of each of the ``rotated_copies`` of ``images``: ``(B, ...)`` to ``(4B,)``, int64."""
    return torch.arange(TURNS, device=images.device).repeat_interleave(len(images))


@METHODS.register("s4l_rotation")
class S4LRotation(ClassificationMethod):
    """Cross entropy on four rotated copies of each image, and guessing the rotation, also of unlabelled images.

    Both tasks share one forward pass of the labelled copies. The rotation head is linear on the features, learns at
    the head's rate and is dropped afterwards.

    Open choices: labelled and unlabelled copies are two forward passes, so each has batch statistics of its own;
    unlabelled images get the ordinary augmentation and the project's batch; images are square. Turned labelled copies
    count in the running statistics of batch normalisation, as cross entropy is on them all.

    Args:
        weight: of the rotation term (S4L: 1).

    Reference: Zhai et al., S4L, arXiv 1905.03670; Gidaris et al., arXiv 1803.07728.
    """

    streams: ClassVar[tuple[str, ...]] = ("labelled", "unlabelled")
    pixels = ("labelled", "unlabelled")

    # departure: not scored on the average of four rotations as in S4L; every method of the project is scored by one
    # pass of the upright image, so that none has more computation at the test than another.
    weight: float = 1.0

    def __init__(self, model: Classifier, schedule: Schedule, **settings: Any) -> None:
        super().__init__(model, schedule, **settings)
        self.rotation_head = nn.Linear(model.head.in_features, TURNS)

    def step(self, labelled: Batch, unlabelled: Batch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_ce + weight * (L_rot of unlabelled + L_rot of labelled) / 2."""
        model = self.model
        features = model.features(rotated_copies(labelled.images))  # (B, 3, S, S) -> (4B, F)
        ce = F.cross_entropy(model.head(model.dropout(features)), labelled.labels.repeat(TURNS))
        known = F.cross_entropy(self.rotation_head(features), rotation_labels(labelled.images))
        with self.aside():
            others = model.features(rotated_copies(unlabelled.images))  # (U, 3, S, S) -> (4U, F)
        unknown = F.cross_entropy(self.rotation_head(others), rotation_labels(unlabelled.images))
        rotation = (known + unknown) / 2
        return {"loss": ce + self.weight * rotation, "ce": ce, "rotation": rotation}
