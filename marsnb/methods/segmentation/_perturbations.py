"""CCT's seven perturbations of an encoder's features, each from ``(B, D, h, w)`` to the same shape.

Random numbers come from torch's global generator. What a perturbation takes away is 0, which after the encoder's last
ReLU means "nothing there".
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NOISE = 0.3  # of the reference: uniform from -0.3 to 0.3
DROP_FROM = (0.7, 0.9)  # of the reference: share of the largest activation; here drawn per image
DROPOUT = 0.5
ERASE = 0.4  # edges of a hole, as shares of its object's
RADIUS = 2.0  # of the adversarial step, per image


@dataclass(frozen=True)
class Scene:
    """What the main path says of the images, for the perturbations that it guides: classes ``(B, h, w)``, of C."""

    classes: Tensor
    num_classes: int

    @property
    def members(self) -> Tensor:
        """Which elements are of which class, ``(B, C, h, w)``."""
        return F.one_hot(self.classes, self.num_classes).movedim(3, 1).bool()

    @property
    def ground(self) -> Tensor:
        """The class that most of an image is of, ``(B,)``: the reference's data sets have a background, Mars none."""
        return self.members.sum(dim=(2, 3)).argmax(dim=1)

    @property
    def objects(self) -> Tensor:
        """Elements of any other class, ``(B, 1, h, w)``."""
        return (self.classes != self.ground[:, None, None])[:, None]


Decoder = nn.Module
Perturbation = Callable[[Tensor, Scene, Decoder], Tensor]
"""From features, what they show and the decoder that will read them to perturbed features."""


def feature_noise(z: Tensor, scene: Scene, decoder: Decoder) -> Tensor:
    """Every feature is a little larger or smaller."""
    return z * (1 + (2 * torch.rand_like(z) - 1) * NOISE)


def feature_drop(z: Tensor, scene: Scene, decoder: Decoder) -> Tensor:
    """The most active elements of an image are dropped."""
    activation = z.detach().mean(dim=1, keepdim=True)  # (B, 1, h, w)
    low, high = DROP_FROM
    share = low + (high - low) * torch.rand(len(z), 1, 1, 1, device=z.device)
    return z * (activation < share * activation.amax(dim=(2, 3), keepdim=True))


def dropout(z: Tensor, scene: Scene, decoder: Decoder) -> Tensor:
    """Half of the channels are dropped."""
    return F.dropout2d(z, DROPOUT)


def guided_cutout(z: Tensor, scene: Scene, decoder: Decoder) -> Tensor:
    """A hole in the bounding box of each class but the ground's; one box per class, not per connected object."""
    members = scene.members
    members = members & ~F.one_hot(scene.ground, scene.num_classes).bool()[:, :, None, None]  # (B, C, h, w)
    inside = []
    for shown in (members.any(dim=3), members.any(dim=2)):  # rows (B, C, h), columns (B, C, w)
        place = torch.arange(shown.shape[2], device=z.device)
        first = torch.where(shown, place, shown.shape[2]).amin(dim=2)  # (B, C)
        length = torch.where(shown, place + 1, 0).amax(dim=2) - first  # negative for a class that is not there
        hole = ERASE * length
        start = first + torch.rand(first.shape, device=z.device) * (length - hole)
        centre = place + 0.5
        inside.append((centre >= start[..., None]) & (centre < (start + hole)[..., None]))  # (B, C, h) or (B, C, w)
    holes = (inside[0][..., :, None] & inside[1][..., None, :]).any(dim=1, keepdim=True)  # (B, 1, h, w)
    return z * ~holes


def context_mask(z: Tensor, scene: Scene, decoder: Decoder) -> Tensor:
    """The ground is taken away: objects without their context."""
    return z * scene.objects


def object_mask(z: Tensor, scene: Scene, decoder: Decoder) -> Tensor:
    """The objects are taken away: context alone."""
    return z * ~scene.objects


def adversarial(z: Tensor, scene: Scene, decoder: Decoder) -> Tensor:
    """A step of length `RADIUS` in the direction that changes the decoder's prediction most (VAT, one iteration).

    The divergence is least, 0, at the features themselves, so its gradient is taken a little away from them, along a
    random direction. The step is a constant: no gradient passes through how it was found.
    """
    # departure: the reference goes 1e-6 away; of features of order 1, spread over thousands of elements, 32 bits keep
    # nothing of that. A step of 1 is still small beside their norm.
    with torch.enable_grad(), torch.autocast(device_type=z.device.type, enabled=False):
        at = z.detach().float()
        away = unit_step(torch.randn_like(at)).requires_grad_()
        before = decoder(at).detach().log_softmax(dim=1)
        divergence = F.kl_div(decoder(at + away).log_softmax(dim=1), before, reduction="sum", log_target=True)
        (direction,) = torch.autograd.grad(divergence, away)
    return z + RADIUS * unit_step(direction)


def unit_step(direction: Tensor) -> Tensor:
    """Each image's ``direction`` at norm 1, or 0 where it is 0; ``(B, ...)``."""
    return F.normalize(direction.flatten(1), dim=1).view_as(direction)


PERTURBATIONS: dict[str, tuple[Perturbation, int]] = {
    "dropout": (dropout, 6),
    "guided_cutout": (guided_cutout, 6),
    "adversarial": (adversarial, 2),
    "context_mask": (context_mask, 2),
    "object_mask": (object_mask, 2),
    "feature_drop": (feature_drop, 6),
    "feature_noise": (feature_noise, 6),
}
"""By name, with the reference's number of auxiliary decoders."""
