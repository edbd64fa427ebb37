"""Cross entropy with the conventional contrastive loss."""

from typing import ClassVar

from torch import Tensor

from marsnb.losses.info_nce import info_nce
from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Batch, ClassificationMethod, PairBatch


@METHODS.register("info_nce")
class InfoNCEMethod(ClassificationMethod):
    """Cross entropy and Eq. 1 on two views of each image (Table 4, "+ Eq.(1)").

    Args:
        weight: of Eq. 1 (that of L_s, 1).
        temperature: tau (that of L_s, 0.2).

    Reference: paper, Eq. 1 and section 6.3.
    """

    # departure: the paper does not say which images Eq. 1 gets. As many labelled images as L_s has (one per class, 24),
    # drawn without regard to their class: the row then differs from L_s's in the choice of pairs and in nothing else.
    streams: ClassVar[tuple[str, ...]] = ("labelled", "image_pairs")
    embedding: ClassVar[str] = "embed_s"
    divisible: ClassVar[bool] = True

    weight: float = 1.0
    temperature: float = 0.2

    def step(self, labelled: Batch, image_pairs: PairBatch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_ce + weight * L_(1)."""
        ce = self.cross_entropy(labelled)
        with self.aside():
            z1, z2 = self.model.embed_s(image_pairs.view1), self.model.embed_s(image_pairs.view2)
        contrast = info_nce(z1, z2, self.temperature)
        return {"loss": ce + self.weight * contrast, "ce": ce, "info_nce": contrast}
