"""InfoNCE on a batch of image pairs: Eq. 1, the sample-wise contrast that the paper starts from."""

import torch
import torch.nn.functional as F
from torch import Tensor

from marsnb.distributed import gathered
from marsnb.losses import LOSSES, Loss, checked_temperature
from marsnb.losses._pairs import TEMPERATURE, checked_pairs


def info_nce(z1: Tensor, z2: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Cross entropy of picking the second view of an image among the second views of all images of the batch.

    One-sided, as Eq. 1 writes it: the first views are the anchors, the second views the candidates; first views are
    never negatives of one another. At random embeddings the loss is close to log N.

    Args:
        z1: embeddings of the first views, ``(N, D)``, of any norm (the cosine is taken inside).
        z2: of the second views, ``(N, D)``; row i is the positive of row i of ``z1``, every other row a negative.
        temperature: the paper's tau, above 0; 0.2 in the paper.

    Returns:
        The mean over the N anchors, a scalar in float32 (float64 for float64 input), also under autocast.

    Raises:
        ValueError: the shapes differ or are not ``(N, D)``, or ``temperature`` is not above 0.

    Reference: Wang et al., arXiv 2206.02180, Eq. 1; van den Oord et al., arXiv 1807.03748.
    """
    temperature = checked_temperature(temperature)
    # Without this, autocast would send the product below back to half precision.
    with torch.autocast(device_type=z1.device.type, enabled=False):
        z1, z2 = (gathered(z) for z in checked_pairs(z1, z2))  # rows of all processes are each other's negatives
        similarity = F.normalize(z1, dim=1) @ F.normalize(z2, dim=1).T  # (N, N); row: anchor, column: candidate
        target = torch.arange(len(z1), device=z1.device)  # (N,): the positives lie on the diagonal
        return F.cross_entropy(similarity / temperature, target)


@LOSSES.register("info_nce")
class InfoNCE(Loss):
    """Module form of `info_nce`."""

    function = staticmethod(info_nce)
