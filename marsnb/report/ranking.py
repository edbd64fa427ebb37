"""Do the methods come out in the paper's order? Rank correlations with intervals, in words."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from marsnb.report.layout import NAMES
from marsnb.report.measured import PERCENT, Line, lines
from marsnb.report.sentences import scale_note
from marsnb.report.tables import synthetic

FEWEST = 4
"""Methods below which an order is not tested: of 3 there are only 6 orders."""
PAPER_RUNS = 3
"""Runs behind the paper's means (section 6.2)."""
DRAWS = 10_000
NAMED = 6
"""Rows left out that a sentence names one by one; more are only counted."""
COVERAGE = 0.95
WIDTH = 2 * 1.959964
"""Of a 95 % interval, in standard deviations of a normal."""


@dataclass(frozen=True)
class Ranking:
    """How well the measured order of a table's rows agrees with the paper's.

    Attributes:
        table, profile: what was compared.
        rows: labels of the rows that were.
        shared: labels of rows left out because they share a run with a row above.
        missing: labels of rows that were not run.
        why_not: why nothing is said, where nothing is; the numbers are then ``None``.
        rho, tau: Spearman's rho and Kendall's tau-b of the means.
        rho_interval, tau_interval: their 95 % bootstrap intervals.
    """

    table: int
    profile: str
    rows: tuple[str, ...]
    shared: tuple[str, ...]
    missing: tuple[str, ...]
    why_not: str = ""
    rho: float | None = None
    tau: float | None = None
    rho_interval: tuple[float, float] | None = None
    tau_interval: tuple[float, float] | None = None

    @property
    def tested(self) -> bool:
        """Whether there was enough to test."""
        return not self.why_not

    @property
    def reproduces(self) -> bool | None:
        """Whether both intervals lie above 0; ``None`` where nothing was tested."""
        if self.rho_interval is None or self.tau_interval is None:
            return None
        return self.rho_interval[0] > 0 and self.tau_interval[0] > 0


def ranking(
    number: int,
    profile: str,
    draws: int = DRAWS,
    seed: int = 0,
    networks: bool = True,
    metric: str | None = None,
) -> Ranking:
    """Rank correlation of the paper's means and the measured ones over the rows of a table that are no controls.

    Rows that share a run at this profile are one point, the first of them: the others would only be ties.

    Args:
        number: the paper's number of the table.
        profile: name of the profile.
        draws: bootstrap draws.
        seed: of the draws.
        networks: whether rows that are about their network, and not about a method, are among them.
        metric: one of the table's; its first by default.
    """
    found = [line for line in lines(number, profile, metric) if networks or not line.row.own_backbone]
    rows = [line for line in found if line.paper and not line.row.control]
    done = [line for line in rows if line.measured]
    keys: dict[str, Line] = {}
    for line in done:
        keys.setdefault(line.key, line)
    kept = list(keys.values())
    shared = [line for line in done if line not in kept]
    missing = [line for line in rows if not line.measured]
    labels = [tuple(line.row.label for line in part) for part in (kept, shared, missing)]
    nothing = Ranking(number, profile, labels[0], labels[1], labels[2])
    x = np.array([line.paper.mean for line in kept if line.paper])
    y = np.array([line.measured.mean for line in kept if line.measured])
    why = _why_not(x, y, len(rows), synthetic(found))
    if why:
        return replace(nothing, why_not=why)
    rng = np.random.default_rng(seed)
    # (draws, methods): the means first, so that a method drawn twice is a tie and not two near neighbours
    xs, ys = redraw_paper(kept, draws, rng), redraw_measured(kept, draws, rng)
    chosen = rng.integers(len(kept), size=xs.shape)
    rhos, taus = correlations(np.take_along_axis(xs, chosen, 1), np.take_along_axis(ys, chosen, 1))
    return replace(
        nothing,
        rho=float(stats.spearmanr(x, y).statistic),
        tau=float(stats.kendalltau(x, y).statistic),
        rho_interval=_interval(rhos),
        tau_interval=_interval(taus),
    )


def _why_not(x: np.ndarray, y: np.ndarray, rows: int, generated: bool) -> str:
    if generated:
        return "the images are generated"
    if len(y) < FEWEST:
        return f"{len(y)} of {rows} rows have a run of their own, and an order of fewer than {FEWEST} says nothing"
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return "all rows have the same number"
    return ""


