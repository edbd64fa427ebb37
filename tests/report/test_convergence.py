"""Fig. 11 and the paper's sentences about it, tested on curves."""

import re

import pandas as pd
import pytest

from marsnb.errors import RecipeError
from marsnb.recipes import load_profile
from marsnb.report import claims, convergence, evidence, readings
from marsnb.report.claim_checks import OPEN
from marsnb.report.figures import figure
from marsnb.report.turning_points import Drop, drop_at, settled
from marsnb.training import ledger
from marsnb.training.spec import row_runs
from tests.fake import segmentation_ledger

EPOCHS = load_profile("lite").segmentation["epochs"]


def put(row: str, values: list[float]) -> None:
    """Give both scores of a row these values, from its first epoch with cross entropy on."""
    key = next(key for found, key, _ in row_runs(9, "lite") if found.id == row)
    curves = ledger.read_curves("lite")
    mine = curves["run_id"].str.startswith(key)
    before = EPOCHS if row == "final" else 0
    for i, value in enumerate(values, start=1):
        for metric in convergence.METRICS:
            at = mine & (curves["metric"] == f"test/{metric}") & (curves["epoch"] == before + i)
            assert at.sum() == 1
            curves.loc[at, "value"] = value
    curves.to_csv(ledger.curves_path("lite"), index=False)


def spread(first: float, last: float) -> list[float]:
    """One value in each epoch of a step, evenly from first to last."""
    return [first + (last - first) * i / (EPOCHS - 1) for i in range(EPOCHS)]


def said(title: str) -> set[str]:
    """Verdicts of a reading, over the two scores."""
    return set(re.findall(rf"\*{title}\*, \w+: \*\*([a-z ]+) here\*\*", convergence.what_we_see("lite")))


def test_settled_asks_that_the_curve_stays() -> None:
    assert settled(pd.Series([50, 96, 90, 97, 100], index=range(1, 6)), 0.05) == 4
    assert settled(pd.Series([99, 98, 100], index=range(1, 4)), 0.05) == 1
    assert settled(pd.Series([120, 110, 100], index=range(1, 4)), 0.05) == 3  # a curve that falls has not settled above


def test_converging_earlier_by_one_bound_alone_is_undecided() -> None:
    segmentation_ledger.fill("lite", 9)
    put("baseline", [*spread(0.5, 0.6), *spread(0.61, 0.7)])
    put("final", [*[0.78] * (2 * EPOCHS - 1), 0.8])  # within 5 % from the start, within 1 % in the end
    assert convergence.what_we_see("lite").count("*Converges earlier*, ") == 2
    assert said("Converges earlier") == {"undecided"}
    found = {item.claim.id: item for item in claims.judge("lite")}
    assert found["converges"].verdict == OPEN


def test_claims_and_figure_tell_convergence_by_one_function() -> None:
    assert evidence.settled is settled
    segmentation_ledger.fill("lite", 9)
    put("baseline", [*spread(0.3, 0.5), *spread(0.51, 0.7)])
    put("final", [*spread(0.8, 0.8), *spread(0.79, 0.8)])
    mine = evidence.Evidence("lite").settled("table09/final", "test/miou")
    assert mine == [[1, EPOCHS + 2]]  # pretraining is not counted
    row = next(line for line in convergence.convergence_table("lite").splitlines() if "| Final Method |" in line)
    assert row.endswith("| 1 | 6 | 1 | 6 |")


def test_a_drop_and_its_recovery() -> None:
    values = pd.Series([70, 80, 75, 74, 81, 83], index=range(1, 7))
    assert drop_at(values, 2.5) == Drop(80, 75, 74, 83, 3)
    never = drop_at(values.iloc[:4], 2.5)
    assert never is not None and never.back is None
    assert drop_at(values, 0.5) is None


def test_fig11_begins_with_the_joint_step_and_keeps_the_pretraining_apart() -> None:
    segmentation_ledger.fill("lite", 9)
    png = figure("11", "lite")
    files = [png.with_suffix(kind) for kind in (".csv", ".svg", ".png")]
    first = [path.read_bytes() for path in files]
    figure("11", "lite")
    assert first == [path.read_bytes() for path in files]
    assert b"joint losses" not in first[1]  # no arrow at the first epoch drawn
    frame = pd.read_csv(files[0])
    drawn = frame[frame["metric"].isin(list(convergence.METRICS)) & (frame["at"] > 0)]
    assert drawn.groupby("row")["at"].agg(["min", "max"]).values.tolist() == [[1, 2 * EPOCHS]] * 2
    assert frame.loc[frame["metric"] == "element_wise", "at"].max() == 0
    assert convergence.change_of(frame) == EPOCHS + 0.5


