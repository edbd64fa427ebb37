"""LESS: pretraining by contrast between pixels, then fine-tuning, then pseudo labels that stay as they are."""

from typing import Any

import torch
from torch import Tensor

from marsnb.errors import RecipeError
from marsnb.losses._elements import labels_at, pick_nearest
from marsnb.losses.pixel_contrast import pixel_contrast
from marsnb.methods.segmentation import METHODS
from marsnb.methods.segmentation._parts import MaskBatch, PolySchedule, SegmentationMethod
from marsnb.models.ema import EMA
from marsnb.models.pseudo_labels import THRESHOLD, merge_pseudo_labels
from marsnb.models.segmenter import Segmenter

PAIRS = ("within", "cross")


@METHODS.register("less")
class LESS(SegmentationMethod):
    """Contrast between labelled pixels, then cross entropy, then cross entropy with fixed pseudo labels besides.

    The pseudo labels are those of the network as fine-tuning leaves it: a copy that no longer changes predicts them on
    each batch as it is augmented, so that nothing is stored per image.

    Open choices: the paper says only that the pseudo labels are "fixed once generated", and the reference has code for
    the loss alone; their threshold is that of the paper's own pseudo labels. Contrast is on one augmented view, not on
    an original beside it; across images, the partner is another image of the batch. The representation comes from the
    contrastive head that all methods share (reference: a head of two layers on the segmentation decoder), so
    pretraining reaches the backbone, as in the paper's own method.

    Args:
        pairs: where positives come from: "within" the image, or "cross" (from a partner, too).
        temperature: divides the cosines (reference: 0.07).
        grid: edge of the grid that features and labels are brought to, elements (reference: left to its user).
        threshold: confidence that a pseudo label must exceed.

    Reference: Zhao et al., Contrastive learning for label efficient semantic segmentation, arXiv 2012.06985.
    """

    pairs: str = "within"
    temperature: float = 0.07
    grid: int = 16
    threshold: float = THRESHOLD

    def __init__(self, model: Segmenter, schedule: PolySchedule, **settings: Any) -> None:
        super().__init__(model, schedule, **settings)
        if self.pairs not in PAIRS:
            raise RecipeError(f"method setting 'pairs' is {self.pairs!r}; known: {', '.join(PAIRS)}")
        self.labeller = EMA(model, decay=0.0)

    @property
    def steps(self) -> tuple[str, ...]:
        """Names of the steps."""
        return ("pretrain", "joint", "pseudo")

    def enter(self, stage: int, first: bool) -> None:
        """Before the first pseudo label, keep the network as it is."""
        if self.steps[stage] == "pseudo" and first:
            self.labeller.update(self.model)

    def contrast_of(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The contrast on the coarse grid, of embeddings ``(B, D, h, w)`` and labels ``(B, H, W)``."""
        size = (min(self.grid, embeddings.shape[2]), min(self.grid, embeddings.shape[3]))
        # Each image's partner is at a random distance in the batch; a batch of one is paired with itself.
        images = torch.arange(len(labels), device=labels.device)
        away = int(torch.randint(1, max(2, len(labels)), ()))
        partners = images.roll(away) if self.pairs == "cross" else None
        return pixel_contrast(
            pick_nearest(embeddings, size), labels_at(labels, size), self.temperature, partners=partners
        )

    def step(self, labelled: MaskBatch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_contrast first, then L = L_ce, then the same with pseudo labels where there is no label."""
        if self.step_name == "pretrain":
            contrast = self.contrast_of(self.model.embed(labelled.images), labelled.labels)
            return {"loss": contrast, "pixel_contrast": contrast}
        labels = labelled.labels
        if self.step_name == "pseudo":
            labels = merge_pseudo_labels(self.labeller(labelled.images), labels, self.threshold)
        ce = self.cross_entropy(self.model(labelled.images), labels)
        return {"loss": ce, "ce": ce}
