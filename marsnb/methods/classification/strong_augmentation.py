"""Cross entropy on strongly augmented images."""

from typing import ClassVar

from marsnb.methods.classification import METHODS
from marsnb.methods.classification.cross_entropy import CrossEntropy


@METHODS.register("strong_augmentation")
class StrongAugmentation(CrossEntropy):
    """The contrastive views' augmentation applied to classification (Table 4, "+ Strong Aug.").

    Reference: paper, section 6.3.
    """

    streams: ClassVar[tuple[str, ...]] = ("labelled_strong",)
