"""A ledger made up for tests: numbers nobody measured, in the columns that training writes."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from marsnb import paths
from marsnb.recipes import load_table
from marsnb.training import ledger
from marsnb.training.spec import row_runs

CLASSES = {"wheel": 300, "ground": 254, "drt side": 150, "inlet": 16}
ONLY_VAL = "turret"


def run_lines(key: str, seed: int = 0, top1: float = 0.8, **changes: object) -> list[dict]:
    """The lines of one run."""
    run = {
        "run_id": f"{key}-abc123-s{seed}", "recipe": "table04/x", "task": "classification", "method": "m",
        "backbone": "b", "start": "s", "data": "msl", "fingerprint": "abc123def", "labelled": "lab1", "seed": seed,
        "epochs": 6, "steps": 360, "device": "cpu", "seconds": 60.0, "images_per_s": 50.0, "peak_memory": 1,
        "versions": "v", "commit": "c", "date": "2026-01-01",
    } | changes  # fmt: skip
    n = sum(CLASSES.values())
    values = {"top1": (top1, n), "top1_low": (top1 - 0.02, n), "top1_high": (top1 + 0.02, n)}
    values |= {f"top1/{name}": (min(top1 + 0.03 * i, 1.0), count) for i, (name, count) in enumerate(CLASSES.items())}
    lines = [{**run, "split": "test", "metric": m, "value": v, "n": c} for m, (v, c) in values.items()]
    more = {"top1": (0.97, 500), f"top1/{ONLY_VAL}": (0.9, 20)}
    return lines + [{**run, "split": "val", "metric": m, "value": v, "n": c} for m, (v, c) in more.items()]


PIXELS = {"acc": 0.05, "macc": -0.1, "facc": -0.02, "miou": -0.15}
"""How far each metric of segmentation lies from the value that ``fill`` is given."""
TERRAINS = ("soil", "bedrock", "sand", "big rock")


def pixel_lines(key: str, seed: int = 0, value: float = 0.6, **changes: object) -> list[dict]:
    """The lines of one run of segmentation."""
    run = run_lines(key, seed)[0] | {"task": "segmentation", "data": "ai4mars", "n": 90} | changes
    values = {metric: value + off for metric, off in PIXELS.items()}
    values |= {f"{m}_{end}": values[m] + off for m in PIXELS for end, off in (("low", -0.02), ("high", 0.02))}
    splits = ("test", "val")
    return [{**run, "split": split, "metric": m, "value": number} for split in splits for m, number in values.items()]


def write_pixels(run_id: str, right: float, images: int = 40, seed: int = 0) -> None:
    """A run's confusion matrices: of images that are harder and easier, ``right`` is the share of right pixels."""
    generator = np.random.default_rng(seed)
    hard = np.random.default_rng(99).uniform(-0.2, 0.2, images)  # the same images in every run
    lines = []
    for i in range(images):
        share = np.clip(right + hard[i] + generator.normal(0, 0.01), 0, 1)
        wrong = (1 - share) / (len(TERRAINS) - 1)
        matrix = 1000 * (np.eye(len(TERRAINS)) * (share - wrong) + wrong)
        lines.append(["test", f"{i:03d}.png", *matrix.round().astype(int).ravel()])
    cells = [f"{label}>{predicted}" for label in TERRAINS for predicted in TERRAINS]
    at = paths.runs() / run_id / "matrices.csv"
    at.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(lines, columns=["split", "name", *cells]).to_csv(at, index=False)


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


def fill(
    profile: str,
    leave_out: tuple[str, ...] = (),
    seeds: int = 1,
    number: int | str = 4,
    top1: dict[str, float] | None = None,
    **changes: object,
) -> pd.DataFrame:
    """Write a ledger in which every row of a table but ``leave_out`` was run; returns it as read back.

    ``top1`` gives accuracies by row, also to those that share its run; the others rise from row to row. Of a table of
    segmentation, the four metrics lie around that value.
    """
    of_task = pixel_lines if load_table(number).task == "segmentation" else run_lines
    runs: dict[str, list[dict]] = {}
    given = {key: top1[row.id] for row, key, _ in row_runs(number, profile) if top1 and row.id in top1}
    left = {key for row, key, _ in row_runs(number, profile) if row.id in leave_out}
    for i, (_, key, _) in enumerate(row_runs(number, profile)):
        if key in left:
            continue
        value = given.get(key, 0.7 + 0.01 * i)
        for seed in range(seeds):
            lines = of_task(key, seed, value + 0.002 * seed, **changes)
            runs.pop(lines[0]["run_id"], None)  # of rows that share a run, the last one's
            runs[lines[0]["run_id"]] = lines
    curves = [point for run_id in runs for point in curve_lines(run_id)]
    ledger.append(profile, [line for lines in runs.values() for line in lines], curves)  # at once: each reads it whole
    return ledger.read(profile)


CATEGORIES = """
table: 3
title: Invented
rows:
  - {id: a, label: "A | a", family: First, method: cross_entropy, start: imagenet, overrides: {lr_head: 0.11}, paper: {mean: 60.00}}
  - {id: b, label: B, family: First, method: cross_entropy, start: imagenet, overrides: {lr_head: 0.12}, paper: {mean: 70.00, std: 1.00}}
  - {id: c, label: C, family: Second kind, method: cross_entropy, start: imagenet, overrides: {lr_head: 0.13}, paper: {mean: 75.00, std: 2.00}}
  - {id: d, label: D, family: Second kind, method: cross_entropy, start: imagenet, overrides: {lr_head: 0.14}, paper: {mean: 80.00, std: 1.00}}
  - {id: e, label: E, family: Second kind, method: cross_entropy, start: imagenet, overrides: {lr_head: 0.15}, paper: {mean: 85.00, std: 1.00}}
  - {id: twin, label: Twin of E, family: Ours, method: cross_entropy, overrides: {lr_head: 0.15}, paper: {mean: 60.50, std: 1.00}}
  - {id: ours, label: Ours, family: Ours, method: inter_class, paper: {mean: 95.86, std: 1.63}}
  - {id: control, label: A control, method: cross_entropy, overrides: {lr_head: 0.17}, control: true}
"""  # noqa: E501
"""A Table 3 of few rows; the start weights of ``e`` and ``twin`` are one at lite, and so is their run."""


def invent(patch: pytest.MonkeyPatch, folder: Path, recipe: str = CATEGORIES, key: str = "table03") -> None:
    """Put a table into a copy of the recipes, in the place of one that may be there."""
    shutil.copytree(paths.recipes(), folder / "recipes")
    (folder / "recipes" / f"{key}.yaml").write_text(recipe, encoding="utf-8")
    patch.setattr(paths, "recipes", lambda: folder / "recipes")
