"""A small segmentation method and a batch for it: what the tests of the methods share."""

from typing import Any

import torch
from torch import Tensor

from marsnb.methods.segmentation._parts import MaskBatch
from marsnb.training.segmentation import build_method
from marsnb.training.spec import make_spec

CLASSES = 4
SIZE = 32


def method_of(name: str, epochs: int = 2, seed: int = 0, dropout: float = 0.0, **settings: Any) -> Any:
    """A method on a small network, in training mode, as a run of five steps an epoch would build it."""
    spec = make_spec(
        task="segmentation", dataset="synthetic_terrain", image_size=SIZE, method=name, backbone="test_resnet",
        start="random", epochs=epochs, decoder_channels=16, dropout=dropout, settings=settings, seed=seed,
    )  # fmt: skip
    return build_method(spec, CLASSES, steps=5).train()


def labels_of(images: int = 3) -> Tensor:
    """Patches of all classes; the upper quarter is unlabelled."""
    torch.manual_seed(0)
    labels = torch.randint(0, CLASSES, (images, 4, 4)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    labels[:, :8] = 255
    return labels


def batch_of(labels: Tensor | None = None, seed: int = 0) -> MaskBatch:
    """Images that show their labels, one grey per class, with noise."""
    labels = labels_of() if labels is None else labels
    generator = torch.Generator().manual_seed(seed)
    shade = torch.where(labels == 255, CLASSES, labels) / CLASSES
    images = 0.7 * shade[:, None] + 0.3 * torch.rand(len(labels), 3, SIZE, SIZE, generator=generator)
    return MaskBatch(images, labels)


def feed(method: Any) -> dict[str, MaskBatch]:
    """A batch for each of the method's streams."""
    return {name: batch_of(seed=place) for place, name in enumerate(method.streams)}


def at_step(method: Any, place: int) -> Any:
    """The method at the first epoch of one of its steps."""
    method.begin_epoch(sum(method.stage_epochs()[:place]))
    return method
