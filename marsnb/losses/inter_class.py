"""Supervised inter-class contrast on a batch of class pairs: Eq. 2."""

import torch
from torch import Tensor

from marsnb.losses import LOSSES, Loss
from marsnb.losses._pairs import TEMPERATURE
from marsnb.losses.info_nce import info_nce


def inter_class(z1: Tensor, z2: Tensor, temperature: float = TEMPERATURE, *, classes: Tensor | None = None) -> Tensor:
    """Cross entropy of picking an image's own class among one image of every class.

    The arithmetic is that of Eq. 1; what makes it Eq. 2 is the batch. Row i of ``z1`` and row i of ``z2`` are views of
    two **different images** of one class c_i, and every class has exactly one row. So no negative shares its anchor's
    class, and the positive pair is two scenes, not two crops of one. The paper's batch is 24 rows, one for each class
    of MSL. It is neither SupCon (one positive here, not all of them) nor NT-Xent (first views are not candidates here).

    Args:
        z1: embeddings of a strong view of one image of each class, ``(C, D)``, of any norm.
        z2: embeddings of a strong view of another image of the same class, ``(C, D)``.
        temperature: the paper's tau, above 0; 0.2 in the paper.
        classes: class of each row, ``(C,)``; if given, checked to be distinct (on an accelerator that waits for it).

    Returns:
        The mean over the C anchors, a scalar in float32 (float64 for float64 input), also under autocast.

    Raises:
        ValueError: two rows share a class, the shapes do not fit, or ``temperature`` is not above 0.

    Reference: Wang et al., arXiv 2206.02180, Eq. 2.
    """
    if classes is not None:
        if classes.shape != z1.shape[:1]:
            raise ValueError(f"expected one class per row, got {tuple(classes.shape)} for {tuple(z1.shape)} embeddings")
        if torch.unique(classes).numel() != classes.numel():
            raise ValueError(f"Eq. 2 takes one row per class, but classes repeat: {classes.tolist()}")
    return info_nce(z1, z2, temperature)


@LOSSES.register("inter_class")
class InterClass(Loss):
    """Module form of `inter_class`."""

    function = staticmethod(inter_class)
