"""What a claim is held against: values with their 95 % intervals, from the ledger, its curves and the counts."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import hypot, inf, isfinite, sqrt

import numpy as np
import pandas as pd
from scipy import stats

from marsnb import paths, recipes
from marsnb.report.measured import PERCENT, measure, runs_of
from marsnb.training import ledger
from marsnb.training.spec import row_runs

COVERAGE = 0.95
COUNTED = ("table01", "table02", "fig02b")
"""Kept tables of counts."""
SETTLED = (0.90, 0.98)
"""Shares of a curve's way from its first to its last value at which it may be called converged; both are tried."""


class Untested(Exception):  # noqa: N818  (no error: a verdict, and its reason)
    """Why a claim cannot be tested here: ``REASON`` or ``REASON: ROW``."""


@dataclass(frozen=True)
class Value:
    """A number with its 95 % interval, infinite where nothing is known of it.

    Attributes:
        n: how many seeds, 0 where nothing is drawn and so nothing is uncertain.
    """

    value: float
    low: float
    high: float
    n: int = 0

    def __sub__(self, other: "Value") -> "Value":
        """Difference of two independent values: their intervals' arms added in quadrature (MOVER)."""
        centre = self.value - other.value
        down = hypot(self.value - self.low, other.high - other.value)
        up = hypot(self.high - self.value, other.value - other.low)
        return Value(centre, centre - down, centre + up, min(self.n, other.n))


def over_seeds(values: list[float]) -> Value:
    """Mean and Student's t interval of one value per seed; of a single one, an interval without ends."""
    mean, n = float(np.mean(values)), len(values)
    arm = float(stats.t.ppf((1 + COVERAGE) / 2, n - 1) * np.std(values, ddof=1) / sqrt(n)) if n > 1 else inf
    return Value(mean, mean - arm, mean + arm, n)


def share(right: float, total: int) -> Value:
    """A share of counted things in percent, with Wilson's interval."""
    z, p = float(stats.norm.ppf((1 + COVERAGE) / 2)), right / total
    middle, arm = p + z * z / (2 * total), z * sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    low, high = ((middle + sign * arm) / (1 + z * z / total) for sign in (-1, 1))
    return Value(PERCENT * p, PERCENT * min(low, p), PERCENT * max(high, p), 1)


def scale(profile: str) -> str:
    """What a profile's numbers can say: ``synthetic``, ``reduced`` (its rows among each other) or ``paper``."""
    found = recipes.load_profile(profile)
    if found.classification["dataset"] == "synthetic":
        return "synthetic"
    return "reduced" if found.backbones or found.starts else "paper"


def stamp(profile: str) -> tuple[object, ...]:
    """Names and times of the files that a profile's evidence is read from."""
    kept = (paths.figures(profile) / name for name in ("runs.csv", "curves.csv", *(f"{stem}.csv" for stem in COUNTED)))
    files = [*kept, *paths.recipes().glob("*.yaml")]
    return tuple((str(path), path.stat().st_mtime_ns) for path in files if path.is_file())


def printed(table: str) -> pd.DataFrame:
    """A table of trained rows as the paper prints it, rows by metrics, percent."""
    head = recipes.load_table(table)
    rows = {row.id: {head.metric: row.paper, **row.also} for row in head.rows if row.paper}
    means = {key: {name: number.mean for name, number in row.items() if number} for key, row in rows.items()}
    return pd.DataFrame.from_dict(means, orient="index")


def papers(term: str, metric: str = "") -> float | None:
    """The paper's number for ``TABLE/ROW``, in percent; ``None`` where it prints none."""
    table, row = term.split("/", 1)
    if "@" in term or table not in recipes.trainable():
        return None
    frame = printed(table)
    name = metric or frame.columns[0]
    if row not in frame.index or name not in frame:
        return None
    number = float(frame[name].astype(float)[row])
    return None if np.isnan(number) else number


