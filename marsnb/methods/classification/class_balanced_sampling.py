"""Control: cross entropy on class-balanced batches."""

from typing import ClassVar

from marsnb.methods.classification import METHODS
from marsnb.methods.classification.cross_entropy import CrossEntropy


@METHODS.register("class_balanced_sampling")
class ClassBalancedSampling(CrossEntropy):
    """Cross entropy on batches that draw a class first, then an image of it.

    Not in the paper's Table 4: the class-paired batches of Eq. 2 show every class equally often, and this control tells
    how much of the gain that alone would bring.
    """

    streams: ClassVar[tuple[str, ...]] = ("labelled_balanced",)
