"""What a step of the segmentation method adds, another threshold or weight, or a rival: differences between rows.

With one seed, the interval of a difference is a paired bootstrap over test images, from the confusion matrices that
runs leave on the machine they were trained on. ``write_effects`` keeps it in ``tableNN_effects.csv``; all else is drawn
from that file and the ledger.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from marsnb import paths, recipes
from marsnb.report.evidence import Value, finite, over_seeds
from marsnb.report.files import write_csv
from marsnb.report.measured import PERCENT, Line, by_metric, runs_of
from marsnb.training import ledger
from marsnb.training.pixels import read_matrices
from marsnb.training.segmentation_metrics import METRICS, summarise

STEPS = (
    ("pretraining, before cross entropy alone", "without-joint", "baseline"),
    ("contrast beside cross entropy", "without-pseudo-labels", "without-joint"),
    ("online pseudo labels", "final", "without-pseudo-labels"),
    ("pretraining, before both steps", "final", "without-pretraining"),
    ("contrast and pseudo labels", "final", "without-joint"),
    ("all of it", "final", "baseline"),
)
"""Of Table 9: what is added, the row with it, the row without it."""
CHOICES = {8: "ours", 10: "t-09", 11: "w-0001"}
"""Row that the others of a table are compared with: the paper's method, or its choice in a sweep."""
COLUMNS = [
    "what",
    "after",
    "before",
    "metric",
    "paper",
    "measured",
    "low",
    "high",
    "how",
    "seeds",
    "most",
    "runs",
    "data",
]


def pairs(number: int) -> Sequence[tuple[str, str, str]]:
    """What is compared: a name, the row with it and the row without it."""
    if number not in CHOICES:
        return STEPS
    choice = recipes.load_table(number).row(CHOICES[number])
    rows = [row for row in recipes.load_table(number).rows if row is not choice and not row.control]
    return [(f"{row.label} instead of {choice.label}", row.id, choice.id) for row in rows]


def is_compared(table: str) -> bool:
    """Whether differences between rows of a table, by its key, are what this module gives."""
    return table in {f"table{number:02d}" for number in (9, *CHOICES)}


def effects_path(number: int, profile: str) -> Path:
    """``tableNN_effects.csv`` in the profile's folder of figures."""
    return paths.figures(profile) / f"table{number:02d}_effects.csv"


def effects(number: int, profile: str) -> pd.DataFrame:
    """The differences of a table, from the ledger and what ``write_effects`` kept.

    Args:
        number: 8, 9, 10 or 11.
        profile: name of the profile.

    Returns:
        Columns ``what, after, before`` (rows), ``metric``, ``paper, measured, low, high`` (points), ``how``, ``runs``,
        ``data``, one line per pair of rows and metric. ``how`` says what ``low`` and ``high`` are: ``paired`` (95 %
        bootstrap over images, the same for both rows), ``apart`` (of the two rows' own intervals, as if they had seen
        different images), ``seeds`` (Student's t over the seeds that both rows have); else why there is none. ``seeds``
        and ``most``: how many seeds both rows have, and the row with more of them.
    """
    return _effects(number, profile, {})


def write_effects(number: int, profile: str) -> Path:
    """Compute the differences of a table, paired where the runs' confusion matrices are here, and keep them as CSV."""
    draws: dict[str, _Draws] = {}
    for line in by_metric(number, profile)["miou"]:
        for run in line.measured.run_ids if line.measured else ():
            at = paths.runs() / run / "matrices.csv"
            if run not in draws and at.is_file():
                draws[run] = _Draws(at)
    return write_csv(effects_path(number, profile), _effects(number, profile, draws))


class _Draws:
    """A run's metrics under the bootstrap: ``resampled`` begins with one seed, so draw i has the same images for all.

    Attributes:
        names: images.
        values: metric to ``(draws,)``, percent.
    """

    def __init__(self, path: Path) -> None:
        self.names, scores = read_matrices(path)
        matrices = scores.resampled()
        self.values: dict[str, NDArray[np.float64]] = {m: PERCENT * summarise(matrices, m) for m in METRICS}


