"""Cross entropy with unsupervised similarity learning."""

from typing import ClassVar

from torch import Tensor

from marsnb.losses.similarity import similarity
from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Batch, ClassificationMethod, PairBatch


@METHODS.register("similarity")
class SimilarityMethod(ClassificationMethod):
    """Cross entropy and L_u on unlabelled images (Table 4, "+ L_u").

    Args:
        weight_u: lambda_u of Eq. 5 (paper: 0.2).

    Reference: paper, Eq. 3.
    """

    streams: ClassVar[tuple[str, ...]] = ("labelled", "unlabelled_pairs")
    embedding: ClassVar[str] = "embed_u"
    divisible: ClassVar[bool] = True

    weight_u: float = 0.2

    def step(self, labelled: Batch, unlabelled_pairs: PairBatch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_ce + lambda_u * L_u."""
        ce = self.cross_entropy(labelled)
        with self.aside():
            alike = similarity(self.model.embed_u(unlabelled_pairs.view1), self.model.embed_u(unlabelled_pairs.view2))
        return {"loss": ce + self.weight_u * alike, "ce": ce, "similarity": alike}
