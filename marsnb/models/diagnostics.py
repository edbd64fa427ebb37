"""Three numbers that tell whether embeddings have collapsed, and how."""

import torch
import torch.nn.functional as F
from torch import Tensor


def alignment(z1: Tensor, z2: Tensor) -> Tensor:
    """Mean squared distance of two views' embeddings on the unit sphere: 0 = views agree, 2 = unrelated, 4 = opposite.

    Embeddings are ``(N, D)``, of any norm, in the same order. It equals 2 + 2 * ``similarity(z1, z2)``.

    Raises:
        ValueError: the shapes differ or are not ``(N, D)``.

    Reference: Wang and Isola, arXiv 2005.10242, section 4.1.1, with exponent 2.
    """
    if z1.shape != z2.shape:
        raise ValueError(f"expected two embeddings of one shape, got {tuple(z1.shape)} and {tuple(z2.shape)}")
    distance = _unit(z1, least=1) - _unit(z2, least=1)  # (N, D)
    return distance.square().sum(dim=1).mean()


def uniformity(z: Tensor, t: float = 2) -> Tensor:
    """Log of the mean Gaussian potential over all pairs on the unit sphere: 0 = one point, lower = more spread out.

    The potential is exp(-t * squared distance): about -2t where directions are unrelated. Memory grows with N squared.

    Args:
        z: embeddings of different images, ``(N, D)``, N >= 2, of any norm.
        t: width of the Gaussian, above 0; 2 in the reference.

    Raises:
        ValueError: fewer than two rows, or not ``(N, D)``.

    Reference: Wang and Isola, arXiv 2005.10242, section 4.1.2.
    """
    squared = F.pdist(_unit(z, least=2)).square()  # (N (N - 1) / 2,)
    return (-t * squared).exp().mean().log()


def effective_rank(z: Tensor) -> Tensor:
    """How many directions embeddings ``(N, D)`` really use: from 1 (all on one line) to min(N, D).

    The exponential of the entropy of the singular values, scaled to sum to 1. Rows are neither centred nor normalised,
    as in the definition: embeddings that are all equal have effective rank 1. A matrix of zeros also gives 1.

    Raises:
        ValueError: no row, or not ``(N, D)``.

    Reference: Roy and Vetterli, "The effective rank: a measure of effective dimensionality", EUSIPCO 2007.
    """
    values = torch.linalg.svdvals(_checked(z, least=1))  # (min(N, D),)
    share = values / values.sum().clamp_min(torch.finfo(values.dtype).tiny)  # sums to 1
    return torch.special.entr(share).sum().exp()  # entr(p) = -p log p, 0 at 0


def _checked(z: Tensor, least: int) -> Tensor:
    """``z`` in at least float32, or ``ValueError`` unless it is ``(N, D)`` with N >= ``least``."""
    if z.ndim != 2 or z.shape[0] < least or z.shape[1] == 0:
        raise ValueError(f"expected embeddings of shape (N, D) with N >= {least}, got {tuple(z.shape)}")
    return z.to(torch.promote_types(z.dtype, torch.float32))


def _unit(z: Tensor, least: int) -> Tensor:
    return F.normalize(_checked(z, least), dim=1)
