"""Which runs are being trained now, and where: a small file in each run's folder, as long as it trains."""

import contextlib
import json
import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from marsnb import paths
from marsnb.files import write_whole

FILE = "running.json"
BEAT = 60.0  # seconds between two signs of life, for who looks on from another machine
SILENT = 600.0  # seconds without one, after which a run on another machine counts as stopped


@contextmanager
def running(folder: Path, profile: str, label: str) -> Iterator[None]:
    """Say in a run's folder who trains it for which ledger; a process that is killed leaves its last word behind."""
    path, stop = folder / FILE, threading.Event()
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    said = {"label": label, "profile": profile, "host": platform.node(), "pid": os.getpid(), "since": since}
    write_whole(path, json.dumps({**said, "born": _born(os.getpid()), "epoch": 0, "epochs": 0}), sync=False)

    def beat() -> None:
        while not stop.wait(BEAT):
            with contextlib.suppress(OSError):
                os.utime(path)

    threading.Thread(target=beat, daemon=True).start()
    try:
        yield
    finally:
        stop.set()
        path.unlink(missing_ok=True)


def in_epoch(folder: Path, epoch: int, epochs: int | None) -> None:
    """Say which epoch of how many a run is in, where `running` says who trains it."""
    said = _read(folder / FILE)
    if said:
        write_whole(folder / FILE, json.dumps({**said, "epoch": epoch, "epochs": epochs or 0}), sync=False)


def running_runs(profile: str | None = None) -> list[dict[str, Any]]:
    """The runs that are being trained, the longest at it first, and those whose process is gone; of one profile or all.

    Of each ``run_id, label, profile, host, pid, since, epoch, epochs`` and ``stopped``: whether its process is gone, on
    another machine whether it gave no sign of life for some minutes.
    """
    found = []
    for path in paths.runs().glob(f"*/{FILE}"):
        said = _read(path)
        if said and profile in (None, said["profile"]):
            with contextlib.suppress(FileNotFoundError):  # it ended meanwhile
                found.append({"run_id": path.parent.name, **said, "stopped": _stopped(path, said)})
    return sorted(found, key=lambda one: str(one["since"]))


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError):
        return {}


def _stopped(path: Path, said: dict[str, Any]) -> bool:
    if said["host"] == platform.node():
        return bool(_born(said["pid"]) != said["born"])
    return time.time() - path.stat().st_mtime > SILENT


def _born(pid: int) -> float | None:
    """When a process of this machine began: another one may have its number by now."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None
