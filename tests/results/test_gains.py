"""Differences: on common seeds, pair by pair; told apart from three seeds on; one seed by its images, and marked."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from marsnb import paths, results
from marsnb.errors import RecipeError
from marsnb.results.intervals import Value
from marsnb.training import ledger
from marsnb.training.spec import row_runs
from tests.fake import ledger as fake


def seeds_of(values: Mapping[str, list[float]], number: int = 4, metric: str = "top1") -> pd.DataFrame:
    """The frame of a table whose rows have these accuracies, seed by seed."""
    of_task = fake.pixel_lines if number >= 8 else fake.run_lines
    keys = {row.id: key for row, key, _ in row_runs(number, "lite")}
    lines = [
        line
        for row, numbers in values.items()
        for seed, value in enumerate(numbers)
        if not np.isnan(value)
        for line in of_task(keys[row], seed, value)
    ]
    ledger.append("lite", lines, [])
    return results.table(number, "lite", metric)


def gap(frame: pd.DataFrame, after: str, before: str) -> pd.Series:
    return results.differences(frame, {"x": (after, before)}).iloc[0]


def test_a_row_of_one_seed_is_held_against_that_seed_and_not_against_a_mean() -> None:
    """Balanced sampling, with one seed, gains 3.37 on it; against the mean of the baseline's three it seemed 5.44."""
    frame = seeds_of({"baseline": [0.74636, 0.69655, 0.73410], "balanced": [0.78008]})
    found = gap(frame, "balanced", "baseline")
    assert found["mean"] == pytest.approx(3.372, abs=1e-3) and found["seeds"] == 1
    means = results.summary(frame).set_index("row")["mean"]
    assert means["balanced"] - means["baseline"] == pytest.approx(5.44, abs=0.01)
    assert found["rule"].startswith("test images, one seed") and not found["told_apart"]


def test_seeds_are_paired_and_the_interval_is_students() -> None:
    frame = seeds_of({"baseline": [0.74636, 0.69655, 0.73410], "moco-ls": [0.81379, 0.76858, 0.77471]})
    found = gap(frame, "moco-ls", "baseline")
    assert (found["mean"], found["low"], found["high"]) == pytest.approx((6.00, 1.79, 10.22), abs=0.01)
    assert (found["seeds"], found["rule"], found["told_apart"]) == (3, "t over seeds", True)
    assert found["sd"] == pytest.approx(1.697, abs=1e-3) and found["paper"] == pytest.approx(93.82 - 79.28)
    other = gap(frame, "baseline", "moco-ls")
    assert (other["mean"], other["low"]) == pytest.approx((-6.00, -10.22), abs=0.01) and other["told_apart"]


def test_two_seeds_are_never_told_apart() -> None:
    found = gap(seeds_of({"baseline": [0.5, 0.5], "moco-ls": [0.9, 0.9001]}), "moco-ls", "baseline")
    assert found["low"] > 0 and found["seeds"] == 2 and not found["told_apart"]


def test_seeds_that_one_of_the_two_lacks_do_not_count() -> None:
    frame = seeds_of({"baseline": [0.5, np.nan, 0.6, 0.7], "moco-ls": [0.6, 0.9, 0.7]})
    found = gap(frame, "moco-ls", "baseline")
    assert (found["mean"], found["seeds"]) == (pytest.approx(10), 2)
    none = gap(seeds_of({"moco-lu": [np.nan, 0.5], "bn-trained": [0.5]}), "moco-lu", "bn-trained")
    assert none["why"] == "no common seed" and np.isnan(none["mean"]) and none["seeds"] == 0


def test_one_run_and_no_run_are_no_difference() -> None:
    frame = seeds_of({"baseline": [0.5, 0.6, 0.7]})
    assert gap(frame, "moco", "baseline")["why"] == "same run"
    missing = gap(frame, "moco-ls", "baseline")
    assert missing["why"] == "not run" and np.isnan(missing["mean"]) and missing["paper"] == pytest.approx(14.54)
    every = results.differences(frame, "baseline")
    assert "baseline" not in set(every["after"]) and every["what"].iloc[0] == "MoCo V2 pretraining"
    assert not every["told_apart"].any()
    with pytest.raises(RecipeError, match="no row 'best' to compare; rows: baseline, moco, "):
        results.differences(frame, "best")