def redraw_paper(kept: list[Line], draws: int, rng: np.random.Generator) -> np.ndarray:
    """The paper's means redrawn from a normal with its standard error, as they are where it gives no spread.

    Shape:
        ``(draws, rows)``, percent.
    """
    papers = [line.paper for line in kept if line.paper]
    mean = np.array([paper.mean for paper in papers])
    error = np.array([paper.std or 0.0 for paper in papers]) / np.sqrt(PAPER_RUNS)
    return rng.normal(mean, error, size=(draws, len(papers)))


def redraw_measured(kept: list[Line], draws: int, rng: np.random.Generator) -> np.ndarray:
    """The measured means redrawn: several seeds from a normal of their mean, one seed from a binomial over test images.

    One seed of a metric over pixels is redrawn from a normal as wide as its interval. Each method's test images are
    drawn apart, although all saw the same ones: the intervals come out rather too wide than too narrow.

    Shape:
        ``(draws, rows)``, percent.
    """
    columns = []
    for line in kept:
        m = line.measured
        assert m is not None
        if m.std is not None:
            columns.append(rng.normal(m.mean, m.std / np.sqrt(m.n), size=draws))
        elif line.metric == "top1" and m.images:
            columns.append(PERCENT * rng.binomial(m.images, np.clip(m.mean / PERCENT, 0, 1), size=draws) / m.images)
        elif m.low is not None and m.high is not None:
            columns.append(rng.normal(m.mean, (m.high - m.low) / WIDTH, size=draws))
        else:
            columns.append(np.full(draws, m.mean))
    return np.stack(columns, axis=1)


def correlations(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spearman's rho and Kendall's tau-b of each line of two arrays; NaN where a line is constant.

    Shape:
        x, y: ``(draws, n)``; the results ``(draws,)``.
    """
    ranks = [stats.rankdata(values, axis=1) for values in (x, y)]
    ranks = [values - values.mean(axis=1, keepdims=True) for values in ranks]
    first, second = np.triu_indices(x.shape[1], k=1)
    signs = [np.sign(values[:, first] - values[:, second]) for values in (x, y)]  # (draws, pairs)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho, tau = ((a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1)) for a, b in (ranks, signs))
    return rho, tau


def _interval(values: np.ndarray) -> tuple[float, float]:
    low, high = np.nanquantile(values, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return float(low), float(high)


def ranking_text(number: int, profile: str, metric: str | None = None) -> str:
    """Whether the paper's order of a table's rows reproduces, as Markdown sentences.

    Args:
        number: the paper's number of the table.
        profile: name of the profile.
        metric: one of the table's; its first by default.
    """
    found = ranking(number, profile, metric=metric)
    left = []
    if found.shared:
        left.append(f"{len(found.shared)} sharing a run with a row above{_some(found.shared)}")
    if found.missing:
        left.append(f"{len(found.missing)} not run{_some(found.missing)}")
    out = f" Left out: {', and '.join(left)}." if left else ""
    by = f" by {NAMES[metric]}" if metric else ""
    head = f"{scale_note(profile)}**Order of the rows of Table {number}{by}:"
    if not found.tested:
        return f"{head} not tested**, because {found.why_not}.{out}"
    methods = ranking(number, profile, networks=False, metric=metric)
    others = [label for label in found.rows if label not in methods.rows]
    if others and methods.tested:
        out = (
            f" Without {', '.join(others)}, which is another network and no other method: ρ "
            f"{_number(methods.rho, methods.rho_interval)}, τ-b {_number(methods.tau, methods.tau_interval)}.{out}"
        )
    verdict = {
        True: "the paper's ranking reproduces**: the intervals lie above 0.",
        False: "whether the paper's ranking reproduces is open**: an interval includes 0.",
    }[bool(found.reproduces and (methods.reproduces or not others))]
    if max(_ends(found)) < 0:
        verdict = "the paper's ranking does not reproduce**: both intervals lie below 0, the order is rather reversed."
    return (
        f"{head} {verdict} Over {len(found.rows)} rows with runs of their own, Spearman's ρ between the paper's "
        f"numbers and the measured ones is {_number(found.rho, found.rho_interval)}, Kendall's τ-b "
        f"{_number(found.tau, found.tau_interval)} (1: the same order; 0: no relation). In brackets: 95 % bootstrap "
        f"interval, {DRAWS:,} draws over the rows and over the uncertainty of both sides' means.{out}"
    )


def _some(labels: tuple[str, ...]) -> str:
    return f" ({'; '.join(labels)})" if len(labels) <= NAMED else ""


def _ends(found: Ranking) -> tuple[float, float]:
    assert found.rho_interval is not None and found.tau_interval is not None
    return found.rho_interval[1], found.tau_interval[1]


def _number(value: float | None, interval: tuple[float, float] | None) -> str:
    assert value is not None and interval is not None
    return f"{value:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]"
