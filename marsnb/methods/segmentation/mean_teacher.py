"""Mean Teacher: noisy images have to give the probabilities of a slow copy of the network."""

from typing import Any

import torch
from torch import Tensor

from marsnb.methods.segmentation import METHODS
from marsnb.methods.segmentation._consistency import ramp_up, squared_difference
from marsnb.methods.segmentation._parts import MaskBatch, PolySchedule, SegmentationMethod
from marsnb.models.ema import EMA
from marsnb.models.segmenter import Segmenter


@METHODS.register("mean_teacher")
class MeanTeacher(SegmentationMethod):
    """Cross entropy on labelled pixels, and the squared difference to an EMA teacher on all pixels.

    Student and teacher see the same images with noise of their own; the student has its dropout besides.

    Open choices: the form is the reference's; with the teacher's classes instead of its probabilities it is
    ``pseudo_teacher``. The unlabelled data are the batch's unlabelled pixels, so one pass of each network does, and the
    running statistics of batch normalisation are those of noisy images, as in the reference. The ramp is a share of
    training, not a number of epochs. The teacher predicts in evaluation mode, and scores are the student's (reference:
    the teacher's), as for the other methods.

    A weight of 100 asks for a long training: the student goes no faster than a teacher that takes a hundred steps to
    follow. On AI4Mars at 96 px, 192 steps left it at a constant answer (6.57 mIoU); at 10 labels lead.

    Args:
        weight: of the difference once it is warm (reference, CIFAR-10: 100).
        decay: of the teacher (reference: 0.99 at first, 0.999 later; the other methods here: 0.99).
        noise: standard deviation of what is added to the normalised images (reference: 0.15).
        warmup: share of training over which the weight rises from about 0 (reference: 5 of 180 epochs to 30 of 90).

    Reference: Tarvainen and Valpola, Mean teachers are better role models, arXiv 1703.01780.
    """

    pixels = ("labelled",)

    weight: float = 100.0
    decay: float = 0.99
    noise: float = 0.15
    warmup: float = 0.1

    def __init__(self, model: Segmenter, schedule: PolySchedule, **settings: Any) -> None:
        super().__init__(model, schedule, **settings)
        self.teacher = EMA(model, self.decay)

    def noisy(self, images: Tensor) -> Tensor:
        """A noisy copy of ``images``, ``(B, 3, H, W)``; the noise is grey, as Navcam's images are."""
        return images + self.noise * self.model.input_std * torch.randn_like(images[:, :1])

    def step(self, labelled: MaskBatch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_ce + ramp * weight * L_difference."""
        self.teacher.update(self.model)
        logits = self.model(self.noisy(labelled.images))  # (B, C, H, W)
        target = self.teacher(self.noisy(labelled.images)).float().softmax(dim=1)
        ce = self.cross_entropy(logits, labelled.labels)
        difference = squared_difference(logits, target)
        weight = ramp_up(self.done, self.warmup) * self.weight
        return {"loss": ce + weight * difference, "ce": ce, "difference": difference}
