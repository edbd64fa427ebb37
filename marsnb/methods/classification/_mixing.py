"""What MixUp and CutMix share: cross entropy on a batch that is mixed with itself."""

from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2

from marsnb.methods.classification._parts import Batch
from marsnb.models.classifier import Classifier


def mixed_cross_entropy(model: Classifier, labelled: Batch, mix: v2.MixUp | v2.CutMix) -> Tensor:
    """Cross entropy of mixed images with their soft labels, in one forward pass.

    Each image is mixed with the one before it in the batch (torchvision's choice), whose order is random. One share is
    drawn for the whole batch, from torch's global generator on the CPU, so it is the same on every device.

    Args:
        model: from images to logits.
        labelled: B images and their classes.
        mix: from ``(B, 3, H, W)`` and ``(B,)`` to the mixed images and ``(B, C)`` soft labels whose rows sum to 1.

    Returns:
        Scalar; the mean over the batch.
    """
    images, targets = mix(labelled.images, labelled.labels)
    return F.cross_entropy(model(images), targets)
