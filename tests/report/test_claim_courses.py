"""Checks of a claim on curves, costs and counts: both sides, and neither."""

from types import ModuleType

import pandas as pd
import pytest

from marsnb import paths
from marsnb.report import inconsistencies
from marsnb.report.claim_checks import FAILS, HOLDS, OPEN, UNTESTED
from marsnb.report.claims import Claim, Judged, judge_one
from marsnb.report.evidence import Evidence, printed
from marsnb.report.explain import COLLAPSED
from marsnb.report.figures import figure
from marsnb.training import ledger
from tests.fake import segmentation_ledger

RANK, SCORE = "effective_rank", "test/top1"
ROWS = ["table04/moco-ls"]
PAIRS = [["table04/moco-ls", "table04/moco-lu"]]


def judged(check: str, kind: str = "direction", **fields: object) -> Judged:
    claim = Claim.model_validate({"id": "x", "section": "6", "quote": "q", "kind": kind, "check": check, **fields})
    return judge_one(claim, Evidence("lite"))


@pytest.fixture(autouse=True)
def _filled(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite")


def curve(row: str, metric: str, values: list[float]) -> None:
    key, frame = Evidence("lite").key(f"table04/{row}"), ledger.read_curves("lite")
    mine = frame["run_id"].str.startswith(f"{key}-") & (frame["metric"] == metric)
    new = [{"run_id": f"{key}-abc123-s0", "epoch": i, "metric": metric, "value": v} for i, v in enumerate(values, 1)]
    pd.concat([frame[~mine], pd.DataFrame(new)]).to_csv(ledger.curves_path("lite"), index=False)


@pytest.mark.parametrize(("late", "expected"), [([2, 2], HOLDS), ([50, 50], FAILS), ([2, 50], OPEN)])
def test_collapse(late: list[float], expected: str) -> None:
    curve("moco-ls", RANK, [30, *late])
    assert judged("collapse", "mechanism", rows=ROWS, curve=RANK).verdict == expected


@pytest.mark.parametrize(
    ("with_it", "without", "expected"),
    [(50, 2, HOLDS), (2, 2, FAILS), (COLLAPSED, 2, FAILS), (50, 50, UNTESTED)],
)
def test_rescue(with_it: float, without: float, expected: str) -> None:
    curve("moco-ls", RANK, [with_it] * 4)
    curve("moco-lu", RANK, [without] * 4)
    item = judged("rescue", "mechanism", pairs=PAIRS, curve=RANK)
    assert item.verdict == expected and ("nothing to prevent" in item.why) == (expected == UNTESTED)


@pytest.mark.parametrize(("last", "expected"), [([0.8, 0.9], HOLDS), ([0.3, 0.2], FAILS), ([0.3, 0.9], OPEN)])
def test_rises(last: list[float], expected: str) -> None:
    curve("moco-ls", SCORE, [0.5, *last])
    assert judged("rises", rows=ROWS, curve=SCORE).verdict == expected


@pytest.mark.parametrize(
    ("other", "expected"),
    [([0, 0, 0, 0, 0, 1], HOLDS), ([1, 1, 1, 1, 1, 1], FAILS), ([0, 0.2, 0.96, 0.96, 0.98, 1], OPEN)],
)
def test_sooner(other: list[float], expected: str) -> None:
    curve("moco-ls", SCORE, [0, 0.5, 0.6, 0.96, 0.995, 1])  # within 5 % from epoch 4 on, within 1 % from epoch 5 on
    curve("moco-lu", SCORE, other)
    assert judged("sooner", pairs=PAIRS, curve=SCORE).verdict == expected


SEGMENTED = [["table09/final", "table09/baseline"]]
STEPS = {"final": ("pretrain", "joint", "pseudo"), "baseline": ("ce", "ce")}


def scores(row: str, values: list[float], metric: str = "test/miou") -> None:
    """Give a row of Table 9 these values, from its first epoch with cross entropy on; pretraining scores 1."""
    key, frame = Evidence("lite").key(f"table09/{row}"), ledger.read_curves("lite")
    length = len(values) // 2
    before = length if row == "final" else 0
    lines = segmentation_ledger.curve_lines(f"{key}-abc123-s0", STEPS[row], length, 1.0)
    curves = pd.DataFrame(lines)
    at = curves["metric"] == metric
    curves.loc[at, "value"] = [1.0] * before + values
    pd.concat([frame[~frame["run_id"].str.startswith(f"{key}-")], curves]).to_csv(
        ledger.curves_path("lite"), index=False
    )


FLAT = [0.5, 0.55, 0.6, 0.6, 0.6, 0.6]


@pytest.mark.parametrize(
    ("values", "control", "expected"),
    [
        ([0.5, 0.6, 0.7, 0.4, 0.6, 0.8], FLAT, HOLDS),
        ([0.5, 0.6, 0.7, 0.8, 0.9, 1], FLAT, FAILS),
        ([0.5, 0.7, 0.6, 0.5, 0.4, 0.5], FLAT, OPEN),
        ([0.5, 0.6, 0.7, 0.4, 0.6, 0.8], [0.5, 0.6, 0.8, 0.3, 0.6, 0.8], FAILS),  # both fall there
    ],
)
def test_dip(values: list[float], control: list[float], expected: str) -> None:
    segmentation_ledger.fill("lite", 9)
    scores("final", values)
    scores("baseline", control)
    assert judged("dip", pairs=SEGMENTED, curve="test/miou").verdict == expected


def test_dip_needs_epochs_on_both_sides() -> None:
    segmentation_ledger.fill("lite", 9)
    scores("final", [0.5, 0.6])
    assert "too few" in judged("dip", pairs=SEGMENTED, curve="test/miou").why


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.5, 0.65, 0.7, 0.7, 0.7, 0.7], HOLDS),
        ([0.4, 0.4, 0.4, 0.5, 0.5, 0.5], FAILS),
        ([0.4, 0.4, 0.4, 0.5, 0.7, 0.7], FAILS),  # not before pseudo labels join
    ],
)
def test_quick(values: list[float], expected: str) -> None:
    segmentation_ledger.fill("lite", 9)
    scores("final", values)
    scores("baseline", FLAT)
    assert judged("quick", pairs=SEGMENTED, curve="test/miou").verdict == expected


