"""Unsupervised similarity on a batch of image pairs: Eq. 3, positives only."""

import torch
import torch.nn.functional as F
from torch import Tensor

from marsnb.losses import LOSSES, Loss
from marsnb.losses._pairs import checked_pairs


def similarity(z1: Tensor, z2: Tensor) -> Tensor:
    """Minus the mean cosine of two views of an image: -1 when all pairs point the same way, 1 when all are opposite.

    There are no negatives, no stop-gradient and no predictor: the gradient reaches both views, and a constant embedding
    is a global minimum. The paper says that this loss collapses alone, and that Eq. 2 beside it prevents that.

    Embeddings are ``(N, D)``, of any norm; row i of ``z1`` belongs to row i of ``z2``. The mean over the N pairs is a
    scalar in float32 (float64 for float64 input), also under autocast.

    Raises:
        ValueError: the shapes differ or are not ``(N, D)``.

    Reference: Wang et al., arXiv 2206.02180, Eq. 3.
    """
    # lightly's NegativeCosineSimilarity is this same line; torch's own spares the import of all of lightly's models.
    with torch.autocast(device_type=z1.device.type, enabled=False):
        z1, z2 = checked_pairs(z1, z2)
        return -F.cosine_similarity(z1, z2, dim=1).mean()  # (N,) cosines to a scalar


@LOSSES.register("similarity")
class Similarity(Loss):
    """Module form of `similarity`; it has no settings."""

    function = staticmethod(similarity)
