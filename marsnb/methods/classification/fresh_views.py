"""Cross entropy that never sees a view twice: what a method that makes its own pixels is to be held against."""

from marsnb.methods.classification import METHODS
from marsnb.methods.classification.cross_entropy import CrossEntropy


@METHODS.register("fresh_views")
class FreshViews(CrossEntropy):
    """As `CrossEntropy`, on images that are augmented in every step and pass the trunk there.

    A control for the profile lite. Most of its rows draw from a few kept views of each image; `MixUp`, `CutMix` and
    S4L, which change pixels themselves, get a new view each time. This row differs from the baseline in that alone.

    Reference: none, it is ours.
    """

    pixels = ("labelled",)
