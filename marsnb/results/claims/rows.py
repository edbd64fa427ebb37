"""Checks of a claim on what rows of tables reach."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from math import hypot, inf, sqrt

from scipy import stats

from marsnb import recipes
from marsnb.results.claims.evidence import Evidence, metric_of, name_of, paired, paper_of, printed
from marsnb.results.claims.model import UNTESTED, Claim, Pair, Part, Untested, equals, inside, part_of
from marsnb.results.intervals import COVERAGE, PERCENT, Value, over_seeds
from marsnb.results.ranks import PAPER_RUNS

Terms = tuple[str, ...]
RUNS_ARM = float(stats.t.ppf((1 + COVERAGE) / 2, PAPER_RUNS - 1)) / sqrt(PAPER_RUNS)
"""Half the 95 % interval of a mean of the paper's runs, in their standard deviations."""
POINT = 1.0  # half an interval that is narrow enough where the paper prints no spread: a point, or a class


def _paper_gain(pair: Terms, metric: str) -> float | None:
    first, second = (paper_of(term, metric) for term in pair)
    return None if first is None or second is None else first - second


def _pairs(claim: Claim, pairs: list[Pair]) -> Iterator[tuple[str, Pair, str]]:
    for pair in pairs:
        for metric in claim.metrics or ("",):
            yield _name(pair, metric), pair, metric


def _name(pair: Pair, metric: str) -> str:
    """What is compared; of one row in two metrics, these."""
    if len({term.partition("@")[0] for term in pair}) == 1:
        return " over ".join(metric_of(term) or "all images" for term in pair)
    return f"{name_of(pair[0])} over {name_of(pair[1], metric)}"


def _above(evidence: Evidence, claim: Claim, pairs: list[Pair]) -> list[Part]:
    def part(label: str, pair: Pair, metric: str) -> Part:
        if claim.curve:
            evidence.same_start(pair)
            value = paired(*(evidence.last(term, claim.curve) for term in pair))
            return inside(label, value, 0, inf, "dimensions")
        value = evidence.gain(pair, metric)
        if value.low == value.high == 0 and evidence.lines(pair[1], metric)["value"].min() >= PERCENT:
            raise Untested(f"nothing to gain, every test image is right without it: {name_of(pair[1], metric)}")
        return inside(label, value, 0, inf, paper=_paper_gain(pair, metric))

    return [part_of(given[0], part, *given) for given in _pairs(claim, pairs)]


def above(evidence: Evidence, claim: Claim) -> list[Part]:
    """The first row of each pair lies above the second."""
    return _above(evidence, claim, list(claim.pairs))


def ordered(evidence: Evidence, claim: Claim) -> list[Part]:
    """The rows fall from the first to the last."""
    return _above(evidence, claim, list(pairwise(claim.rows)))


def best(evidence: Evidence, claim: Claim) -> list[Part]:
    """Each row lies above every other of its table that is no control, and no other network."""
    pairs = []
    for term in claim.rows:
        table, mine = term.split("/", 1)
        if table not in recipes.trainable():
            return [Part(term, UNTESTED, why=f"no recipe yet: {table}")]
        rows = [row for row in recipes.load_table(table).rows if not row.control and not row.own_backbone]
        pairs += [(term, f"{table}/{row.id}") for row in rows if row.id != mine]
    return _above(evidence, claim, pairs)


def alike(evidence: Evidence, claim: Claim) -> list[Part]:
    """The rows of each pair differ by less than the larger of the paper's own two spreads over seeds."""

    def part(label: str, pair: Pair, metric: str) -> Part:
        value = evidence.gain(pair, metric)
        margin = max((number.std or 0.0) if (number := printed(term, metric)) else 0.0 for term in pair)
        return inside(label, value, -margin, margin, paper=_paper_gain(pair, metric))

    return [part_of(given[0], part, *given) for given in _pairs(claim, list(claim.pairs))]


def _numbers(evidence: Evidence, claim: Claim, judge: Callable[[str, Value, Terms, str], Part]) -> list[Part]:
    """Gains of the claim's pairs and accuracies of its rows, each judged: ``judge(label, value, terms, metric)``."""

    def gain(label: str, pair: Pair, metric: str) -> Part:
        return judge(label, evidence.gain(pair, metric), pair, metric)

    def level(label: str, term: str, metric: str) -> Part:
        return judge(label, evidence.value(term, metric), (term,), metric)

    levels = [(name_of(term, metric), term, metric) for term in claim.rows for metric in claim.metrics or ("",)]
    gains = [part_of(given[0], gain, *given) for given in _pairs(claim, list(claim.pairs))]
    return gains + [part_of(given[0], level, *given) for given in levels]


def _unit(terms: Terms) -> str:
    return "points" if len(terms) > 1 else "%"


def amount(evidence: Evidence, claim: Claim) -> list[Part]:
    """The measured number agrees with the one that the paper's table gives, and is as certain as it."""

    def judge(label: str, value: Value, terms: Terms, metric: str) -> Part:
        numbers = [number for term in terms if (number := printed(term, metric))]
        if len(numbers) < len(terms):
            raise Untested("the paper prints no number for it")
        spreads = [number.std for number in numbers if number.std is not None]
        arm = RUNS_ARM * hypot(*spreads) if len(spreads) == len(numbers) else POINT
        paper = numbers[0].mean - sum(number.mean for number in numbers[1:])
        return equals(label, value, paper, len(terms) > 1, _unit(terms), arm=arm)

    return _numbers(evidence, claim, judge)


def between(evidence: Evidence, claim: Claim) -> list[Part]:
    """The measured numbers lie between the two that the sentence names."""
    assert claim.between is not None
    low, high = claim.between

    def judge(label: str, value: Value, terms: Terms, metric: str) -> Part:
        paper = _paper_gain(terms, metric) if len(terms) == 2 else paper_of(terms[0], metric)
        return inside(label, value, low, high, _unit(terms), paper)

    return _numbers(evidence, claim, judge)


def perfect(evidence: Evidence, claim: Claim) -> list[Part]:
    """As many classes as the sentence names are right on every test image."""
    assert claim.says is not None
    says = claim.says

    def part(term: str) -> Part:
        mine = evidence.row(term)
        right = (mine["value"] >= PERCENT) & mine["metric"].str.startswith("top1/")
        value = over_seeds(list(right.groupby(mine["seed"]).sum().astype(float)))
        return equals(name_of(term), value, says, difference=False, unit="classes", arm=POINT)

    return [part_of(name_of(term), part, term) for term in claim.rows]


def untested(evidence: Evidence, claim: Claim) -> list[Part]:
    """Nothing in this project measures it; the claim says why."""
    return [Part("", UNTESTED, why=claim.why)]
