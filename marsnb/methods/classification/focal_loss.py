"""Focal loss in the place of cross entropy."""

from torch import Tensor

from marsnb.losses.focal import focal
from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Batch, ClassificationMethod


@METHODS.register("focal_loss")
class FocalLoss(ClassificationMethod):
    """Focal loss, by which images that are recognised already count less, in the place of cross entropy.

    Open choices: the softmax form, as the classes exclude each other; no weight of classes (the reference's alpha tells
    foreground from background, of which there is none here).

    Args:
        gamma: exponent (reference: 2; LDAM's code, which compares with it: 1).

    Reference: Lin et al., arXiv 1708.02002, Eq. 4.
    """

    gamma: float = 2.0

    def step(self, labelled: Batch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_focal."""
        loss = focal(self.model(labelled.images), labelled.labels, self.gamma)
        return {"loss": loss, "focal": loss}
