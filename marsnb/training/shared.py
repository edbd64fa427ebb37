"""What a run takes over where the same code trained it: its own checkpoint, and stages in common with other runs."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import torch

from marsnb import paths
from marsnb.errors import DataError
from marsnb.files import write_whole
from marsnb.methods._base import Method
from marsnb.training.provenance import ONLY_REPORT, versions
from marsnb.training.recorder import Recorder, read_checkpoint
from marsnb.training.spec import RunSpec

FOLDER = "stages"  # of the checkpoints, under ``MARSNB_RUNS``; they may be deleted at any time


@cache
def _code() -> str:
    """Digest of the package's code, but for the parts that only report: what another code trained is not taken over."""
    root = paths.ROOT / "marsnb"
    files = sorted(p for p in root.rglob("*.py") if p.relative_to(root).parts[0] not in ONLY_REPORT)
    return hashlib.sha256(b"".join(p.read_bytes() for p in files)).hexdigest()


def trained_by(device: torch.device) -> str:
    """What a checkpoint's numbers depend on besides its run: code, libraries and kind of device."""
    return f"{_code()} {versions()} {device.type}"


def forget_others(last: Path, by: str, label: str) -> None:
    """Remove a run's checkpoint, if there is one, and say so, where it was not trained ``by`` what trains now.

    Raises:
        DataError: it is damaged.
    """
    if last.exists() and read_checkpoint(last)["callbacks"].get(Recorder.__qualname__, {}).get("by") != by:
        print(f"{label}: {last} is of other code, libraries or another kind of device: trained anew", flush=True)
        last.unlink()


def stage_ends(spec: RunSpec, method: Method, fingerprint: str, device: torch.device, **how: Any) -> dict[int, Path]:
    """Where the checkpoints of a run's stages are kept for other runs, by the epochs done when the stage has ended.

    Two runs have the same file where all that decides their numbers up to there is the same: data, seed, device, code
    and libraries, and of the method's settings those that it has looked at by then (``decided_by``). Draws are a
    function of seed and step, so a run that takes over another's stages ends with the numbers of one that trains them
    itself, to the bit. ``how`` is what else changes a checkpoint: ``devices``, ``score_every``.
    """
    lengths, ends = method.stage_epochs(), {}
    rest = spec.model_dump(mode="json", exclude={"settings"})
    for stage in range(len(lengths)):
        decided = method.decided_by(stage)
        if decided is None:
            continue
        key = [rest, lengths[: stage + 1], decided, fingerprint, str(device), how, versions(), _code()]
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
        ends[sum(lengths[: stage + 1])] = paths.runs() / FOLDER / f"{digest}.ckpt"
    return ends


def begin(ends: dict[int, Path], last: Path) -> None:
    """Where a run has no checkpoint of its own yet, give it the stage's end from which the least is left to train.

    A damaged one is removed.
    """
    for _, end in sorted(ends.items(), reverse=True):
        if last.exists() or not end.exists():
            continue
        try:
            read_checkpoint(end)
            write_whole(last, end.read_bytes())
        except DataError:
            end.unlink(missing_ok=True)
