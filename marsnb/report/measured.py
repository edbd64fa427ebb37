"""From the ledger to the numbers of a table: which runs belong to a row, their mean, spread and interval."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from marsnb import recipes
from marsnb.errors import RecipeError
from marsnb.training import ledger
from marsnb.training.spec import row_runs

PERCENT = 100.0


@dataclass(frozen=True)
class Measurement:
    """What the ledger knows of one row and one metric, in percent.

    Attributes:
        mean, std: over seeds; ``std`` is the sample standard deviation, ``None`` for one seed.
        low, high: 95 % bootstrap interval over test images, for a single seed only.
        n: number of seeds.
        images: number of test images.
        data, fingerprint: the data set, as the ledger names it.
        run_ids: the runs.
    """

    mean: float
    std: float | None
    low: float | None
    high: float | None
    n: int
    images: int
    data: str
    fingerprint: str
    run_ids: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """One row of a table: what the paper says and what was measured.

    Attributes:
        row: the recipe row.
        key: prefix of its runs in the ledger.
        spec: what the profile runs for it.
        metric: what the numbers are of.
        paper: the paper's number in that metric; ``None`` where it has none.
        measured: ``None`` where it was not run.
        ran_as: how the run differs from the paper's row in network and start weights; empty where it does not.
        same_as: labels of rows above it that share its run.
    """

    row: recipes.Row
    key: str
    spec: Any
    metric: str
    paper: recipes.Paper | None
    measured: Measurement | None
    ran_as: str
    same_as: tuple[str, ...] = field(default=())

    @property
    def synthetic(self) -> bool:
        """Whether it was measured on generated images."""
        return self.measured is not None and "synthetic" in self.measured.data.lower()

    @property
    def difference(self) -> float | None:
        """Measured minus the paper's mean, in points; ``None`` where either is missing or the images are generated."""
        if self.measured is None or self.paper is None or self.synthetic:
            return None
        return self.measured.mean - self.paper.mean


def runs_of(book: pd.DataFrame, key: str) -> pd.DataFrame:
    """Lines of the ledger that belong to a row: of its newest data fingerprint, and the newest run of each seed.

    Args:
        book: the ledger.
        key: a seed-less spec key; run ids begin with it and a hyphen.

    Returns:
        The lines, possibly none; runs on different data are never mixed.
    """
    mine = book[book["run_id"].astype(str).str.startswith(f"{key}-")]
    if mine.empty:
        return mine
    dates = mine["date"].astype(str)
    newest = mine.loc[dates.sort_values(kind="stable").index[-1], "fingerprint"]
    mine = mine[mine["fingerprint"] == newest]
    return mine.sort_values("date", kind="stable").drop_duplicates(["seed", "split", "metric"], keep="last")


def measure(book: pd.DataFrame, key: str, metric: str, split: str = "test") -> Measurement | None:
    """Mean, spread and interval of one metric over the runs of a row; ``None`` where there is no run."""
    mine = runs_of(book, key)
    mine = mine[mine["split"] == split]
    lines = mine[mine["metric"] == metric]
    if lines.empty:
        return None
    values = lines["value"].astype(float) * PERCENT
    n = len(values)
    low, high = (_only(mine, f"{metric}_{end}") if n == 1 else None for end in ("low", "high"))
    return Measurement(
        mean=float(values.mean()),
        std=float(values.std(ddof=1)) if n > 1 else None,
        low=low,
        high=high,
        n=n,
        images=int(lines["n"].max()) if lines["n"].notna().any() else 0,
        data=str(lines["data"].iloc[-1]),
        fingerprint=str(lines["fingerprint"].iloc[-1]),
        run_ids=tuple(lines["run_id"].astype(str)),
    )


def _only(mine: pd.DataFrame, metric: str) -> float | None:
    found = mine[mine["metric"] == metric]["value"]
    return float(found.iloc[0]) * PERCENT if len(found) else None


def _ran_as(row: recipes.Row, spec: Any) -> str:
    if (spec.backbone, spec.start) == (row.backbone, row.start):
        return ""
    ran = f"{spec.backbone} from {spec.start}"
    return ran if row.control else f"{ran} (paper: {row.backbone} from {row.start})"


def lines(number: int | str, profile: str, metric: str | None = None) -> list[Line]:
    """Every row of a table with what was measured for it, in the recipe's order.

    Args:
        number: the table's number, or the name of a recipe file that is not one of the paper's tables.
        profile: name of the profile.
        metric: one of the table's; its first by default.

    Raises:
        RecipeError: the table has no such metric.
    """
    head = recipes.load_table(number)
    metric = metric or head.metric
    if metric not in head.metrics:
        raise RecipeError(f"{head.key} has no metric {metric!r}; its metrics: {', '.join(head.metrics)}")
    return _lines(head, profile, metric, ledger.read(profile))


def by_metric(number: int | str, profile: str) -> dict[str, list[Line]]:
    """``lines`` of each of a table's metrics, in the order of the paper's columns."""
    head, book = recipes.load_table(number), ledger.read(profile)
    return {metric: _lines(head, profile, metric, book) for metric in head.metrics}


def _lines(head: recipes.Table, profile: str, metric: str, book: pd.DataFrame) -> list[Line]:
    found: list[Line] = []
    for row, key, spec in row_runs(head.table, profile):
        same = tuple(line.row.label for line in found if line.key == key)
        paper = row.paper if metric == head.metric else row.also.get(metric)
        measured = measure(book, key, metric, head.split)
        found.append(Line(row, key, spec, metric, paper, measured, _ran_as(row, spec), same))
    return found
