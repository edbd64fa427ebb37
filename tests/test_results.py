"""What the repository says it measured is in the committed ledger, whole and plausible."""

import pandas as pd
import pytest

from marsnb import paths
from marsnb.training import ledger
from marsnb.training.spec import row_runs


@pytest.fixture(autouse=True)
def committed(monkeypatch):
    """The repository's own figures folder."""
    monkeypatch.delenv("MARSNB_FIGURES")


def measured(row_id: str) -> pd.DataFrame:
    keys = {row.id: key for row, key, _ in row_runs(4, "lite")}
    book = ledger.read("lite")
    return book[book["run_id"].str.startswith(f"{keys[row_id]}-") & (book["split"] == "test")]


MEASURED = {run_id.split("-")[0] for run_id in pd.read_csv(paths.ROOT / "figures" / "lite" / "runs.csv")["run_id"]}
"""Keys of the runs in the committed ledger; rows without one say "not run" in their table."""
ROWS = [row.id for row, key, _ in row_runs(4, "lite") if key in MEASURED]


def test_the_rows_that_a_reader_looks_for_first_are_measured():
    assert {"baseline", "moco-strong", "moco-ls"} <= set(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_table_4_is_measured_at_lite_on_the_real_images(row):
    lines = measured(row)
    top1 = lines[lines["metric"] == "top1"]
    assert len(top1) >= 1
    assert set(top1["n"]) == {1305}
    assert set(top1["data"]) == {"msl"}
    assert top1["device"].str.startswith("cpu x1 ").all()  # the number of threads that lite fixes
    per_class = lines[lines["metric"].str.startswith("top1/")]
    weighted = (per_class["value"] * per_class["n"]).groupby(per_class["run_id"]).sum() / 1305
    assert weighted.to_dict() == pytest.approx(top1.set_index("run_id")["value"].to_dict(), abs=1e-6)


@pytest.mark.parametrize("row", [row for row in ("baseline", "linear-probe") if row in ROWS])
def test_the_data_path_and_the_weights_are_right(row):
    """A linear layer on the frozen network is known to reach 79 %: below it, the images or the weights are wrong."""
    lines = measured(row)
    assert (lines[lines["metric"] == "top1"]["value"] >= 0.79).all()


def test_the_runs_that_chose_the_profile_never_saw_the_test_list():
    keys = {key for _, key, _ in row_runs("choice", "lite")}
    book = ledger.read("lite")
    mine = book[book["run_id"].str.split("-").str[0].isin(keys)]
    assert len(mine)
    assert set(mine["split"]) == {"val"}


def test_every_measured_run_has_its_curve():
    runs, curves = set(ledger.read("lite")["run_id"]), ledger.read_curves("lite")
    assert runs == set(curves["run_id"])
    scored = curves[curves["metric"].isin(["test/top1", "val/top1", "test/miou", "val/miou"])]
    assert runs == set(scored["run_id"])


def test_the_ledger_was_measured_by_committed_code():
    assert (paths.figures("lite") / "runs.csv").exists()
    commits = ledger.read("lite")["commit"]
    assert len(commits) and not commits.str.contains("[+]|unknown").any()
