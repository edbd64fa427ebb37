"""Pseudo labels: coverage and precision from the curves, in figures, a table and sentences."""

from pathlib import Path

import pandas as pd
import pytest

from marsnb.errors import RecipeError
from marsnb.report import pseudo, pseudo_text
from marsnb.report.figures import figure
from marsnb.training import ledger
from marsnb.training.pixels import THRESHOLDS
from tests.fake import segmentation_ledger


def change(metric: str, epoch: int, value: float, run_id: str = "") -> None:
    """Put another value into the curves, of every run or of one."""
    curves = ledger.read_curves("lite")
    at = (curves["metric"] == metric) & (curves["epoch"] == epoch) & curves["run_id"].str.startswith(run_id)
    assert at.any()
    curves.loc[at, "value"] = value
    curves.to_csv(ledger.curves_path("lite"), index=False)


@pytest.fixture
def last() -> int:
    """Fill the ledger; the last epoch."""
    segmentation_ledger.fill("lite", 10)
    return int(ledger.read_curves("lite")["epoch"].max())


def test_the_metrics_are_taken_apart(last: int) -> None:
    frame = pseudo.seen("lite")
    assert pseudo.thresholds(frame) == sorted(THRESHOLDS, reverse=True)
    assert set(frame["class"]) == {pseudo.ALL, *segmentation_ledger.CLASSES}
    change("test/coverage@0.7", last, 0.4321)
    change("test/precision@0.99/sand", last, 0.5678)
    frame = pseudo.seen("lite")
    assert pseudo.mean(frame, "coverage", 0.7)[last] == pytest.approx(43.21)
    assert pseudo.mean(frame, "precision", 0.99, "sand")[last] == pytest.approx(56.78)
    assert pseudo.last(frame, "precision").loc["big rock"].isna().all()
    assert (pseudo.last(frame, "coverage").loc["big rock"] == 0).all()


def test_each_threshold_fills_in_a_run_of_its_own(last: int) -> None:
    key = next(run_id for run_id in ledger.measured("lite"))
    change("pseudo_share", last, 0.123, key)
    frame = pseudo.seen("lite")
    filled = [pseudo.filled_last(frame, threshold) for threshold in THRESHOLDS]
    assert sorted(filled) == pytest.approx([12.3, 90, 90, 90])


@pytest.mark.parametrize("name", ["pseudo_course", "pseudo_classes", "pseudo_trade"])
def test_figures_rebuild_to_the_byte(name: str, last: int) -> None:
    png = figure(name, "lite")
    files = [png.with_suffix(kind) for kind in (".csv", ".svg", ".png")]
    first = [path.read_bytes() for path in files]
    figure(name, "lite")
    assert first == [path.read_bytes() for path in files]
    assert b"SYNTHETIC" not in first[1]


@pytest.mark.parametrize("name", ["pseudo_course", "pseudo_classes", "pseudo_trade"])
def test_nothing_covered_is_drawn_as_nothing(name: str, last: int) -> None:
    curves = ledger.read_curves("lite")
    covered = curves["metric"].str.contains("coverage@")
    curves.loc[covered, "value"] = 0
    curves[~curves["metric"].str.contains("precision@")].to_csv(ledger.curves_path("lite"), index=False)
    assert Path(figure(name, "lite")).is_file()
    assert "nothing is covered" in pseudo_text.what_we_see("lite")
    assert "| 0.9 | 0.0 |  | 0.0 |  |" in pseudo_text.threshold_table("lite")


def test_a_run_that_is_missing_is_named() -> None:
    with pytest.raises(RecipeError, match="marsnb run --table 10 --profile lite"):
        figure("pseudo_course", "lite")


def test_the_table_has_the_papers_scores_and_the_share_of_errors(last: int) -> None:
    change("test/coverage@0.5", last, 0.6)
    change("test/precision@0.5", last, 0.75)
    line = next(line for line in pseudo_text.threshold_table("lite").splitlines() if line.startswith("| 0.5 |"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[3:6] == ["60.0", "75.0", "15.0"]  # a quarter of 60 % is wrong
    assert cells[-1] == "66.92"


def test_better_and_better_needs_both(last: int) -> None:
    for epoch in range(last - 3, last + 1):
        change("test/coverage@0.9", epoch, 0.5)
        change("test/precision@0.9", epoch, 0.97)
    assert "better and better, which would be both: **holds here** (" in pseudo_text.what_we_see("lite")
    change("test/precision@0.9", last, 0.96)  # now the end wavers, by less than it has gained
    assert "**holds here**" in pseudo_text.what_we_see("lite")
    change("test/precision@0.9", last, 0.86)
    assert "**undecided here**" in pseudo_text.what_we_see("lite")
    for epoch in range(last - 3, last + 1):
        change("test/precision@0.9", epoch, 0.2)
    assert "**does not hold here**" in pseudo_text.what_we_see("lite")


def test_what_a_lower_threshold_adds_is_judged_by_itself(last: int) -> None:
    for threshold, covered, right in ((0.99, 0.2, 1.0), (0.5, 0.6, 0.75)):
        change(f"test/coverage@{threshold}", last, covered)
        change(f"test/precision@{threshold}", last, right)
    text = pseudo_text.what_we_see("lite")
    assert "20.0 % become 60.0 % covered, and 0.0 become 15.0 wrong pixels" in text
    assert "adds, 62.5 % are right" in text  # 40 more pixels of 100, 15 of them wrong


def test_classes_are_named(last: int) -> None:
    text = pseudo_text.what_we_see("lite")
    assert "*soil* is right most often" in text and "*sand* least" in text
    assert "Never given as a pseudo label at 0.9: *big rock*." in text


def test_the_csv_alone_draws_the_figure(last: int) -> None:
    frame = pd.read_csv(figure("pseudo_course", "lite").with_suffix(".csv"))
    assert {"step", "stage", "threshold", "measure", "class"} <= set(frame.columns)
    assert frame["value"].between(0, 100).all()


def test_epochs_that_were_not_scored_are_named(last: int) -> None:
    curves = ledger.read_curves("lite")
    curves[(curves["epoch"] == last) | ~curves["metric"].str.startswith("test/")].to_csv(
        ledger.curves_path("lite"), index=False
    )
    with pytest.raises(RecipeError, match="--score-every 1"):
        figure("pseudo_course", "lite")
