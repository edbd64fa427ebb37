"""Center loss: features are drawn to a learnt centre of their class."""

import torch
from torch import Tensor, nn

from marsnb.losses import LOSSES


def center(features: Tensor, labels: Tensor, centers: Tensor) -> Tensor:
    """Mean squared Euclidean distance of each feature to the centre of its class.

    Args:
        features: of the images, of any norm.
        labels: class of each image.
        centers: one per class; the gradient reaches them too.

    Shape:
        ``features``: ``(B, D)``; ``labels``: ``(B,)``, int64; ``centers``: ``(C, D)``; the result is a scalar.

    Returns:
        The mean over the batch, without the reference's factor 1/2, in float32 (float64 for float64 input).

    Raises:
        ValueError: features and centres differ in width.

    Reference:
        Wen et al., A discriminative feature learning approach for deep face recognition, ECCV 2016, Eq. 2.
    """
    if features.ndim != 2 or features.shape[1:] != centers.shape[1:]:
        raise ValueError(
            f"expected features (B, D) and centers (C, D), got {tuple(features.shape)}, {tuple(centers.shape)}"
        )
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    return (features - centers[labels]).square().sum(dim=1).mean()  # (B, D) -> (B,) -> scalar


@LOSSES.register("center")
class Center(nn.Module):
    """Module form of `center`, which holds the centres.

    Args:
        classes: number of classes.
        width: of the features.

    Attributes:
        centers: ``(C, D)``, drawn from a standard normal distribution at first.

    Shape:
        ``forward(features, labels)``: ``(B, D)`` and ``(B,)`` to a scalar.
    """

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.centers = nn.Parameter(torch.randn(classes, width))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch; see `center`."""
        return center(features, labels, self.centers)
