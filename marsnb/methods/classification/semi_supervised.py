"""The paper's full model for classification."""

from typing import ClassVar

from torch import Tensor

from marsnb.losses.inter_class import inter_class
from marsnb.losses.similarity import similarity
from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Batch, ClassificationMethod, PairBatch


@METHODS.register("semi_supervised")
class SemiSupervised(ClassificationMethod):
    """Cross entropy, L_s on class-paired batches and L_u on unlabelled images (the paper's "Ours").

    Args:
        weight_s: lambda_s (paper: 1).
        weight_u: lambda_u (paper: 0.2).
        temperature: tau of Eq. 2 (paper: 0.2).

    Reference: paper, Eq. 5.
    """

    streams: ClassVar[tuple[str, ...]] = ("labelled", "class_pairs", "unlabelled_pairs")
    embedding: ClassVar[str] = "embed_u"
    divisible: ClassVar[bool] = True

    weight_s: float = 1.0
    weight_u: float = 0.2
    temperature: float = 0.2

    def step(  # type: ignore[override]
        self, labelled: Batch, class_pairs: PairBatch, unlabelled_pairs: PairBatch
    ) -> dict[str, Tensor]:
        """L = L_ce + lambda_s * L_s + lambda_u * L_u."""
        model = self.model
        ce = self.cross_entropy(labelled)
        with self.aside():
            contrast = inter_class(model.embed_s(class_pairs.view1), model.embed_s(class_pairs.view2), self.temperature)
            alike = similarity(model.embed_u(unlabelled_pairs.view1), model.embed_u(unlabelled_pairs.view2))
        loss = ce + self.weight_s * contrast + self.weight_u * alike
        return {"loss": loss, "ce": ce, "inter_class": contrast, "similarity": alike}
