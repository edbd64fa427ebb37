"""Figs 9 and 10: images chosen by rule from the answers of two runs."""

from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from marsnb import paths
from marsnb.errors import DataError, RecipeError
from marsnb.report import quality
from marsnb.report.counts import open_data
from marsnb.report.examples import attempt, examples_text
from marsnb.report.failures import failures_text
from marsnb.report.figures import figure
from marsnb.training import ledger
from marsnb.training.spec import row_runs


def run_both(fake_ledger: ModuleType, answers: bool = True) -> pd.DataFrame:
    """The two rows as run on the synthetic set, with made-up answers: ours fixes every third image, breaks every 7th.

    At smoke both rows have spec keys of their own. Returns names, classes and both predictions.
    """
    data = open_data("smoke")
    names = [data.source.names[i] for i in data.test.indices]
    truth = np.array([data.class_names[c] for c in data.test.labels])
    other = np.where(truth == "ground", "wheel", "ground")
    at = np.arange(len(names))
    base = np.where(at % 3 == 0, other, truth)
    ours = np.where((at % 7 == 0) & (at % 3 != 0), other, np.where(at % 21 == 0, other, truth))
    said = {"baseline": base, "final": ours}
    for row, key, _ in row_runs(4, "smoke"):
        if row.id not in said:
            continue
        lines = fake_ledger.run_lines(key, 0, float((said[row.id] == truth).mean()), data="synthetic")
        ledger.append("smoke", lines, fake_ledger.curve_lines(lines[0]["run_id"]))
        if answers:
            folder = paths.runs() / lines[0]["run_id"]
            folder.mkdir(parents=True)
            columns = {"name": names, "label": truth, "prediction": said[row.id]}
            frame = pd.DataFrame(columns).assign(split="test", confidence=np.linspace(0.5, 1, len(names)))
            frame.to_csv(folder / "predictions.csv", index=False)
    return pd.DataFrame({"name": names, "class": truth, "baseline": base, "ours": ours})


def test_figures_show_what_their_rows_say(fake_ledger: ModuleType) -> None:
    truth = run_both(fake_ledger).set_index("name")
    for name in ("09", "10"):
        png = figure(name, "smoke")
        assert png.parent == paths.images("smoke") and png.stat().st_size > 10_000
        frame = pd.read_csv(png.with_suffix(".csv")).dropna(subset=["name"])
        assert len(frame) and (frame["ours"].to_numpy() == truth.loc[frame["name"], "ours"].to_numpy()).all()
        right, was = frame["ours"] == frame["class"], frame["baseline"] == frame["class"]
        if name == "10":
            assert not right.any()
        else:
            fixed = frame["row"].str.startswith("Fixed")
            assert (right & ~was)[fixed].all() and (~right & was)[~fixed].all() and (~fixed).any()
        for _, row in frame.groupby("row"):
            assert row["name"].is_unique and len(row) <= 6


def test_counts_in_the_sentences_are_those_of_the_answers(fake_ledger: ModuleType) -> None:
    frame = run_both(fake_ledger)
    right, was = frame["ours"] == frame["class"], frame["baseline"] == frame["class"]
    text = examples_text("smoke")
    fixed, broken = int((right & ~was).sum()), int((~right & was).sum())
    assert f"| 0 | images | {len(frame):,} | {int((right & was).sum()):,} | {fixed:,} | {broken:,} |" in text
    assert f"fixes {fixed} images" in text and f"breaks {broken} images" in text
    assert f"Ours is wrong on {int((~right).sum()):,} of {len(frame):,} test images" in failures_text("smoke")
    assert quality.NOT_TESTED in text and "SYNTHETIC" in text


def test_answers_of_another_run_than_the_ledgers_are_called_that(fake_ledger: ModuleType) -> None:
    frame = run_both(fake_ledger)
    assert "trained again since" not in examples_text("smoke")
    (path,) = (
        at for at in paths.runs().glob("*/predictions.csv") if (pd.read_csv(at)["prediction"] == frame["ours"]).all()
    )
    kept = pd.read_csv(path)
    kept.loc[kept["prediction"] == kept["label"], "prediction"] = "none of them"
    kept.to_csv(path, index=False)
    text = examples_text("smoke")
    assert "These answers of *ours* are right on 0.00 %" in text and text.count("trained again since") == 1


def test_without_runs_or_without_answers_the_fix_is_named(fake_ledger: ModuleType) -> None:
    with pytest.raises(RecipeError, match="marsnb run --table 4 --profile smoke --row baseline --row final"):
        figure("09", "smoke")
    run_both(fake_ledger, answers=False)
    with pytest.raises(DataError, match="MARSNB_RUNS"):
        figure("10", "smoke")
    path, why_not = attempt(lambda of: figure("09", of), "smoke")
    assert path is None and why_not.startswith("> Not drawn: ") and "MARSNB_RUNS" in why_not
    assert "Not counted" in examples_text("smoke") and "Not counted" in failures_text("smoke")


def test_mcnemar_is_exact() -> None:
    assert quality.mcnemar(0, 0) == 1
    assert quality.mcnemar(5, 0) == pytest.approx(2 / 2**5)
    assert quality.mcnemar(8, 2) == pytest.approx(2 * (1 + 10 + 45) / 2**10)


def test_thirds_never_part_equal_values() -> None:
    measure = quality.MEASURES[0]
    frame = pd.DataFrame({measure.key: [0.0] * 7 + [5.0, 9.0]})
    third = quality.thirds(frame, measure)
    assert third.tolist() == [0] * 7 + [2, 2]


def test_pick_takes_turns_and_shows_no_scene_twice() -> None:
    pool = pd.DataFrame({"class": list("aaabc"), "sequence": [1, 1, 2, 3, 4], "frame": range(5)})
    assert quality.pick(pool, 4)["sequence"].tolist() == [1, 2, 3, 4]
    assert quality.pick(pool, 3, balanced=True)["class"].tolist() == ["a", "b", "c"]


def test_what_classes_explain_is_no_gain_beyond_them() -> None:
    classes = ["easy"] * 100 + ["hard"] * 100
    frame = pd.DataFrame({"class": classes, "sequence": range(200)})
    values = pd.Series([1.0] * 100 + [0.0] * 100)
    chosen = np.array([True] * 80 + [False] * 20 + [True] * 20 + [False] * 80)
    expected, p = quality.beyond_classes(frame, values, chosen)
    assert (expected, p) == (pytest.approx(0.8), 1.0)
    rng = np.random.default_rng(0)
    mixed = pd.Series(np.where(chosen, rng.random(200) < 0.9, rng.random(200) < 0.3).astype(float))
    expected, p = quality.beyond_classes(frame, mixed, chosen)
    assert mixed[chosen].mean() > expected and p < 0.001
