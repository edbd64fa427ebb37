"""What a claim is held against: values with their 95 % intervals, from the ledger, its curves and the counts."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import hypot, inf, isfinite, sqrt

import numpy as np
import pandas as pd
from scipy import stats

from marsnb import paths, recipes
from marsnb.report.measured import PERCENT, Measurement, measure, runs_of
from marsnb.report.style import is_synthetic
from marsnb.report.turning_points import CONVERGED, settled
from marsnb.training import ledger
from marsnb.training.spec import row_runs

COVERAGE = 0.95
KEPT = {
    "table01": "01", "table02": "01", "fig02b": "01", "fig_cost": "11", "fig_steps": "14", "fig_separation": "18"
}  # fmt: skip
"""Kept numbers that are not from the ledger, and the notebook that writes them."""


class Untested(Exception):  # noqa: N818  (no error: a verdict, and its reason)
    """Why a claim cannot be tested here: ``REASON`` or ``REASON: ROW``."""


@dataclass(frozen=True)
class Value:
    """A number with its 95 % interval, infinite where nothing is known of it.

    Attributes:
        n: how many seeds, 0 where nothing was trained.
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


def interval_of(m: Measurement) -> Value:
    """A measured number with its interval: Student's t over seeds, or, of a single one, the bootstrap over images."""
    if m.std is not None:
        arm = float(stats.t.ppf((1 + COVERAGE) / 2, m.n - 1)) * m.std / sqrt(m.n)
        return Value(m.mean, m.mean - arm, m.mean + arm, m.n)
    return Value(m.mean, -inf if m.low is None else m.low, inf if m.high is None else m.high, m.n)


def told_apart(one: Measurement, other: Measurement) -> bool:
    """Whether the interval of the difference of two measured numbers, taken as independent, leaves 0 out."""
    gap = interval_of(one) - interval_of(other)
    return gap.low > 0 or gap.high < 0


def scale(profile: str) -> str:
    """What a profile's numbers can say: ``synthetic``, ``reduced`` (its rows among each other) or ``paper``."""
    found = recipes.load_profile(profile)
    if found.classification["dataset"] == "synthetic":
        return "synthetic"
    return "reduced" if found.backbones or found.starts else "paper"


def stamp(profile: str) -> tuple[object, ...]:
    """Names and times of the files that a profile's evidence is read from."""
    kept = (paths.figures(profile) / name for name in ("runs.csv", "curves.csv", *(f"{stem}.csv" for stem in KEPT)))
    files = [*kept, *paths.figures(profile).glob("table*_effects.csv"), *paths.recipes().glob("*.yaml")]
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
        self._tables: dict[str, dict[str, tuple[str, str, str]]] = {}
        self._runs: dict[str, pd.DataFrame] = {}
        self._made: dict[str, pd.DataFrame] = {}

    def once(self, name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """What ``make`` gives, made once."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

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
            self._tables[table] = {row.id: (key, row.start, spec.start) for row, key, spec in runs}
        if row_id not in self._tables[table]:
            raise Untested(f"no such row yet: {table}/{row_id}")
        key, theirs, ours = self._tables[table][row_id]
        if ours == "random" != theirs and self.scale == "reduced":
            raise Untested(f"from random weights here, which is another question: {table}/{row_id}")
        return key

    def starts(self, term: str) -> tuple[str, str]:
        """Start weights of a row: the paper's, and those of this profile."""
        self.key(term)
        table, row_id = term.split("@")[0].split("/", 1)
        return self._tables[table][row_id][1:]

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
        if m.std is None and m.low is None and metric.startswith("top1/") and m.images:
            return share(m.mean / PERCENT * m.images, m.images)
        return interval_of(m)

    def series(self, term: str, curve: str) -> list[pd.Series]:
        """A row's curve, one per seed, by epoch: in segmentation, from the first with cross entropy, as in Fig. 11."""
        ids = self.runs(term)["run_id"].unique()
        mine = self.curves[self.curves["run_id"].isin(ids)]
        joint = recipes.load_table(term.split("/", 1)[0]).task == "segmentation"
        found = [one for _, run in mine.groupby("run_id") if len(one := _curve(run, curve, joint))]
        if not found:
            raise Untested(f"its runs have no curve {curve}: {term}")
        return found

    def joined(self, term: str) -> float | None:
        """Half an epoch before pseudo labels join, counted as in `series`; ``None`` where they never do."""
        try:
            return float(self.series(term, "pseudo_share")[0].index[0]) - 0.5
        except Untested:
            return None

    def last(self, term: str, curve: str) -> Value:
        """Where a curve ends; for one seed, give or take how far the later half of its epochs, two at least, is off."""
        found = self.series(term, curve)
        if len(found) > 1:
            return over_seeds([float(one.iloc[-1]) for one in found])
        late = found[0].iloc[-max(2, (len(found[0]) + 1) // 2) :]
        end = float(late.iloc[-1])
        arm = float((late - end).abs().max()) if len(late) > 1 else inf
        return Value(end, end - arm, end + arm, 1)

    def settled(self, term: str, curve: str) -> list[list[int]]:
        """Epoch in which a curve has converged, for each seed and each of ``CONVERGED``."""
        return [[settled(one, near) for near in CONVERGED] for one in self.series(term, curve)]

    def counts(self, stem: str) -> pd.DataFrame:
        """Kept numbers, ``figures/<profile>/STEM.csv``; from generated images only where the profile says so."""
        at = paths.figures(self.profile) / f"{stem}.csv"
        if not at.is_file():
            raise Untested(f"not measured at this profile: {stem}.csv (notebook {KEPT[stem]} writes it)")
        frame = pd.read_csv(at)
        if self.scale != "synthetic" and "data" in frame and is_synthetic(frame):
            raise Untested(f"counted on generated images: {stem}.csv")
        return frame


def _curve(run: pd.DataFrame, metric: str, from_ce: bool) -> pd.Series:
    values = run[run["metric"] == metric].sort_values("epoch").set_index("epoch")["value"]
    before = run.loc[run["metric"] == "ce", "epoch"].min() - 1 if from_ce else 0
    return values[values.index > before].rename(index=lambda epoch: int(epoch - before))


def finite(value: Value) -> bool:
    """Whether anything is known of a value's interval."""
    return isfinite(value.low) and isfinite(value.high)
