"""Checks of a claim on numbers that are not in the ledger: counts of the data, costs, and how far classes lie apart."""

from collections.abc import Callable
from math import inf
from typing import Any

import pandas as pd
import yaml

from marsnb import paths
from marsnb.results.claims.evidence import Evidence, name_of
from marsnb.results.claims.model import FAILS, HOLDS, OPEN, Claim, Part, Untested, agrees, equals, inside, part_of
from marsnb.results.costs import cost_ratios, growth, other_settings
from marsnb.results.intervals import PERCENT, Value, over_seeds, share

BARE = "no label"  # row of Table 2 that counts pixels without one
ALL, CHANGE, LAYER = "all classes", "ours - baseline", "encoder"
"""In the kept separation of features: the mean over classes, the difference of the two models, the paper's layer."""
TIMES = {
    "step": "time per step", "whole": "time of the whole training", "peak": "peak memory", "state": "memory kept",
}  # fmt: skip


def shares(evidence: Evidence, claim: Claim) -> list[Part]:
    """A class's share rises or falls from train to test; uncertain by our largest distance from the paper's shares."""

    def part(name: str, way: str) -> Part:
        table = evidence.kept(f"table{claim.table:02d}")
        table = table[table["metric"].isin(["images", "area"])].set_index(["row", "column"])
        theirs, mine = (PERCENT * table[c] / table[c].groupby("column").sum() for c in ("paper_mean", "measured_mean"))
        change, paper = (s[name, "Test"] - s[name, "Train/Val"] for s in (mine, theirs))
        off = float((mine - theirs).abs().max())
        value = Value(change, change - off, change + off)
        low, high = (0.0, inf) if way == "up" else (-inf, 0.0)
        return inside(name, value, low, high, "points", paper)

    return [part_of(name, part, name, way) for name, way in claim.classes.items()]


def total(evidence: Evidence, claim: Claim) -> list[Part]:
    """A count of the data is what the sentence says."""
    return [part_of(claim.total, TOTALS[claim.total], evidence, claim.total, claim.says)]


def _exact(count: Callable[[pd.DataFrame], float]) -> Callable[[Evidence, str, float], Part]:
    def part(evidence: Evidence, name: str, says: float) -> Part:
        number = float(count(evidence.kept("table01")))
        return Part(name, HOLDS if number == says else FAILS, Value(number, number, number), "", says)

    return part


def _early(evidence: Evidence, name: str, says: float) -> Part:
    first = evidence.kept("fig02b").iloc[0]
    early, late = int(first["train_val_images"]), int(first["test_images"])
    found = share(early, early + late)
    value = Value(found.value, found.low, found.high)
    return equals(name, value, says, difference=False, unit="%")


def _unlabelled(evidence: Evidence, name: str, says: float) -> Part:
    """Undecided where only the pairs labelled by experts, which are not here, could make up for the distance."""
    table = evidence.kept("table02")
    lines: Any = table[table["row"] == BARE].set_index("metric")
    if lines.empty:
        raise Untested("written before unlabelled pixels were counted: table02.csv")
    middle, low, high = (float(lines.at[f"unlabelled{end}", "measured_mean"]) for end in ("", "_low", "_high"))
    value, pairs = Value(middle, low, high), int(lines.at["unlabelled", "n"])
    head = yaml.safe_load((paths.recipes() / "table02.yaml").read_text(encoding="utf-8"))
    missing = head["experts"] / head["pairs"] if pairs < head["pairs"] else 0.0
    widest = Value(middle, low * (1 - missing), high * (1 - missing) + PERCENT * missing)
    verdict = agrees(value, says, difference=False)
    if verdict == FAILS and agrees(widest, says, difference=False) != FAILS:
        verdict = OPEN
    note = f"of {pairs:,} of the paper's {head['pairs']:,} pairs"
    if missing:
        more = widest.high - high
        note += f"; the {head['experts']} that experts labelled, if not among them, add {more:.1f} points at most"
    return Part(name, verdict, value, "%", says, note=note)


TOTALS: dict[str, Callable[[Evidence, str, Any], Part]] = {
    "images": _exact(lambda table: table["measured_mean"].sum()),
    "classes": _exact(lambda table: table["row"].nunique()),
    "test classes": _exact(lambda table: (table[table["column"] == "Test"]["measured_mean"] > 0).sum()),
    "early pairs": _early,
    "unlabelled": _unlabelled,
}


def cost(evidence: Evidence, claim: Claim) -> list[Part]:
    """The second row of each pair costs less than the first, measured step by step on one machine."""

    def part(label: str, pair: tuple[str, str], what: str) -> Part:
        frame = evidence.kept("fig_steps")
        first, second = (term.partition("/")[2] for term in pair)
        if other := other_settings(frame, evidence.profile):
            raise Untested(f"its steps were measured at other settings, {other}: fig_steps.csv")
        if not {first, second} <= set(frame["row"]):
            raise Untested(f"its steps were not measured: {first} or {second}")
        value, line = cost_ratios(frame, first, second)[what], frame.iloc[0]
        note = f"{line['backbone']} at {line['image_size']} px, batches of {line['batch']}, {line['device']}"
        return inside(label, value, 1, inf, "times", note=note)

    every = [(f"{name_of(pair[0])} to {name_of(pair[1])}, {name}", pair, what)
             for pair in claim.pairs for what, name in TIMES.items()]  # fmt: skip
    return [part_of(given[0], part, *given) for given in every]


