"""Regional contrast (ReCo): hard pixels of a class against its mean and pixels of the classes it is confused with."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from marsnb.losses import LOSSES, Loss
from marsnb.losses._elements import unit


@dataclass(frozen=True)
class Region:
    """What is drawn for one class: positions of its own pixels, ``(Q,)``, and of pixels of other classes, ``(K,)``."""

    label: int
    queries: Tensor
    keys: Tensor


def class_means(vectors: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Mean vector of each class, zeros for a class without pixels; ``(N, D)`` and ``(N,)`` to ``(C, D)``."""
    sums = vectors.new_zeros(num_classes, vectors.shape[1]).index_add_(0, labels, vectors)
    return sums / labels.bincount(minlength=num_classes).clamp_min(1)[:, None]


@torch.no_grad()
def draw_regions(
    vectors: Tensor,
    labels: Tensor,
    confidence: Tensor,
    num_classes: int,
    *,
    queries: int = 256,
    keys: int = 512,
    temperature: float = 0.5,
    hard: float = 0.97,
) -> list[Region]:
    """Queries among the hard pixels of each class, keys by the class relation graph; drawn with replacement.

    The graph's edge between two classes is the cosine of their means; a softmax over a class's edges says how many of
    its keys come from which class, so that classes that look alike are told apart most.

    Args:
        vectors: one per valid pixel, ``(N, D)``, of any norm.
        labels: class of each pixel, ``(N,)``, int64.
        confidence: the network's probability of that class, ``(N,)``.
        num_classes: C.
        queries: per class (paper of ReCo: 256).
        keys: per class (paper of ReCo: 512).
        temperature: of the softmax over edges (paper of ReCo: 0.5, as in the loss).
        hard: confidence below which a pixel is hard (paper of ReCo: 0.97).

    Returns:
        One region per class that has hard pixels, none if only one class is there.
    """
    vectors = vectors.float()
    counts = labels.bincount(minlength=num_classes)  # (C,)
    means = unit(class_means(vectors, labels, num_classes), dim=1)
    with torch.autocast(device_type=vectors.device.type, enabled=False):
        graph = means @ means.T / temperature  # (C, C)
    graph = graph.masked_fill(counts == 0, -torch.inf).fill_diagonal_(-torch.inf)
    order = labels.argsort(stable=True)  # (N,), pixels class by class
    first = counts.cumsum(0) - counts  # (C,), where a class begins in it
    regions = []
    if (counts > 0).sum() > 1:
        for label in range(num_classes):
            candidates = ((labels == label) & (confidence < hard)).nonzero()[:, 0]
            if len(candidates):
                drawn = torch.randint(len(candidates), (queries,), device=labels.device)
                classes = graph[label].softmax(dim=0).multinomial(keys, replacement=True)  # (K,)
                # In single precision, as Apple's devices have no double; a product may round up to the count itself.
                place = (torch.rand(keys, device=labels.device) * counts[classes]).long()
                place = torch.minimum(place, counts[classes] - 1)
                regions.append(Region(label, candidates[drawn], order[first[classes] + place]))
    return regions


def regional_contrast(vectors: Tensor, labels: Tensor, regions: list[Region], temperature: float = 0.5) -> Tensor:
    """Cross entropy of picking, for each query, the mean of its class among that mean and the keys, by cosine.

    Means and keys are constants: the gradient reaches the queries only.

    Args:
        vectors: one per valid pixel, ``(N, D)``, of any norm.
        labels: class of each pixel, ``(N,)``, int64.
        regions: of `draw_regions`.
        temperature: divides the cosines (paper of ReCo: 0.5).

    Returns:
        The sum over regions of the mean over queries, divided by the number of classes that have a pixel, whether hard
        ones or not, as in ReCo's code; a scalar in float32; 0 if there is no region.

    Reference: Liu et al., Bootstrapping semantic segmentation with regional contrast, arXiv 2104.04465, Eq. 1.
    """
    vectors = vectors.float()
    if not regions:
        return vectors.sum() * 0.0
    means = class_means(vectors.detach(), labels, int(labels.max()) + 1)
    losses = []
    for region in regions:
        candidates = torch.cat([means[region.label, None], vectors[region.keys].detach()])  # (1 + K, D)
        with torch.autocast(device_type=vectors.device.type, enabled=False):
            cosines = unit(vectors[region.queries], dim=1) @ unit(candidates, dim=1).T  # (Q, 1 + K)
        first = cosines.new_zeros(len(cosines), dtype=torch.int64)
        losses.append(F.cross_entropy(cosines / temperature, first))
    return torch.stack(losses).sum() / (labels.bincount() > 0).sum()


@LOSSES.register("regional_contrast")
class RegionalContrast(Loss):
    """Module form of `regional_contrast`."""

    function = staticmethod(regional_contrast)
