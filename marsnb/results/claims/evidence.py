"""What a claim is held against: numbers of each seed from the ledger and its curves, and the numbers kept beside it."""

import re

import numpy as np
import pandas as pd

from marsnb import paths, recipes
from marsnb.files import read_table
from marsnb.results import epochs
from marsnb.results.claims.model import Untested
from marsnb.results.gains import SAME_RUN, difference
from marsnb.results.intervals import Value, over_seeds
from marsnb.results.output import NAMES
from marsnb.results.tidy import interval, on_one_processor, table

KEPT = ("table01", "table02", "fig02b", "fig_cost", "fig_steps", "fig_separation")
"""Stems of kept numbers that are not from the ledger."""
_SHORT = ((r" \(MoCo.*\)| pretraining", ""), (r" \[†\]", " from ImageNet"))
"""What is left out of a row's label, or said in its place, where two rows stand in one line."""


def scale(profile: str) -> str:
    """What a profile's numbers can say: ``synthetic``, ``reduced`` (its rows among each other) or ``paper``."""
    found = recipes.load_profile(profile)
    if found.classification["dataset"] == "synthetic":
        return "synthetic"
    return "reduced" if found.backbones or found.starts else "paper"


def name_of(term: str, metric: str = "") -> str:
    """The label of ``TABLE/ROW``, shortened, with the metric where one is named."""
    key, row_id = term.split("@")[0].split("/", 1)
    rows = recipes.load_table(key).rows if key in recipes.trainable() else ()
    label = next((row.label for row in rows if row.id == row_id), row_id)
    for pattern, instead in _SHORT:
        label = re.sub(pattern, instead, label)
    return ", ".join(filter(None, [label, metric_of(term, metric)]))


def metric_of(term: str, metric: str = "") -> str:
    """The name of the metric that ``TABLE/ROW@METRIC`` or else a claim names: of one class's accuracy, the class."""
    name = term.partition("@")[2] or metric
    return NAMES.get(name, name.removeprefix("top1/"))


def printed(term: str, metric: str = "") -> recipes.Paper | None:
    """The paper's number for ``TABLE/ROW``, percent; ``None`` where it prints none."""
    key, row_id = term.split("/", 1)
    if "@" in term or key not in recipes.trainable():
        return None
    head = recipes.load_table(key)
    row = head.row(row_id)
    return row.paper if metric in ("", head.metric) else row.also.get(metric)


def paper_of(term: str, metric: str = "") -> float | None:
    """The mean of `printed`."""
    number = printed(term, metric)
    return number.mean if number else None