def test_quick_is_undecided_where_the_end_of_the_other_curve_is() -> None:
    segmentation_ledger.fill("lite", 9)
    scores("final", [0.5, 0.65, 0.7, 0.7, 0.7, 0.7])
    scores("baseline", [0.5, 0.55, 0.6, 0.3, 0.6, 0.6])
    item = judged("quick", pairs=SEGMENTED, curve="test/miou")
    assert item.verdict == OPEN and item.measured.startswith("+1.50 [-3.50, +2.50] epochs")


@pytest.mark.parametrize(
    ("late", "expected"), [([0.8, 0.8, 0.81], HOLDS), ([0.6, 0.6, 0.61], FAILS), ([0.6, 0.7, 0.8], OPEN)]
)
def test_rises_since_pseudo_labels_joined(late: list[float], expected: str) -> None:
    segmentation_ledger.fill("lite", 9)
    scores("final", [0.2, 0.5, 0.7, *late])
    assert judged("rises", rows=["table09/final"], curve="test/*", metrics=["miou"]).verdict == expected
    curves = ledger.read_curves("lite")
    early = (curves["epoch"] <= 6) & (curves["metric"] == "test/miou")  # three of pretraining, three of both losses
    curves[~early].to_csv(ledger.curves_path("lite"), index=False)
    why = judged("rises", rows=["table09/final"], curve="test/*", metrics=["miou"]).why
    assert why == "no epoch before pseudo labels was scored: final"


@pytest.mark.parametrize(
    ("speed", "memory", "device", "expected"),
    [(25, 2, "cpu", HOLDS), (100, 2, "cpu", FAILS), (25, 0.5, "cpu", FAILS), (25, 2, "gpu", UNTESTED)],
)
def test_cost(fake_ledger: ModuleType, speed: float, memory: float, device: str, expected: str) -> None:
    key = Evidence("lite").key("table04/moco-ls")
    lines = fake_ledger.run_lines(key, images_per_s=speed, peak_memory=memory, device=device)
    ledger.append("lite", lines, [])
    assert judged("cost", pairs=PAIRS).verdict == expected


def test_shares_and_totals() -> None:
    assert "not measured at this profile" in judged("total", "data", total="images", says=30).why
    table = pd.DataFrame({
        "row": ["a", "a", "b", "b"], "column": ["Train/Val", "Test"] * 2, "metric": "images",
        "paper_mean": [10, 5, 10, 5], "measured_mean": [10, 0, 10, 10],
    })  # fmt: skip
    paths.figures("lite").mkdir(parents=True, exist_ok=True)
    table.to_csv(paths.figures("lite") / "table01.csv", index=False)
    assert judged("total", "data", total="images", says=30).verdict == HOLDS
    assert judged("total", "data", total="images", says=31).verdict == FAILS
    assert judged("total", "data", total="test classes", says=1).verdict == HOLDS
    share = {"table": 1, "check": "shares"}
    assert judged("shares", "data", table=1, classes={"a": "down"}).verdict == OPEN  # as far off the paper's as it fell
    table["paper_mean"] = table["measured_mean"]
    table.to_csv(paths.figures("lite") / "table01.csv", index=False)
    assert judged(**share, kind="data", classes={"a": "down", "b": "up"}).verdict == HOLDS  # type: ignore[arg-type]
    assert judged(**share, kind="data", classes={"a": "up"}).verdict == FAILS  # type: ignore[arg-type]


def test_early_pairs_are_a_share_with_an_interval() -> None:
    paths.figures("lite").mkdir(parents=True, exist_ok=True)
    counts = pd.DataFrame({"train_val_images": [600], "test_images": [400]})
    counts.to_csv(paths.figures("lite") / "fig02b.csv", index=False)
    assert judged("total", "data", total="early pairs", says=60).verdict == HOLDS
    assert judged("total", "data", total="early pairs", says=70).verdict == FAILS


def test_the_paper_against_itself() -> None:
    by_name = {point.says: point for point in inconsistencies.points()}
    text = " ".join(point.gives for point in by_name.values())
    for expected in (
        "95.86 - 90.81 = 5.05",
        "5386 + 1305 = 6691",
        "16,388 images",
        "of 13 methods",
        "Table 8 prints 88.82, Table 9 has ACC 94.02",
        "ACC +0.96",
        "268 million",
    ):
        assert expected in text
    fits = {point.says for point in by_name.values() if point.fits}
    assert '"collected 6691 images"' in fits and "gains of 2.28, 4.93, >5 and 3~6 points" in fits
    assert "5.05" in inconsistencies.markdown(fits=False)
    assert "✗" not in inconsistencies.markdown(fits=True)
    assert figure("facc", "lite").is_file()


def test_no_two_numbers_of_table_8_and_9_are_mixed_up() -> None:
    (point,) = [point for point in inconsistencies.points() if point.says.startswith("ACC of ours")]
    assert point.fits is False


def test_printed_tables_share_their_rows() -> None:
    final = list(printed("table09").loc["final"])
    assert final == list(printed("table10").loc["t-09"]) == list(printed("table11").loc["w-0001"])
    assert final[3] == printed("table08").at["ours", "miou"]
