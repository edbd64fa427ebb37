"""Checks of a claim on curves: both sides, neither, and fewer than three seeds."""

from collections.abc import Sequence

import pandas as pd
import pytest

from marsnb.results.claims import FAILS, HOLDS, OPEN, UNTESTED, Claim, Evidence, Judged, judge_one
from marsnb.results.claims.courses import COLLAPSED, drop_at, settled
from marsnb.training import ledger
from marsnb.training.spec import row_runs
from tests.fake import ledger as fake
from tests.fake import segmentation_ledger

RANK, SCORE = "effective_rank", "test/top1"
ROWS = ["table04/moco-ls"]
PAIRS = [["table04/moco-ls", "table04/moco-lu"]]
SEGMENTED = [["table09/final", "table09/baseline"]]
STEPS = {"final": ("pretrain", "joint", "pseudo"), "baseline": ("ce", "ce")}


def judged(check: str, kind: str = "direction", **fields: object) -> Judged:
    claim = Claim.model_validate({"id": "x", "section": "6", "quote": "q", "kind": kind, "check": check, **fields})
    return judge_one(claim, Evidence("lite"))


def key(number: int, row: str) -> str:
    return next(key for one, key, _ in row_runs(number, "lite") if one.id == row)


def write(keep: pd.DataFrame, new: list[dict]) -> None:
    pd.concat([keep, pd.DataFrame(new)]).to_csv(ledger.curves_path("lite"), index=False)


def curve(row: str, metric: str, seeds: Sequence[Sequence[float]]) -> None:
    """Give a row of Table 4 these values, seed by seed, in the place of one of its curves."""
    frame, run = ledger.read_curves("lite"), key(4, row)
    mine = frame["run_id"].str.startswith(f"{run}-") & (frame["metric"] == metric)
    write(frame[~mine], [
        {"run_id": f"{run}-abc123-s{seed}", "epoch": epoch, "metric": metric, "value": value}
        for seed, values in enumerate(seeds) for epoch, value in enumerate(values, 1)
    ])  # fmt: skip


@pytest.fixture(autouse=True)
def _filled() -> None:
    fake.fill("lite", seeds=3)


@pytest.mark.parametrize(("ends", "expected"), [([2, 2, 3], HOLDS), ([50, 60, 55], FAILS), ([2, 50, 30], OPEN)])
def test_collapse(ends: list[float], expected: str) -> None:
    curve("moco-ls", RANK, [[30, end] for end in ends])
    assert judged("collapse", "mechanism", rows=ROWS, curve=RANK).verdict == expected


def test_one_seed_does_not_show_a_collapse() -> None:
    fake.fill("lite", number=6)
    item = judged("collapse", "mechanism", rows=["table06/ls-0.3"], curve=RANK)
    assert (item.verdict, item.why) == (OPEN, "one seed, and a verdict needs 3")


def test_where_a_curve_ends_is_known_of_seeds_that_were_scored_there_alone() -> None:
    curve("moco-ls", RANK, [[30, 20, 2], [2], [2]])
    frame = ledger.read_curves("lite")
    late = frame["run_id"].str.contains(f"{key(4, 'moco-ls')}-abc123-s[12]") & (frame["metric"] == RANK)
    frame.loc[late, "epoch"] = 3
    frame.to_csv(ledger.curves_path("lite"), index=False)
    item = judged("collapse", "mechanism", rows=ROWS, curve=RANK)
    assert item.verdict == HOLDS and item.measured.endswith("n = 3")


@pytest.mark.parametrize(
    ("with_it", "without", "expected"),
    [(50, 2, HOLDS), (2, 2, FAILS), (COLLAPSED, 2, OPEN), (50, 50, UNTESTED)],
)
def test_rescue(with_it: float, without: float, expected: str) -> None:
    curve("moco-ls", RANK, [[with_it] * 2] * 3)
    curve("moco-lu", RANK, [[without] * 2] * 3)
    item = judged("rescue", "mechanism", pairs=PAIRS, curve=RANK)
    assert item.verdict == expected and ("nothing to prevent" in item.why) == (expected == UNTESTED)


@pytest.mark.parametrize(
    ("ends", "expected"), [([0.8, 0.9, 0.85], HOLDS), ([0.3, 0.2, 0.25], FAILS), ([0.3, 0.9, 0.6], OPEN)]
)
def test_rises(ends: list[float], expected: str) -> None:
    curve("moco-ls", SCORE, [[0.5, end] for end in ends])
    assert judged("rises", rows=ROWS, curve=SCORE).verdict == expected


def test_above_compares_where_curves_end() -> None:
    curve("moco-ls", RANK, [[1, 60], [1, 61], [1, 62]])
    curve("moco-lu", RANK, [[90, 50], [90, 51], [90, 52]])
    item = judged("above", "mechanism", pairs=PAIRS, curve=RANK)
    assert item.verdict == HOLDS and item.measured.startswith("10.00 dimensions")


def test_settled_is_the_first_epoch_that_stays_near_to_the_end() -> None:
    values = pd.Series([0, 0.96, 0.5, 0.96, 0.995, 1], index=range(1, 7))
    assert (settled(values, 0.05), settled(values, 0.01), settled(values, 2.0)) == (4, 5, 1)


