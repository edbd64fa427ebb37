"""Cross entropy on convex combinations of images and labels."""

from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2

from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Batch, ClassificationMethod, Schedule
from marsnb.models.classifier import Classifier


@METHODS.register("mixup")
class MixUp(ClassificationMethod):
    """Cross entropy on weighted sums of two images, with the same sum of their labels.

    Open choices: alpha, for which Wang et al. give no value, is 0.2, the reference's for ImageNet, since these images
    are of ImageNet's size, and not its 1.0 for CIFAR; every batch is mixed, throughout training; one lambda is drawn
    per batch, as in the reference, from torch's global generator on the CPU, so it is the same on every device; an
    image's partner is its neighbour in the shuffled batch (torchvision's choice) instead of a random one; images are
    mixed after the ordinary augmentation. Where batch normalisation learns, its running statistics are those of mixed
    images, as in the reference: the method has no other batch.

    Args:
        alpha: of the Beta(alpha, alpha) that lambda is drawn from, above 0 (reference: 0.2 for ImageNet, 1 for CIFAR).

    Reference: Zhang et al., mixup, arXiv 1710.09412.
    """

    pixels = ("labelled",)
    mixing: ClassVar[type[v2.MixUp | v2.CutMix]] = v2.MixUp

    alpha: float = 0.2

    def __init__(self, model: Classifier, schedule: Schedule, **settings: Any) -> None:
        super().__init__(model, schedule, **settings)
        self.mix = self.mixing(alpha=self.alpha, num_classes=model.head.out_features)

    def step(self, labelled: Batch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_ce of the mixed batch with its soft labels."""
        images, targets = self.mix(labelled.images, labelled.labels)  # (B, 3, H, W), (B, C) whose rows sum to 1
        ce = F.cross_entropy(self.model(images), targets)
        return {"loss": ce, "ce": ce}
