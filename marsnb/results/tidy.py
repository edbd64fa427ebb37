"""From the ledger to the tidy frame that every table, figure and sentence starts from."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd

from marsnb import recipes
from marsnb.errors import RecipeError
from marsnb.results.intervals import OVER_SEEDS, PAIRED, PERCENT, Value, over_seeds, share
from marsnb.training import ledger, measurement
from marsnb.training.spec import row_runs

ROW = ["table", "row", "label", "control", "family", "cell_row", "cell_column", "run"]
RAN = ["backbone", "start", "ran_as", "note", "same_run_as", "not_at"]
COLUMNS = [
    *ROW, "run_id", "seed", "split", "metric", "value", "low", "high", "n", "data", "labelled", "fingerprint", "device",
    "whose", "paper", "paper_std", *RAN,
]  # fmt: skip
_ENDS = ("_low", "_high")


def table(
    number: int | str, profile: str, metric: str | Sequence[str] | None = None, data: str = measurement.COMMITTED
) -> pd.DataFrame:
    """A table of trained rows, one line per row, metric and seed.

    Args:
        number: the paper's number of the table, or the key of a recipe file such as ``"choice"``.
        profile: name of the profile.
        metric: one, several, or a pattern such as ``"top1/*"`` (accuracy of each class); by default all that the table
            has in the paper.
        data: ``committed``: the measurement that the ledger came with; ``mine``: the newest other one; ``both``: the
            two beside each other, told apart by ``whose``.

    Returns:
        The columns of ``COLUMNS``, rows in the recipe's order. ``value``, ``low`` and ``high`` (bootstrap over test
        images) are percent, as are ``paper`` and ``paper_std``; ``run`` names the spec, so rows with the same one share
        their runs; ``n`` counts test images; ``labelled`` names the labelled data: only rows with the same one may be
        compared; ``device`` is the kind of processor or accelerator. A row that was not run has one line per metric,
        with an empty ``value``; ``not_at`` says why it cannot be run at this profile.

    Raises:
        RecipeError: there is no such table or profile, or neither table nor ledger knows the metric.
    """
    head, book = recipes.load_table(number), measurement.read(profile)
    rows = _rows(head, profile)
    runs = measurement.chosen(book, list(rows["run"]), head.split, data)
    mine = book[book["run_id"].isin(runs["run_id"]) & (book["split"] == head.split)]
    names = _metrics(head, metric, mine)
    wide = mine.assign(percent=PERCENT * mine["value"].astype(float)).pivot(
        index="run_id", columns="metric", values="percent"
    )
    count = mine.set_index(["run_id", "metric"])["n"]
    parts = []
    for name in names:
        scores = wide.reindex(columns=[name, f"{name}_low", f"{name}_high"]).set_axis(["value", "low", "high"], axis=1)
        scores = scores.assign(n=[count.get((run, name), np.nan) for run in scores.index]).dropna(subset="value")
        measured = runs.merge(scores, left_on="run_id", right_index=True).rename(columns={"key": "run"})
        of_paper = [_paper(head, row, name) for row in head.rows]
        known = rows.assign(paper=[mean for mean, _ in of_paper], paper_std=[std for _, std in of_paper])
        found = known.merge(measured, on="run", how="left").assign(metric=name, place=names.index(name))
        parts.append(found.assign(split=head.split, whose=found["whose"].fillna(measurement.COMMITTED)))
    if not parts:
        return pd.DataFrame(columns=COLUMNS)
    frame = pd.concat(parts, ignore_index=True)
    frame = frame.sort_values(["order", "place", "whose", "seed"], kind="stable", ignore_index=True)
    text = {
        name: frame[name].astype(object).fillna("").astype(str)
        for name in ("run_id", "data", "labelled", "fingerprint", "device")
    }
    return frame.assign(**text, seed=frame["seed"].astype("Int64"), n=frame["n"].astype("Int64"))[COLUMNS]


def _metrics(head: recipes.Table, metric: str | Sequence[str] | None, mine: pd.DataFrame) -> list[str]:
    wanted = list(head.metrics) if metric is None else [metric] if isinstance(metric, str) else list(metric)
    there = [name for name in dict.fromkeys(mine["metric"]) if not name.endswith(_ENDS)]
    found: list[str] = []
    for name in wanted:
        if "*" in name:
            found += [one for one in there if fnmatchcase(one, name)]
        elif name in head.metrics or name in there or mine.empty:
            found.append(name)
        else:
            raise RecipeError(f"{head.key} has no metric {name!r}; its metrics: {', '.join(there)}")
    return list(dict.fromkeys(found))


def _rows(head: recipes.Table, profile: str) -> pd.DataFrame:
    """One line per row of a recipe, with what the profile runs for it."""
    found: list[dict[str, Any]] = []
    for order, (row, key, spec) in enumerate(row_runs(head.table, profile)):
        first = next((line["label"] for line in found if line["run"] == key), "")
        found.append({
            "table": head.table, "row": row.id, "label": row.label, "control": row.control, "family": row.family,
            "cell_row": row.cell.row if row.cell else "", "cell_column": row.cell.column if row.cell else "",
            "run": key, "backbone": spec.backbone, "start": spec.start, "ran_as": _ran_as(row, spec),
            "note": row.note, "same_run_as": first, "not_at": row.not_at.get(profile, ""), "order": order,
        })  # fmt: skip
    return pd.DataFrame(found)


def _ran_as(row: recipes.Row, spec: Any) -> str:
    """How a run differs from the paper's row in network and start weights; empty where it does not."""
    if (spec.backbone, spec.start) == (row.backbone, row.start):
        return ""
    ran = f"{spec.backbone} from {spec.start}"
    return ran if row.control else f"{ran} (paper: {row.backbone} from {row.start})"


