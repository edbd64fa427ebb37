"""Center loss: features are drawn to a centre of their class, which follows them."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from marsnb.losses import LOSSES


def center(features: Tensor, labels: Tensor, centers: Tensor) -> Tensor:
    """Half the mean squared Euclidean distance of a feature to the centre of its class.

    The mean is over the batch, where the reference has the sum, also in its cross entropy; a scalar in float32 (float64
    for float64 input).

    Args:
        features: of the images, ``(B, D)``, of any norm.
        labels: class of each image, ``(B,)``, int64.
        centers: one per class, ``(C, D)``.

    Raises:
        ValueError: features and centres differ in width.

    Reference: Wen et al., A discriminative feature learning approach for deep face recognition, ECCV 2016, Eq. 2.
    """
    if features.ndim != 2 or features.shape[1:] != centers.shape[1:]:
        raise ValueError(
            f"expected features (B, D) and centers (C, D), got {tuple(features.shape)}, {tuple(centers.shape)}"
        )
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    return (features - centers[labels]).square().sum(dim=1).mean() / 2  # (B, D) -> (B,) -> scalar


@torch.no_grad()
def class_sums(features: Tensor, labels: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of each class's features and number of its images, ``(C, D)`` and ``(C, 1)``, in the type of ``like``."""
    members = F.one_hot(labels, len(like)).T.to(like.dtype)  # (C, B)
    with torch.autocast(device_type=like.device.type, enabled=False):
        return members @ features.to(like.dtype), members.sum(dim=1, keepdim=True)


@torch.no_grad()
def moved_centers(features: Tensor, labels: Tensor, centers: Tensor, alpha: float) -> Tensor:
    """Centres after a batch: each goes ``alpha`` times its mean difference to the batch's members of its class.

    The mean is over one more than there are members, so that a class with one image in the batch moves half as far. A
    class without any stays.

    ``alpha`` is from 0 (they stay) to 1 (Wen et al.: 0.5); shapes are those of `center`.

    Reference: Wen et al., ECCV 2016, Eq. 4.
    """
    sums, counts = class_sums(features, labels, centers)
    return centers - alpha * (counts * centers - sums) / (1 + counts)


@LOSSES.register("center")
class Center(nn.Module):
    """Module form of `center`, which holds the centres and moves them in training; no optimizer has a part in it.

    A class's centre begins as the mean of the first batch that shows the class; ``seen`` says which have begun.

    Args:
        classes: C.
        width: D.
        alpha: see `moved_centers`.
    """

    centers: Tensor
    seen: Tensor

    def __init__(self, classes: int, width: int, alpha: float = 0.5) -> None:
        super().__init__()
        self.alpha = alpha
        self.register_buffer("centers", torch.zeros(classes, width))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.bool))

    @torch.no_grad()
    def begun(self, features: Tensor, labels: Tensor) -> Tensor:
        """The centres, with the batch's means for classes that had none so far, ``(C, D)``."""
        # departure: the reference does not say where centres begin; random ones would draw the first features to places
        # that have nothing to do with them.
        sums, counts = class_sums(features, labels, self.centers)
        return torch.where(self.seen[:, None], self.centers, sums / counts.clamp_min(1))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch, against the centres as the batches before left them; then, in training, they move."""
        centers = self.begun(features, labels)
        if self.training:
            self.centers.copy_(moved_centers(features, labels, centers, self.alpha))
            self.seen[labels] = True
        return center(features, labels, centers)
