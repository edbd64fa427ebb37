"""The course of training: what runs recorded after each epoch, and means over the seeds that have all of it."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd

from marsnb import recipes
from marsnb.results.intervals import PERCENT, over_seeds
from marsnb.training import ledger, measurement
from marsnb.training.spec import row_runs

PRETRAIN, JOINT, PSEUDO, CE = "contrast alone", "joint losses", "pseudo labels", "cross entropy"
"""What a step of segmentation trains with."""
COLUMNS = ["row", "label", "also", "control", "run_id", "seed", "epoch", "step", "metric", "value", "data", "whose"]
_SCORED = ("test/", "val/")


def curves(
    number: int | str, profile: str, metric: str | Sequence[str] | None = None, data: str = measurement.COMMITTED
) -> pd.DataFrame:
    """What the runs of a table recorded after each epoch, each run once; the arguments are those of `table`.

    Returns:
        The columns of ``COLUMNS``; rows in the recipe's order. Of rows that share a run, the first stands for all, and
        ``also`` names the others. Epochs count from 1; ``step`` is what a segmentation run trains with in that epoch,
        empty in classification. Scores of ``test/`` and ``val/`` are percent; losses and diagnostics are as recorded.
        Empty where nothing was run.
    """
    head, book = recipes.load_table(number), measurement.read(profile)
    found: dict[str, dict[str, Any]] = {}
    for row, key, spec in row_runs(head.table, profile):
        if key in found:
            found[key]["also"] = "; ".join(filter(None, (found[key]["also"], row.label)))
            continue
        found[key] = {"key": key, "row": row.id, "label": row.label, "also": "", "control": row.control}
        found[key] |= {"epochs": spec.epochs, "order": len(found)}
    runs = measurement.chosen(book, list(found), head.split, data)
    points = ledger.read_curves(profile)
    points = points[points["run_id"].isin(runs["run_id"])]
    if points.empty:
        return pd.DataFrame(columns=COLUMNS)
    frame = points.merge(runs[["run_id", "key", "seed", "data", "whose"]], on="run_id")
    frame = frame.merge(pd.DataFrame(found.values()), on="key")
    frame["step"] = _steps(frame) if head.task == "segmentation" else ""
    wanted = ["*"] if metric is None else [metric] if isinstance(metric, str) else list(metric)
    frame = frame[[any(fnmatchcase(name, one) for one in wanted) for name in frame["metric"]]]
    scored = frame["metric"].str.startswith(_SCORED)
    frame = frame.assign(value=frame["value"].astype(float).where(~scored, PERCENT * frame["value"]))
    return frame.sort_values(["order", "whose", "seed", "metric", "epoch"], kind="stable", ignore_index=True)[COLUMNS]


def _steps(frame: pd.DataFrame) -> list[str]:
    """What each epoch of a segmentation run trains with, which shows in the losses that it left."""
    stage = (frame["epoch"] - 1) // frame["epochs"]
    named = frame.groupby(["run_id", stage])["metric"].agg(set).map(_name)
    return [named[place] for place in zip(frame["run_id"], stage, strict=True)]


def _name(metrics: set[str]) -> str:
    if "pseudo_share" in metrics:
        return PSEUDO
    if "element_wise" in metrics:
        return JOINT if "ce" in metrics else PRETRAIN
    return CE


def whole(frame: pd.DataFrame) -> pd.DataFrame:
    """Lines of `curves` of those seeds that have every epoch which their row shows in a metric.

    Where no seed has them all, of those that have the same epochs as the one with the most.
    """
    kept = []
    for _, lines in frame.groupby(["row", "metric", "whose"], sort=False):
        scored = lines.groupby("seed")["epoch"].agg(set)
        most = max(scored, key=len)
        kept.append(lines[lines["seed"].isin(scored.index[[most <= one for one in scored]])])
    return pd.concat(kept) if kept else frame


def mean_curves(frame: pd.DataFrame) -> pd.DataFrame:
    """The mean course of each row of `curves`, only over the seeds that have every epoch shown.

    Returns:
        One line per row, metric and epoch: ``row, label, control, step, metric, epoch, mean, low, high`` (95 %,
        Student's t; empty for one seed), ``seeds, data, whose``.
    """
    keys = ["row", "label", "control", "metric", "whose", "data", "epoch", "step"]
    found = []
    key: Any
    for key, lines in whole(frame).groupby(keys, sort=False):
        value = over_seeds(list(lines["value"]))
        ends = {"low": value.low, "high": value.high} if value.n > 1 else {"low": np.nan, "high": np.nan}
        found.append({**dict(zip(keys, key, strict=True)), "mean": value.value, "seeds": value.n, **ends})
    return pd.DataFrame(found, columns=[*keys, "mean", "low", "high", "seeds"])


def changes(frame: pd.DataFrame) -> dict[float, str]:
    """Of `curves` of one row: half an epoch before a step gives way to the next, and the name of the next."""
    steps = frame.drop_duplicates("epoch").sort_values("epoch")
    begins = steps["step"] != steps["step"].shift()
    first = steps[begins].iloc[1:]
    return dict(zip(first["epoch"].astype(float) - 0.5, first["step"].astype(str), strict=True))
