"""Checks of a claim that are not about a table's accuracies: the course of a training, its cost, and counts."""

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING

import pandas as pd

from marsnb.report.claim_checks import FAILS, HOLDS, UNTESTED, Part, agrees, name_of, part_of, within
from marsnb.report.evidence import Evidence, Untested, Value, over_seeds
from marsnb.report.explain import COLLAPSED
from marsnb.report.measured import PERCENT

if TYPE_CHECKING:
    from marsnb.report.claims import Claim


def _by_row(claim: "Claim", make: Callable[[str], Part]) -> list[Part]:
    return [part_of(name_of(term), make, term) for term in claim.rows]


def _by_pair(claim: "Claim", make: Callable[[tuple[str, str]], Part]) -> list[Part]:
    return [part_of(name_of(pair[0]), make, pair) for pair in claim.pairs]


def collapse(evidence: Evidence, claim: "Claim") -> list[Part]:
    """The effective rank ends below the bound under which it is called collapsed."""

    def part(term: str) -> Part:
        value = evidence.last(term, claim.curve)
        return Part(name_of(term), within(value, -inf, COLLAPSED), value, "dimensions")

    return _by_row(claim, part)


def rescue(evidence: Evidence, claim: "Claim") -> list[Part]:
    """The second row of each pair has collapsed, the first has not."""

    def part(pair: tuple[str, str]) -> Part:
        after, before = (evidence.last(term, claim.curve) for term in pair)
        if within(before, -inf, COLLAPSED) != HOLDS:
            raise Untested(f"nothing to prevent, since {name_of(pair[1])} has {before.value:.1f} dimensions")
        return Part(name_of(pair[0]), within(after, COLLAPSED, inf), after, "dimensions")

    return _by_pair(claim, part)


def rises(evidence: Evidence, claim: "Claim") -> list[Part]:
    """The curve ends above where it began."""

    def part(term: str) -> Part:
        found = evidence.series(term, claim.curve)
        gains = [PERCENT * float(one.iloc[-1] - one.iloc[0]) for one in found]
        last, first = evidence.last(term, claim.curve), float(found[0].iloc[0])
        value = over_seeds(gains) if len(gains) > 1 else _from(last, first)
        return Part(name_of(term), within(value, 0, inf), value)

    return _by_row(claim, part)


def _from(last: Value, first: float) -> Value:
    value, low, high = (PERCENT * (number - first) for number in (last.value, last.low, last.high))
    return Value(value, low, high, last.n)


def sooner(evidence: Evidence, claim: "Claim") -> list[Part]:
    """The curve of the first row settles in an earlier epoch than that of the second."""

    def part(pair: tuple[str, str]) -> Part:
        value = evidence.settled(pair[1], claim.curve) - evidence.settled(pair[0], claim.curve)
        return Part(f"{name_of(pair[0])} before {name_of(pair[1])}", within(value, 0, inf), value, "epochs")

    return _by_pair(claim, part)


def dip(evidence: Evidence, claim: "Claim") -> list[Part]:
    """Half way, the mean curve falls by more than it does between any two other epochs; that fall is the interval."""

    def part(term: str) -> Part:
        found = evidence.series(term, claim.curve)
        falls = -PERCENT * pd.concat(found, axis=1).mean(axis=1).diff().dropna()
        if len(falls) < 3:  # one before the middle, one in it, one after
            raise Untested(f"{name_of(term)} was scored in {len(falls) + 1} epochs, too few to tell a dip")
        middle = falls.index[(len(falls) - 1) // 2]
        other = max(0.0, float(falls.drop(middle).max()))
        value = Value(float(falls[middle]), float(falls[middle]) - other, float(falls[middle]) + other, len(found))
        return Part(name_of(term), within(value, 0, inf), value)

    return _by_row(claim, part)


def cost(evidence: Evidence, claim: "Claim") -> list[Part]:
    """The second row of each pair takes less time per image and less memory than the first, on the same device."""

    def part(pair: tuple[str, str], what: str) -> Part:
        first, second = (evidence.runs(term).drop_duplicates("run_id") for term in pair)
        if set(first["device"]) != set(second["device"]):
            raise Untested("the two rows ran on different devices")
        dear, cheap = (_spent(rows, what) for rows in (first, second))
        low, high = dear.min() / cheap.max(), dear.max() / cheap.min()
        value = Value(dear.mean() / cheap.mean(), low, high, min(len(dear), len(cheap)))
        return Part(f"{name_of(pair[0])} to {name_of(pair[1])}, {what}", within(value, 1, inf), value, "times")

    pairs = [(pair, what) for pair in claim.pairs for what in ("time per image", "memory")]
    return [part_of(f"{name_of(pair[0])}, {what}", part, pair, what) for pair, what in pairs]


def _spent(rows: pd.DataFrame, what: str) -> pd.Series:
    return rows["peak_memory"].astype(float) if what == "memory" else 1 / rows["images_per_s"].astype(float)


def perfect(evidence: Evidence, claim: "Claim") -> list[Part]:
    """As many classes as the sentence names are right on every test image."""
    assert claim.says is not None
    says = claim.says

    def part(term: str) -> Part:
        mine = evidence.runs(term)
        mine = mine[(mine["split"] == "test") & mine["metric"].str.startswith("top1/")]
        counts = [float((one["value"] >= 1).sum()) for _, one in mine.groupby("seed")]
        value = over_seeds(counts)
        return Part(name_of(term), agrees(value, says, difference=False), value, "classes", says)

    return _by_row(claim, part)


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

    def part() -> Part:
        value = evidence.total(claim.total)
        exact = value.n == 0
        verdict = (HOLDS if value.value == says else FAILS) if exact else agrees(value, says, difference=False)
        return Part(claim.total, verdict, value, "" if exact else "%", says)

    return [part_of(claim.total, part)]


def untested(evidence: Evidence, claim: "Claim") -> list[Part]:
    """Nothing in this project measures it; the claim says why."""
    return [Part("", UNTESTED, why=claim.why)]
