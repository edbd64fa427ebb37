"""Curves: each run once, the step of each epoch, and means over the seeds that have every epoch alone."""

import pandas as pd
import pytest

from marsnb import results
from marsnb.training import ledger
from marsnb.training.spec import row_runs
from tests.fake import ledger as fake
from tests.fake import segmentation_ledger


def test_each_run_is_there_once_with_all_its_names_and_scores_are_percent() -> None:
    fake.fill("lite", seeds=2)
    frame = results.curves(4, "lite", ["test/top1", "ce"])
    first = frame[frame["row"] == "baseline"]
    assert first["label"].iloc[0] == "ResNet-50 (baseline)" and "MoCo V2 pretraining" in first["also"].iloc[0].split("; ")
    assert "moco" not in set(frame["row"]) and set(first["seed"]) == {0, 1}
    score = first[(first["metric"] == "test/top1") & (first["seed"] == 0)]
    assert score["epoch"].tolist() == list(range(1, 7)) and score["value"].iloc[-1] == pytest.approx(77.5)
    assert first[first["metric"] == "ce"]["value"].iloc[0] == pytest.approx(2)  # a loss stays as it is
    assert set(results.curves(4, "lite", "*/top1")["metric"]) == {"test/top1", "val/top1"}
    assert results.curves(4, "paper").empty and results.mean_curves(results.curves(4, "paper")).empty


def test_a_mean_is_over_the_seeds_that_have_every_epoch() -> None:
    """Seeds 1 and 2 were scored after their last epoch alone: the mean must not seem to fall there."""
    fake.fill("lite", seeds=3)
    curves = ledger.read_curves("lite")
    late = curves["run_id"].str.endswith(("-s1", "-s2")) & (curves["metric"] == "test/top1")
    curves.loc[late, "value"] = 0.1
    curves[~(late & (curves["epoch"] < 6))].to_csv(ledger.curves_path("lite"), index=False)
    frame = results.curves(4, "lite", "test/top1")
    assert set(results.whole(frame)["seed"]) == {0} and set(frame["seed"]) == {0, 1, 2}
    mean = results.mean_curves(frame).query("row == 'final' or row == 'ls-lu'")
    assert (
        mean["seeds"].tolist() == [1] * 6 and mean["mean"].iloc[-1] == pytest.approx(77.5) and mean["low"].isna().all()
    )


def test_seeds_with_the_same_number_of_other_epochs_are_not_averaged() -> None:
    fake.fill("lite", seeds=2)
    curves = ledger.read_curves("lite")
    odd = curves["epoch"] % 2 == 1
    kept = curves[curves["run_id"].str.endswith("-s0") & odd | curves["run_id"].str.endswith("-s1") & ~odd]
    kept.to_csv(ledger.curves_path("lite"), index=False)
    mean = results.mean_curves(results.curves(4, "lite", "test/top1"))
    assert set(mean["seeds"]) == {1} and set(mean["epoch"]) == {1, 3, 5}


def test_the_mean_of_whole_seeds_has_students_interval() -> None:
    fake.fill("lite", seeds=3)
    curves = ledger.read_curves("lite")
    curves.loc[curves["run_id"].str.endswith("-s1"), "value"] += 0.01
    curves.loc[curves["run_id"].str.endswith("-s2"), "value"] += 0.02
    curves.to_csv(ledger.curves_path("lite"), index=False)
    mean = results.mean_curves(results.curves(4, "lite", "test/top1")).query("row == 'baseline' and epoch == 6").iloc[0]
    assert (mean["mean"], mean["seeds"]) == (pytest.approx(78.5), 3)
    assert mean["high"] - mean["mean"] == pytest.approx(2.484, abs=1e-3)


def test_epochs_of_segmentation_know_their_step() -> None:
    segmentation_ledger.fill("lite", 9)
    frame = results.curves(9, "lite", "test/miou")
    lengths = {row.id: spec.epochs for row, _, spec in row_runs(9, "lite")}
    n = lengths["final"]
    final = frame[frame["row"] == "final"].drop_duplicates("epoch")
    assert final["step"].tolist() == ["contrast alone"] * n + ["joint losses"] * n + ["pseudo labels"] * n
    assert results.changes(final) == {n + 0.5: "joint losses", 2 * n + 0.5: "pseudo labels"}
    assert set(frame[frame["row"] == "baseline"]["step"]) == {"cross entropy"}
    assert results.changes(frame[frame["row"] == "baseline"]) == {}
    fake.fill("lite")
    assert set(results.curves(4, "lite", "ce")["step"]) == {""}


def test_runs_of_other_data_have_no_part_in_it() -> None:
    segmentation_ledger.fill("lite", 9)
    before = results.curves(9, "lite")
    key = next(key for row, key, _ in row_runs(9, "lite") if row.id == "final")
    lines = fake.pixel_lines(key, 0, 0.2, run_id=f"{key}-ffffff-s0", labelled="own", fingerprint="ffffff")
    ledger.append("lite", lines, segmentation_ledger.curve_lines(f"{key}-ffffff-s0", ("pretrain", "joint"), 2, 0.1))
    pd.testing.assert_frame_equal(results.curves(9, "lite"), before)
