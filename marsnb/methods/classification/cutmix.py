"""Cross entropy on images with a rectangle of another pasted in."""

from typing import Any

from torch import Tensor
from torchvision.transforms import v2

from marsnb.methods.classification import METHODS
from marsnb.methods.classification._mixing import mixed_cross_entropy
from marsnb.methods.classification._parts import Batch, ClassificationMethod, Schedule
from marsnb.models.classifier import Classifier


@METHODS.register("cutmix")
class CutMix(ClassificationMethod):
    """Cross entropy on images with a rectangle of another image pasted in, and labels shared by area.

    A label's share is that of the area that is there: a rectangle that sticks out of the image counts for what is left.

    Open choices: Wang et al. give no value, so every batch is mixed, throughout training, as in the reference's
    ImageNet setting (half of them in its CIFAR setting); one rectangle is drawn per batch, as in the reference; an
    image's partner is its neighbour in the shuffled batch instead of a random one; images are mixed after the ordinary
    augmentation. Where batch normalisation learns, its running statistics are those of mixed images, as in the
    reference: the method has no other batch.

    Args:
        alpha: of the Beta(alpha, alpha) that the share of the area is drawn from, above 0 (reference: 1, uniform).

    Reference: Yun et al., CutMix, arXiv 1905.04899.
    """

    pixels = ("labelled",)

    alpha: float = 1.0

    def __init__(self, model: Classifier, schedule: Schedule, **settings: Any) -> None:
        super().__init__(model, schedule, **settings)
        self.mix = v2.CutMix(alpha=self.alpha, num_classes=model.head.out_features)

    def step(self, labelled: Batch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_ce of the mixed batch with its soft labels."""
        ce = mixed_cross_entropy(self.model, labelled, self.mix)
        return {"loss": ce, "ce": ce}
