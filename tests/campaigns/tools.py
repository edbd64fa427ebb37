"""What the campaigns share: what is done in a process of its own, and what it left, to compare."""

import hashlib
import io
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image

from marsnb import cli, paths
from tests.forked import start

NOISE = ["seconds", "images_per_s", "peak_memory", "date"]
"""Columns of the ledger that no two runs share."""


SMALL = {
    "dataset": "synthetic", "data_options": {"train": 144, "test": 48, "unlabelled": 32}, "image_size": 32,
    "backbone": "test_resnet", "start": "random", "epochs": 1, "milestones": [], "steps_per_epoch": 1,
    "method": "cross_entropy", "lr_backbone": 1e-3,
}  # fmt: skip


def folders(root: Path) -> dict[str, str]:
    """Variables that put all that is written into ``root``."""
    return {f"MARSNB_{name.upper()}": str(root / name) for name in ("data", "runs", "figures", "build")}


def train(task: str, seed: int = 0) -> None:
    """A small run at smoke, of three epochs."""
    from marsnb.training.run import make_spec, run
    from tests.training.test_run import TINY as CLASSES
    from tests.training.test_segmentation_resume import TINY as MASKS

    fields = {"classification": CLASSES, "segmentation": {**MASKS, "method": "mean_teacher", "epochs": 3}}[task]
    run(make_spec(**fields, seed=seed), "smoke", device="cpu")


def append_runs(name: str, count: int) -> None:
    """Enter runs in the ledger, those that it lacks."""
    from marsnb.training import ledger
    from tests.training.test_ledger import curve, lines

    for i in range(count):
        if (run_id := f"{name}{i}-d-s{i}") not in ledger.measured("smoke"):
            ledger.append("smoke", lines(run_id), curve(run_id))


def build_bank(workers: int) -> None:
    """A bank of six chunks, by worker processes if there are several."""
    from marsnb.data import bank
    from marsnb.data.synthetic import open_synthetic
    from tests.data.test_bank import CHUNK, spec

    bank.FEW = 0
    bank.open_bank(spec(open_synthetic().source, n=6 * CHUNK, augmentation="strong"), workers=workers, quiet=True)


def decode() -> None:
    """The cache of all synthetic images."""
    from marsnb.data.cache import open_cached
    from marsnb.data.synthetic import open_synthetic

    open_cached(open_synthetic().source, 64)


def command(log: str, *words: str) -> None:
    """The command line, with both its streams in a file."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.argv = ["marsnb", *words]
    cli.main()


def function_as_command(log: str, function: Callable[..., object], *arguments: Any) -> None:
    """A function, with the errors that it raises as the command line shows them."""
    cli.app = lambda standalone_mode: function(*arguments)  # type: ignore[assignment]
    command(log)


def left(root: Path) -> dict[str, object]:
    """All that lies in ``root``: ledgers without time and machine, checkpoints without times, files as bytes."""
    found: dict[str, object] = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file() and path.suffix != ".lock"):
        name = str(path.relative_to(root))
        if path.name == "runs.csv":
            found[name] = pd.read_csv(path, dtype=str).drop(columns=NOISE).to_csv()
        elif path.suffix == ".ckpt":
            content = torch.load(path, weights_only=True)
            digest = hashlib.sha256()
            for key, tensor in content["state_dict"].items():
                digest.update(key.encode() + tensor.contiguous().numpy().tobytes())
            found[name] = digest.hexdigest()
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def differences(one: dict[str, object], other: dict[str, object]) -> list[str]:
    """Names of files that one side lacks, or that differ."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def undisturbed(root: Path, function: Callable[..., object], *arguments: Any) -> float:
    """Do it in peace; seconds."""
    began = time.monotonic()
    process = start(function, *arguments, environment=folders(root))
    process.join()
    assert process.exitcode == 0
    return time.monotonic() - began


def killed_until_done(
    root: Path, longest: float, draw: random.Random, function: Callable[..., object], *arguments: Any
) -> tuple[int, float]:
    """Do it again and again, killed later each time, until it has ended; the number of kills, seconds of the last."""
    for kills in range(1000):
        began = time.monotonic()
        process = start(function, *arguments, environment=folders(root))
        process.join(draw.uniform(0, longest * 1.1**kills))
        if process.exitcode is not None:
            assert process.exitcode == 0
            return kills, time.monotonic() - began
        process.kill()
        process.join()
    raise AssertionError("it never ends")


@contextmanager
def small_disk(at: Path, size: int) -> Iterator[Callable[[str], None]]:
    """A disk of ``size`` bytes in memory, and what mounts it anew with other options."""

    def mount(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(at)], check=True)

    at.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(at)], capture_output=True)
    if made.returncode:
        pytest.skip("no disk may be mounted here: run it as root, or in `unshare --map-root-user --mount`")
    try:
        yield mount
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


def refusal(patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What the command says, which must be one line."""
    before = {path for path in _written() if "partial" not in path.name}
    patch.setattr("sys.argv", ["marsnb", *words])
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        cli.main()
    said = capsys.readouterr().err
    assert stop.value.code == 1, said
    assert said.startswith("marsnb: ") and said.count("\n") == 1 and said.endswith("\n"), said
    assert said[:-1].isprintable() and len(said) < 700
    assert {path for path in _written() - before if path.suffix not in (".lock", ".npy")} == set()
    print(said, end="")
    return said


def _written() -> set[Path]:
    roots = (paths.runs(), paths.figures("x").parent, paths.build("x").parent, paths.data())
    return {path for root in roots if root.is_dir() for path in root.rglob("*") if path.is_file()}


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((64, 48), 50).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()
