"""Checks of a claim that are not about a table's accuracies: the course of a training, and perfect classes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from marsnb.report.claim_checks import HOLDS, UNTESTED, Part, agrees, combine, name_of, part_of, within
from marsnb.report.evidence import Evidence, Untested, Value, over_seeds
from marsnb.report.explain import COLLAPSED
from marsnb.report.measured import PERCENT
from marsnb.report.turning_points import drop_at

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
    """The curve ends above where it began; with pseudo labels, above its last value before they join."""

    def part(term: str, curve: str) -> Part:
        found, joined = evidence.series(term, curve), evidence.joined(term)
        before = [one if joined is None else one[one.index < joined][::-1] for one in found]
        if any(one.empty for one in before):
            raise Untested(f"no epoch before pseudo labels was scored: {name_of(term)}")
        firsts = [float(one.iloc[0]) for one in before]
        gains = [PERCENT * (float(one.iloc[-1]) - first) for one, first in zip(found, firsts, strict=True)]
        value = over_seeds(gains) if len(gains) > 1 else _from(evidence.last(term, curve), firsts[0])
        return Part(_label(f"{name_of(term)}, end over start", curve), within(value, 0, inf), value)

    found = []
    for term in claim.rows:
        for metric, curve in _curves(claim):
            found.append(replace(part_of(_label(name_of(term), curve), part, term, curve), metric=metric))
    return found


def _curves(claim: "Claim") -> Iterator[tuple[str, str]]:
    return zip(claim.metrics or ("",), claim.curves, strict=True)


def _label(what: str, curve: str) -> str:
    return f"{what}, {curve.removeprefix('test/')}"


def _from(last: Value, first: float) -> Value:
    value, low, high = (PERCENT * (number - first) for number in (last.value, last.low, last.high))
    return Value(value, low, high, last.n)


def _by_curve(claim: "Claim", word: str, make: Callable[[tuple[str, str], str, str], Part]) -> list[Part]:
    found = []
    for pair in claim.pairs:
        for metric, curve in _curves(claim):
            label = f"{name_of(pair[0])} {word} {_label(name_of(pair[1]), curve)}"
            found.append(replace(part_of(label, make, pair, curve, label), metric=metric))
    return found


def sooner(evidence: Evidence, claim: "Claim") -> list[Part]:
    """The curve of the first row converges in an earlier epoch than that of the second; see `convergence.settled`."""

    def part(pair: tuple[str, str], curve: str, label: str) -> Part:
        mine, other = (evidence.settled(term, curve) for term in pair)
        if len(mine) == len(other) == 1:
            gaps = [b - a for a, b in zip(mine[0], other[0], strict=True)]  # one for each way to say converged
            value = Value(float(np.mean(gaps)), min(gaps), max(gaps), 1)
        else:
            first, second = (over_seeds([float(np.mean(ways)) for ways in seeds]) for seeds in (mine, other))
            value = second - first
        return Part(label, within(value, 0, inf), value, "epochs")

    return _by_curve(claim, "before", part)


def quick(evidence: Evidence, claim: "Claim") -> list[Part]:
    """The curve of the first row passes the end of the second's before pseudo labels join, as in notebook 17."""

    def part(pair: tuple[str, str], curve: str, label: str) -> Part:
        ours, end, joined = _mean(evidence, pair[0], curve), evidence.last(pair[1], curve), evidence.joined(pair[0])
        if joined is None:
            raise Untested(f"its runs have no pseudo labels: {pair[0]}")
        middle, low, high = (joined - _passes(ours, level) for level in (end.value, end.high, end.low))
        value = Value(middle, low, high, end.n)
        return Part(label, within(value, 0, inf), value, "epochs")

    return _by_curve(claim, "past", part)


def _mean(evidence: Evidence, term: str, curve: str) -> pd.Series:
    return pd.concat(evidence.series(term, curve), axis=1).mean(axis=1)


def _passes(values: pd.Series, level: float) -> float:
    """First epoch above a level; one after the last where there is none."""
    over = values.index[values > level]
    return float(over[0] if len(over) else values.index[-1] + 1)


def dip(evidence: Evidence, claim: "Claim") -> list[Part]:
    """Where pseudo labels join, the first row of each pair falls, and by more than the second, which has none.

    A fall is uncertain by the largest one between any two other epochs.
    """

    def part(pair: tuple[str, str], curve: str, label: str) -> Part:
        ours, control = (_fall(evidence, term, curve, pair[0]) for term in pair)
        both = sorted((ours, ours - control), key=lambda value: value.value)
        return Part(label, combine([within(value, 0, inf) for value in both]), both[0])

    return _by_curve(claim, "falls further than", part)


def _fall(evidence: Evidence, term: str, curve: str, of: str) -> Value:
    values, joined = PERCENT * _mean(evidence, term, curve), evidence.joined(of)
    found = None if joined is None else drop_at(values, joined)
    steps = -values.diff().dropna()
    if found is None or len(steps) < 3:
        raise Untested(f"too few epochs around the change were scored: {name_of(term)}")
    fall, after = found.before - found.after, steps.index[steps.index > joined][0]
    other = max(0.0, float(steps.drop(after).max()))
    return Value(fall, fall - other, fall + other, len(evidence.series(term, curve)))


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


def untested(evidence: Evidence, claim: "Claim") -> list[Part]:
    """Nothing in this project measures it; the claim says why."""
    return [Part("", UNTESTED, why=claim.why)]
