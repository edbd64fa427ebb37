"""Pseudo-labels: the network's own sure guesses as labels of unlabelled images."""

from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Batch, ClassificationMethod
from marsnb.models.batchnorm import untracked_batchnorm


def masked_pseudo_cross_entropy(logits: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Cross entropy with the most probable class as label, of the images that the network is sure of.

    No gradient passes through the labels. An image below ``threshold`` counts as 0 in the mean and gets a gradient of
    exactly 0. A logit that is not finite makes the loss not finite, also where the image is left out.

    Args:
        logits: of the network, ``(B, C)``.
        threshold: least top probability of an image that is used.

    Returns:
        Two scalars: the mean over all B images, and the share of them used; in float32 (float64 for float64 logits).
    """
    logits = logits if logits.dtype.itemsize == 8 else logits.float()
    confidence, labels = logits.detach().softmax(dim=1).max(dim=1)  # (B, C) -> (B,), (B,)
    used = (confidence >= threshold).to(logits.dtype)  # (B,), 1 or 0
    return (used * F.cross_entropy(logits, labels, reduction="none")).mean(), used.mean()


@METHODS.register("pseudo_label")
class PseudoLabel(ClassificationMethod):
    """Cross entropy, and cross entropy with the network's own confident guesses on unlabelled images.

    Open choices, as Wang et al. say only "Pseudo-Label": the form is that of the USB benchmark, with a threshold and
    labels made anew at every step by the network that learns. Lee has no threshold; his weight is 0 for a while and
    then rises to 3. The guess and the loss are of the same view, ordinarily augmented, and of one forward pass; the
    labels are therefore made with batch statistics. The unlabelled batch leaves the running statistics of batch
    normalisation alone, as in USB.

    Args:
        weight: of the unlabelled term once it is warm (USB: 1).
        threshold: least top probability, 0 to 1, of an image that is used (USB: 0.95; Lee: none).
        warmup: share of training over which the weight rises linearly from 0 (USB: 0.4); 0 for none.

    Reference: Lee, ICML 2013 workshop on representation learning; Wang et al. (USB), arXiv 2208.07204, for settings.
    """

    streams: ClassVar[tuple[str, ...]] = ("labelled", "unlabelled")

    weight: float = 1.0
    threshold: float = 0.95
    warmup: float = 0.4

    def ramp(self) -> float:
        """Share of the weight that counts now, 0 to 1."""
        return min(1.0, self.progress / self.warmup) if self.warmup > 0 else 1.0

    def step(self, labelled: Batch, unlabelled: Batch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_ce + ramp * weight * L_pseudo; ``used`` is the share of unlabelled images above the threshold."""
        ce = self.cross_entropy(labelled)
        with untracked_batchnorm(self.model):
            logits = self.model(unlabelled.images)  # (B, 3, H, W) -> (B, C)
        pseudo, used = masked_pseudo_cross_entropy(logits, self.threshold)
        return {"loss": ce + self.ramp() * self.weight * pseudo, "ce": ce, "pseudo": pseudo, "used": used}
