"""How a claim is checked: each check turns its rows into parts of a value, an interval and a verdict each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Any

from marsnb import recipes
from marsnb.report.effects import effects, is_compared
from marsnb.report.evidence import Evidence, Untested, Value, finite, papers

if TYPE_CHECKING:
    from marsnb.report.claims import Claim

HOLDS, FAILS, OPEN, UNTESTED = "holds", "does not hold", "undecided", "not tested"
VERDICTS = (HOLDS, FAILS, OPEN, UNTESTED)
RULES = (
    "- **Holds**: the whole 95 % interval of the evidence lies on the side that the sentence claims.\n"
    "- **Does not hold**: the whole interval lies on the other side.\n"
    "- **Undecided**: the interval has both sides in it, so that these runs cannot tell.\n"
    "- **Not tested**: a row was not run, two rows are one run at this profile, or the profile cannot say: an amount "
    "needs the paper's own settings, and generated images can show a mechanism, but nothing about Mars.\n\n"
    "A sentence about several rows holds where it does for each, and does not where it fails for one. One that names "
    "an amount holds where the interval has that amount in it, and not 0.\n\n"
    "The interval of one seed is a bootstrap over test images, and another seed may well lie outside it; over several "
    "seeds it is Student's. That of a difference is over the same images, or the same seeds, where notebooks 14 to 16 "
    "compare the two rows, and takes them as independent elsewhere; that of a curve's end, for one seed, is how far "
    "the later half of its epochs is off; that of the epoch in which it has converged has both of notebook 17's "
    "definitions in it; that of a time is how far the same step, taken again, is apart; a count of all there is has "
    "none. Of forty intervals, two leave out the truth by chance."
)


@dataclass(frozen=True)
class Part:
    """One comparison of a claim.

    Attributes:
        label: what was compared.
        verdict: one of ``VERDICTS``.
        value: the measured number, where there is one.
        unit: its unit.
        paper: the paper's number for the same.
        why: why it was not tested.
        note: what was measured, in words.
        metric: the one of the claim's metrics that it is about, where it is about a curve.
    """

    label: str
    verdict: str
    value: Value | None = None
    unit: str = "points"
    paper: float | None = None
    why: str = ""
    note: str = ""
    metric: str = ""


def within(value: Value, low: float, high: float) -> str:
    """``holds`` where the whole interval lies between two bounds, ``does not hold`` where none of it does."""
    if value.low > low and value.high < high:
        return HOLDS
    return FAILS if value.high <= low or value.low >= high else OPEN


def agrees(value: Value, paper: float, difference: bool) -> str:
    """``does not hold`` where the interval leaves the paper's number out; ``undecided`` where it has 0 in it as well.

    Args:
        value: the measured number.
        paper: the paper's.
        difference: whether 0 would mean that there is no effect.
    """
    if not value.low <= paper <= value.high:
        return FAILS
    return HOLDS if finite(value) and not (difference and value.low <= 0 <= value.high) else OPEN


def combine(verdicts: list[str]) -> str:
    """The verdict on a sentence about several rows."""
    for verdict in (FAILS, UNTESTED, OPEN):  # one that fails is enough, whatever else was not run
        if verdict in verdicts:
            return verdict
    return HOLDS if verdicts else UNTESTED


def part_of(label: str, make: Callable[..., Part], *given: Any) -> Part:
    """``make(*given)``, or why it cannot be tested."""
    try:
        return make(*given)
    except Untested as reason:
        return Part(label, UNTESTED, why=str(reason))


def name_of(term: str, metric: str = "") -> str:
    """``ROW`` of ``TABLE/ROW``, with the metric where one is named."""
    row, _, own = term.split("/", 1)[1].partition("@")
    return ", ".join(filter(None, [row, (own or metric).removeprefix("top1/")]))


def _gain(evidence: Evidence, pair: tuple[str, str], metric: str, curve: str = "") -> Value:
    """How far the first of two rows lies above the second."""
    if evidence.key(pair[0]) == evidence.key(pair[1]) and "@" not in "".join(pair):
        raise Untested(f"one run at this profile: {name_of(pair[0])} and {name_of(pair[1])}")
    paired = None if curve else _paired(evidence, pair, metric)
    first, second = (evidence.last(term, curve) if curve else evidence.value(term, metric) for term in pair)
    (theirs, mine), (others, other) = (evidence.starts(term) for term in pair)
    if theirs == others and mine != other:
        raise Untested(f"from other start weights here than what it is held against: {name_of(pair[1])}")
    return paired or first - second


def _paired(evidence: Evidence, pair: tuple[str, str], metric: str) -> Value | None:
    """The difference as notebooks 14 to 16 give it, over the same images or seeds; ``None`` where they do not."""
    (table, first), (other, second) = (term.split("/", 1) for term in pair)
    if table != other or "@" in "".join(pair) or not is_compared(table):
        return None
    head = recipes.load_table(table)
    frame = evidence.once(f"effects of {table}", lambda: effects(int(head.table), evidence.profile))
    for after, before, sign in ((first, second, 1), (second, first, -1)):
        mine = frame[(frame["after"] == after) & (frame["before"] == before)]
        for line in mine[mine["metric"] == (metric or head.metric)].to_dict("records"):
            middle, *ends = (sign * float(line[name]) for name in ("measured", "low", "high"))
            value = Value(middle, min(ends), max(ends))
            if finite(value):
                return replace(value, n=int(line["seeds"]))
    return None


def _paper_gain(pair: tuple[str, str], metric: str) -> float | None:
    first, second = (papers(term, metric) for term in pair)
    return None if first is None or second is None else first - second


def _pairs(claim: "Claim", pairs: list[tuple[str, str]]) -> Iterator[tuple[str, tuple[str, str], str]]:
    for pair in pairs:
        for metric in claim.metrics or ("",):
            yield f"{name_of(pair[0])} over {name_of(pair[1], metric)}", pair, metric


def _above(evidence: Evidence, claim: "Claim", pairs: list[tuple[str, str]]) -> list[Part]:
    unit = "dimensions" if claim.curve else "points"

    def part(label: str, pair: tuple[str, str], metric: str) -> Part:
        value = _gain(evidence, pair, metric, claim.curve)
        paper = None if claim.curve else _paper_gain(pair, metric)
        return Part(label, within(value, 0, inf), value, unit, paper)

    return [part_of(given[0], part, *given) for given in _pairs(claim, pairs)]


def above(evidence: Evidence, claim: "Claim") -> list[Part]:
    """The first row of each pair lies above the second."""
    return _above(evidence, claim, list(claim.pairs))


def ordered(evidence: Evidence, claim: "Claim") -> list[Part]:
    """The rows fall from the first to the last."""
    return _above(evidence, claim, list(pairwise(claim.rows)))


def best(evidence: Evidence, claim: "Claim") -> list[Part]:
    """Each row lies above every other of its table that is no control, and no other network."""
    pairs = []
    for term in claim.rows:
        table, mine = term.split("/", 1)
        if table not in recipes.trainable():
            return [Part(term, UNTESTED, why=f"no recipe yet: {table}")]
        rows = [row for row in recipes.load_table(table).rows if not row.control and not row.own_backbone]
        others = [row.id for row in rows if row.id != mine]
        pairs += [(term, f"{table}/{other}") for other in others]
    return _above(evidence, claim, pairs)


def alike(evidence: Evidence, claim: "Claim") -> list[Part]:
    """The rows of each pair differ by less than the larger of the paper's own two spreads over seeds."""

    def part(label: str, pair: tuple[str, str], metric: str) -> Part:
        value = _gain(evidence, pair, metric)
        numbers = [recipes.load_table(table).row(row).paper for table, row in (term.split("/", 1) for term in pair)]
        margin = max((number.std or 0.0) if number else 0.0 for number in numbers)
        return Part(label, within(value, -margin, margin), value, paper=_paper_gain(pair, metric))

    return [part_of(given[0], part, *given) for given in _pairs(claim, list(claim.pairs))]


