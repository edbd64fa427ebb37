"""What a claim is held against: numbers of each seed from the ledger and its curves, and the numbers kept beside it."""

from functools import cached_property

import numpy as np
import pandas as pd

from marsnb import paths, recipes
from marsnb.errors import RecipeError
from marsnb.results import epochs, versions
from marsnb.results.claims.model import Untested
from marsnb.results.gains import SAME_RUN, difference
from marsnb.results.intervals import Value, over_seeds
from marsnb.results.tidy import interval, table
from marsnb.training.spec import row_runs

KEPT = ("table01", "table02", "fig02b", "fig_cost", "fig_steps", "fig_separation")
"""Stems of kept numbers that are not from the ledger."""


def scale(profile: str) -> str:
    """What a profile's numbers can say: ``synthetic``, ``reduced`` (its rows among each other) or ``paper``."""
    found = recipes.load_profile(profile)
    if found.classification["dataset"] == "synthetic":
        return "synthetic"
    return "reduced" if found.backbones or found.starts else "paper"


def name_of(term: str, metric: str = "") -> str:
    """``ROW`` of ``TABLE/ROW``, with the metric where one is named."""
    row, _, own = term.split("/", 1)[1].partition("@")
    return ", ".join(filter(None, [row, (own or metric).removeprefix("top1/")]))


def paper_of(term: str, metric: str = "") -> float | None:
    """The paper's number for ``TABLE/ROW``, percent; ``None`` where it prints none."""
    key, row_id = term.split("/", 1)
    if "@" in term or key not in recipes.trainable():
        return None
    head = recipes.load_table(key)
    row = head.row(row_id)
    number = row.paper if metric in ("", head.metric) else row.also.get(metric)
    return number.mean if number else None


class Evidence:
    """The measured state of one profile, read once.

    Args:
        profile: name of the profile.
    """

    def __init__(self, profile: str) -> None:
        self.profile, self.scale = profile, scale(profile)
        self._frames: dict[tuple[str, ...], pd.DataFrame] = {}
        self._rows: dict[str, dict[str, tuple[str, str, str]]] = {}

    @cached_property
    def book(self) -> pd.DataFrame:
        """The ledger."""
        return versions.read(self.profile)

    def _row(self, term: str) -> tuple[str, str, str]:
        """Key of a row's runs, and its start weights: the paper's, and those of this profile."""
        key, row_id = term.split("@")[0].split("/", 1)
        if key not in recipes.trainable():
            raise Untested(f"no recipe yet: {key}")
        if key not in self._rows:
            runs = row_runs(recipes.load_table(key).table, self.profile)
            self._rows[key] = {row.id: (run, row.start, spec.start) for row, run, spec in runs}
        if row_id not in self._rows[key]:
            raise Untested(f"no such row yet: {key}/{row_id}")
        _, theirs, ours = self._rows[key][row_id]
        if ours == "random" != theirs and self.scale == "reduced":
            raise Untested(f"from random weights here, which is another question: {key}/{row_id}")
        return self._rows[key][row_id]

    def lines(self, term: str, metric: str = "") -> pd.DataFrame:
        """A row's lines in one metric, one per seed: ``TABLE/ROW`` or ``TABLE/ROW@METRIC``."""
        self._row(term)
        (key, row_id), own = term.split("@")[0].split("/", 1), term.partition("@")[2]
        metric = own or metric or recipes.load_table(key).metric
        if (key, metric) not in self._frames:
            try:
                self._frames[key, metric] = table(key.removeprefix("table"), self.profile, metric)
            except RecipeError:
                raise Untested(f"its runs have no {metric}: {term}") from None
        mine = self._frames[key, metric].query("row == @row_id").dropna(subset="value")
        if mine.empty and not self.run_ids(term):
            raise Untested(f"not run: {key}/{row_id}")
        if mine.empty:
            raise Untested(f"its runs have no {metric}: {term}")
        if self.scale != "synthetic" and mine["data"].str.contains("synthetic", case=False).any():
            raise Untested("its runs saw generated images")
        return mine

    def run_ids(self, term: str) -> list[str]:
        """Runs of a row that its table shows."""
        key, head = self._row(term)[0], recipes.load_table(term.split("/", 1)[0])
        keys = [run for run, _, _ in self._rows[head.key].values()]
        runs = versions.chosen(self.book, keys, head.split)
        return list(runs.loc[runs["key"] == key, "run_id"])

    def runs(self, term: str) -> pd.DataFrame:
        """All lines of the ledger of a row's runs."""
        self.lines(term)
        return self.book[self.book["run_id"].isin(self.run_ids(term))]

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
        (_, theirs, mine), (_, others, other) = (self._row(term) for term in pair)
        if theirs == others and mine != other:
            raise Untested(f"from other start weights here than what it is held against: {name_of(pair[1])}")

    def _curve(self, term: str, curve: str) -> pd.DataFrame:
        """A row's lines of a curve; in segmentation, epochs count from the first with cross entropy, as in Fig. 11."""
        self.lines(term)
        key = term.split("/", 1)[0]
        if (key, "curves") not in self._frames:
            self._frames[key, "curves"] = epochs.curves(key.removeprefix("table"), self.profile)
        every = self._frames[key, "curves"]
        mine = every[every["run_id"].isin(self.run_ids(term))]
        if recipes.load_table(key).task == "segmentation":
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
        frame = pd.read_csv(at)
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