def bank(evidence: Evidence, claim: Claim) -> list[Part]:
    """Eq. 7 grows more slowly with the map than Eq. 6, in time and memory; uncertain by the fit's standard error."""

    def part(name: str, what: str) -> Part:
        frame = evidence.kept("fig_cost")
        value = growth(frame, "Eq. 6", what) - growth(frame, "Eq. 7", what)
        note = f"exponent of N elements, Eq. 6 minus Eq. 7, {frame['device'].iloc[0]}"
        return inside(name, value, 0, inf, "", note=note)

    return [part_of(given[0], part, *given) for given in (("time", "seconds"), ("memory", "peak"))]


def _apart(lines: pd.DataFrame, sign: int = 1) -> Value:
    """One of the kept distances in hundredths: over the seeds of models where there are several, else over images."""
    if "seed" in lines and lines["seed"].nunique() > 1:
        return over_seeds(list(PERCENT * sign * lines["value"].astype(float)))
    middle, *ends = (PERCENT * sign * float(lines[name].iloc[0]) for name in ("value", "low", "high"))
    return Value(middle, min(ends), max(ends), 1)


def _further(ones: list[pd.DataFrame], others: list[pd.DataFrame]) -> Value:
    """Mean of some kept distances minus that of others: seed by seed; of one model, over images, each mean apart."""
    if "seed" in ones[0] and ones[0]["seed"].nunique() > 1:
        by_seed = [pd.concat(lines).groupby("seed")["value"].mean() for lines in (ones, others)]
        return over_seeds(list(PERCENT * (by_seed[0] - by_seed[1]).dropna()))
    mine, theirs = (pd.concat(lines)[["value", "low", "high"]].mean().to_frame().T for lines in (ones, others))
    return _apart(mine) - _apart(theirs)


def _kept_distances(evidence: Evidence) -> tuple[pd.DataFrame, str]:
    frame = evidence.kept("fig_separation")
    note = f"cosine distances in the {LAYER}, {frame['images'].iloc[0]} images"
    return frame[frame["layer"] == LAYER], note


def separated(evidence: Evidence, claim: Claim) -> list[Part]:
    """Our features of one class lie nearer together than the baseline's, and further from those of the others."""

    def part(name: str, metric: str, sign: int) -> Part:
        frame, note = _kept_distances(evidence)
        mine = frame[(frame["series"] == CHANGE) & (frame["class"] == ALL) & (frame["metric"] == metric)]
        value = _apart(mine, sign)
        return inside(name, value, 0, inf, "hundredths", note=note)

    every = (("compact", "intra", -1), ("separable", "inter", 1), ("silhouette", "silhouette", 1))
    return [part_of(given[0], part, *given) for given in every]


def scattered(evidence: Evidence, claim: Claim) -> list[Part]:
    """No class is more spread out than the one that the sentence names, and none lies less apart from the others."""

    def part(series: str, metric: str, sign: int) -> Part:
        frame, note = _kept_distances(evidence)
        mine = frame[(frame["series"] == series) & (frame["metric"] == metric) & (frame["class"] != ALL)]
        by_class = {str(name): lines for name, lines in mine.groupby("class")}
        own = by_class.pop(claim.near[0])
        rival = max(by_class, key=lambda name: sign * by_class[name]["value"].mean())
        value = _further(*([own], [by_class[rival]])[::sign])
        label = f"{series}, {'within-class distance over' if metric == 'intra' else 'silhouette below'} {rival}"
        return inside(label, value, 0, inf, "hundredths", note=note)

    models, metrics = ("baseline", "ours"), (("intra", 1), ("silhouette", -1))
    every = [(series, metric, sign) for series in models for metric, sign in metrics]
    return [part_of(f"{given[0]}, {given[1]}", part, *given) for given in every]


def near(evidence: Evidence, claim: Claim) -> list[Part]:
    """The two classes that the sentence names lie nearer to each other than the other pairs do on average."""

    def part(series: str) -> Part:
        frame, note = _kept_distances(evidence)
        mine = frame[(frame["series"] == series) & (frame["metric"] == "between")]
        pairs = {frozenset(str(name).split(", ")): lines for name, lines in mine.groupby("class")}
        own = pairs.pop(frozenset(claim.near))
        value = _further(list(pairs.values()), [own])
        return inside(f"{series}, nearer than other pairs on average", value, 0, inf, "hundredths", note=note)

    return [part_of(series, part, series) for series in ("baseline", "ours")]
