"""From gathered numpy arrays to tensors, the same for training, scoring and the bank."""

import numpy as np
import torch
from torch import Tensor


def to_images(array: np.ndarray) -> Tensor:
    """A gathered batch as a tensor.

    Decoded images, uint8, ``(B, H, W, 3)``, become ``(B, 3, H, W)``; grey ones, ``(B, H, W, 1)``, get three equal
    channels. Features, of any other type, keep their shape.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if tensor.dtype != torch.uint8:
        return tensor
    images = tensor.permute(0, 3, 1, 2)
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


def to_unit(images: Tensor) -> Tensor:
    """uint8 0 to 255 to float32 0 to 1; features become float32."""
    return images.float().div_(255.0) if images.dtype == torch.uint8 else images.float()
