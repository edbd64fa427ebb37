"""Cross entropy on strongly augmented images."""

from typing import ClassVar

from torch import Tensor

from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Batch, ClassificationMethod


@METHODS.register("strong_augmentation")
class StrongAugmentation(ClassificationMethod):
    """The contrastive views' augmentation applied to classification (Table 4, "+ Strong Aug.").

    Reference: paper, section 6.3.
    """

    streams: ClassVar[tuple[str, ...]] = ("labelled_strong",)
    divisible: ClassVar[bool] = True

    def step(self, labelled_strong: Batch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_ce on strong views."""
        ce = self.cross_entropy(labelled_strong)
        return {"loss": ce, "ce": ce}