def _paper(head: recipes.Table, row: recipes.Row, metric: str) -> tuple[float, float]:
    number = row.paper if metric == head.metric else row.also.get(metric)
    if number is None:
        return np.nan, np.nan
    return number.mean, np.nan if number.std is None else number.std


def interval(lines: pd.DataFrame) -> tuple[Value | None, str]:
    """Mean of a row in a metric, from its lines of `table`, with its 95 % interval, and what that is drawn from."""
    done = lines.dropna(subset="value")
    if len(done) > 1:
        return over_seeds(list(done["value"])), OVER_SEEDS
    if done.empty:
        return None, ""
    one = done.iloc[0]
    if np.isfinite(one["low"]) and np.isfinite(one["high"]):
        return Value(one["value"], one["low"], one["high"], 1), PAIRED
    if str(one["metric"]).startswith("top1/") and one["n"] > 0:
        return share(one["value"] / PERCENT * int(one["n"]), int(one["n"])), PAIRED
    return Value(one["value"], np.nan, np.nan, 1), ""


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Every row of a `table`, or of some of its lines, in one line per metric.

    Returns:
        The row's own columns, ``metric, whose, mean, sd`` (sample, over seeds), ``seeds`` (how many), ``low, high`` (95
        %), ``rule`` (what the interval is drawn from: ``t over seeds``, or ``test images, one seed``), ``n, data,
        labelled, fingerprint, paper, paper_std, off`` (mean minus paper, points; empty for generated images) and how it
        ran. A row that was not run has no ``mean`` and 0 ``seeds``.
    """
    found = []
    for _, lines in frame.groupby(["row", "metric", "whose"], sort=False):
        first, (value, rule) = lines.iloc[0], interval(lines)
        value = value or Value(np.nan, np.nan, np.nan)
        comparable = "synthetic" not in str(first["data"]).lower()
        found.append(
            {name: first[name] for name in (*ROW, "metric", "whose")}
            | {"mean": value.value, "sd": lines["value"].std(ddof=1), "seeds": value.n}
            | {"low": value.low, "high": value.high, "rule": rule}
            | {name: first[name] for name in ("n", "data", "labelled", "fingerprint", "paper", "paper_std")}
            | {"off": value.value - first["paper"] if comparable else np.nan}
            | {name: first[name] for name in RAN}
        )
    return pd.DataFrame(found)


def on_common_seeds(frame: pd.DataFrame) -> pd.DataFrame:
    """Lines of `table` or `curves` of the seeds that every measured row has; rows that were not run stay as they are.

    Rows in one picture then differ by nothing but themselves.
    """
    seeds = frame.dropna(subset="value").groupby(["table", "row"] if "table" in frame else "row")["seed"].agg(set)
    shared = set.intersection(*seeds) if len(seeds) else set()
    return frame[frame["seed"].isin(shared) | frame["value"].isna()]


def on_one_processor(frame: pd.DataFrame) -> pd.DataFrame:
    """The committed measurement, seed by seed on the kind of processor that most rows ran on.

    Rounding differs from one kind to the next, and training carries it on. So that rows differ by nothing else, a run
    that was measured again on that kind (``marsnb run --again``) stands in for the first.

    Args:
        frame: what `table` gives with ``data="both"``; rows that were not run stay as they are.
    """
    first = frame["whose"] == measurement.COMMITTED
    again = frame["run_id"].str.replace(ledger.AGAIN, "", regex=True).isin(frame.loc[first, "run_id"])
    kept = frame.assign(first=first)[first | again]
    usual = kept.groupby(["seed", "device"])["row"].nunique().sort_values(ascending=False, kind="stable").reset_index()
    kind = usual.drop_duplicates("seed").set_index("seed")["device"]
    kept = kept.assign(there=kept["device"] == kept["seed"].map(kind))
    kept = kept.sort_values(["there", "first"], ascending=False, kind="stable").drop_duplicates(
        ["row", "metric", "seed"]
    )
    return kept.sort_index().drop(columns=["first", "there"]).assign(whose=measurement.COMMITTED)


def by_processor(frame: pd.DataFrame) -> pd.DataFrame:
    """What was measured on several kinds of processor, of the lines of a `table` with ``data="both"``.

    Returns:
        Values by ``seed`` and ``device``, a column for each metric; of rows that share their runs, once.
    """
    runs = frame.dropna(subset="value").drop_duplicates(["run_id", "metric"])
    wide = runs.pivot(index=["run", "seed", "device"], columns="metric", values="value")
    return wide[wide.groupby(["run", "seed"]).transform("size") > 1].droplevel("run")
