"""Augmentation of a whole batch on its device, with parameters drawn per image (kornia).

Two of them: ``ordinary`` for the classification loss, ``strong`` for the contrastive views (paper, section 4.2:
flipping, cropping, resizing and rotation; Gaussian blur, colour jitter and desaturation). The paper gives no ranges;
those of MoCo v2 are taken where it has the operation. Random numbers come from torch's global generator, so a run that
seeds it is repeatable.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import kornia.augmentation as K
import torch
from kornia.constants import DataKey, Resample
from torch import Tensor, nn
from torch.distributions import Distribution

from marsnb.errors import RecipeError

Augmentation = Callable[[Tensor], Tensor]
"""``(B, 3, H, W)`` in [0, 1] to the same shape and range."""


@contextmanager
def _trusted_draws() -> Iterator[None]:
    """Let torch.distributions not check its arguments, which are ours: a fifth of the time of a small batch."""
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


class _Chain(nn.Module):
    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.Sequential(*parts)

    def forward(self, images: Tensor) -> Tensor:
        with _trusted_draws():
            return self.parts(images).clamp(0.0, 1.0)


def ordinary(size: int) -> Augmentation:
    """Flip and a mild crop, resized back to ``size`` x ``size``.

    # departure: the paper does not say what its "normal data augmentations" are; this is our choice.
    """
    return _Chain(
        K.RandomHorizontalFlip(p=0.5),
        K.RandomResizedCrop((size, size), scale=(0.7, 1.0), ratio=(0.9, 1.1), p=1.0, cropping_mode="resample"),
    )


def strong(size: int) -> Augmentation:
    """The paper's shape and pixel augmentation, resized back to ``size`` x ``size``."""
    blur = max(3, round(size * 0.1) // 2 * 2 + 1)  # an odd kernel, about a tenth of the image as in SimCLR
    return _Chain(
        K.RandomResizedCrop((size, size), scale=(0.2, 1.0), ratio=(3 / 4, 4 / 3), p=1.0, cropping_mode="resample"),
        K.RandomHorizontalFlip(p=0.5),
        K.RandomRotation(30.0, p=0.5),
        K.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
        K.RandomGrayscale(p=0.2),
        K.RandomGaussianBlur((blur, blur), (0.1, 2.0), p=0.5),
    )


AUGMENTATIONS: dict[str, Callable[[int], Augmentation]] = {"ordinary": ordinary, "strong": strong}


class _Views:
    """Numbered views of images: plain ones, plain and mirrored in turn, or drawn by an augmentation."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.change = AUGMENTATIONS[name](size) if name in AUGMENTATIONS else None

    def __repr__(self) -> str:
        return f"{self.name}: {self.change!r}"

    def __call__(self, images: Tensor, view: int) -> Tensor:
        if self.change is not None:
            return self.change(images)
        return images.flip(-1) if self.name == "mirror" and view % 2 else images


@cache
def view_maker(name: str, size: int) -> Callable[[Tensor, int], Tensor]:
    """What makes the views of a bank, of images of ``size`` pixels.

    ``ordinary`` and ``strong`` are drawn anew for each view; ``plain`` is the images as they are; ``mirror``, as they
    are in even views and mirrored in odd ones.
    """
    if name not in (*AUGMENTATIONS, "plain", "mirror"):
        raise RecipeError(f"unknown augmentation {name!r}; known: {', '.join((*AUGMENTATIONS, 'plain', 'mirror'))}")
    return _Views(name, size)


class MaskedAugmentation(nn.Module):
    """Flip and crop of images and masks alike, parameters drawn per image; it leaves no border.

    # departure: the paper says nothing of augmentation in segmentation; crops from half the area on are our choice.

    Args:
        size: edge of the result, pixels.
        crop: whether images are cropped besides; without, an image is itself or its mirror image, as in a bank.
    """

    def __init__(self, size: int, crop: bool = True) -> None:
        super().__init__()
        crops = K.RandomResizedCrop(
            (size, size), scale=(0.5, 1.0), ratio=(3 / 4, 4 / 3), p=1.0, cropping_mode="resample"
        )
        self.parts = K.AugmentationSequential(
            K.RandomHorizontalFlip(p=0.5),
            *([crops] if crop else []),
            data_keys=["input", "mask"],
            extra_args={DataKey.MASK: {"resample": Resample.NEAREST, "align_corners": None}},
        )

    def forward(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Copies of images in [0, 1], ``(B, 3, H, W)``, and of codes, ``(B, H, W)``, at ``size``; codes as int64."""
        with _trusted_draws():
            changed, moved = self.parts(images, masks[:, None].float())
        return changed.clamp(0.0, 1.0), moved[:, 0].round().to(torch.int64)
