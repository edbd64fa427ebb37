"""Pixel contrast (LESS): pixels of a class against pixels of other classes, within an image or across two."""

import torch
import torch.nn.functional as F
from torch import Tensor

from marsnb.losses import LOSSES, Loss
from marsnb.losses._elements import ELEMENT_TEMPERATURE, IGNORE_INDEX, checked_elements, unit


def pixel_contrast(
    features: Tensor,
    labels: Tensor,
    temperature: float = ELEMENT_TEMPERATURE,
    *,
    partners: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Mean of -log(e_pq / (e_pq + sum_n e_pn)) over the positives q of each pixel p, e = exp(cosine / temperature).

    The positives of a pixel are the pixels of its class, itself included as in the reference's code. Each stands alone
    against the negatives n: the pixels of other classes in the pixel's own image. With ``partners``, positives come
    from the image's partner, too, and pixels of both are anchors. Memory grows with the square of an image's pixels.

    Args:
        features: feature maps ``(B, D, H, W)`` of any norm, on a coarse grid.
        labels: class of each element, ``(B, H, W)``, of any integer type.
        temperature: divides the cosines (reference: 0.07).
        partners: index of each image's partner, ``(B,)``, for contrast across images; within images if ``None``.
        ignore_index: label of the elements that do not count.

    Returns:
        The mean over images of the mean over labelled pixels, a scalar in float32; 0 where nothing is labelled.

    Raises:
        ValueError: the shapes do not fit.

    Reference: Zhao et al., Contrastive learning for label efficient semantic segmentation, arXiv 2012.06985.
    """
    labels = checked_elements(features, labels).flatten(1)  # (B, N)
    vectors = unit(features.flatten(2), dim=1)  # (B, D, N)
    image = torch.zeros_like(labels)  # (B, N), which of the two a pixel is from
    if partners is not None:
        vectors = torch.cat([vectors, vectors[partners]], dim=2)  # (B, D, 2 N), and so N below
        labels, image = torch.cat([labels, labels[partners]], dim=1), torch.cat([image, image + 1], dim=1)
    with torch.autocast(device_type=features.device.type, enabled=False):
        cosines = vectors.transpose(1, 2) @ vectors / temperature  # (B, N, N), anchors in rows
    known = labels != ignore_index
    both = known[:, :, None] & known[:, None, :]
    alike = labels[:, :, None] == labels[:, None, :]
    positive, negative = both & alike, both & ~alike & (image[:, :, None] == image[:, None, :])
    # The lowest number, not -inf: an anchor without negatives gives 0 and no NaN.
    against = cosines.masked_fill(~negative, torch.finfo(cosines.dtype).min).logsumexp(dim=2, keepdim=True)
    losses = F.softplus(against - cosines) * positive  # (B, N, N): log(1 + sum_n e_pn / e_pq)
    anchors = losses.sum(dim=2) / positive.sum(dim=2).clamp_min(1)  # (B, N)
    pixels = known.sum(dim=1)  # (B,)
    return (anchors.sum(dim=1) / pixels.clamp_min(1)).sum() / (pixels > 0).sum().clamp_min(1)


@LOSSES.register("pixel_contrast")
class PixelContrast(Loss):
    """Module form of `pixel_contrast`."""

    function = staticmethod(pixel_contrast)
