"""Images of a data set as small tensors, and two augmented views of them."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from marsnb.data.augment import strong
from marsnb.data.base import ClassificationData, ImageSource, LabelledList
from marsnb.data.cache import open_cached
from marsnb.teach.threads import one_thread


def tensor_of(source: ImageSource, indices: NDArray[np.int64], size: int) -> Tensor:
    """Images ``indices`` of a source, ``(N, 3, size, size)`` in [0, 1]."""
    chosen = np.array(open_cached(source, size)[indices])  # (N, size, size, 3), a copy in memory
    return torch.from_numpy(chosen).permute(0, 3, 1, 2).float() / 255


def two_views(images: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two strong views of each image, ``(N, 3, H, H)`` to twice that; the global random state stays as it was."""
    augment = strong(images.shape[-1])
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.default_generator.manual_seed(seed)
        return augment(images), augment(images)


def one_of_each(data: ClassificationData, split: LabelledList, classes: int, seed: int = 0) -> NDArray[np.int64]:
    """Positions in ``data.source`` of one image of each of ``classes`` classes, drawn by ``seed``."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(np.unique(split.labels), classes, replace=False)
    return np.array([rng.choice(split.indices[split.labels == c]) for c in chosen], dtype=np.int64)


def tiny(images: Tensor, edge: int = 8) -> Tensor:
    """The plainest embedding: each image as ``edge`` x ``edge`` grey pixels, less their mean; ``(N, edge * edge)``."""
    grey = F.adaptive_avg_pool2d(images.mean(dim=1, keepdim=True), edge).flatten(1)
    return grey - grey.mean(dim=1, keepdim=True)


def cosines(z1: Tensor, z2: Tensor) -> Tensor:
    """All cosine similarities of two sets of embeddings, ``(N, D)`` and ``(M, D)`` to ``(N, M)``."""
    return F.normalize(z1, dim=1) @ F.normalize(z2, dim=1).T
