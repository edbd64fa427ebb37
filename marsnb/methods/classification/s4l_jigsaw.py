"""S4L with jigsaw puzzles: tell in which order the patches of an image come."""

import itertools
import math
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Batch, ClassificationMethod, Schedule
from marsnb.models.classifier import Classifier

GRID = 3
LEAST_SIDE = 32
PERMUTATIONS_SEED = 0
POOL = 10_000
"""Candidates among which the permutations are chosen; all permutations, where there are no more than that."""


def max_hamming_permutations(n: int, size: int, seed: int) -> NDArray[np.int64]:
    """``n`` permutations of ``0 .. size-1`` that differ in many places, ``(n, size)``; equal arguments give equal ones.

    The first is a random one; each next is the candidate whose smallest Hamming distance to those chosen is largest,
    the earliest of equals. departure: Noroozi & Favaro add the distances up, which may leave two nearly alike, and
    choose among all permutations; here candidates are a random pool, so that it takes a moment only.

    Raises:
        ValueError: there are fewer than ``n`` permutations, or more than the pool could give.

    Reference: Noroozi & Favaro, arXiv 1603.09246, Algorithm 1.
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
    each image and cell by itself. Pixels that the cells leave over are cut off at the right and lower edge. A patch's
    side is smaller than its cell's by the share ``jitter``, 0 to below 1.

    Shape: ``(B, C, S, S)`` to ``(B, grid^2, C, P, P)``, cells row by row.
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


@METHODS.register("s4l_jigsaw")
class S4LJigsaw(ClassificationMethod):
    """Cross entropy, and telling in which order nine patches of an image come, also of unlabelled images.

    The patches of all images pass the backbone together and are projected linearly; of every image several orders are
    put together from the same embeddings, and two fully connected layers name the order: what is between them lets the
    head compare patches. All of these learn at the head's rate and are dropped afterwards. The class is learned from
    the whole image.

    Open choices: S4L's code has no jigsaw, so the task is that of "Revisiting self-supervised" with S4L's weight and
    its mean of labelled and unlabelled. The permutations are made here, not those of its file, and are the same for
    every seed of a run. A patch is a quarter smaller than its cell and falls anywhere in it (reference: 21 pixels
    smaller). No patch is made gray or normalised by itself, as the augmentation changes colours. An image's orders are
    different ones, drawn for each image (reference: for a batch). A patch under 32 pixels is enlarged to 32: the
    backbone's strides divide by 32, and would leave less than one cell.

    Args:
        weight: of the jigsaw term (S4L for rotation: 1; for jigsaw none is given).
        permutations: orders to tell apart (reference: 100).
        permutations_per_image: orders shown of each image at a step (reference: 8).
        embed: width of a patch's embedding (reference: 1000; here 128, as data and networks are smaller).
        hidden: units between the two layers that name the order (reference: 4096, with dropout 0.5).
        jitter: share of a cell's side, 0 to below 1, that a patch leaves to chance (ours).

    Reference: Zhai et al., S4L, arXiv 1905.03670; Kolesnikov et al., 1901.09005; Noroozi & Favaro, 1603.09246.
    """

    streams: ClassVar[tuple[str, ...]] = ("labelled", "unlabelled")
    pixels = ("labelled", "unlabelled")
    orders: Tensor

    weight: float = 1.0
    permutations: int = 100
    permutations_per_image: int = 8
    embed: int = 128
    hidden: int = 4096
    jitter: float = 0.25

    def __init__(self, model: Classifier, schedule: Schedule, **settings: Any) -> None:
        super().__init__(model, schedule, **settings)
        self.shown = min(self.permutations_per_image, self.permutations)
        orders = max_hamming_permutations(self.permutations, GRID * GRID, PERMUTATIONS_SEED)
        self.register_buffer("orders", torch.from_numpy(orders))  # (P, 9)
        self.embed_patch = nn.Linear(model.head.in_features, self.embed)
        self.order_head = nn.Sequential(
            nn.Linear(GRID * GRID * self.embed, self.hidden), nn.BatchNorm1d(self.hidden), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(self.hidden, self.permutations),
        )  # fmt: skip

    def embed_patches(self, images: Tensor) -> Tensor:
        """Embeddings of the patches in their places, ``(B, 3, S, S)`` to ``(B, 9, E)``."""
        patches = crop_patches(images, GRID, self.jitter).flatten(0, 1)  # (9B, 3, P, P)
        if patches.shape[-1] < LEAST_SIDE:
            patches = F.interpolate(patches, size=LEAST_SIDE, mode="bilinear", align_corners=False)
        return self.embed_patch(self.model.features(patches)).unflatten(0, (len(images), GRID * GRID))

    def jigsaw(self, images: Tensor) -> Tensor:
        """Cross entropy of the order, a mean over the orders shown of all images."""
        embedded = self.embed_patches(images)  # (B, 9, E)
        chances = torch.rand(len(images), len(self.orders))  # on the CPU: the same on every device
        shown = chances.argsort(dim=1)[:, : self.shown].to(images.device)  # (B, K), different ones in a row
        image = torch.arange(len(images), device=images.device)[:, None, None]
        puzzles = embedded[image, self.orders[shown]]  # (B, 9, E), (B, K, 9) -> (B, K, 9, E)
        logits = self.order_head(puzzles.flatten(2).flatten(0, 1))  # (B K, P)
        return F.cross_entropy(logits, shown.flatten())

    def step(self, labelled: Batch, unlabelled: Batch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_ce + weight * (L_jigsaw of unlabelled + L_jigsaw of labelled) / 2."""
        ce = self.cross_entropy(labelled)
        with self.aside():
            jigsaw = (self.jigsaw(labelled.images) + self.jigsaw(unlabelled.images)) / 2
        return {"loss": ce + self.weight * jigsaw, "ce": ce, "jigsaw": jigsaw}
