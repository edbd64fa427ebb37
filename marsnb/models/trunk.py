"""A network cut at a named module: the trunk before the cut never learns, the tail behind it does.

A cut can be made where the network is a plain sequence of modules: timm's EfficientNets, and ResNets of torchvision,
timm and segmentation-models-pytorch.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from marsnb.errors import RecipeError

STEMS = ("conv_stem", "conv1", "bn1", "relu", "act1", "maxpool")
HEADS = ("conv_head", "bn2", "avgpool", "global_pool")


class TrunkFeatures(NamedTuple):
    """What a segmenter's trunk leaves of images, in the place of the images.

    Attributes:
        low: features at stride 4, which DeepLabv3+'s decoder wants, ``(B, D, H / 4, W / 4)``.
        deep: features at the cut, ``(B, D', h, w)``.
    """

    low: Tensor
    deep: Tensor


def stages(network: nn.Module) -> list[str]:
    """Names of the modules that a network can be cut after, in their order; none if it is no plain sequence."""
    names = [name for name, _ in network.named_children()]
    blocks = network.get_submodule("blocks") if "blocks" in names and "conv_stem" in names else None
    if isinstance(blocks, nn.Sequential | nn.ModuleList):
        return [f"blocks.{i}" for i in range(len(blocks))]
    if "conv1" in names:
        return [name for name in names if name.startswith("layer") and name[5:].isdigit()]
    return []


def sequence(network: nn.Module) -> list[str]:
    """Names of all modules of a network in the order of its forward pass, classifier left out."""
    names = [name for name, _ in network.named_children()]
    return [n for n in names if n in STEMS] + stages(network) + [n for n in names if n in HEADS]


def cut(network: nn.Module, at: str) -> tuple[list[str], list[str]]:
    """Names of the modules up to ``at``, itself included, and of those behind it.

    Args:
        network: a plain sequence of modules.
        at: the last module of the trunk, e.g. ``blocks.5`` or ``layer3``.

    Raises:
        RecipeError: the network cannot be cut, or has no such module, or nothing that learns is left behind it.
    """
    known = stages(network)
    if not known:
        raise RecipeError(
            f"{type(network).__name__} cannot be cut: take an EfficientNet or a ResNet, or leave trunk out"
        )
    if at not in known:
        raise RecipeError(
            f"trunk {at!r} is no module of {type(network).__name__} to cut after; known: {', '.join(known)}"
        )
    names = sequence(network)
    where = names.index(at) + 1
    if not any(True for name in names[where:] for _ in network.get_submodule(name).parameters()):
        raise RecipeError(f"trunk {at!r} leaves nothing of {type(network).__name__} to learn: cut after {known[-2]}")
    return names[:where], names[where:]


def run(network: nn.Module, names: Sequence[str], x: Tensor) -> Tensor:
    """Pass ``x`` through the named modules, one after the other."""
    for name in names:
        x = network.get_submodule(name)(x)
    return x


def freeze(network: nn.Module, names: Sequence[str]) -> None:
    """Put the named modules into evaluation mode and stop their learning."""
    for name in names:
        network.get_submodule(name).eval().requires_grad_(False)


@torch.no_grad()
def same(whole: Tensor, parts: Tensor) -> bool:
    """Whether a network's output is that of its parts one after the other."""
    return whole.shape == parts.shape and torch.equal(whole, parts)
