"""Control: cross entropy on class-balanced batches."""

from typing import ClassVar

from torch import Tensor

from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Batch, ClassificationMethod


@METHODS.register("class_balanced_sampling")
class ClassBalancedSampling(ClassificationMethod):
    """Cross entropy on batches that draw a class first, then an image of it.

    Not in the paper's Table 4: the class-paired batches of Eq. 2 show every class equally often, and this control tells
    how much of the gain that alone would bring.
    """

    streams: ClassVar[tuple[str, ...]] = ("labelled_balanced",)
    divisible: ClassVar[bool] = True

    def step(self, labelled_balanced: Batch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_ce on balanced batches."""
        ce = self.cross_entropy(labelled_balanced)
        return {"loss": ce, "ce": ce}
