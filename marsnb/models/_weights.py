"""Reading weights from a file, safely, and loading them so that nothing is left out unseen."""

import hashlib
from collections.abc import Collection
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn

from marsnb.errors import DataError


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict in a file, bare or under the key ``state_dict``, on the CPU; no code in the file is run.

    Raises:
        DataError: the file is missing, cannot be read without running code, or holds no state dict.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise DataError(f"no weights at {path}: check the path") from error
    except (UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} is damaged or not a plain file of weights: fetch or save it again") from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise DataError(f"{path} holds no state dict: save one with torch.save(backbone.state_dict(), path)")
    return state


def file_digest(start: str) -> list[str]:
    """Digest of the file that start weights are, as a list; empty where they have a name instead."""
    path = Path(start).expanduser()
    if not path.is_file():
        return []
    with path.open("rb") as stream:
        return [hashlib.file_digest(stream, "sha256").hexdigest()]


def backbone_of_run(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state of a `Backbone` out of a run's checkpoint, which has heads or decoders too; others as they are."""
    if "model.backbone.input_mean" in state:
        prefix = "model.backbone."
        return {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
    if "model.input_mean" in state:
        prefix = "model.encoder."  # timm's network is its attribute ``model``
        encoder = {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
        colours = {key: state[f"model.{key}"] for key in ("input_mean", "input_std")}
        return colours | {f"network.{key.removeprefix('model.')}": tensor for key, tensor in encoder.items()}
    return state


def load_state(network: nn.Module, state: dict[str, Tensor], source: object, may_lack: Collection[str] = ()) -> None:
    """Load every tensor; ``source`` is named where that fails.

    Tensors in ``may_lack`` may be missing, e.g. ``fc.weight`` of a head that is dropped anyway.

    Raises:
        DataError: a tensor is left over, is missing or has another shape; the network is left as it was.
    """
    own = network.state_dict()
    missing = [name for name in own if name not in state and name not in may_lack]
    unknown = [name for name in state if name not in own]
    shapes = [name for name in state if name in own and state[name].shape != own[name].shape]
    for what, names in (("lack", missing), ("hold unknown", unknown), ("have the wrong shape for", shapes)):
        if names:
            shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            raise DataError(f"the weights of {source} {what} {shown}: they belong to another network")
    network.load_state_dict(state, strict=False)
