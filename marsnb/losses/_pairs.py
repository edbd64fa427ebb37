"""What Eq. 1-3 share: a batch of pairs of embeddings, checked and cast."""

import torch
from torch import Tensor

TEMPERATURE = 0.2
"""The paper's temperature for Eq. 2 (section 4.4); it names none for Eq. 1, which takes the same here."""


def checked_pairs(z1: Tensor, z2: Tensor) -> tuple[Tensor, Tensor]:
    """Two views' embeddings ``(N, D)`` in at least float32, so that half precision does not reach the exponentials.

    Raises:
        ValueError: the shapes differ, are not ``(N, D)``, or are empty.
    """
    if z1.shape != z2.shape or z1.ndim != 2 or z1.numel() == 0:
        raise ValueError(
            f"expected two embeddings of one shape (N, D) with N >= 1, got {tuple(z1.shape)} and {tuple(z2.shape)}"
        )
    dtype = torch.promote_types(torch.promote_types(z1.dtype, z2.dtype), torch.float32)
    return z1.to(dtype), z2.to(dtype)
