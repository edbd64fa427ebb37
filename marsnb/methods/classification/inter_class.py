"""Cross entropy with supervised inter-class contrastive learning."""

from typing import ClassVar

from torch import Tensor

from marsnb.losses.inter_class import inter_class
from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Batch, ClassificationMethod, PairBatch


@METHODS.register("inter_class")
class InterClassMethod(ClassificationMethod):
    """Cross entropy and L_s on class-paired batches (Table 4, "+ L_s"; Table 6).

    Args:
        weight_s: lambda_s of Eq. 5 (paper: 1).
        temperature: tau of Eq. 2 (paper: 0.2).

    Reference: paper, Eq. 2.
    """

    streams: ClassVar[tuple[str, ...]] = ("labelled", "class_pairs")
    embedding: ClassVar[str] = "embed_s"
    divisible: ClassVar[bool] = True

    weight_s: float = 1.0
    temperature: float = 0.2

    def step(self, labelled: Batch, class_pairs: PairBatch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_ce + lambda_s * L_s."""
        ce = self.cross_entropy(labelled)
        with self.aside():
            z1, z2 = self.model.embed_s(class_pairs.view1), self.model.embed_s(class_pairs.view2)
        contrast = inter_class(z1, z2, self.temperature)
        return {"loss": ce + self.weight_s * contrast, "ce": ce, "inter_class": contrast}
