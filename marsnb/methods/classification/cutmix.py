"""Cross entropy on images with a rectangle of another pasted in."""

from torchvision.transforms import v2

from marsnb.methods.classification import METHODS
from marsnb.methods.classification.mixup import MixUp


@METHODS.register("cutmix")
class CutMix(MixUp):
    """Cross entropy on images with a rectangle of another image pasted in, and labels shared by area.

    A label's share is that of the area that is there: a rectangle that sticks out of the image counts for what is left.

    Open choices, besides partner, augmentation and running statistics, which are those of `MixUp`: Wang et al. give no
    value, so every batch is mixed, throughout training, as in the reference's ImageNet setting (half of them in its
    CIFAR setting); one rectangle is drawn per batch, as in the reference.

    Args:
        alpha: of the Beta(alpha, alpha) that the share of the area is drawn from, above 0 (reference: 1, uniform).

    Reference: Yun et al., CutMix, arXiv 1905.04899.
    """

    mixing = v2.CutMix

    alpha: float = 1.0