def test_rows_of_other_data_are_never_subtracted() -> None:
    frame = seeds_of({"baseline": [0.5, 0.5, 0.5], "moco-ls": [0.6, 0.6, 0.6]})
    frame.loc[frame["row"] == "moco-ls", "labelled"] = "other"
    found = gap(frame, "moco-ls", "baseline")
    assert np.isnan(found["mean"]) and found["why"] == "no common seed"


def test_one_seed_without_its_answers_has_the_two_rows_own_intervals() -> None:
    frame = seeds_of({"baseline": [0.5], "moco-ls": [0.6]})
    found = gap(frame, "moco-ls", "baseline")
    apart = Value(60, 58, 62, 1) - Value(50, 48, 52, 1)
    assert (found["low"], found["high"]) == pytest.approx((apart.low, apart.high))
    assert found["rule"] == "test images, one seed, unpaired" and not found["told_apart"]


def predictions(run_id: str, right: np.ndarray) -> None:
    at = paths.runs() / run_id / "predictions.csv"
    at.parent.mkdir(parents=True)
    names = [f"{i}.jpg" for i in range(len(right))]
    answers = {"split": "test", "name": names, "label": "wheel", "prediction": np.where(right, "wheel", "ground")}
    pd.DataFrame(answers).assign(confidence=0.9).to_csv(at, index=False)


def test_one_seed_with_its_answers_is_paired_over_images() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(1000) < 0.5
    ours = base | (rng.random(1000) < 0.2)  # right wherever the baseline is
    frame = seeds_of({"baseline": [base.mean()], "moco-ls": [ours.mean()]})
    ids = frame.dropna(subset="value").set_index("row")["run_id"]
    apart = gap(frame, "moco-ls", "baseline")
    predictions(ids["baseline"], base)
    predictions(ids["moco-ls"], ours)
    found = gap(frame, "moco-ls", "baseline")
    assert found["rule"] == "test images, one seed" and found["mean"] == pytest.approx(
        100 * (ours.mean() - base.mean())
    )
    share = ours.mean() - base.mean()
    assert (found["high"] - found["low"]) / 2 == pytest.approx(196 * np.sqrt(share * (1 - share) / 1000), rel=0.1)
    assert found["high"] - found["low"] < apart["high"] - apart["low"] and not found["told_apart"]
    wheel = gap(results.table(4, "lite", "top1/ground"), "moco-ls", "baseline")
    assert wheel["rule"] != "test images, one seed"  # no image of that class among the answers


def test_segmentation_is_paired_by_its_confusion_matrices() -> None:
    frame = seeds_of({"baseline": [0.6], "final": [0.65]}, number=9, metric="acc")
    ids = frame.dropna(subset="value").set_index("row")["run_id"]
    apart = gap(frame, "final", "baseline")
    fake.write_pixels(ids["baseline"], 0.65, seed=1)
    fake.write_pixels(ids["final"], 0.70, seed=2)
    found = gap(frame, "final", "baseline")
    assert found["rule"] == "test images, one seed" and 0 < found["low"] < found["mean"] < found["high"]
    assert found["high"] - found["low"] < (apart["high"] - apart["low"]) / 2  # the same images are hard for both
    fake.write_pixels(ids["final"], 0.70, images=30)
    assert gap(frame, "final", "baseline")["rule"] == "test images, one seed, unpaired"


def test_every_metric_has_a_line() -> None:
    frame = seeds_of({"baseline": [0.6, 0.61, 0.62], "final": [0.65, 0.66, 0.67]}, number=9, metric=None)  # type: ignore[arg-type]
    found = results.differences(frame, {"all": ("final", "baseline")})
    assert found["metric"].tolist() == ["acc", "macc", "facc", "miou"] and found["mean"].tolist() == pytest.approx(
        [5] * 4
    )
    assert found["paper"].tolist() == pytest.approx([1.41, 3.97, 2.54, 4.11])