def test_missing_rows_name_the_command() -> None:
    with pytest.raises(RecipeError, match="marsnb run --table 9 --profile lite"):
        figure("11", "lite")


def test_the_papers_readings_hold_on_curves_made_for_them() -> None:
    segmentation_ledger.fill("lite", 9)
    put("baseline", [*spread(0.3, 0.5), 0.62, *[0.69] * (EPOCHS - 2), 0.7])
    put("final", [*spread(0.79, 0.8), 0.78, *[0.815] * (EPOCHS - 2), 0.82])
    text = convergence.what_we_see("lite")
    assert said("Quickly exceeds the baseline") == said("Converges earlier") == {"holds"}
    assert said("Drops at the change of losses") == {"holds"}
    assert said("Ends higher than before the change") == {"undecided"}  # it wavers by more than the 2 points it gains
    assert "It goes from 80.00 to 78.00 (-2.00 points" in text
    assert "the value before is passed in epoch" in text
    put("final", [*spread(0.79, 0.8), *[0.84] * (EPOCHS - 1), 0.85])
    assert said("Ends higher than before the change") == {"holds"}
    assert said("Drops at the change of losses") == {"does not hold"}


def test_notebook_17_gives_the_verdicts_of_notebook_19() -> None:
    segmentation_ledger.fill("lite", 9)
    put("baseline", [*spread(0.3, 0.5), *spread(0.51, 0.7)])
    put("final", [*spread(0.79, 0.8), 0.75, *[0.85] * (EPOCHS - 1)])
    found = {item.claim.id: item.verdict for item in claims.judge("lite")}
    titles = {
        "Quickly exceeds the baseline": "pretraining-quick", "Converges earlier": "converges",
        "Drops at the change of losses": "sudden-drop", "Ends higher than before the change": "ends-higher",
    }  # fmt: skip
    for title, claim_id in titles.items():
        assert said(title) == {found[claim_id]}
    with pytest.raises(RecipeError, match="no claim 'converges' about precision"):
        readings.reading("lite", "converges", "precision")


def test_generated_images_test_no_reading() -> None:
    segmentation_ledger.fill("smoke", 9)
    text = convergence.what_we_see("smoke")
    assert text.count("**not tested here**, since generated images say nothing about Mars") == 8
    assert "holds" not in text and "undecided here" not in text


def test_the_papers_readings_fail_on_curves_made_against_them() -> None:
    segmentation_ledger.fill("lite", 9)
    put("baseline", [*spread(0.8, 0.8), *spread(0.78, 0.8)])
    put("final", [*spread(0.3, 0.6), *spread(0.6, 0.59)])
    text = convergence.what_we_see("lite")
    assert text.count("**does not hold here**") == 8 and "**holds here**" not in text
    assert "never" in text and "it is never passed again" in text


def test_a_drop_that_the_baseline_shares_is_no_drop_of_the_losses() -> None:
    segmentation_ledger.fill("lite", 9)
    put("baseline", [*spread(0.3, 0.5), *spread(0.3, 0.7)])  # -20 points
    put("final", [*spread(0.6, 0.8), *spread(0.7, 0.81)])  # -10 points
    text = convergence.what_we_see("lite")
    assert "*Drops at the change of losses*, accuracy: **does not hold here**" in text


def test_pretraining_is_counted_too() -> None:
    segmentation_ledger.fill("lite", 9)
    put("baseline", [*spread(0.3, 0.69), *spread(0.7, 0.7)])
    put("final", [*spread(0.8, 0.8), *spread(0.8, 0.8)])
    text = convergence.what_we_see("lite")
    assert f"from epoch 1 on, the baseline from epoch {EPOCHS} on." in text
    assert f"With the pretraining counted it is epoch {EPOCHS + 1}, later" in text
    assert "| Final Method | 80.00 | 80.00 | 1 | 1 | 1 | 1 |" in convergence.convergence_table("lite")


def test_epochs_that_were_not_scored_test_nothing() -> None:
    segmentation_ledger.fill("lite", 9)
    curves = ledger.read_curves("lite")
    last = curves["epoch"] == curves.groupby("run_id")["epoch"].transform("max")
    curves[last | ~curves["metric"].str.startswith("test/")].to_csv(ledger.curves_path("lite"), index=False)
    text = convergence.what_we_see("lite")
    assert said("Drops at the change of losses") == said("Ends higher than before the change") == {"not tested"}
    assert text.count("--score-every 1") == 4
    assert figure("11", "lite").is_file()