class Evidence:
    """The measured state of one profile, read once.

    Args:
        profile: name of the profile.
    """

    def __init__(self, profile: str) -> None:
        self.profile, self.scale = profile, scale(profile)
        self._tables: dict[str, dict[str, tuple[str, bool]]] = {}
        self._runs: dict[str, pd.DataFrame] = {}

    @cached_property
    def book(self) -> pd.DataFrame:
        """The ledger."""
        return ledger.read(self.profile)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Per-epoch values of its runs."""
        return ledger.read_curves(self.profile)

    def key(self, term: str) -> str:
        """Prefix of a row's run ids.

        Raises:
            Untested: there is no such table or row yet, or its network starts from random weights here and not there.
        """
        table, row_id = term.split("@")[0].split("/", 1)
        if table not in self._tables:
            if table not in recipes.trainable():
                raise Untested(f"no recipe yet: {table}")
            runs = row_runs(table, self.profile)
            self._tables[table] = {row.id: (key, spec.start == "random" != row.start) for row, key, spec in runs}
        if row_id not in self._tables[table]:
            raise Untested(f"no such row yet: {table}/{row_id}")
        key, other_question = self._tables[table][row_id]
        if other_question and self.scale == "reduced":
            raise Untested(f"from random weights here, which is another question: {table}/{row_id}")
        return key

    def runs(self, term: str) -> pd.DataFrame:
        """A row's lines in the ledger; its runs may have seen generated images only where the profile says so."""
        key = self.key(term)
        if key not in self._runs:
            self._runs[key] = runs_of(self.book, key)
        mine = self._runs[key]
        if mine.empty:
            raise Untested(f"not run: {term.split('@')[0]}")
        if self.scale != "synthetic" and mine["data"].astype(str).str.contains("synthetic", case=False).any():
            raise Untested("its runs saw generated images")
        return mine

    def value(self, term: str, metric: str = "") -> Value:
        """A row's number in percent: ``TABLE/ROW`` of the table's metric, or ``TABLE/ROW@METRIC``."""
        table, metric = term.split("/", 1)[0], term.partition("@")[2] or metric
        head = recipes.load_table(table)
        m = measure(self.runs(term), self.key(term), metric or head.metric, head.split)
        if m is None:
            raise Untested(f"its runs have no {metric or head.metric}: {term}")
        if m.std is not None:
            arm = float(stats.t.ppf((1 + COVERAGE) / 2, m.n - 1)) * m.std / sqrt(m.n)
            return Value(m.mean, m.mean - arm, m.mean + arm, m.n)
        if m.low is None and metric.startswith("top1/") and m.images:
            return share(m.mean / PERCENT * m.images, m.images)
        low, high = (-inf if m.low is None else m.low), (inf if m.high is None else m.high)
        return Value(m.mean, low, high, m.n)

    def series(self, term: str, curve: str) -> list[pd.Series]:
        """A row's curve, one per seed, by epoch."""
        ids = self.runs(term)["run_id"].unique()
        mine = self.curves[self.curves["run_id"].isin(ids) & (self.curves["metric"] == curve)]
        if mine.empty:
            raise Untested(f"its runs have no curve {curve}: {term}")
        return [one.sort_values("epoch").set_index("epoch")["value"] for _, one in mine.groupby("run_id")]

    def last(self, term: str, curve: str) -> Value:
        """Where a curve ends; for one seed, give or take how far the later half of its epochs, two at least, is off."""
        found = self.series(term, curve)
        if len(found) > 1:
            return over_seeds([float(one.iloc[-1]) for one in found])
        late = found[0].iloc[-max(2, (len(found[0]) + 1) // 2) :]
        end = float(late.iloc[-1])
        arm = float((late - end).abs().max()) if len(late) > 1 else inf
        return Value(end, end - arm, end + arm, 1)

    def settled(self, term: str, curve: str) -> Value:
        """Epoch from which a curve stays beyond a share of its way; for one seed the interval is over ``SETTLED``."""
        ends = [[_settled(one, part) for part in SETTLED] for one in self.series(term, curve)]
        if len(ends) > 1:
            return over_seeds([float(np.mean(pair)) for pair in ends])
        return Value(float(np.mean(ends[0])), min(ends[0]), max(ends[0]), 1)

    def counts(self, stem: str) -> pd.DataFrame:
        """A kept table of counts, ``figures/<profile>/STEM.csv``."""
        at = paths.figures(self.profile) / f"{stem}.csv"
        if not at.is_file():
            raise Untested(f"not counted at this profile: {stem}.csv (notebook 01 writes it)")
        return pd.read_csv(at)

    def total(self, what: str) -> Value:
        """A count of the data: ``images``, ``classes``, ``test classes``, ``early pairs`` or ``unlabelled`` (%)."""
        return TOTALS[what](self)


def _settled(values: pd.Series, part: float) -> float:
    way = float(values.iloc[-1] - values.iloc[0])
    beyond = (values - (values.iloc[0] + part * way)) * np.sign(way) >= 0  # the last epoch always is
    stays = beyond[::-1].astype(int).cummin()[::-1]
    return float(stays.idxmax())


def _exact(number: float) -> Value:
    return Value(number, number, number)


def _early(evidence: Evidence) -> Value:
    first = evidence.counts("fig02b").iloc[0]
    early, late = int(first["train_val_images"]), int(first["test_images"])
    return share(early, early + late)


def _unlabelled(evidence: Evidence) -> Value:
    table = evidence.counts("table02")
    mine = table[table["metric"] == "unlabelled"]
    if mine.empty:
        raise Untested("table02.csv has no line `unlabelled` yet")
    line = mine.iloc[0]
    arm = float(stats.norm.ppf((1 + COVERAGE) / 2) * line["measured_std"] / sqrt(line["n"]))  # over images
    return Value(float(line["measured_mean"]), line["measured_mean"] - arm, line["measured_mean"] + arm, 1)


def _test_images(evidence: Evidence) -> pd.Series:
    table = evidence.counts("table01")
    return table[table["column"] == "Test"]["measured_mean"]


TOTALS: dict[str, Callable[[Evidence], Value]] = {
    "images": lambda found: _exact(float(found.counts("table01")["measured_mean"].sum())),
    "classes": lambda found: _exact(float(found.counts("table01")["row"].nunique())),
    "test classes": lambda found: _exact(float((_test_images(found) > 0).sum())),
    "early pairs": _early,
    "unlabelled": _unlabelled,
}


def finite(value: Value) -> bool:
    """Whether anything is known of a value's interval."""
    return isfinite(value.low) and isfinite(value.high)
