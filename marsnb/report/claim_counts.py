"""Checks of a claim on numbers that are not in the ledger: counts of the data, costs, and how far classes lie apart."""

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

import pandas as pd

from marsnb.report import areas
from marsnb.report.claim_checks import FAILS, HOLDS, OPEN, Part, agrees, name_of, part_of, within
from marsnb.report.cost_of_contrast import growth
from marsnb.report.evidence import Evidence, Untested, Value, share
from marsnb.report.measured import PERCENT
from marsnb.report.separation import ALL, CHANGE, PAPERS_LAYER

if TYPE_CHECKING:
    from marsnb.report.claims import Claim


def shares(evidence: Evidence, claim: "Claim") -> list[Part]:
    """A class's share rises or falls from train to test; uncertain by our largest distance from the paper's shares."""

    def part(name: str, way: str) -> Part:
        table = evidence.counts(f"table{claim.table:02d}")
        table = table[table["metric"].isin(["images", "area"])].set_index(["row", "column"])
        theirs, mine = (PERCENT * table[c] / table[c].groupby("column").sum() for c in ("paper_mean", "measured_mean"))
        change, paper = (s[name, "Test"] - s[name, "Train/Val"] for s in (mine, theirs))
        off = float((mine - theirs).abs().max())
        value = Value(change, change - off, change + off)
        low, high = (0.0, inf) if way == "up" else (-inf, 0.0)
        return Part(name, within(value, low, high), value, "points", paper)

    return [part_of(name, part, name, way) for name, way in claim.classes.items()]


def total(evidence: Evidence, claim: "Claim") -> list[Part]:
    """A count of the data is what the sentence says."""
    assert claim.says is not None
    says = claim.says
    return [part_of(claim.total, TOTALS[claim.total], evidence, claim.total, says)]


def _exact(count: Callable[[pd.DataFrame], float]) -> Callable[[Evidence, str, float], Part]:
    def part(evidence: Evidence, name: str, says: float) -> Part:
        number = float(count(evidence.counts("table01")))
        return Part(name, HOLDS if number == says else FAILS, Value(number, number, number), "", says)

    return part


def _early(evidence: Evidence, name: str, says: float) -> Part:
    first = evidence.counts("fig02b").iloc[0]
    early, late = int(first["train_val_images"]), int(first["test_images"])
    value = replace(share(early, early + late), n=0)
    return Part(name, agrees(value, says, difference=False), value, "%", says)


def _unlabelled(evidence: Evidence, name: str, says: float) -> Part:
    """Undecided where only the pairs labelled by experts, which are not here, could make up for the distance."""
    table = evidence.counts("table02")
    lines: Any = table[table["row"] == areas.BARE].set_index("metric")
    if lines.empty:
        raise Untested("written before unlabelled pixels were counted: table02.csv (notebook 01 writes it)")
    middle, low, high = (float(lines.at[f"unlabelled{end}", "measured_mean"]) for end in ("", "_low", "_high"))
    value, pairs, head = Value(middle, low, high), int(lines.at["unlabelled", "n"]), areas.recipe()
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


TOTALS: dict[str, Callable[[Evidence, str, float], Part]] = {
    "images": _exact(lambda table: table["measured_mean"].sum()),
    "classes": _exact(lambda table: table["row"].nunique()),
    "test classes": _exact(lambda table: (table[table["column"] == "Test"]["measured_mean"] > 0).sum()),
    "early pairs": _early,
    "unlabelled": _unlabelled,
}


def cost(evidence: Evidence, claim: "Claim") -> list[Part]:
    """The second row of each pair costs less than the first.

    Measured step by step on one machine where notebook 14 has done so; else time per image and memory of the runs, if
    both were on the same device.
    """
    found = []
    for pair in claim.pairs:
        first, second = map(name_of, pair)
        frame = _measured_steps(evidence)
        if pair[0].startswith("table08/") and {first, second} <= set(frame["row"]):
            found += _steps(frame, first, second)
        else:
            whats = ("time per image", "memory")
            found += [part_of(f"{first}, {what}", _of_runs, evidence, pair, what) for what in whats]
    return found


def _measured_steps(evidence: Evidence) -> pd.DataFrame:
    """Numbers of notebook 14's figure of Table 8's methods; empty where it was not run."""
    try:
        return evidence.counts("fig_steps")
    except Untested:
        return pd.DataFrame({"row": []})


def _steps(frame: pd.DataFrame, first: str, second: str) -> list[Part]:
    """Ratios of the costs, as uncertain as notebook 14 says."""
    from marsnb.report import cost_of_steps  # slow to import

    uncertainty, found = cost_of_steps.uncertainty(frame), []
    for what, ratio in cost_of_steps.ratios(frame, first, second).items():
        off = uncertainty[what]
        value = Value(ratio, ratio / off, ratio * off)
        label = f"{first} to {second}, {cost_of_steps.WORDS[what]}"
        found.append(Part(label, within(value, 1, inf), value, "times", note=cost_of_steps.scale_of(frame)))
    return found


