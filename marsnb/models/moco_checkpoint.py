"""The MoCo v2 weights of ResNet-50 that the paper starts from: fetch, check, rename.

The checkpoints are Facebook's, under CC BY-NC 4.0 (not for commercial use); they are downloaded, never shipped.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from marsnb import paths
from marsnb.data._http import LARGEST, open_session, up_to
from marsnb.errors import DataError
from marsnb.models._weights import load_state, read_state

_SITE = "https://dl.fbaipublicfiles.com/moco/moco_checkpoints"
_PREFIX = "module.encoder_q."


@dataclass(frozen=True)
class MocoCheckpoint:
    """A published checkpoint: its address, and how its MD5 begins (the authors publish eight hexadecimal digits)."""

    url: str
    md5_prefix: str


_800 = MocoCheckpoint(f"{_SITE}/moco_v2_800ep/moco_v2_800ep_pretrain.pth.tar", "a04e12f8")
_200 = MocoCheckpoint(f"{_SITE}/moco_v2_200ep/moco_v2_200ep_pretrain.pth.tar", "59fd9945")

# departure: the paper does not say which of the two it used; 800 epochs is the better (linear top-1 71.1, not 67.7).
CHECKPOINTS: dict[str, MocoCheckpoint] = {"moco_v2": _800, "moco_v2:800": _800, "moco_v2:200": _200}
"""Start weights by the name that recipes use."""


def fetch_checkpoint(checkpoint: MocoCheckpoint) -> Path:
    """Path of a checkpoint under ``MARSNB_RUNS/weights``, downloaded there if it is not there yet, and checked.

    Raises:
        DataError: the download failed, or the file is not the published one.
    """
    path = paths.runs() / "weights" / Path(checkpoint.url).name
    if not path.exists():
        _download(checkpoint, path)
    elif not _md5(path).startswith(checkpoint.md5_prefix):
        raise DataError(f"{path} is not the published checkpoint (md5 should begin {checkpoint.md5_prefix}): delete it")
    return path


def load_moco(network: nn.Module, path: Path) -> None:
    """Load MoCo's query encoder into a torchvision ResNet that still has its ``fc`` layer, which stays as it is.

    Raises:
        DataError: the file cannot be read, or does not hold exactly this network's weights.
    """
    load_state(network, encoder_weights(path), path, may_lack=("fc.weight", "fc.bias"))


def encoder_weights(path: Path) -> dict[str, Tensor]:
    """A checkpoint's ``module.encoder_q.<name>`` under torchvision's names, without MoCo's own projection head ``fc``.

    Raises:
        DataError: the file cannot be read or holds no query encoder.
    """
    state = {
        name.removeprefix(_PREFIX): tensor
        for name, tensor in read_state(path).items()
        if name.startswith(_PREFIX) and not name.startswith(f"{_PREFIX}fc.")
    }
    if not state:
        raise DataError(
            f"{path} holds no {_PREFIX}*: it is not a MoCo checkpoint; delete it to fetch the published one"
        )
    return state


def _download(checkpoint: MocoCheckpoint, path: Path) -> None:
    """Fetch into a file beside ``path`` and rename it once its MD5 is right: a broken download leaves nothing."""
    import requests

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        with open_session().get(checkpoint.url, stream=True, timeout=30) as answer:
            answer.raise_for_status()
            with part.open("wb") as file:
                for chunk in up_to(answer, LARGEST):
                    file.write(chunk)
        found = _md5(part)
        if not found.startswith(checkpoint.md5_prefix):
            raise DataError(
                f"{checkpoint.url} gave a file of md5 {found}, not {checkpoint.md5_prefix}...: "
                f"try again, or place the right one at {path}"
            )
        part.replace(path)
    except requests.RequestException as error:
        raise DataError(
            f"cannot fetch {checkpoint.url} ({type(error).__name__}): "
            f"place the file at {path}, or choose other start weights"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
