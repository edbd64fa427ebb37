"""Baseline: cross entropy on ordinarily augmented images."""

from typing import ClassVar

from torch import Tensor

from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Batch, ClassificationMethod


@METHODS.register("cross_entropy")
class CrossEntropy(ClassificationMethod):
    """Cross entropy alone (Table 4, "ResNet-50 (baseline)" and "MoCo V2 pretraining"), on the method's only stream.

    Reference: paper, Eq. 4.
    """

    streams: ClassVar[tuple[str, ...]] = ("labelled",)
    divisible: ClassVar[bool] = True

    def step(self, **batches: Batch) -> dict[str, Tensor]:
        """L = L_ce."""
        ce = self.cross_entropy(batches[self.streams[0]])
        return {"loss": ce, "ce": ce}
