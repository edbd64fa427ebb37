"""LDAM: cross entropy with a margin that is larger for rarer classes."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from marsnb.losses import LOSSES

MAX_MARGIN = 0.5
SCALE = 30.0
"""The reference's values."""


def ldam_margins(counts: Sequence[int], max_margin: float = MAX_MARGIN) -> Tensor:
    """Margin of each class, in proportion to n ** (-1/4); ``(C,)``, float32.

    Args:
        counts: training images of each class; a class without one is given the margin of a class of one.
        max_margin: margin of the rarest class that has images (reference: 0.5).

    Raises:
        ValueError: no class has an image.

    Reference: Cao et al., arXiv 1906.07413, section 3.3.
    """
    n = torch.as_tensor(counts, dtype=torch.float64)
    if not (n > 0).any():
        raise ValueError("no class has an image")
    shape = n.clamp(min=1) ** -0.25
    return (max_margin * shape / shape[n > 0].max()).float()


def ldam(
    cosines: Tensor, labels: Tensor, margins: Tensor, scale: float = SCALE, weights: Tensor | None = None
) -> Tensor:
    """Mean cross entropy of scaled cosines, that of an image's own class being lowered by the margin of the class.

    Args:
        cosines: of feature and class vector, ``(B, C)``, -1 to 1.
        labels: class of each image, ``(B,)``, int64.
        margins: of the classes, ``(C,)``, e.g. from `ldam_margins`.
        scale: multiplies the cosines (reference: 30).
        weights: of the classes, ``(C,)``, by which cross entropy is multiplied; equal ones if ``None``.

    Reference: Cao et al., Label-distribution-aware margin loss, arXiv 1906.07413, Eq. 13.
    """
    lowered = F.one_hot(labels, cosines.shape[1]).to(cosines.dtype) * margins.to(cosines)  # (B, C), 0 but at the label
    ce = F.cross_entropy(scale * (cosines - lowered), labels, reduction="none")  # (B,)
    return ce.mean() if weights is None else (weights.to(ce)[labels] * ce).mean()


@LOSSES.register("ldam")
class LDAM(nn.Module):
    """Module form of `ldam`, made from the counts; see `ldam_margins`."""

    margins: Tensor

    def __init__(self, counts: Sequence[int], max_margin: float = MAX_MARGIN, scale: float = SCALE) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("margins", ldam_margins(counts, max_margin), persistent=False)

    def forward(self, cosines: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        """The loss of a batch; see `ldam`."""
        return ldam(cosines, labels, self.margins, self.scale, weights)
