"""S4L with jigsaw puzzles: tell in which order the patches of an image come."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from marsnb.methods.classification import METHODS
from marsnb.methods.classification._jigsaw import crop_patches, max_hamming_permutations
from marsnb.methods.classification._parts import Batch, ClassificationMethod, Schedule
from marsnb.models.classifier import Classifier

GRID = 3
LEAST_SIDE = 32
PERMUTATIONS_SEED = 0


@METHODS.register("s4l_jigsaw")
class S4LJigsaw(ClassificationMethod):
    """Cross entropy, and telling in which order nine patches of an image come, also of unlabelled images.

    The patches of all images pass the backbone together and are projected linearly; of every image several orders are
    put together from the same embeddings, and one linear layer names the order. Both layers learn at the head's rate
    and are dropped afterwards. The class is learned from the whole image.

    Open choices: S4L's code has no jigsaw, so the task is that of "Revisiting self-supervised" with S4L's weight and
    its mean of labelled and unlabelled. The permutations are made here, not those of its file, and are the same for
    every seed of a run. A patch is a quarter smaller than its cell and falls anywhere in it (reference: 21 pixels
    smaller). No patch is made gray or normalised by itself, as the project's augmentation does the colours. Nothing
    nonlinear stands between the two layers. An image's orders are different ones. A patch under 32 pixels is enlarged
    to 32 by bilinear interpolation: the backbone's strides divide by 32, and would leave less than one cell.

    Args:
        weight: of the jigsaw term (S4L for rotation: 1; for jigsaw none is given).
        permutations: orders to tell apart (reference: 100).
        permutations_per_image: orders shown of each image at a step (reference: 8).
        embed: width of a patch's embedding (reference: 1000; here 128, as data and networks are smaller).
        jitter: share of a cell's side, 0 to below 1, that a patch leaves to chance (ours).

    Reference: Zhai et al., S4L, arXiv 1905.03670; Kolesnikov et al., arXiv 1901.09005; Noroozi & Favaro, arXiv
    1603.09246.
    """

    streams: ClassVar[tuple[str, ...]] = ("labelled", "unlabelled")
    pixels = ("labelled", "unlabelled")
    orders: Tensor

    weight: float = 1.0
    permutations: int = 100
    permutations_per_image: int = 8
    embed: int = 128
    jitter: float = 0.25

    def __init__(self, model: Classifier, schedule: Schedule, **settings: Any) -> None:
        super().__init__(model, schedule, **settings)
        self.shown = min(self.permutations_per_image, self.permutations)
        orders = max_hamming_permutations(self.permutations, GRID * GRID, PERMUTATIONS_SEED)
        self.register_buffer("orders", torch.from_numpy(orders))  # (P, 9)
        self.embed_patch = nn.Linear(model.head.in_features, self.embed)
        self.order_head = nn.Linear(GRID * GRID * self.embed, self.permutations)

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
        logits = self.order_head(puzzles.flatten(2))  # (B, K, P)
        return F.cross_entropy(logits.flatten(0, 1), shown.flatten())

    def step(self, labelled: Batch, unlabelled: Batch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_ce + weight * (L_jigsaw of unlabelled + L_jigsaw of labelled) / 2."""
        ce = self.cross_entropy(labelled)
        with self.aside():
            jigsaw = (self.jigsaw(labelled.images) + self.jigsaw(unlabelled.images)) / 2
        return {"loss": ce + self.weight * jigsaw, "ce": ce, "jigsaw": jigsaw}