def _of_runs(evidence: Evidence, pair: tuple[str, str], what: str) -> Part:
    first, second = (evidence.runs(term).drop_duplicates("run_id") for term in pair)
    if set(first["device"]) != set(second["device"]):
        raise Untested("the two rows ran on different devices")
    dear, cheap = (_spent(rows, what) for rows in (first, second))
    low, high = dear.min() / cheap.max(), dear.max() / cheap.min()
    value = Value(dear.mean() / cheap.mean(), low, high, min(len(dear), len(cheap)))
    return Part(f"{name_of(pair[0])} to {name_of(pair[1])}, {what}", within(value, 1, inf), value, "times")


def _spent(rows: pd.DataFrame, what: str) -> pd.Series:
    return rows["peak_memory"].astype(float) if what == "memory" else 1 / rows["images_per_s"].astype(float)


def bank(evidence: Evidence, claim: "Claim") -> list[Part]:
    """Eq. 7 grows more slowly with the map than Eq. 6, in time and memory; uncertain by the fit's standard error."""

    def part(what: str) -> Part:
        frame = evidence.counts("fig_cost")
        value = _growth(frame, "Eq. 6", what) - _growth(frame, "Eq. 7", what)
        note = f"exponent of N elements, Eq. 6 minus Eq. 7, {frame['device'].iloc[0]}"
        return Part(WHAT[what], within(value, 0, inf), value, "", note=note)

    return [part_of(WHAT[what], part, what) for what in WHAT]


WHAT = {"seconds": "time", "peak": "memory"}


def _growth(frame: pd.DataFrame, equation: str, what: str) -> Value:
    power, arm = growth(frame, equation, what)
    return Value(power, power - arm, power + arm)


def separated(evidence: Evidence, claim: "Claim") -> list[Part]:
    """Our features of one class lie nearer together than the baseline's, and further from those of the others."""

    def part(metric: str, sign: int) -> Part:
        frame = evidence.counts("fig_separation")
        mine = frame[(frame["layer"] == PAPERS_LAYER) & (frame["series"] == CHANGE) & (frame["class"] == ALL)]
        line: Any = mine.set_index("metric").loc[metric]
        middle, *ends = (PERCENT * sign * float(line[name]) for name in ("value", "low", "high"))
        value = Value(middle, min(ends), max(ends), 1)
        return Part(APART[metric], within(value, 0, inf), value, "hundredths", note=_sample(frame))

    signs = {"intra": -1, "inter": 1, "silhouette": 1}
    return [part_of(APART[metric], part, metric, sign) for metric, sign in signs.items()]


APART = {"intra": "compact", "inter": "separable", "silhouette": "silhouette"}


def _sample(frame: pd.DataFrame) -> str:
    first = frame.iloc[0]
    return f"cosine distances in the {PAPERS_LAYER}, interval over {first['images']} images"


def scattered(evidence: Evidence, claim: "Claim") -> list[Part]:
    """No class is more spread out than the one that the sentence names, and none lies less apart from the others."""
    found = []
    for series in ("baseline", "ours"):
        for metric, sign in (("intra", 1), ("silhouette", -1)):
            found.append(part_of(f"{series}, {metric}", _furthest, evidence, claim.near, series, metric, sign))
    return found


def _furthest(evidence: Evidence, names: tuple[str, ...], series: str, metric: str, sign: int) -> Part:
    frame = evidence.counts("fig_separation")
    mine = frame[(frame["layer"] == PAPERS_LAYER) & (frame["series"] == series) & (frame["metric"] == metric)]
    lines = {line["class"]: _hundredths(line) for line in mine.to_dict("records") if line["class"] != ALL}
    own = lines.pop(names[0])
    rival = max(lines, key=lambda name: sign * lines[name].value)
    value = own - lines[rival] if sign > 0 else lines[rival] - own
    label = f"{series}, {'within-class distance over' if metric == 'intra' else 'silhouette below'} {rival}"
    return Part(label, within(value, 0, inf), value, "hundredths", note=_sample(frame))


def nearest(evidence: Evidence, claim: "Claim") -> list[Part]:
    """No two classes of Fig. 12 lie nearer to each other than the two that the sentence names."""
    found = []
    for series in ("baseline", "ours"):
        found += [part_of(series, _nearer, evidence, claim.near, series)]
    return found


def _nearer(evidence: Evidence, names: tuple[str, ...], series: str) -> Part:
    frame = evidence.counts("fig_separation")
    mine = frame[(frame["layer"] == PAPERS_LAYER) & (frame["series"] == series) & (frame["metric"] == "between")]
    pairs = {frozenset(line["class"].split(", ")): line for line in mine.to_dict("records")}
    near = _hundredths(pairs.pop(frozenset(names)))
    closest = min((_hundredths(line) for line in pairs.values()), key=lambda value: value.value)
    value = closest - near
    return Part(f"{series}, the nearest other pair", within(value, 0, inf), value, "hundredths", note=_sample(frame))


def _hundredths(line: dict) -> Value:
    value, low, high = (PERCENT * float(line[name]) for name in ("value", "low", "high"))
    return Value(value, low, high, 1)
