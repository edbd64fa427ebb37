"""A ledger made up for tests: numbers nobody measured, in the columns that training writes."""

import numpy as np
import pandas as pd

from marsnb.training import ledger
from marsnb.training.spec import row_runs

CLASSES = {"wheel": 300, "ground": 254, "drt side": 150, "inlet": 16}
ONLY_VAL = "turret"


def run_lines(key: str, seed: int = 0, top1: float = 0.8, **changes: object) -> list[dict]:
    """The lines of one run."""
    run = {
        "run_id": f"{key}-abc123-s{seed}", "recipe": "table04/x", "task": "classification", "method": "m",
        "backbone": "b", "start": "s", "data": "msl", "fingerprint": "abc123def", "seed": seed, "epochs": 6,
        "steps": 360, "device": "cpu", "seconds": 60.0, "images_per_s": 50.0, "peak_memory": 1, "versions": "v",
        "commit": "c", "date": "2026-01-01",
    } | changes  # fmt: skip
    n = sum(CLASSES.values())
    values = {"top1": (top1, n), "top1_low": (top1 - 0.02, n), "top1_high": (top1 + 0.02, n)}
    values |= {f"top1/{name}": (min(top1 + 0.03 * i, 1.0), count) for i, (name, count) in enumerate(CLASSES.items())}
    lines = [{**run, "split": "test", "metric": m, "value": v, "n": c} for m, (v, c) in values.items()]
    more = {"top1": (0.97, 500), f"top1/{ONLY_VAL}": (0.9, 20)}
    return lines + [{**run, "split": "val", "metric": m, "value": v, "n": c} for m, (v, c) in more.items()]


def curve_lines(run_id: str, epochs: int = 6) -> list[dict]:
    """The curves of one run."""
    falling = np.linspace(2, 0.5, epochs)
    metrics = {
        "loss": falling, "ce": falling, "inter_class": falling + 1, "similarity": -falling / 2,
        "val/top1": 1 - falling / 4, "test/top1": 0.9 - falling / 4, "alignment": falling, "uniformity": -falling,
        "effective_rank": 20 - falling, "embed_u/effective_rank": 10 - falling,
    }  # fmt: skip
    return [
        {"run_id": run_id, "epoch": epoch, "metric": metric, "value": float(value)}
        for metric, values in metrics.items()
        for epoch, value in enumerate(values, start=1)
    ]


def fill(profile: str, leave_out: tuple[str, ...] = (), seeds: int = 1, **changes: object) -> pd.DataFrame:
    """Write a ledger in which every row of Table 4 but ``leave_out`` was run; returns it as read back."""
    for i, (row, key, _) in enumerate(row_runs(4, profile)):
        if row.id in leave_out:
            continue
        for seed in range(seeds):
            lines = run_lines(key, seed, 0.7 + 0.01 * i + 0.002 * seed, **changes)
            ledger.append(profile, lines, curve_lines(lines[0]["run_id"]))
    return ledger.read(profile)
