"""The memory bank of Eq. 7: for each class, the average features of the images that showed it last."""

import torch
from torch import Tensor, nn

from marsnb.distributed import gathered
from marsnb.losses._elements import IGNORE_INDEX, checked_elements


class MemoryBank(nn.Module):
    """One first-in-first-out queue of class averages per class; the average of a queue is its class's prototype.

    Everything is in two buffers, so a restored bank goes on exactly as the saved one.

    Args:
        num_classes: C; 4 in AI4Mars.
        dim: D, width of the features; 128 in the paper.
        length: entries in a queue; 32 in the paper.
        ignore_index: label of the elements that do not count; 255 in AI4Mars.

    Attributes:
        queues: the entries, ``(C, length, D)`` in float32, as raw averages of any norm; zeros where nothing is stored.
            One entry averages over the elements of a class in one image (the paper: "in the current f").
        stored: how many entries each class has ever got, ``(C,)``; entry k of a class lies in slot k mod length.

    Raises:
        ValueError: a size is not above 0.

    Reference: Wang et al., arXiv 2206.02180, section 5.1 and, for the length, 5.3.
    """

    queues: Tensor
    stored: Tensor

    def __init__(self, num_classes: int, dim: int = 128, length: int = 32, ignore_index: int = IGNORE_INDEX) -> None:
        super().__init__()
        if min(num_classes, dim, length) < 1:
            raise ValueError(f"num_classes, dim and length must be above 0, got {num_classes}, {dim} and {length}")
        self.ignore_index = ignore_index
        self.register_buffer("queues", torch.zeros(num_classes, length, dim))
        self.register_buffer("stored", torch.zeros(num_classes, dtype=torch.int64))

    @property
    def filled(self) -> Tensor:
        """Entries in each queue now, ``(C,)``, at most ``length``."""
        return self.stored.clamp_max(self.queues.shape[1])

    @property
    def valid(self) -> Tensor:
        """Which classes have a prototype, ``(C,)``: those that were seen at least once."""
        return self.stored > 0

    @property
    def prototypes(self) -> Tensor:
        """Average of each queue, ``(C, D)``; zeros for a class that is not `valid`."""
        return self.queues.sum(dim=1) / self.filled.clamp_min(1)[:, None]  # empty slots add zero

    def entries(self, c: int) -> Tensor:
        """The entries of class ``c``, oldest first, ``(filled, D)``."""
        stored, length = int(self.stored[c]), self.queues.shape[1]
        slots = torch.arange(max(0, stored - length), stored, device=self.queues.device) % length
        return self.queues[c, slots]

    @torch.no_grad()
    def enqueue(self, features: Tensor, labels: Tensor) -> None:
        """Store the average feature of each class that the images show; a class that none shows keeps its queue.

        Images are taken in order, those of all processes where there are several, and nothing waits for an
        accelerator. Features are ``(B, D, H, W)``, of any norm and floating type; labels, pseudo or not,
        ``(B, H, W)``. Where they do not fit, ``ValueError`` is raised.
        """
        labels = checked_elements(features, labels)
        classes, length, dim = self.queues.shape
        if features.shape[1] != dim:
            raise ValueError(f"expected features of {dim} channels, got {features.shape[1]}")
        every = torch.arange(classes, device=self.queues.device)
        found = self.queues.new_zeros(len(features), classes, dim + 1)  # sum of a class's elements, and their number
        with torch.autocast(device_type=features.device.type, enabled=False):
            for i, (image, own) in enumerate(zip(features, labels, strict=True)):
                member = ((own.flatten() == every[:, None]) & (own.flatten() != self.ignore_index)).to(found.dtype)
                found[i, :, :dim] = member @ image.flatten(1).T.to(found.dtype)  # (C, HW) @ (HW, D)
                found[i, :, dim] = member.sum(dim=1)
        for image in gathered(found, even=True):
            total, count = image[:, :dim], image[:, dim]
            seen = count > 0  # (C,)
            slot = self.stored % length
            mean = total / count.clamp_min(1)[:, None]  # (C, D)
            self.queues[every, slot] = torch.where(seen[:, None], mean, self.queues[every, slot])
            self.stored += seen

    def extra_repr(self) -> str:
        """The settings that ``print`` shows."""
        classes, length, dim = self.queues.shape
        return f"num_classes={classes}, dim={dim}, length={length}"
