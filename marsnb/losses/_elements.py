"""What Eq. 6 to 8 share: maps with a class per element, checked and brought to one grid, and their expectation."""

import torch
import torch.nn.functional as F
from torch import Tensor

from marsnb.distributed import share_of

IGNORE_INDEX = 255
"""Label of a pixel without a class, as AI4Mars stores it."""
ELEMENT_TEMPERATURE = 0.07
"""The paper's temperature for Eq. 7 (section 5.3); it names none for Eq. 6, which takes the same here."""


def checked_elements(features: Tensor, labels: Tensor) -> Tensor:
    """Labels ``(B, H, W)`` as int64, or ``ValueError`` unless they are integers on the grid of ``(B, D, H, W)``."""
    if features.ndim != 4 or features.numel() == 0:
        raise ValueError(f"expected features of shape (B, D, H, W), none of them 0, got {tuple(features.shape)}")
    grid = (features.shape[0], *features.shape[2:])
    if labels.shape != grid:
        raise ValueError(f"expected labels of shape {grid}, got {tuple(labels.shape)}: bring them there with labels_at")
    if labels.is_floating_point():
        raise ValueError(f"expected labels of an integer type, got {labels.dtype}")
    return labels.long()


def grid_of(maps: Tensor) -> tuple[int, int]:
    """Height and width of maps ``(B, D, h, w)``."""
    return maps.shape[2], maps.shape[3]


def pick_nearest(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Every k-th pixel of maps ``(..., H, W)``, ``(..., *size)``: no class is made up between two.

    Element i takes the pixel at floor(i * H / h), which is where a ResNet's strided convolutions centre it; those that
    pad as TensorFlow does (EfficientNet-Lite's) centre it up to three pixels below and to the right. For labels
    (`labels_at`), ``size`` is that of the feature map, a quarter of the image's in the paper.

    Reference: Wang et al., arXiv 2206.02180, section 5.1: "we down-sample the segmentation annotation".
    """
    rows, columns = (
        torch.arange(small, device=maps.device) * large // small
        for small, large in zip(size, maps.shape[-2:], strict=True)
    )
    return maps[..., rows[:, None], columns]


labels_at = pick_nearest


def expectation(losses: Tensor, counted: Tensor) -> Tensor:
    """Mean over images of the mean over those of an image's elements that count; images without any are left out.

    Args:
        losses: loss of each element, ``(B, H, W)``, finite everywhere.
        counted: which elements count, ``(B, H, W)``; where none does, the result is 0, with a gradient of 0.
    """
    elements = counted.sum(dim=(1, 2))  # (B,)
    means = (losses * counted).sum(dim=(1, 2)) / elements.clamp_min(1)  # (B,), 0 for an image without a counted element
    return means.sum() / share_of((elements > 0).sum())


def unit(x: Tensor, dim: int) -> Tensor:
    """``x`` at norm 1 in at least float32; a vector of zeros stays zero, with a gradient of zero."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    zero = (x == 0).all(dim=dim, keepdim=True)
    return F.normalize(x.masked_fill(zero, 1.0), dim=dim, eps=0.0).masked_fill(zero, 0.0)
