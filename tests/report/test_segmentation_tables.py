"""Tables with several metrics: as Markdown, as CSV, as figures, and in sentences."""

from types import ModuleType

import pandas as pd
import pytest
from matplotlib import pyplot as plt

from marsnb import paths, recipes
from marsnb.errors import RecipeError
from marsnb.report import claims, effects, panels, segmentation, sentences, tables
from marsnb.report.evidence import Evidence
from marsnb.report.fairness import fairness_table
from marsnb.report.figures import figure
from marsnb.report.measured import by_metric, lines
from marsnb.report.style import styled
from marsnb.training.spec import row_runs

VALUES = {
    "baseline": 0.55, "without-joint": 0.56, "without-pretraining": 0.60, "without-pseudo-labels": 0.61, "final": 0.607
}  # fmt: skip


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def run_ids(number: int, profile: str = "lite") -> dict[str, str]:
    return {row.id: f"{key}-abc123-s0" for row, key, _ in row_runs(number, profile)}


@pytest.fixture
def nine(fake_ledger: ModuleType) -> ModuleType:
    """A ledger with all of Table 9 at lite."""
    fake_ledger.fill("lite", number=9, top1=VALUES)
    return fake_ledger


def test_lines_of_each_metric_have_its_own_numbers(nine: ModuleType) -> None:
    final = {metric: found[-1] for metric, found in by_metric(9, "lite").items()}
    assert list(final) == ["acc", "macc", "facc", "miou"]
    assert [line.paper.mean for line in final.values() if line.paper] == [94.02, 75.68, 88.82, 70.34]
    for metric, line in final.items():
        assert line.measured is not None
        assert line.measured.mean == pytest.approx(100 * (VALUES["final"] + nine.PIXELS[metric]))
        assert line.measured.low == pytest.approx(line.measured.mean - 2)
    assert lines(9, "lite")[-1].metric == "acc"
    with pytest.raises(RecipeError, match="table09 has no metric 'top1'; its metrics: acc, macc, facc, miou"):
        lines(9, "lite", "top1")


def test_each_row_has_its_metrics_beside_each_other(nine: ModuleType) -> None:
    head, _, *found = rows(tables.markdown(9, "lite"))
    assert head == ["Method", "", "ACC (%)", "MACC (%)", "FACC (%)", "mIoU (%)"]
    assert {len(row) for row in found} == {6} and len(found) == 3 * len(VALUES)
    assert [row[1] for row in found[:3]] == ["paper", "measured", "difference (points)"]
    assert [row[0] for row in found[:4]] == ["Baseline", "", "", "w/o Joint Semi-Supervised Learning"]
    assert found[-3][2:] == ["94.02", "75.68", "88.82", "70.34"]
    assert found[-2][5] == "45.70 [43.70, 47.70]" and found[-1][5] == "-24.64"


def test_the_caption_says_what_the_metrics_are_and_of_what_images(nine: ModuleType) -> None:
    text = tables.markdown(9, "lite")
    assert "Pixel accuracy" in text and "mIoU (mean IoU over classes)" in text and "Top-1" not in text
    assert "Data: ai4mars, 90 test images" in text and "SYNTHETIC" not in text
    assert "- Ran as: tf_efficientnet_lite0 from imagenet-lite (paper: resnet101 from random)." in text


