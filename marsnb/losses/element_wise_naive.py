"""Element-wise inter-class contrast between all pairs of an image's elements: Eq. 6, which the paper cannot afford."""

import torch
from torch import Tensor

from marsnb.losses import LOSSES, Loss, checked_temperature
from marsnb.losses._elements import ELEMENT_TEMPERATURE, IGNORE_INDEX, checked_elements, unit


def element_wise_naive(
    features: Tensor,
    labels: Tensor,
    temperature: float = ELEMENT_TEMPERATURE,
    *,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Minus the log of the share that an element's own class has in its similarity to all elements of its image.

    For small maps: memory grows with the square of the labelled elements of an image, 1 GiB for one matrix of the
    paper's 128 x 128. The sums are as Eq. 6 writes them: both go over the labelled elements of the **same image**, and
    neither leaves out the element itself, whose exp(1 / tau) therefore stands above and below. An image of one class
    has loss 0.

    Args:
        features: maps ``(B, D, H, W)`` of any norm (the cosine is taken inside).
        labels: class of each element, ``(B, H, W)``, of any integer type; see `labels_at`.
        temperature: tau, above 0; 0.07 in the paper (for Eq. 7).
        ignore_index: label of elements that are neither anchors nor candidates; 255 in AI4Mars.

    Returns:
        The mean over images of the mean over an image's elements, a scalar in float32 (float64 for float64 input), also
        under autocast; 0 if no element counts.

    Raises:
        ValueError: shapes or types do not fit, or ``temperature`` is not above 0.

    Reference: Wang et al., arXiv 2206.02180, Eq. 6.
    """
    temperature = checked_temperature(temperature)
    labels = checked_elements(features, labels)
    sums, counts = [], []
    with torch.autocast(device_type=features.device.type, enabled=False):
        for image, own in zip(features, labels, strict=True):
            counted = own != ignore_index  # (H, W)
            classes = own[counted]  # (N,), N labelled elements
            f = unit(image[:, counted], dim=0)  # (D, N)
            similarity = f.T @ f / temperature  # (N, N); row: anchor i, column: j
            other = classes[:, None] != classes  # (N, N); never all of a row, as i is its own class
            above = similarity.masked_fill(other, -torch.inf).logsumexp(dim=1)  # (N,)
            sums.append((similarity.logsumexp(dim=1) - above).sum())
            counts.append(len(classes))
    total, n = torch.stack(sums), torch.tensor(counts, device=features.device)  # (B,), (B,)
    return (total / n.clamp_min(1)).sum() / (n > 0).sum().clamp_min(1)


@LOSSES.register("element_wise_naive")
class ElementWiseNaive(Loss):
    """Module form of `element_wise_naive`."""

    function = staticmethod(element_wise_naive)
