"""Parts of the jigsaw puzzle: a set of permutations that lie far apart, and the cutting of images into patches."""

import itertools
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

POOL = 10_000
"""Candidates among which the permutations are chosen; all permutations, where there are no more than that."""


def max_hamming_permutations(n: int, size: int, seed: int) -> NDArray[np.int64]:
    """Permutations of ``0 .. size-1`` that differ in many places, chosen greedily.

    The first is a random one; each next is the candidate whose smallest Hamming distance to those chosen is largest,
    the earliest of equals. departure: Noroozi & Favaro add the distances up, which may leave two nearly alike, and
    choose among all permutations; here candidates are a random pool, so that it takes a moment only.

    Args:
        n: how many.
        size: of each.
        seed: of the pool; equal arguments give equal sets.

    Shape:
        Output: ``(n, size)``, rows distinct.

    Raises:
        ValueError: there are fewer than ``n`` permutations, or more than the pool could give.

    Reference:
        Noroozi & Favaro, arXiv 1603.09246, Algorithm 1.
    """
    total = math.factorial(size)
    most = total if total <= POOL else POOL // 2
    if not 0 < n <= most:
        raise ValueError(f"n must be 1 to {most} for permutations of {size}, not {n}")
    rng = np.random.default_rng(seed)
    if total <= POOL:
        pool = rng.permutation(np.array(list(itertools.permutations(range(size))), dtype=np.int64))
    else:
        pool = rng.permuted(np.tile(np.arange(size), (POOL, 1)), axis=1).astype(np.int64)
    chosen = [0]
    apart = (pool != pool[0]).sum(axis=1)  # distance of each candidate to the nearest one chosen
    while len(chosen) < n:
        chosen.append(int(apart.argmax()))
        apart = np.minimum(apart, (pool != pool[chosen[-1]]).sum(axis=1))
    return pool[chosen]


def crop_patches(images: Tensor, grid: int, jitter: float) -> Tensor:
    """Cut every image into ``grid`` x ``grid`` cells and take a square patch from a random place of each.

    The places come from torch's global generator on the CPU, so they are the same on every device; they are drawn for
    each image and cell by itself. Pixels that the cells leave over (less than ``grid``) are cut off at the right and
    lower edge.

    Args:
        images: square.
        grid: cells along a side.
        jitter: share of the cell's side, 0 to below 1, by which a patch is smaller than its cell.

    Shape:
        ``(B, C, S, S)`` to ``(B, grid^2, C, P, P)``, cells row by row.
    """
    count, side = len(images), images.shape[-1]
    cell = side // grid
    patch = max(1, cell - round(jitter * cell))
    cells = torch.arange(grid * grid)
    corner = torch.stack([cells // grid, cells % grid]) * cell  # (2, G)
    shift = torch.randint(cell - patch + 1, (count, 2, grid * grid))
    at = (corner + shift)[..., None] + torch.arange(patch)  # (B, 2, G, P): pixels of each patch, down and across
    rows, columns = at.to(images.device).unbind(dim=1)  # twice (B, G, P)
    image = torch.arange(count, device=images.device)[:, None, None, None]
    patches = images[image, :, rows[..., :, None], columns[..., None, :]]  # (B, G, P, P, C)
    return patches.movedim(-1, 2)
