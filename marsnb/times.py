"""How long each notebook took: on this machine, and as git keeps it for the README."""

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from marsnb import paths
from marsnb.files import read_table, write_whole

TIMES = ["notebook", "seconds", "date", "device"]  # columns of the times of one profile


def times(profile: str) -> Any:
    """Seconds that each notebook took: on this machine where it ran with its own parameters, else as committed.

    Columns ``notebook, seconds, date, device``.
    """
    kept = committed_times()
    frames = [kept[kept["profile"] == profile][TIMES], own_times(profile)]
    return pd.concat([frame for frame in frames if len(frame)] or frames).drop_duplicates("notebook", keep="last")


def committed_times() -> Any:
    """Those of docs/times.csv, which `marsnb readme` writes: ``profile, notebook, seconds, date, device``."""
    return _kept(paths.docs() / "times.csv", ["profile", *TIMES])


def own_times(profile: str) -> Any:
    """Those of this machine: ``notebook, seconds, date, device``."""
    return _kept(paths.build(profile) / "notebooks.csv", TIMES)


def _kept(path: Path, columns: list[str]) -> Any:
    return read_table(path, columns) if path.is_file() else pd.DataFrame(columns=columns)


def keep_times(profile: str, taken: Mapping[str, float]) -> None:
    """Enter the seconds that notebooks took here, if there are any."""
    if not taken:
        return
    device = gpu() or f"{cores()} CPU cores"
    new = [[name, round(seconds, 1), date.today().isoformat(), device] for name, seconds in taken.items()]
    old = own_times(profile)
    kept = old[~old["notebook"].isin(list(taken))].to_numpy().tolist()
    rows = pd.DataFrame(kept + new, columns=TIMES).sort_values("notebook").astype({"seconds": float})
    write_whole(paths.build(profile) / "notebooks.csv", rows.to_csv(index=False, lineterminator="\n"))


def gpu() -> str | None:
    """Name of the accelerator, if there is one."""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def duration(seconds: float) -> str:
    """Seconds in words: ``8 s``, ``3 min``, ``1 h 20 min``, ``?`` where they are not known."""
    if seconds != seconds:
        return "?"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