def test_a_row_that_was_not_run_has_no_number(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite", number=11, leave_out=("w-001",))
    found = rows(tables.markdown(11, "lite"))
    assert found[0][0] == "λ_seg^s"
    at = next(i for i, row in enumerate(found) if row[0] == "0.01")
    assert found[at + 1][1:] == ["measured", *["not run"] * 4] and found[at + 2][1] == "paper"
    long = tables.table(11, "lite").set_index(["row", "metric"])
    assert len(long) == 16 and long.loc["0.01", "measured_mean"].isna().all()
    assert long.loc[("0.001", "macc"), "paper_mean"] == 75.68


def test_the_smoke_profile_is_marked_even_before_it_ran(fake_ledger: ModuleType) -> None:
    assert "SYNTHETIC DATA" in tables.markdown(9, "smoke") and "SYNTHETIC DATA" not in tables.markdown(9, "lite")
    fake_ledger.fill("smoke", number=9, data="synthetic_terrain")
    assert tables.table(9, "smoke")["difference"].isna().all()
    assert "difference (points)" not in tables.markdown(9, "smoke")


def test_the_state_counts_rows_and_means_over_all_metrics(nine: ModuleType) -> None:
    state = tables.summary("lite").set_index("table").loc[9]
    assert [state["rows"], state["measured"]] == [5, 5]
    gaps = tables.table(9, "lite")["difference"].abs()
    assert len(gaps) == 20 and state["mean_abs_difference"] == pytest.approx(gaps.mean())
    assert "| 9: Ablation studies of the segmentation designs | 5 of 5 |" in sentences.state("lite")


def test_differences_are_paired_where_the_matrices_are_and_stay_so_where_they_are_not(nine: ModuleType) -> None:
    ids = run_ids(9)
    loose = effects.effects(9, "lite").set_index(["after", "before", "metric"])
    assert set(loose["how"]) == {"apart"}
    for i, (row, run) in enumerate(ids.items()):
        nine.write_pixels(run, VALUES[row], seed=i)
    effects.write_effects(9, "lite")
    for run in ids.values():
        (paths.runs() / run / "matrices.csv").unlink()
    kept = effects.effects_path(9, "lite").read_bytes()
    tight = effects.effects(9, "lite").set_index(["after", "before", "metric"])
    assert set(tight["how"]) == {"paired"}
    assert effects.write_effects(9, "lite").read_bytes() == kept
    one = ("final", "without-joint", "acc")
    assert tight.at[one, "low"] < 4.7 < tight.at[one, "high"]
    assert tight.at[one, "measured"] == pytest.approx(4.7) and tight.at[one, "paper"] == pytest.approx(1.21)
    width = {name: frame.at[one, "high"] - frame.at[one, "low"] for name, frame in (("t", tight), ("l", loose))}
    assert width["l"] == pytest.approx(2 * 8**0.5) and width["t"] < 1


def test_an_interval_of_other_runs_is_not_taken_over(nine: ModuleType) -> None:
    ids = run_ids(9)
    for run in ids.values():
        nine.write_pixels(run, 0.6)
    effects.write_effects(9, "lite")
    nine.fill("lite", number=9, top1=VALUES, fingerprint="other", date="2026-02-02")
    for run in ids.values():
        (paths.runs() / run / "matrices.csv").unlink()
    assert set(effects.effects(9, "lite")["how"]) == {"paired"}  # the same run ids
    frame = pd.read_csv(effects.effects_path(9, "lite"))
    frame.assign(runs="x y").to_csv(effects.effects_path(9, "lite"), index=False)
    assert set(effects.effects(9, "lite")["how"]) == {"apart"}


def test_runs_on_other_images_are_not_paired(nine: ModuleType) -> None:
    ids = run_ids(9)
    nine.write_pixels(ids["final"], 0.6, images=40)
    nine.write_pixels(ids["baseline"], 0.5, images=41)
    effects.write_effects(9, "lite")
    assert set(effects.effects(9, "lite")["how"]) == {"apart"}


def test_several_seeds_are_paired_by_seed(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("paper", number=10, seeds=3, top1={"t-05": 0.5, "t-09": 0.6})
    frame = effects.effects(10, "paper")
    five = frame[frame["after"] == "t-05"]
    assert set(frame["how"]) == {"seeds"} and five["measured"].tolist() == pytest.approx([-10.0] * 4)
    assert five["low"].tolist() == pytest.approx([-10.0] * 4)  # every seed has the same difference


def test_a_row_of_more_seeds_is_compared_over_the_common_ones(nine: ModuleType) -> None:
    ids = run_ids(9)
    for row, run in ids.items():
        nine.write_pixels(run, VALUES[row])
    effects.write_effects(9, "lite")
    before = effects.effects(9, "lite").set_index(["after", "before", "metric"])
    nine.fill("lite", number=9, seeds=3, top1=VALUES | {"final": 0.7}, leave_out=("without-joint", "baseline"))
    nine.fill(
        "lite", number=9, top1=VALUES, leave_out=tuple(row for row in VALUES if row != "final")
    )  # seed 0 as it was
    after = effects.effects(9, "lite").set_index(["after", "before", "metric"])
    one = ("final", "baseline", "miou")
    for column in ("measured", "low", "high", "how"):
        assert after.at[one, column] == before.at[one, column]
    assert (after.at[one, "seeds"], after.at[one, "most"]) == (1, 3)
    assert after.at[("final", "without-pretraining", "miou"), "how"] == "seeds"
    assert "over those that both have" in segmentation.effects_table(9, "lite", effects.effects(9, "lite"))


def test_claims_and_tables_judge_a_difference_by_one_interval(nine: ModuleType) -> None:
    for row, run in run_ids(9).items():
        nine.write_pixels(run, VALUES[row])
    effects.write_effects(9, "lite")
    frame = effects.effects(9, "lite").set_index(["after", "before", "metric"])
    claim = next(claim for claim in claims.load() if claim.id == "pretraining-helps")
    (part,) = claims.judge_one(claim, Evidence("lite")).parts
    line = frame.loc[("final", "without-pretraining", "miou")]
    assert part.value is not None and line["how"] == "paired"
    assert (part.value.value, part.value.low, part.value.high) == (line["measured"], line["low"], line["high"])


def test_rows_that_share_a_run_test_nothing(fake_ledger: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects, "STEPS", (("nothing", "final", "final"),))
    fake_ledger.fill("lite", number=9)
    frame = effects.effects(9, "lite")
    assert set(frame["how"]) == {"same run"} and frame["measured"].isna().all()
    assert "| same run |" in segmentation.effects_table(9, "lite", effects.effects(9, "lite"))


def test_what_the_steps_add_in_words(nine: ModuleType) -> None:
    text = segmentation.steps_text("lite")
    assert "in the paper 3.70 (contrast and pseudo labels), 1.04 (pretraining), 0.03 (pseudo labels)" in text
    assert "here 4.70 (contrast and pseudo labels), 0.70 (pretraining), -0.30 (pseudo labels)" in text
    assert "In its table +1.04; here +0.70 [-2.13, +3.53], not told apart from 0." in text
    assert "-0.02 to +0.05 points; here the changes are not told apart from 0 in any metric" in text
    assert "| all of it | paper | +1.41 | +3.97 | +2.54 | +4.11 |" in text


def test_nothing_run_says_what_to_run() -> None:
    assert "`marsnb run --table 9 --profile lite`" in segmentation.steps_text("lite")
    assert "`marsnb run --table 11 --profile lite`" in segmentation.sweep_text(11, "lite")


def test_a_sweep_names_the_best_by_metric_and_checks_the_papers_words(fake_ledger: ModuleType) -> None:
    top1 = {"w-01": 0.50, "w-001": 0.60, "w-0001": 0.607, "w-00001": 0.61}
    fake_ledger.fill("lite", number=11, top1=top1)
    text = segmentation.sweep_text(11, "lite")
    assert "in the paper ACC 0.0001 (94.04 %), MACC 0.1 (75.83 %), FACC 0.0001 (88.84 %), mIoU 0.001 (70.34 %)" in text
    assert "here ACC 0.0001 (66.00 %)" in text
    assert "mIoU spans 0.15 points over 4 rows in the paper, and 11.00 points over 4 rows here" in text
    assert "told apart from the paper's choice: 0.1 instead of 0.001." in text
    assert "In its table, ACC does not at every row (93.92, 93.39, 94.02, 94.04)" in text
    assert "here, ACC does so at every row" in text
    assert text.count("likely a misprint") == 1 and "ACC of 93.39 at 0.01" in text
    fake_ledger.fill("lite", number=10)
    ten = segmentation.sweep_text(10, "lite")
    assert "misprint" not in ten and "**the sweep does not decide**" in ten
    assert "mIoU does not at every row (70.14, 70.34, 70.09, 66.92)" in ten


@pytest.mark.parametrize("number", [9, 10, 11])
def test_a_panel_per_metric_shares_the_rows(number: int, fake_ledger: ModuleType) -> None:
    left_out = recipes.load_table(number).rows[1].id
    fake_ledger.fill("lite", number=number, leave_out=(left_out,))
    frame = panels._numbers(number, "lite")
    with styled():
        fig = panels._draw(frame, number)
    fig.canvas.draw()
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["ACC (%)", "MACC (%)", "FACC (%)", "mIoU (%)"]
    names = [label.get_text() for label in fig.axes[0].get_yticklabels()]
    assert names == [row.label for row in recipes.load_table(number).rows]
    boxes = [label.get_window_extent() for label in fig.axes[0].get_yticklabels()]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
    assert max(box.x1 for box in boxes) <= fig.axes[0].bbox.x0
    said = [text.get_text() for text in fig.axes[-1].texts]
    assert said == ["not run"] and [len(ax.texts) for ax in fig.axes[:-1]] == [0, 0, 0]
    plt.close(fig)


def test_the_sweeps_are_drawn_against_the_papers_choice(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite", number=10, leave_out=("t-09",))
    with pytest.raises(RecipeError, match=r"no two rows .*`marsnb run --table 10 --profile lite"):
        figure("sweeps_segmentation", "lite")
    fake_ledger.fill("lite", number=10, top1={"t-05": 0.5, "t-09": 0.6})
    png = figure("sweeps_segmentation", "lite")
    frame = pd.read_csv(png.with_suffix(".csv")).set_index(["table", "metric", "value"])
    assert len(frame) == 32 and png.is_file()
    assert frame.loc[(10, "miou", 0.9), ["paper", "measured", "low", "high"]].tolist() == [0, 0, 0, 0]
    assert frame.at[(10, "miou", 0.5), "measured"] == pytest.approx(-10)
    assert frame.at[(10, "miou", 0.5), "paper"] == pytest.approx(66.92 - 70.34)
    assert frame.loc[11, "how"].tolist().count("not run") == 12


def test_fairness_counts_the_passes_of_each_step() -> None:
    found = {row[0]: row for row in rows(fairness_table(9, "lite"))}
    assert found["Baseline"][1:] == ["joint 4, joint 4", "", "", "1, 1", "1, 1", "1"]
    assert found["Final Method"][1:] == ["pretrain 4, joint 4, pseudo 4", "", "", "1, 1, 1", "1, 2, 2", "1.5"]
    assert found["w/o Joint Semi-Supervised Learning"][2:6] == ["contrast False", "", "1, 1, 1", "1, 1, 1"]
    assert found["w/o Pretraining"][1] == "joint 4, pseudo 4"