def test_drop_is_from_the_last_value_before_to_the_first_after() -> None:
    values = pd.Series([0.5, 0.7, 0.4, 0.6], index=range(1, 5))
    assert drop_at(values, 2.5) == pytest.approx(0.3) and drop_at(values, 0.5) is None


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([[0, 0, 0, 0, 0, 1]] * 3, HOLDS),
        ([[1, 1, 1, 1, 1, 1]] * 3, FAILS),
        ([[0, 0, 0, 0, 0, 1], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0.96, 0.995, 1]], OPEN),
    ],
)
def test_sooner(others: list[list[float]], expected: str) -> None:
    curve("moco-ls", SCORE, [[0, 0.5, 0.6, 0.96, 0.995, 1]] * 3)  # within 5 % from epoch 4 on, within 1 % from epoch 5
    curve("moco-lu", SCORE, others)
    assert judged("sooner", pairs=PAIRS, curve=SCORE).verdict == expected


def scores(row: str, seeds: Sequence[Sequence[float]], metric: str = "test/miou") -> None:
    """Give a row of Table 9 these values, from its first epoch with cross entropy on; pretraining scores 1."""
    frame, run = ledger.read_curves("lite"), key(9, row)
    length = len(seeds[0]) // 2
    before = length if row == "final" else 0
    parts = []
    for seed, values in enumerate(seeds):
        lines = pd.DataFrame(segmentation_ledger.curve_lines(f"{run}-abc123-s{seed}", STEPS[row], length, 1.0))
        lines.loc[lines["metric"] == metric, "value"] = [1.0] * before + list(values)
        parts.append(lines)
    write(frame[~frame["run_id"].str.startswith(f"{run}-")], pd.concat(parts).to_dict("records"))


FLAT = [0.5, 0.55, 0.6, 0.6, 0.6, 0.6]


@pytest.fixture
def epochs_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of Table 9 with three epochs in each step, as the values below have."""
    from marsnb.results import epochs

    runs = epochs.row_runs
    monkeypatch.setattr(
        epochs,
        "row_runs",
        lambda *of: [(row, key, spec.model_copy(update={"epochs": 3})) for row, key, spec in runs(*of)],
    )
    segmentation_ledger.fill("lite", 9, seeds=3)


@pytest.mark.usefixtures("epochs_of_three")
@pytest.mark.parametrize(
    ("values", "control", "expected"),
    [
        ([[0.5, 0.6, 0.7, 0.4, 0.6, 0.8]] * 3, FLAT, HOLDS),
        ([[0.5, 0.6, 0.7, 0.8, 0.9, 1]] * 3, FLAT, FAILS),
        ([[0.5, 0.6, 0.7, after, 0.6, 0.8] for after in (0.4, 0.72, 0.8)], FLAT, OPEN),
        ([[0.5, 0.6, 0.7, 0.4, 0.6, 0.8]] * 3, [0.5, 0.6, 0.8, 0.3, 0.6, 0.8], FAILS),  # both fall there
    ],
)
def test_dip(values: list[list[float]], control: list[float], expected: str) -> None:
    scores("final", values)
    scores("baseline", [control] * 3)
    assert judged("dip", pairs=SEGMENTED, curve="test/miou").verdict == expected


@pytest.mark.usefixtures("epochs_of_three")
def test_dip_needs_an_epoch_on_both_sides() -> None:
    curves = ledger.read_curves("lite")
    run = curves["run_id"].str.startswith(key(9, "final"))
    gone = run & (curves["metric"] == "test/miou") & (curves["epoch"] <= 6)
    curves[~gone].to_csv(ledger.curves_path("lite"), index=False)
    assert "too few" in judged("dip", pairs=SEGMENTED, curve="test/miou").why


@pytest.mark.usefixtures("epochs_of_three")
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[0.5, 0.65, 0.7, 0.7, 0.7, 0.7]] * 3, HOLDS),
        ([[0.4, 0.4, 0.4, 0.5, 0.5, 0.5]] * 3, FAILS),
        ([[0.4, 0.4, 0.4, 0.5, 0.7, 0.7]] * 3, FAILS),  # not before pseudo labels join
        ([[0.7] * 6, [0.4, 0.4, 0.4, 0.5, 0.7, 0.7], [0.5] * 6], OPEN),
    ],
)
def test_quick(values: list[list[float]], expected: str) -> None:
    scores("final", values)
    scores("baseline", [FLAT] * 3)
    assert judged("quick", pairs=SEGMENTED, curve="test/miou").verdict == expected


@pytest.mark.usefixtures("epochs_of_three")
@pytest.mark.parametrize(("last", "expected"), [(0.8, HOLDS), (0.6, FAILS)])
def test_rises_since_pseudo_labels_joined(last: float, expected: str) -> None:
    scores("final", [[0.2, 0.5, 0.7, last, last, last + off] for off in (0, 0.01, 0.02)])
    assert judged("rises", rows=["table09/final"], curve="test/*", metrics=["miou"]).verdict == expected
    curves = ledger.read_curves("lite")
    early = (curves["epoch"] <= 6) & (curves["metric"] == "test/miou")  # three of pretraining, three of both losses
    curves[~early].to_csv(ledger.curves_path("lite"), index=False)
    why = judged("rises", rows=["table09/final"], curve="test/*", metrics=["miou"]).why
    assert why == "no epoch before pseudo labels was scored: Final Method"