class Evidence:
    """The measured state of one profile, each table read once."""

    def __init__(self, profile: str) -> None:
        self.profile, self.scale = profile, scale(profile)
        self._tables: dict[str, pd.DataFrame] = {}
        self._curves: dict[str, pd.DataFrame] = {}

    def row(self, term: str) -> pd.DataFrame:
        """All lines of a row, ``TABLE/ROW`` or ``TABLE/ROW@METRIC``: one per seed and metric, as in `table`."""
        key, row_id = term.split("@")[0].split("/", 1)
        if key not in recipes.trainable():
            raise Untested(f"no recipe yet: {key}")
        head = recipes.load_table(key)
        if row_id not in {row.id for row in head.rows}:
            raise Untested(f"no such row yet: {key}/{row_id}")
        if self.profile in head.row(row_id).not_at:
            raise Untested(f"{head.row(row_id).not_at[self.profile].removeprefix('not run: ')}: {key}/{row_id}")
        if key not in self._tables:
            self._tables[key] = on_one_processor(table(head.table, self.profile, [*head.metrics, "*"], data="both"))
        mine = self._tables[key]
        mine = mine[mine["row"] == row_id]
        if mine["start"].iloc[0] == "random" != head.row(row_id).start and self.scale == "reduced":
            raise Untested(f"from random weights here, which is another question: {key}/{row_id}")
        mine = mine.dropna(subset="value")
        if mine.empty:
            raise Untested(f"not run: {key}/{row_id}")
        if self.scale != "synthetic" and mine["data"].str.contains("synthetic", case=False).any():
            raise Untested("its runs saw generated images")
        return mine

    def lines(self, term: str, metric: str = "") -> pd.DataFrame:
        """A row's lines in one metric, one per seed; its table's own metric by default."""
        mine = self.row(term)
        metric = term.partition("@")[2] or metric or recipes.load_table(term.split("/", 1)[0]).metric
        mine = mine[mine["metric"] == metric]
        if mine.empty:
            raise Untested(f"its runs have no {metric}: {term}")
        return mine

    def value(self, term: str, metric: str = "") -> Value:
        """A row's number in percent."""
        found, _ = interval(self.lines(term, metric))
        assert found is not None
        return found

    def gain(self, pair: tuple[str, str], metric: str = "") -> Value:
        """How far the first of two rows lies above the second, points, on the seeds that both have."""
        one, other = (self.lines(term, metric) for term in pair)
        self.same_start(pair)
        found = difference(one, other)
        if found["why"] == SAME_RUN:
            raise Untested(f"one run at this profile: {name_of(pair[0])} and {name_of(pair[1])}")
        if found["why"]:
            raise Untested(f"{found['why']}: {name_of(pair[0])} and {name_of(pair[1])}")
        low, high = (
            found[end] if np.isfinite(found[end]) else inf for end, inf in (("low", -np.inf), ("high", np.inf))
        )
        return Value(found["mean"], low, high, found["seeds"])

    def same_start(self, pair: tuple[str, str]) -> None:
        """Refuse a comparison of rows that start alike in the paper and not here."""
        here = [self.row(term)["start"].iloc[0] for term in pair]
        paper = [recipes.load_table(t).row(row.split("@")[0]).start for t, row in (term.split("/", 1) for term in pair)]
        if paper[0] == paper[1] and here[0] != here[1]:
            raise Untested(f"from other start weights here than what it is held against: {name_of(pair[1])}")

    def _curve(self, term: str, curve: str) -> pd.DataFrame:
        """A row's lines of a curve; in segmentation, epochs count from the first with cross entropy, as in Fig. 11."""
        key = term.split("/", 1)[0]
        head = recipes.load_table(key)
        if key not in self._curves:
            self._curves[key] = epochs.curves(head.table, self.profile)
        mine = self._curves[key]
        mine = mine[mine["run_id"].isin(self.row(term)["run_id"])]
        if head.task == "segmentation":
            first = int(mine.loc[mine["metric"] == "ce", "epoch"].min())
            mine = mine[mine["epoch"] >= first].assign(epoch=mine["epoch"] - first + 1)
        found = mine[mine["metric"] == curve]
        if found.empty:
            raise Untested(f"its runs have no curve {curve}: {term}")
        return found

    def series(self, term: str, curve: str) -> dict[int, pd.Series]:
        """A row's curve by epoch, for each seed that has all of it."""
        lines = epochs.whole(self._curve(term, curve)).sort_values("epoch")
        return {int(str(seed)): one.set_index("epoch")["value"] for seed, one in lines.groupby("seed")}

    def last(self, term: str, curve: str) -> dict[int, float]:
        """Where a curve ends, for each seed that was followed so far."""
        lines = self._curve(term, curve)
        ends = lines[lines["epoch"] == lines["epoch"].max()].set_index("seed")["value"]
        return {int(str(seed)): float(value) for seed, value in ends.items()}

    def joined(self, term: str) -> float | None:
        """Half an epoch before pseudo labels join, counted as in `series`; ``None`` where they never do."""
        try:
            return float(next(iter(self.series(term, "pseudo_share").values())).index[0]) - 0.5
        except Untested:
            return None

    def kept(self, stem: str) -> pd.DataFrame:
        """Kept numbers, ``figures/<profile>/STEM.csv``; from generated images only where the profile says so."""
        at = paths.figures(self.profile) / f"{stem}.csv"
        if not at.is_file():
            raise Untested(f"not measured at this profile, a notebook writes it: {stem}.csv")
        frame: pd.DataFrame = read_table(at)
        generated = "data" in frame and frame["data"].astype(str).str.contains("synthetic", case=False).any()
        if self.scale != "synthetic" and generated:
            raise Untested(f"counted on generated images: {stem}.csv")
        return frame


def paired(one: dict[int, float], other: dict[int, float]) -> Value:
    """Mean difference of two rows over the seeds that both have."""
    seeds = sorted(one.keys() & other.keys())
    if not seeds:
        raise Untested("no common seed")
    return over_seeds([one[seed] - other[seed] for seed in seeds])
