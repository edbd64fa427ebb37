"""Where the paper's words on the data and on classification meet its own numbers, computed from the recipes."""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from scipy import stats

from marsnb import recipes
from marsnb.recipes import Paper
from marsnb.report import areas, counts
from marsnb.report.claims import load
from marsnb.report.evidence import papers
from marsnb.training.spec import row_runs

PAPER_RUNS = 3
"""Runs behind the paper's means (section 6.2)."""
FEATURES = 2048
"""Width of a ResNet-50's features, which the heads H_s and H_u begin from."""


@dataclass(frozen=True)
class Point:
    """One point on which the paper does not fit itself, or a check on which it does.

    Attributes:
        where: sections and tables.
        says: what the paper says.
        gives: what its own numbers give.
        fits: whether they agree; ``None`` where that depends on how one reads it.
    """

    where: str
    says: str
    gives: str
    fits: bool | None = False


def _table(number: int) -> dict[str, Paper]:
    return {row.id: row.paper for row in recipes.load_table(number).rows if row.paper}


def number(term: str, metric: str = "") -> float:
    """The paper's number for ``TABLE/ROW``, percent."""
    value = papers(term, metric)
    assert value is not None, term
    return value


def images_used() -> Point:
    """How many images Table 2's areas are."""
    head = areas.recipe()
    labelled = sum(map(sum, head["rows"].values()))
    images = labelled / (1 - head["unlabelled"] / 100) / head["edge"] ** 2
    return Point(
        "3, 5.2, Table 2", '"35K images from Curiosity, Opportunity, and Spirit Rovers"',
        f"Table 2 adds up to {labelled:.4g} labelled pixels; with {head['unlabelled']} % unlabelled, {images:,.0f} "
        f"images of {head['edge']}²: Curiosity's Navcam alone has {head['pairs']:,} labelled ones.",
    )  # fmt: skip


def table_1_sums() -> Point:
    """Whether Table 1 adds up."""
    rows = np.array(list(counts.paper_counts()[1].values()))
    says = next(claim.says for claim in load() if claim.id == "images")
    seen, test = rows.sum(axis=0)
    return Point(
        "3, Table 1", f'"collected {says:.0f} images"', f"{seen} + {test} = {seen + test}", seen + test == says
    )


def other_methods() -> Point:
    """How many methods Table 3 compares with."""
    rows = [row for row in recipes.load_table(3).rows if row.family not in ("Baseline", "Ours")]
    names = {row.label.split(",")[0].split(" +")[0] for row in rows}
    return Point(
        "6.2, Table 3", '"the other ten related methods"',
        f"Table 3 has {len(rows)} rows beside baselines and ours, of {len(names)} methods.",
    )  # fmt: skip


def second_best() -> Point:
    """The margin over the second best."""
    rows = _table(3)
    ours = rows["ours"].mean
    second = max((row for row in rows if row != "ours"), key=lambda row: rows[row].mean)
    label = recipes.load_table(3).row(second).label
    return Point(
        "6.2, Table 3", '"10.99% higher than the second-best methods Triplet loss"',
        f"{ours} - {rows['triplet'].mean} = {ours - rows['triplet'].mean:.2f}, but the second best is {label}: "
        f"{ours} - {rows[second].mean} = {ours - rows[second].mean:.2f}.",
    )  # fmt: skip


def rate() -> Point:
    """How far Adam can move a weight at the paper's rate."""
    spec: Any = next(spec for row, _, spec in row_runs(3, "paper") if row.id == "ours")
    steps = int(np.ceil(sum(seen for seen, _ in counts.paper_counts()[1].values()) / spec.batch_labelled))
    edges = (0, *spec.milestones, spec.epochs)
    rates = [spec.lr_projection * spec.lr_decay**i for i in range(len(edges) - 1)]
    way = sum(steps * (b - a) * r for a, b, r in zip(edges[:-1], edges[1:], rates, strict=True))
    return Point(
        "6.1", "1e-6 for the heads H_s and H_u, which begin from random weights",
        f"{steps} steps an epoch; Adam moves a weight by about the rate a step, so by no more than {way:.4f} in all "
        f"{spec.epochs} epochs, where fresh weights of {FEATURES} inputs spread over ±{1 / sqrt(FEATURES):.4f}.", None,
    )  # fmt: skip


def start_weights() -> Point:
    """What "removing MoCo" starts from."""
    one, two = number("table04/ls-lu"), number("table05/resnet50-ours")
    return Point(
        "6.3, Tables 4, 5", '"removing MoCo V2 pretraining degrades performance"',
        f"Table 4 without MoCo is {one}, Table 5's ResNet-50 from ImageNet labels is {two}: so nothing is removed, the "
        "start weights are exchanged.", None if one == two else False,
    )  # fmt: skip


def lightweight() -> Point:
    """Whether both lightweight networks are worse than ResNet-50."""
    base, light = number("table05/resnet50-baseline"), number("table05/mobilenet-v2-baseline")
    return Point(
        "6.3, Table 5", '"Two lightweight models perform worse than ResNet-50"',
        f"As baselines, MobileNet V2 has {light:.2f} and ResNet-50 {base:.2f}.", light < base,
    )  # fmt: skip


def sweep() -> Point:
    """Whether the best weights are told apart from the next ones."""
    texts = []
    for table in (6, 7):
        rows = recipes.load_table(table).rows
        first, second = sorted((row for row in rows if row.paper), key=lambda row: -row.paper.mean)[:2]  # type: ignore[union-attr]
        a, b = first.paper, second.paper
        assert a is not None and b is not None
        p = stats.ttest_ind_from_stats(a.mean, a.std, PAPER_RUNS, b.mean, b.std, PAPER_RUNS, equal_var=False).pvalue
        texts.append(f"{first.label} {a.mean} ± {a.std}, {second.label} {b.mean} ± {b.std}: p = {p:.2f}")
    return Point(
        "6.3, Tables 6, 7", "λ_s = 1 and λ_u = 0.2 achieve the best performance",
        f"By Welch's test over {PAPER_RUNS} runs each, {'; '.join(texts)}. The next ones are not told apart.", None,
    )  # fmt: skip


def gains() -> Point:
    """Differences that the text names, from the tables."""
    pairs = {
        "2.28": ("table04/moco", "table04/baseline"), "4.93": ("table04/moco", "table04/moco-strong"),
        ">5": ("table03/ours", "table03/sscl"), "3~6 (lowest)": ("table03/focal", "table03/resnet50"),
        "3~6 (highest)": ("table03/triplet", "table03/resnet50"),
    }  # fmt: skip
    found = [
        f"{says}: {number(a):.2f} - {number(b):.2f} = {number(a) - number(b):.2f}" for says, (a, b) in pairs.items()
    ]
    return Point("6.2, 6.3, Tables 3, 4", "gains of 2.28, 4.93, >5 and 3~6 points", "; ".join(found) + ".", fits=True)


POINTS = (
    table_1_sums, gains, images_used, other_methods, second_best, rate, start_weights, lightweight, sweep,
)  # fmt: skip