def _numbers(evidence: Evidence, claim: "Claim", judge: Callable[[Value, float | None, bool], str]) -> list[Part]:
    """Gains of the claim's pairs and accuracies of its rows, each judged."""

    def gain(label: str, pair: tuple[str, str], metric: str) -> Part:
        value, paper = _gain(evidence, pair, metric), _paper_gain(pair, metric)
        return Part(label, judge(value, paper, True), value, paper=paper)

    def level(label: str, term: str, metric: str) -> Part:
        value, paper = evidence.value(term, metric), papers(term, metric)
        return Part(label, judge(value, paper, False), value, "%", paper)

    levels = [(name_of(term, metric), term, metric) for term in claim.rows for metric in claim.metrics or ("",)]
    gains = [part_of(given[0], gain, *given) for given in _pairs(claim, list(claim.pairs))]
    return gains + [part_of(given[0], level, *given) for given in levels]


def amount(evidence: Evidence, claim: "Claim") -> list[Part]:
    """The measured number agrees with the one that the paper's table gives."""

    def judge(value: Value, paper: float | None, difference: bool) -> str:
        if paper is None:
            raise Untested("the paper prints no number for it")
        return agrees(value, paper, difference)

    return _numbers(evidence, claim, judge)


def between(evidence: Evidence, claim: "Claim") -> list[Part]:
    """The measured numbers lie between the two that the sentence names."""
    assert claim.between is not None
    low, high = claim.between
    return _numbers(evidence, claim, lambda value, paper, difference: within(value, low, high))
