"""The baseline: cross entropy on labelled pixels."""

from typing import Any, ClassVar

from torch import Tensor

from marsnb.methods.segmentation import METHODS
from marsnb.methods.segmentation._parts import MaskBatch, SegmentationMethod


@METHODS.register("cross_entropy")
class CrossEntropy(SegmentationMethod):
    """Cross entropy alone, for as many epochs as the paper's steps with cross entropy take together.

    Args:
        step_count: steps of the run's epochs each, the rate beginning anew with each (2, as the paper's method has with
            cross entropy).

    Reference: paper, Eq. 8 and Table 9, "Baseline".
    """

    divisible: ClassVar[bool] = True
    step_count: int = 2

    @property
    def steps(self) -> tuple[str, ...]:
        """Names of the steps."""
        return ("joint",) * self.step_count

    def decided_by(self, stage: int) -> dict[str, Any] | None:
        """Nothing but the steps done: a longer run goes on where a shorter one ended."""
        return {"steps": self.steps[: stage + 1]}

    def step(self, labelled: MaskBatch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_ce."""
        ce = self.cross_entropy(self.model(labelled.images), labelled.labels)
        return {"loss": ce, "ce": ce}
