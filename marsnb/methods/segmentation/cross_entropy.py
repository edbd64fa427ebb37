"""The baseline: cross entropy on labelled pixels."""

from torch import Tensor

from marsnb.methods.segmentation import METHODS
from marsnb.methods.segmentation._parts import MaskBatch, SegmentationMethod


@METHODS.register("cross_entropy")
class CrossEntropy(SegmentationMethod):
    """Cross entropy alone, for as many epochs as the paper's steps with cross entropy take together.

    Args:
        model: backbone and heads; the contrastive head is not used.
        schedule: learning rates.

    Reference: paper, Eq. 8 and Table 9, "Baseline".
    """

    def step(self, labelled: MaskBatch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_ce."""
        ce = self.cross_entropy(self.model(labelled.images), labelled.labels)
        return {"loss": ce, "ce": ce}
