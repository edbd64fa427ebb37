"""A ledger of segmentation runs made up for tests: numbers nobody measured, in the columns that training writes."""

import numpy as np

from marsnb.training import ledger
from marsnb.training.pixels import THRESHOLDS
from marsnb.training.spec import row_runs

CLASSES = ("soil", "bedrock", "sand", "big rock")
METRICS = ("acc", "macc", "facc", "miou")


def steps_of(row: str) -> tuple[str, ...]:
    """The steps of a row of Tables 9 to 11."""
    return {
        "baseline": ("ce", "ce"),
        "without-joint": ("pretrain", "ce", "ce"),
        "without-pretraining": ("joint", "pseudo"),
        "without-pseudo-labels": ("pretrain", "joint", "joint"),
    }.get(row, ("pretrain", "joint", "pseudo"))


def score(stage: int, epoch: float, final: float) -> float:
    """An accuracy that rises within a step towards ``final`` and drops a little where the next begins."""
    return final * (1 - 0.4 * np.exp(-4 * epoch - 1.5 * stage))


def curve_lines(run_id: str, steps: tuple[str, ...], epochs: int, final: float) -> list[dict]:
    """Curves of one run, ``epochs`` in each of its steps."""
    lines = []
    for stage, step in enumerate(steps):
        for i in range(epochs):
            done = (i + 1) / epochs
            value = 0.1 if step == "pretrain" else score(stage - (steps[0] == "pretrain"), done, final)
            values = {"loss": 2 - done, **{f"test/{metric}": value for metric in METRICS}}
            values |= {} if step == "pretrain" else {"ce": 1.5 - done}
            values |= {} if step == "ce" else {"element_wise": 1.4 - done}
            values |= {"pseudo_share": 0.5 + 0.4 * done} if step == "pseudo" else {}
            values |= confident(value)
            at = stage * epochs + i + 1
            lines += [{"run_id": run_id, "epoch": at, "metric": m, "value": v} for m, v in values.items()]
    return lines


def confident(value: float) -> dict[str, float]:
    """Coverage and precision at the four thresholds of a model that is right on ``value`` of the pixels."""
    values = {}
    for threshold in THRESHOLDS:
        covered = value * (1.2 - threshold)
        values |= {f"test/coverage@{threshold}": covered, f"test/precision@{threshold}": value + 0.04 * threshold}
        for name, share in zip(CLASSES, (0.5, 0.35, 0.15, 0.0), strict=True):
            values[f"test/coverage@{threshold}/{name}"] = share * covered
            if share:
                values[f"test/precision@{threshold}/{name}"] = value + 0.04 * threshold - 0.1 * (0.5 - share)
    return values


def fill(profile: str, number: int, leave_out: tuple[str, ...] = (), seeds: int = 1, **changes: object) -> None:
    """Write a ledger in which every row of a segmentation table but ``leave_out`` was run."""
    runs: dict[str, tuple[list[dict], list[dict]]] = {}
    for i, (row, key, spec) in enumerate(row_runs(number, profile)):
        if row.id in leave_out:
            continue
        steps = steps_of(row.id)
        for seed in range(seeds):
            final = 0.8 + 0.02 * i + 0.002 * seed
            run_id = f"{key}-abc123-s{seed}"
            run = {
                "run_id": run_id, "recipe": f"table{number:02d}/{row.id}", "task": "segmentation",
                "method": spec.method, "backbone": "b", "start": "s", "data": "ai4mars", "fingerprint": "abc123def",
                "labelled": "lab1",
                "seed": seed, "epochs": len(steps) * spec.epochs, "steps": 360, "device": "cpu", "seconds": 60.0,
                "images_per_s": 50.0, "peak_memory": 1, "versions": "v", "commit": "c", "date": "2026-01-01",
                "split": "test", "n": 40,
            } | changes  # fmt: skip
            values = {m + end: final + d for m in METRICS for end, d in (("", 0), ("_low", -0.02), ("_high", 0.02))}
            lines = [{**run, "metric": metric, "value": value} for metric, value in values.items()]
            runs.pop(run_id, None)  # of rows that share a run, the last one's
            runs[run_id] = lines, curve_lines(run_id, steps, spec.epochs, final)
    lines, curves = ([line for parts in runs.values() for line in parts[k]] for k in range(2))
    ledger.append(profile, lines, curves)  # at once: each reads the whole ledger
