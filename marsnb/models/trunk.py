"""A network cut at a named module: the trunk before the cut never learns, the tail behind it does.

A cut can be made where the network is a plain sequence of modules: timm's EfficientNets, and ResNets of torchvision,
timm and segmentation-models-pytorch.
"""

from collections.abc import Sequence
from copy import deepcopy
from itertools import pairwise
from typing import NamedTuple, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from marsnb.errors import RecipeError

STEMS = ("conv_stem", "conv1", "bn1", "relu", "act1", "maxpool")
HEADS = ("conv_head", "bn2", "avgpool", "global_pool")


class TrunkFeatures(NamedTuple):
    """What a segmenter's trunk leaves of images, in the place of the images."""

    low: Tensor
    """Features at stride 4, which DeepLabv3+'s decoder wants, ``(B, D, H / 4, W / 4)``."""
    deep: Tensor
    """Features at the cut, ``(B, D', h, w)``."""


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
    """Names of the modules up to ``at`` (``blocks.5``, ``layer3``), itself included, and of those behind it.

    Raises:
        RecipeError: the network cannot be cut, or has no such module, or nothing that learns is left behind it.
    """
    known, kind = stages(network), type(network).__name__
    if not known:
        raise RecipeError(f"{kind} cannot be cut: take an EfficientNet or a ResNet, or leave trunk out")
    if at not in known:
        raise RecipeError(f"trunk {at!r} is no module of {kind} to cut after; known: {', '.join(known)}")
    names = sequence(network)
    where = names.index(at) + 1
    if not any(True for name in names[where:] for _ in network.get_submodule(name).parameters()):
        raise RecipeError(f"trunk {at!r} leaves nothing of {kind} to learn: cut after {known[-2]}")
    return names[:where], names[where:]


def run(network: nn.Module, names: Sequence[str], x: Tensor) -> Tensor:
    """Pass ``x`` through the named modules, one after the other."""
    for name in names:
        x = network.get_submodule(name)(x)
    return x


@torch.no_grad()
def run_frozen(network: nn.Module, names: Sequence[str], x: Tensor) -> Tensor:
    """As `run`, of modules that are frozen; on the CPU with batch normalisation folded into the convolutions before it.

    That takes a third less time; the sums differ by rounding. What was folded is kept as long as the network, and made
    anew where a weight has changed.
    """
    if x.device.type != "cpu" or torch.compiler.is_compiling() or not names:
        return run(network, names, x)
    parts = [network.get_submodule(name) for name in names]
    tensors = (t for part in parts for t in (*part.parameters(), *part.buffers()))
    state = [(t.data_ptr(), 0 if t.is_inference() else t._version) for t in tensors]  # those never change
    kept = _FOLDED.setdefault(network, {})
    if tuple(names) not in kept or kept[tuple(names)][0] != state:
        kept[tuple(names)] = state, _folded(parts, x[:1])
    return kept[tuple(names)][1](x)


_FOLDED: WeakKeyDictionary[nn.Module, dict[tuple[str, ...], tuple[list[tuple[int, int]], nn.Module]]]
_FOLDED = WeakKeyDictionary()


def _folded(parts: Sequence[nn.Module], x: Tensor) -> nn.Module:
    """A copy of modules for evaluation; themselves, one after the other, where it gives something else of ``x``."""
    plain, quick = nn.Sequential(*parts), nn.Sequential(*map(deepcopy, parts)).eval()
    for owner in list(quick.modules()):
        for (first, conv), (second, norm) in pairwise(list(owner.named_children())):
            fit = isinstance(conv, nn.Conv2d) and conv.out_channels == getattr(norm, "num_features", None)
            if fit and isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None:
                owner.set_submodule(first, fuse_conv_bn_eval(cast(nn.Conv2d, conv), norm))
                owner.set_submodule(second, nn.Sequential(*norm.children()))  # timm's has the activation within
    wanted = plain(x)
    close = torch.allclose(quick(x), wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))  # it rounds otherwise
    return quick if close else plain


def freeze(network: nn.Module, names: Sequence[str]) -> None:
    """Put the named modules into evaluation mode and stop their learning."""
    for name in names:
        network.get_submodule(name).eval().requires_grad_(False)
