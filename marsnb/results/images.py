"""What runs answered to single test images, committed or left on this machine, and differences over images."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from marsnb import paths
from marsnb.errors import DataError
from marsnb.files import read_table, write_whole
from marsnb.results.intervals import COVERAGE, PERCENT, Value
from marsnb.training import ledger
from marsnb.training.pixels import read_cells, read_matrices
from marsnb.training.segmentation_metrics import METRICS, summarise

DIGITS = 3  # of a confidence that is kept
OFF = 1e-6  # most that the accuracy of the answers may be off the ledger's, which keeps eight digits
DRAWS = 1000  # times that the test images are drawn anew
PREDICTIONS, MATRICES = "predictions.csv", "matrices.csv"  # what runs of classification and of segmentation leave


def _path(run_id: str, name: str, split: str) -> Path:
    """Where a run's answers are: committed beside the ledger, else in what the run left."""
    kept = paths.figures("").glob(f"*/answers/{run_id}.csv") if split == "test" else ()
    return min(kept, default=paths.runs() / run_id / name)


def _known(run_id: str, name: str, split: str) -> Path:
    if not (path := _path(run_id, name, split)).is_file():
        raise DataError(
            f"the answers of {run_id} to single images are not on this machine, only its scores: point MARSNB_RUNS at "
            "the folder that has them, or set MARSNB_FIGURES to an empty folder and train it anew"
        )
    return path


def keep_answers(run_id: str, profile: str) -> Path:
    """Copy a run's answers to the test images to ``figures/<profile>/answers/<run_id>.csv``.

    Of classification ``split, name, label, prediction, confidence``; of segmentation ``split, name`` and a column for
    each cell of the image's confusion matrix, pixels.

    Returns:
        Path of the copy; where the run left nothing on this machine, of the one that was kept before.

    Raises:
        DataError: the ledger does not have the run, or this machine does not have its answers, or they are those of
            another training than the one whose scores the ledger has.
    """
    path = paths.figures(profile) / "answers" / f"{run_id}.csv"
    book = ledger.read(profile)
    scores = book[(book["run_id"] == run_id) & (book["split"] == "test")].set_index("metric")["value"]
    if scores.empty:
        raise DataError(f"the ledger of profile {profile} has no scores of {run_id} on test: look up its run ids")
    predictions, matrices = (paths.runs() / run_id / name for name in (PREDICTIONS, MATRICES))
    if predictions.is_file():
        frame = read_table(predictions, ("split", "label", "prediction", "confidence"))
        frame = frame[frame["split"] == "test"]
        known, here = scores["top1"], float((frame["prediction"] == frame["label"]).mean())
        frame["confidence"] = frame["confidence"].round(DIGITS)
    elif matrices.is_file():
        frame = read_table(matrices, ("split", "name"), dtype={"name": str})
        frame = frame[frame["split"] == "test"]
        known, here = scores["acc"], read_matrices(matrices)[1].value("acc")
    elif path.is_file():
        return path
    else:
        raise DataError(
            f"the answers of {run_id} are not on this machine: point MARSNB_RUNS at the folder that has {run_id}"
        )
    if not np.isclose(known, here, rtol=0, atol=OFF):
        raise DataError(
            f"the answers of {run_id} in {paths.runs()} are right on {100 * here:.2f} %, its scores in the ledger on "
            f"{100 * known:.2f} %: it was trained anew since, so point MARSNB_RUNS at the folder of the first training"
        )
    return write_whole(path, frame.to_csv(index=False, lineterminator="\n"))


def answers(run_id: str, split: str = "test") -> pd.DataFrame:
    """What a classifier answered to each image: ``name, label, prediction, confidence``.

    Raises:
        DataError: its answers are neither committed nor on this machine; the ledger has its scores alone.
    """
    frame = read_table(_known(run_id, PREDICTIONS, split), ("split", "label", "prediction", "confidence"))
    return frame[frame["split"] == split].drop(columns="split").reset_index(drop=True)


def matrices(run_id: str, split: str = "test") -> pd.DataFrame:
    """A segmenter's confusion matrix of each image: by ``name``, columns ``LABEL>PREDICTION``, in pixels.

    Raises:
        DataError: as `answers`.
    """
    return read_cells(_known(run_id, MATRICES, split), split)


@lru_cache(maxsize=64)
def _right(run_id: str, changed: int, split: str, metric: str) -> pd.Series:
    """100 where a classifier was right, else 0, by image; of one class where the metric names one."""
    found = answers(run_id, split)
    if "/" in metric:
        found = found[found["label"] == metric.partition("/")[2]]
    return pd.Series(PERCENT * (found["prediction"] == found["label"]).to_numpy(), index=found["name"].to_numpy())


@lru_cache(maxsize=64)
def _redrawn(path: Path, changed: int, split: str) -> tuple[tuple[str, ...], dict[str, NDArray[np.float64]]]:
    """Names of a segmenter's images, and its metrics in percent over draws of them, the same draws for every run."""
    names, scores = read_matrices(path, split)
    matrices = scores.resampled()
    return names, {metric: PERCENT * summarise(matrices, metric) for metric in METRICS}


def paired(one: str, other: str, metric: str, gap: float, split: str = "test") -> Value | None:
    """A difference of two runs (``gap``, points) with its 95 % bootstrap interval over test images that both answered.

    ``None`` where the answers of either are not on this machine, or are about other images.
    """
    if metric not in METRICS and metric.partition("/")[0] != "top1":
        return None
    at = [_path(run, MATRICES if metric in METRICS else PREDICTIONS, split) for run in (one, other)]
    if not all(path.is_file() for path in at):
        return None
    changed = [path.stat().st_mtime_ns for path in at]
    if metric in METRICS:
        first, second = (_redrawn(path, when, split) for path, when in zip(at, changed, strict=True))
        if first[0] != second[0]:
            return None
        draws = first[1][metric] - second[1][metric]
    else:
        mine, theirs = (_right(run, when, split, metric) for run, when in zip((one, other), changed, strict=True))
        if set(mine.index) != set(theirs.index) or not len(mine):
            return None
        change = (mine - theirs.reindex(mine.index)).to_numpy()
        times = np.random.default_rng(0).multinomial(len(change), np.full(len(change), 1 / len(change)), DRAWS)
        draws = times @ change / len(change)
    low, high = np.nanquantile(draws, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Value(gap, float(low), float(high), 1)
