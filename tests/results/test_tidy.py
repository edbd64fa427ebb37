"""The tidy frame of a table and its summary: every row of the recipe, every seed, nothing invented."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from marsnb import recipes, results
from marsnb.errors import RecipeError
from marsnb.results.tidy import COLUMNS
from marsnb.training import ledger
from marsnb.training.spec import row_runs
from tests.fake import ledger as fake


def row(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    return frame[frame["row"] == name]


def test_every_row_is_there_in_the_recipes_order_whether_run_or_not() -> None:
    fake.fill("lite", leave_out=("moco-eq1", "final", "ls-lu"), seeds=3, top1={"moco-ls": 0.8})
    frame = results.table(4, "lite")
    assert list(frame.columns) == COLUMNS
    assert list(dict.fromkeys(frame["row"])) == [r.id for r in recipes.load_table(4).rows]
    ls = row(frame, "moco-ls")
    assert ls["seed"].tolist() == [0, 1, 2] and ls["value"].tolist() == pytest.approx([80, 80.2, 80.4])
    assert ls["low"].iloc[0] == pytest.approx(78) and ls["high"].iloc[0] == pytest.approx(82)
    assert (
        set(ls["n"]) == {sum(fake.CLASSES.values())} and set(ls["paper"]) == {93.82} and set(ls["paper_std"]) == {1.57}
    )
    assert set(ls["run_id"]) == {f"{ls['run'].iloc[0]}-abc123-s{seed}" for seed in range(3)}
    missing = row(frame, "moco-eq1")
    assert len(missing) == 1 and missing["value"].isna().all() and missing["seed"].isna().all()
    assert (missing[["run_id", "data", "labelled"]] == "").all(axis=None) and missing["paper"].iloc[0] == 75.66


def test_an_empty_ledger_gives_the_papers_numbers_alone() -> None:
    frame = results.table(4, "lite")
    assert frame["value"].isna().all() and frame["paper"].notna().sum() == 8
    assert results.table(4, "lite", "top1/*").empty and list(results.table(4, "lite", "top1/*")) == COLUMNS


def test_rows_that_share_a_run_say_so_and_what_ran_instead_is_named() -> None:
    fake.fill("lite")
    frame = results.table(4, "lite")
    base, moco = row(frame, "baseline").iloc[0], row(frame, "moco").iloc[0]
    assert base["run"] == moco["run"] and (base["same_run_as"], moco["same_run_as"]) == ("", "ResNet-50 (baseline)")
    assert moco["ran_as"] == "tf_efficientnet_lite0 from imagenet-lite (paper: resnet50 from moco_v2)"
    control = row(frame, "bn-trained").iloc[0]
    assert control["control"] and control["ran_as"] == "tf_efficientnet_lite0 from imagenet-lite"
    assert (results.table(4, "paper")["ran_as"] == "").all()


def test_a_row_that_the_profile_cannot_run_says_why() -> None:
    frame = results.table(5, "lite").set_index("row")
    assert "need a download" in frame.loc["vgg16-ours", "not_at"] and frame.loc["lite0-ours", "not_at"] == ""
    assert frame.loc["vgg16-ours", "cell_row"] == "Ours" and frame.loc["vgg16-ours", "cell_column"] == "VGG-16"


def test_metrics_by_name_by_list_and_by_pattern() -> None:
    fake.fill("lite", number=9, seeds=2)
    assert set(results.table(9, "lite")["metric"]) == {"acc", "macc", "facc", "miou"}
    frame = results.table(9, "lite", ["miou", "acc"])
    assert frame.groupby("row", sort=False)["metric"].unique().iloc[0].tolist() == ["miou", "acc"]
    assert row(frame, "final").set_index(["metric", "seed"]).loc[("miou", 0), "paper"] == 70.34
    fake.fill("lite", number=4)
    classes = results.table(4, "lite", "top1/*")
    assert {m.removeprefix("top1/") for m in classes["metric"]} == set(fake.CLASSES)  # those of test, not of val
    assert not classes["metric"].str.contains("_low|_high").any() and classes["paper"].isna().all()
    with pytest.raises(RecipeError, match="table04 has no metric 'miou'; its metrics: top1, "):
        results.table(4, "lite", "miou")


def test_tables_and_profiles_that_do_not_exist_are_named() -> None:
    with pytest.raises(RecipeError, match="no table 99"):
        results.table(99, "lite")
    with pytest.raises(RecipeError, match="unknown profile 'huge'"):
        results.table(4, "huge")
    with pytest.raises(RecipeError, match="'committed', 'mine' or 'both'"):
        results.table(4, "lite", data="yours")


def test_a_table_of_our_own_is_scored_on_its_own_split() -> None:
    fake.fill("lite", number="choice")
    frame = results.table("choice", "lite")
    assert set(frame["split"]) == {"val"} and set(frame["value"].dropna()) == {97.0} and frame["paper"].isna().all()


def test_summary_is_mean_spread_and_interval_over_seeds() -> None:
    fake.fill("lite", seeds=3, leave_out=("moco-eq1",), top1={"moco-ls": 0.8})
    found = results.summary(results.table(4, "lite")).set_index("row")
    ls = found.loc["moco-ls"]
    assert (ls["mean"], ls["sd"], ls["seeds"], ls["rule"]) == (
        pytest.approx(80.2), pytest.approx(0.2), 3, "t over seeds",
    )  # fmt: skip
    assert ls["high"] - ls["mean"] == pytest.approx(0.4969, abs=1e-3) and ls["off"] == pytest.approx(80.2 - 93.82)
    none = found.loc["moco-eq1"]
    assert none["seeds"] == 0 and np.isnan(none["mean"]) and np.isnan(none["off"]) and none["rule"] == ""


def test_one_seed_has_the_interval_of_its_test_images() -> None:
    fake.fill("lite", top1={"final": 0.5, "ls-lu": 0.5})
    whole = results.summary(results.table(4, "lite")).set_index("row").loc["final"]
    assert (whole["low"], whole["high"], whole["rule"]) == (
        pytest.approx(48), pytest.approx(52), "test images, one seed",
    )  # fmt: skip
    assert np.isnan(whole["sd"])
    wheel = results.summary(results.table(4, "lite", "top1/wheel")).set_index("row").loc["final"]  # 150 of 300
    assert (wheel["mean"], wheel["low"], wheel["high"]) == pytest.approx((50, 44.37, 55.63), abs=0.01)


def test_generated_images_are_not_held_against_the_paper() -> None:
    fake.fill("smoke", data="synthetic")
    assert results.summary(results.table(4, "smoke"))["off"].isna().all()


def test_the_ledger_is_read_again_where_it_has_changed(tmp_path: Path) -> None:
    fake.fill("lite", top1={"final": 0.5, "ls-lu": 0.5})
    assert row(results.table(4, "lite"), "final")["value"].tolist() == [50]
    fake.fill("lite", top1={"final": 0.6, "ls-lu": 0.6})
    assert row(results.table(4, "lite"), "final")["value"].tolist() == [60]


def test_common_seeds_are_those_that_all_measured_rows_have():
    rows = {"a": (0, 1, 2), "b": (0, 2), "c": ()}
    lines = [{"table": 4, "row": r, "seed": s, "value": 1.0} for r, seeds in rows.items() for s in seeds]
    frame = pd.DataFrame([*lines, {"table": 4, "row": "c", "seed": None, "value": None}])
    kept = results.on_common_seeds(frame)
    assert kept.dropna(subset="value").groupby("row")["seed"].agg(list).to_dict() == {"a": [0, 2], "b": [0, 2]}
    assert kept["row"].tolist()[-1] == "c"  # it was not run, and stays
    assert results.on_common_seeds(frame.drop(columns="table").iloc[:0]).empty


def test_rows_are_compared_on_the_processor_that_most_of_them_ran_on() -> None:
    keys = {row.id: key for row, key, _ in row_runs(4, "lite")}
    new = {"device": "new", "date": "2026-01-02"}
    again = {"run_id": f"{keys['baseline']}-abc123-s0-a1"} | new
    lines = [
        *fake.run_lines(keys["baseline"], 0, 0.80), *fake.run_lines(keys["baseline"], 0, 0.78, **again),
        *fake.run_lines(keys["balanced"], 0, 0.81, **new), *fake.run_lines(keys["moco-eq1"], 0, 0.82, **new),
        *fake.run_lines(keys["baseline"], 1, 0.70), *fake.run_lines(keys["balanced"], 1, 0.75, **new),
        *fake.run_lines(keys["moco-ls"], 1, 0.85),
    ]  # fmt: skip
    ledger.append("lite", lines, [])
    assert results.differences(results.table(4, "lite"), {"": ("balanced", "baseline")})["mean"].iloc[0] == 3
    alike = results.on_one_processor(results.table(4, "lite", data="both"))
    found = alike.dropna(subset="value").set_index(["row", "seed"])
    assert found.loc[("baseline", 0), ["value", "device"]].to_list() == [78, "new"]
    assert found.loc[("baseline", 1), ["value", "device"]].to_list() == [70, "cpu"]  # it ran once
    assert set(alike["whose"]) == {"committed"} and not alike.duplicated(["row", "metric", "seed"]).any()
    gap = results.differences(alike, {"": ("balanced", "baseline")}).iloc[0]
    assert gap["mean"] == pytest.approx(4) and gap["seeds"] == 2  # 3 and 5
    twice = results.by_processor(results.table(4, "lite", data="both"))
    assert twice["top1"].to_dict() == {(0, "cpu"): 80.0, (0, "new"): 78.0}  # once, though rows share the run
    assert results.by_processor(alike).empty
