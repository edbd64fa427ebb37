"""What the methods with unlabelled pixels share: ramp-up, soft and hard consistency, an EMA teacher's pseudo labels."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from marsnb.distributed import share_of
from marsnb.losses._elements import IGNORE_INDEX
from marsnb.methods.segmentation._mixing import MIXINGS
from marsnb.methods.segmentation._parts import MaskBatch, PolySchedule, SegmentationMethod
from marsnb.models.batchnorm import untracked_batchnorm
from marsnb.models.ema import EMA
from marsnb.models.segmenter import Segmenter


def ramp_up(done: float, warmup: float) -> float:
    """Share of a weight that counts now: exp(-5 (1 - t)^2) with t from 0 to 1 over the first ``warmup`` of training.

    ``done`` and ``warmup`` are shares of training, 0 to 1.

    Reference: Laine and Aila, Temporal ensembling, arXiv 1610.02242.
    """
    return 1.0 if done >= warmup else math.exp(-5 * (1 - done / warmup) ** 2)


def squared_difference(logits: Tensor, target: Tensor, counted: Tensor | None = None) -> Tensor:
    """Mean squared difference of two maps of probabilities over the pixels that count; 0 if none does.

    Args:
        logits: of the one that learns, ``(B, C, H, W)``.
        target: probabilities, ``(B, C, H, W)``; no gradient reaches them.
        counted: pixels that count, ``(B, H, W)``, all by default.
    """
    losses = (logits.float().softmax(dim=1) - target.detach()).square().mean(dim=1)  # (B, H, W)
    counted = torch.ones_like(losses, dtype=torch.bool) if counted is None else counted
    return (losses * counted).sum() / share_of(counted.sum())


@dataclass(frozen=True)
class PseudoBatch:
    """Images, mixed or not, with what a teacher sees in them.

    Attributes:
        images: ``(B, 3, H, W)``; where nothing is mixed, as they came.
        labels: the teacher's class, ``(B, H, W)``, int64; 255 where nothing is shown.
        confidence: its probability, ``(B, H, W)``, float32; 0 where nothing is shown.
    """

    images: Any
    labels: Tensor
    confidence: Tensor

    def cross_entropy(self, logits: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
        """Cross entropy of the student's ``(B, C, H, W)`` with the pseudo labels, and the mean share of sure pixels.

        An image weighs as much as the share of it that the teacher is sure of: not below ``threshold``.
        """
        shown = self.labels != IGNORE_INDEX  # (B, H, W)
        pixels = shown.sum(dim=(1, 2)).clamp_min(1)  # (B,)
        sure = (shown & (self.confidence >= threshold)).sum(dim=(1, 2)) / pixels  # (B,)
        losses = F.cross_entropy(logits.float(), self.labels, ignore_index=IGNORE_INDEX, reduction="none")
        return (sure * losses.sum(dim=(1, 2)) / pixels).mean(), sure.mean()


class TeacherMethod(SegmentationMethod):
    """Cross entropy on labelled pixels, and on what an EMA teacher sees in other images, mixed.

    The teacher looks at the images as they are, the student at the mixed ones; it has to say what the teacher said of
    each pixel. The second stream is the training images again, in another order; its labels are not looked at.

    Open choices, the same for all methods of this kind, so that they differ in the mixing alone: the form is ReCo's and
    ClassMix's, cross entropy with the teacher's classes, weighted by the share of sure pixels (CutMix for segmentation
    takes the squared difference of probabilities, weighted by that share); images are mixed after the augmentation that
    all methods have, without a further colour jitter; an image's partner is its neighbour in the shuffled batch; the
    teacher predicts in evaluation mode; scores are the student's. The second batch is normalised by its own statistics
    but leaves the running ones alone, so that the network that is scored has those of whole images only (in the
    references, half of what enters them has holes or seams), also where nothing is mixed.

    Args:
        weight: of the unlabelled term (ClassMix, CutMix for segmentation, ReCo: 1).
        decay: of the teacher (the same three: 0.99).
        threshold: confidence of a sure pixel (CutMix for segmentation, ReCo: 0.97; ClassMix: 0.968).
    """

    streams: ClassVar[tuple[str, ...]] = ("labelled", "unlabelled")
    pixels: tuple[str, ...] = ("unlabelled",)
    mixing = "none"
    """Name in ``MIXINGS``."""

    weight: float = 1.0
    decay: float = 0.99
    threshold: float = 0.97

    def __init__(self, model: Segmenter, schedule: PolySchedule, **settings: Any) -> None:
        super().__init__(model, schedule, **settings)
        self.teacher = EMA(model, self.decay)

    @torch.no_grad()
    def pseudo_batch(self, batch: MaskBatch) -> PseudoBatch:
        """Images that the teacher labels, then mixed with their labels and confidences; the batch's are not used."""
        images = batch.images  # (B, 3, H, W)
        confidence, labels = self.teacher(batch.unchanged).float().softmax(dim=1).max(dim=1)  # (B, H, W) each
        if self.mixing == "none":
            return PseudoBatch(images, labels, confidence)
        mix = MIXINGS[self.mixing](labels, self.model.num_classes)
        # A blank is the mean colour, which the network's normalisation turns into 0.
        return PseudoBatch(mix(images, self.model.input_mean), mix(labels, IGNORE_INDEX), mix(confidence, 0.0))

    def step(self, labelled: MaskBatch, unlabelled: MaskBatch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_ce + weight * L_pseudo; ``sure`` is the share of pixels that the teacher is sure of."""
        self.teacher.update(self.model)
        pseudo = self.pseudo_batch(unlabelled)
        ce = self.cross_entropy(self.model(labelled.images), labelled.labels)
        with untracked_batchnorm(self.model):
            pseudo_logits = self.model(pseudo.images)
        consistency, sure = pseudo.cross_entropy(pseudo_logits, self.threshold)
        return {"loss": ce + self.weight * consistency, "ce": ce, "pseudo": consistency, "sure": sure}
