"""Online pseudo labels: what a segmentation model is sure of fills what nobody labelled."""

import torch
from torch import Tensor

from marsnb.losses._elements import IGNORE_INDEX, pick_nearest

THRESHOLD = 0.9
"""Confidence that a prediction must exceed, a probability; 0.9 in the paper (Table 10 compares others)."""


@torch.no_grad()
def merge_pseudo_labels(
    logits: Tensor,
    labels: Tensor,
    threshold: float = THRESHOLD,
    *,
    size: tuple[int, int] | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Labels whose unlabelled pixels carry the predicted class where its probability is above the threshold.

    A labelled pixel keeps its label whatever the prediction. The result is for the contrastive loss and the memory bank
    only: in the paper, cross entropy keeps the labels as they are.

    Args:
        logits: predictions ``(B, C, H, W)``, of any floating type; no gradient is kept.
        labels: class of each pixel, ``(B, H, W)``, of any integer type.
        threshold: a probability from 0 to 1; 0.9 in the paper. It has to be exceeded, so 1 fills nothing.
        size: height and width of the feature map that the labels are for, elements (see `labels_at`); by default, the
            resolution of the labels. Both are taken at the same pixels, so it is the merged map, down-sampled.
        ignore_index: label of the unlabelled pixels, also in the result; 255 in AI4Mars.

    Returns:
        The merged labels, ``(B, *size)``, int64.

    Raises:
        ValueError: the shapes do not fit, or ``threshold`` is not from 0 to 1.

    Reference: Wang et al., arXiv 2206.02180, section 5.2; "higher than the threshold" in 7.3.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be a probability from 0 to 1, got {threshold}")
    grid = (logits.shape[0], *logits.shape[2:])
    if logits.ndim != 4 or labels.shape != grid:
        raise ValueError(
            f"expected labels of the shape of the logits without their classes, "
            f"got {tuple(labels.shape)} for {tuple(logits.shape)}"
        )
    if size is not None:
        logits, labels = pick_nearest(logits, size), pick_nearest(labels, size)  # (B, C, *size), (B, *size)
    confidence, predicted = logits.float().softmax(dim=1).max(dim=1)  # (B, H, W) each
    return torch.where((labels == ignore_index) & (confidence > threshold), predicted, labels.long())
