"""CutOut, CutMix and ClassMix of a batch with itself: one choice of pixels for images, labels and confidences alike."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from marsnb.losses._elements import IGNORE_INDEX

BOX_SHARE = 0.5
"""Area of the box of CutOut and CutMix, as a share of the image (CutMix for segmentation and ReCo: a half)."""


@dataclass(frozen=True)
class Mixing:
    """Which pixels of a batch stay, and what takes the place of the others.

    Attributes:
        keep: True where an image keeps its own pixel, ``(B, H, W)``.
        paste: elsewhere it gets its partner's, the image before it in the batch; without, a blank.
    """

    keep: Tensor
    paste: bool = True

    def __call__(self, maps: Tensor, blank: Tensor | float) -> Tensor:
        """Mixed maps, ``(B, H, W)`` or ``(B, D, H, W)``; nothing is shown by ``blank``, a number or ``(D, 1, 1)``."""
        keep = self.keep if maps.ndim == 3 else self.keep[:, None]
        return torch.where(keep, maps, maps.roll(1, 0) if self.paste else blank)


def outside_boxes(labels: Tensor) -> Tensor:
    """True outside one random box per image, of about `BOX_SHARE` of it at any aspect and place, ``(B, H, W)``."""
    batch, *edges = labels.shape
    draw = torch.rand(3, batch, device=labels.device)
    height = BOX_SHARE ** draw[0]  # (B,), of the image's: from BOX_SHARE to 1, evenly in the logarithm
    inside = []
    for edge, length, place in zip(edges, (height, BOX_SHARE / height), draw[1:], strict=True):
        centres = (torch.arange(edge, device=labels.device) + 0.5) / edge  # (edge,)
        first = (place * (1 - length))[:, None]  # (B, 1)
        inside.append((centres >= first) & (centres < first + length[:, None]))  # (B, edge)
    return ~(inside[0][:, :, None] & inside[1][:, None, :])


def half_the_classes(labels: Tensor, num_classes: int) -> Tensor:
    """True where ``(B, H, W)`` labels are one of a random half of their image's classes, rounded down; 255 is none."""
    every = torch.arange(num_classes, device=labels.device)
    present = (labels.flatten(1)[:, None] == every[:, None]).any(dim=2)  # (B, C)
    draw = torch.rand(present.shape, device=labels.device).masked_fill(~present, 2.0)
    rank = draw.argsort(dim=1).argsort(dim=1)  # (B, C), absent classes last
    chosen = rank < present.sum(dim=1, keepdim=True) // 2
    chosen = torch.cat([chosen, chosen.new_zeros(len(chosen), 1)], dim=1)  # the last column is for no class
    index = torch.where(labels == IGNORE_INDEX, num_classes, labels).flatten(1)  # (B, HW)
    return chosen.gather(1, index).view(labels.shape)


MIXINGS: dict[str, Callable[[Tensor, int], Mixing]] = {
    "none": lambda labels, _: Mixing(torch.ones_like(labels, dtype=torch.bool)),
    "cutout": lambda labels, _: Mixing(outside_boxes(labels), paste=False),  # a box of every image is blank
    "cutmix": lambda labels, _: Mixing(outside_boxes(labels)),  # a box of every image shows its partner
    "classmix": lambda labels, classes: Mixing(half_the_classes(labels, classes)),  # they are pasted on its partner
}
"""By name: from the batch's labels and the number of classes to a mixing, drawn from torch's global generator."""