def _effects(number: int, profile: str, draws: dict[str, _Draws]) -> pd.DataFrame:
    by, book, found = by_metric(number, profile), ledger.read(profile), []
    old = _kept(effects_path(number, profile))
    for what, after, before in pairs(number):
        for metric, rows in by.items():
            row = {line.row.id: line for line in rows}
            with_it, without = row[after], row[before]
            line = {"what": what, "after": after, "before": before, "metric": metric, "paper": _paper(with_it, without)}
            found.append({**line, **_measured(with_it, without, book, draws, old)})
    return pd.DataFrame(found, columns=COLUMNS)


def _kept(path: Path) -> dict[tuple[str, str], tuple[float, float]]:
    """Paired intervals that were computed where the matrices were, by runs and metric."""
    if not path.is_file():
        return {}
    frame = pd.read_csv(path)
    frame = frame[frame["how"] == "paired"]
    keys = zip(frame["runs"].astype(str), frame["metric"].astype(str), strict=True)
    return dict(zip(keys, zip(frame["low"].astype(float), frame["high"].astype(float), strict=True), strict=True))


def _paper(after: Line, before: Line) -> float | None:
    return after.paper.mean - before.paper.mean if after.paper and before.paper else None


def _measured(
    after: Line, before: Line, book: pd.DataFrame, draws: dict[str, _Draws], old: dict[tuple[str, str], tuple]
) -> dict[str, object]:
    a, b = after.measured, before.measured
    if a is None or b is None:
        return {"how": "not run"}
    if after.key == before.key:
        return {"how": "same run", "data": a.data}
    mine, theirs = (by_seed(book, one).dropna(subset=["value"]) for one in (after, before))
    common = mine.index.intersection(theirs.index)
    line: dict[str, object] = {"data": a.data, "seeds": len(common), "most": max(a.n, b.n)}
    if common.empty:
        return line | {"how": "no common seeds"}
    gaps = mine.loc[common, "value"] - theirs.loc[common, "value"]
    if len(common) > 1:
        over = over_seeds(list(gaps))
        return line | {"measured": over.value, "low": over.low, "high": over.high, "how": "seeds"}
    one, other = mine.loc[common[0]], theirs.loc[common[0]]
    runs = f"{one['run_id']} {other['run_id']}"
    line |= {"measured": float(gaps.iloc[0]), "runs": runs}
    first, second = draws.get(str(one["run_id"])), draws.get(str(other["run_id"]))
    if first and second and first.names == second.names:
        low, high = np.nanquantile(first.values[after.metric] - second.values[after.metric], (0.025, 0.975))
        return line | {"low": float(low), "high": float(high), "how": "paired"}
    if (runs, after.metric) in old:
        low, high = old[runs, after.metric]
        return line | {"low": low, "high": high, "how": "paired"}
    gap = Value(one["value"], one["low"], one["high"], 1) - Value(other["value"], other["low"], other["high"], 1)
    if not finite(gap):
        return line | {"how": "no interval"}
    return line | {"low": gap.low, "high": gap.high, "how": "apart"}


def by_seed(book: pd.DataFrame, line: Line) -> pd.DataFrame:
    """Percent, with the bootstrap interval and the run, of each seed: ``value, low, high, run_id``."""
    mine = runs_of(book, line.key)
    mine = mine[mine["split"] == "test"].set_index("seed")
    found = {
        name: PERCENT * mine.loc[mine["metric"] == f"{line.metric}{end}", "value"].astype(float)
        for name, end in (("value", ""), ("low", "_low"), ("high", "_high"))
    }
    ids = mine.loc[mine["metric"] == line.metric, "run_id"]
    return pd.DataFrame({**found, "run_id": ids})
