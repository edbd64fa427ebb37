"""Differences between rows: on the seeds that both have, pair by pair, on the same data."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from marsnb.errors import RecipeError
from marsnb.results.images import paired
from marsnb.results.intervals import APART, ENOUGH, OVER_SEEDS, PAIRED, Value, over_seeds

SAME_RUN, NOT_RUN, NO_SEED = "same run", "not run", "no common seed"
COLUMNS = [
    "what", "after", "before", "metric", "whose", "mean", "sd", "seeds", "low", "high", "rule", "told_apart", "why",
    "paper", "data",
]  # fmt: skip


def differences(frame: pd.DataFrame, against: str | Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """How far rows lie above others.

    Args:
        frame: what `table` gives.
        against: id of the row that every other is held against; or ``{what: (after, before)}``, a name for each pair of
            ids, the first claimed to be the better.

    Returns:
        One line per pair, metric and measurement: ``what, after, before, metric, whose``, ``mean`` (points; the first
        minus the second, over the ``seeds`` seeds that both have), ``sd`` (of the differences), ``low, high`` (95 %),
        ``rule`` (what the interval is drawn from), ``told_apart`` (whether it leaves 0 out **and** is Student's t over
        three seeds or more), ``why`` (there is none: ``same run``, ``not run``, ``no common seed``), ``paper`` (its
        difference), ``data``.

    Raises:
        RecipeError: the frame has no such row.
    """
    labels = frame.drop_duplicates("row").set_index("row")["label"]
    named = [(against, against)] if isinstance(against, str) else against.values()
    for name in itertools.chain(*named):
        if name not in labels:
            raise RecipeError(f"there is no row {name!r} to compare; rows: {', '.join(labels.index)}")
    if isinstance(against, str):
        triples = [(labels[row], row, against) for row in labels.index if row != against]
    else:
        triples = [(what, *pair) for what, pair in against.items()]
    found = []
    for what, after, before in triples:
        for (metric, whose), lines in frame.groupby(["metric", "whose"], sort=False):
            one, other = lines[lines["row"] == after], lines[lines["row"] == before]
            if len(one) and len(other):
                line = {"what": what, "after": after, "before": before, "metric": metric, "whose": whose}
                found.append(line | difference(one, other))
    return pd.DataFrame(found, columns=COLUMNS)


def difference(one: pd.DataFrame, other: pd.DataFrame) -> dict[str, Any]:
    """One line of `differences`, from ``mean`` on, from lines of a table of one row and metric and those of another."""
    line: dict[str, Any] = dict.fromkeys(("mean", "sd", "low", "high"), np.nan)
    line |= {"seeds": 0, "rule": "", "told_apart": False, "data": ""}
    line["paper"] = one["paper"].iloc[0] - other["paper"].iloc[0]
    mine, theirs = (side.dropna(subset="value") for side in (one, other))
    if mine.empty or theirs.empty:
        return line | {"why": NOT_RUN}
    line["data"] = mine["data"].iloc[0]
    if (mine[["run", "metric"]].iloc[0] == theirs[["run", "metric"]].iloc[0]).all():
        return line | {"why": SAME_RUN}
    # other labelled data never meets here: the seeds of two rows are matched on the data as well
    both = mine.merge(theirs, on=["seed", "labelled"], suffixes=("", "_other"))
    if both.empty:
        return line | {"why": NO_SEED}
    gaps = (both["value"] - both["value_other"]).astype(float)
    value, rule = over_seeds(list(gaps)), OVER_SEEDS
    if len(both) == 1:
        value, rule = _one_seed(both.iloc[0], float(gaps.iloc[0]))
    sure = rule == OVER_SEEDS and value.n >= ENOUGH and value.excludes_zero
    numbers = {"mean": value.value, "low": value.low, "high": value.high, "seeds": value.n}
    return line | numbers | {"sd": gaps.std(ddof=1), "rule": rule, "told_apart": sure, "why": ""}


def _one_seed(both: pd.Series, gap: float) -> tuple[Value, str]:
    """Of one seed, the test images drawn anew: together for both rows where their answers are here, else apart."""
    same = both["metric"] == both["metric_other"]
    value = paired(both["run_id"], both["run_id_other"], both["metric"], gap, both["split"]) if same else None
    if value is not None:
        return value, PAIRED
    first, second = (Value(both[f"value{end}"], both[f"low{end}"], both[f"high{end}"], 1) for end in ("", "_other"))
    apart = first - second
    return (apart, APART) if apart.known else (Value(gap, np.nan, np.nan, 1), "")
