"""Checks of a claim on the course of a training: one number for each seed, then the rule of intervals."""

from collections.abc import Callable
from dataclasses import replace
from math import inf

import numpy as np
import pandas as pd

from marsnb.results.claims.evidence import Evidence, name_of, paired
from marsnb.results.claims.model import HOLDS, Claim, Pair, Part, Untested, combine, inside, part_of, within
from marsnb.results.intervals import over_seeds
from marsnb.results.output import NAMES

COLLAPSED = 5.0  # effective rank of an embedding below which it is called collapsed: our bound, the paper gives none
CONVERGED = (0.05, 0.01)
"""A curve has converged where it stays this near to its last value, relative; the paper does not say how it judges."""


def settled(values: pd.Series, near: float) -> int:
    """First epoch from which on a curve, by epoch, stays near to its last value, which is above 0.

    ``near`` is relative to it: 0.05 asks for 95 % of it, and for no more than 105 %.
    """
    far = values.index[(values - values.iloc[-1]).abs() > near * values.iloc[-1]]
    return int(values.index[0] if far.empty else values.index[values.index > far[-1]][0])


def drop_at(values: pd.Series, change: float) -> float | None:
    """How far ``values``, by epoch, fall at a change between two epochs; ``None`` where one side has none."""
    old, new = values[values.index < change], values[values.index > change]
    return None if old.empty or new.empty else float(old.iloc[-1] - new.iloc[0])


def collapse(evidence: Evidence, claim: Claim) -> list[Part]:
    """The effective rank ends below the bound under which it is called collapsed."""

    def part(term: str) -> Part:
        value = over_seeds(list(evidence.last(term, claim.curve).values()))
        return inside(name_of(term), value, -inf, COLLAPSED, "dimensions")

    return [part_of(name_of(term), part, term) for term in claim.rows]


def rescue(evidence: Evidence, claim: Claim) -> list[Part]:
    """The second row of each pair has collapsed, the first has not."""

    def part(pair: Pair) -> Part:
        after, before = (over_seeds(list(evidence.last(term, claim.curve).values())) for term in pair)
        if before.known and within(before, -inf, COLLAPSED) != HOLDS:
            raise Untested(f"nothing to prevent, since {name_of(pair[1])} has {before.value:.1f} dimensions")
        return inside(name_of(pair[0]), after, COLLAPSED, inf, "dimensions")

    return [part_of(name_of(pair[0]), part, pair) for pair in claim.pairs]


def rises(evidence: Evidence, claim: Claim) -> list[Part]:
    """The curve ends above where it began; with pseudo labels, above its last value before they join."""

    def part(term: str, curve: str) -> Part:
        found, joined = evidence.series(term, curve), evidence.joined(term)
        before = [one if joined is None else one[one.index < joined][::-1] for one in found.values()]
        if any(one.empty for one in before):
            raise Untested(f"no epoch before pseudo labels was scored: {name_of(term)}")
        ends = zip(found.values(), before, strict=True)
        value = over_seeds([float(one.iloc[-1] - first.iloc[0]) for one, first in ends])
        return inside(_label(f"{name_of(term)}, end over start", curve), value, 0, inf)

    every = [(term, curve) for term in claim.rows for _, curve in claim.curves]
    return [part_of(_label(name_of(term), curve), part, term, curve) for term, curve in every]


def _label(what: str, curve: str) -> str:
    name = curve.removeprefix("test/")
    return f"{what}, {NAMES.get(name, name.replace('@', ' at '))}"


def _by_curve(claim: Claim, word: str, make: Callable[[Pair, str, str], Part]) -> list[Part]:
    found = []
    for pair in claim.pairs:
        for _, curve in claim.curves:
            label = f"{name_of(pair[0])} {word} {_label(name_of(pair[1]), curve)}"
            found.append(part_of(label, make, pair, curve, label))
    return found


def sooner(evidence: Evidence, claim: Claim) -> list[Part]:
    """The curve of the first row converges in an earlier epoch than that of the second; see `settled`."""

    def epochs(term: str, curve: str) -> dict[int, float]:
        series = evidence.series(term, curve).items()
        return {seed: float(np.mean([settled(one, near) for near in CONVERGED])) for seed, one in series}

    def part(pair: Pair, curve: str, label: str) -> Part:
        value = paired(epochs(pair[1], curve), epochs(pair[0], curve))
        return inside(label, value, 0, inf, "epochs")

    return _by_curve(claim, "before", part)


def quick(evidence: Evidence, claim: Claim) -> list[Part]:
    """The curve of the first row passes the end of the second's before pseudo labels join."""

    def part(pair: Pair, curve: str, label: str) -> Part:
        ours, ends, joined = evidence.series(pair[0], curve), evidence.last(pair[1], curve), evidence.joined(pair[0])
        if joined is None:
            raise Untested(f"its runs have no pseudo labels: {pair[0]}")
        passed = {seed: _passes(one, ends[seed]) for seed, one in ours.items() if seed in ends}
        value = paired(dict.fromkeys(passed, joined), passed)
        return inside(label, value, 0, inf, "epochs")

    return _by_curve(claim, "past", part)


def _passes(values: pd.Series, level: float) -> float:
    """First epoch above a level; one after the last where there is none."""
    over = values.index[values > level]
    return float(over[0] if len(over) else values.index[-1] + 1)


def dip(evidence: Evidence, claim: Claim) -> list[Part]:
    """Where pseudo labels join, the first row of each pair falls, and by more than the second, which has none."""

    def part(pair: Pair, curve: str, label: str) -> Part:
        ours, control = (_falls(evidence, term, curve, pair[0]) for term in pair)
        both = sorted((over_seeds(list(ours.values())), paired(ours, control)), key=lambda value: value.value)
        return replace(inside(label, both[0], 0, inf), verdict=combine([within(value, 0, inf) for value in both]))

    return _by_curve(claim, "falls further than", part)


def _falls(evidence: Evidence, term: str, curve: str, of: str) -> dict[int, float]:
    joined = evidence.joined(of)
    found = {} if joined is None else {s: drop_at(one, joined) for s, one in evidence.series(term, curve).items()}
    if not found or None in found.values():
        raise Untested(f"too few epochs around the change were scored: {name_of(term)}")
    return {seed: fall for seed, fall in found.items() if fall is not None}
