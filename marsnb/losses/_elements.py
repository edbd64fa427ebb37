"""What Eq. 6 and Eq. 7 share: feature maps with a class per element, checked, and their two expectations."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from marsnb.distributed import share_of

IGNORE_INDEX = 255
"""Label of a pixel without a class, as AI4Mars stores it."""
ELEMENT_TEMPERATURE = 0.07
"""The paper's temperature for Eq. 7 (section 5.3); it names none for Eq. 6, which takes the same here."""

ElementReduction = Literal["image", "element"]


def checked_elements(features: Tensor, labels: Tensor) -> Tensor:
    """The labels as int64, if they lie on the grid of the features.

    Args:
        features: feature maps.
        labels: class of each element, of any integer type.

    Shape:
        ``features``: ``(B, D, H, W)``, none of them 0; ``labels`` and the result: ``(B, H, W)``.

    Raises:
        ValueError: the shapes do not fit; `labels_at` brings labels to another resolution.
    """
    if features.ndim != 4 or features.numel() == 0:
        raise ValueError(f"expected features of shape (B, D, H, W), none of them 0, got {tuple(features.shape)}")
    grid = (features.shape[0], *features.shape[2:])
    if labels.shape != grid:
        raise ValueError(f"expected labels of shape {grid}, got {tuple(labels.shape)}: bring them there with labels_at")
    if labels.is_floating_point():
        raise ValueError(f"expected labels of an integer type, got {labels.dtype}")
    return labels.long()


def checked_reduction(reduction: str) -> str:
    """The reduction, or ``ValueError`` unless it is one of the two."""
    if reduction not in get_args(ElementReduction):
        raise ValueError(f"unknown reduction {reduction!r}; known: {', '.join(get_args(ElementReduction))}")
    return reduction


def grid_of(maps: Tensor) -> tuple[int, int]:
    """Height and width of maps ``(B, D, h, w)``."""
    return maps.shape[2], maps.shape[3]


def labels_at(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Labels at the resolution of a feature map: every k-th pixel, so that no class is made up between two.

    Args:
        labels: class of each pixel, of any integer type.
        size: height and width of the feature map, elements; a quarter of the image's in the paper.

    Shape:
        ``labels``: ``(B, H, W)``; the result: ``(B, *size)``.

    Returns:
        Labels of the same type. Element i takes the pixel at floor(i * H / h), which is where the strided convolutions
        of a backbone centre it.

    Reference:
        Wang et al., arXiv 2206.02180, section 5.1: "we down-sample the segmentation annotation".
    """
    return pick_nearest(labels, size)


def pick_nearest(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps ``(..., H, W)`` at the pixels that `labels_at` takes, ``(..., *size)``."""
    rows, columns = (
        torch.arange(small, device=maps.device) * large // small
        for small, large in zip(size, maps.shape[-2:], strict=True)
    )
    return maps[..., rows[:, None], columns]


def expectation(losses: Tensor, counted: Tensor, reduction: str) -> Tensor:
    """E over images of E over elements, or one E over all elements; 0 (with a gradient of 0) where none counts.

    Args:
        losses: loss of each element, finite everywhere.
        counted: which elements count.
        reduction: ``"image"``: the mean over images of the mean over an image's elements, images without any left out;
            ``"element"``: the mean over the batch's elements.

    Shape:
        ``losses``, ``counted``: ``(B, H, W)``; the result is a scalar.
    """
    losses = losses * counted  # (B, H, W)
    if reduction == "element":
        return losses.sum() / share_of(counted.sum())
    elements = counted.sum(dim=(1, 2))  # (B,)
    means = losses.sum(dim=(1, 2)) / elements.clamp_min(1)  # (B,), 0 for an image without a counted element
    return means.sum() / share_of((elements > 0).sum())


def unit(x: Tensor, dim: int) -> Tensor:
    """``x`` at norm 1 in at least float32; a vector of zeros stays zero, with a gradient of zero."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    zero = (x == 0).all(dim=dim, keepdim=True)
    return F.normalize(x.masked_fill(zero, 1.0), dim=dim, eps=0.0).masked_fill(zero, 0.0)
