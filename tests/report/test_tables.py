import statistics
from types import ModuleType

import pandas as pd
import pytest

from marsnb import paths
from marsnb.report import sentences, tables
from marsnb.report.measured import lines, measure, runs_of
from marsnb.training import ledger
from marsnb.training.spec import row_runs


def line_of(profile: str, row_id: str):
    return next(line for line in lines(4, profile) if line.row.id == row_id)


def test_an_empty_ledger_measures_nothing() -> None:
    long = tables.table(4, "lite")
    assert list(long.columns) == tables.COLUMNS
    assert long["measured_mean"].isna().all() and long["difference"].isna().all()
    text = tables.markdown(4, "lite")
    assert text.count("| not run |") == len(long) and "Nothing was run yet" in text
    assert tables.summary("lite")["measured"].tolist() == [0] * len(tables.summary("lite"))
    assert "not run" in sentences.ablation("lite") or "was run yet" in sentences.ablation("lite")


def test_one_seed_has_an_interval_and_no_spread(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite")
    line = line_of("lite", "moco-ls")
    assert line.measured is not None and line.difference is not None
    assert (line.measured.n, line.measured.std) == (1, None)
    assert line.measured.low == pytest.approx(line.measured.mean - 2)
    assert line.difference == pytest.approx(line.measured.mean - 93.82)
    assert f"{line.measured.mean:.2f} [{line.measured.low:.2f}, " in tables.markdown(4, "lite")


def test_several_seeds_have_mean_and_sample_deviation(fake_ledger: ModuleType) -> None:
    key = next(key for row, key, _ in row_runs(4, "lite") if row.id == "final")
    values = [0.80, 0.83, 0.85]
    for seed, value in enumerate(values):
        ledger.append("lite", fake_ledger.run_lines(key, seed, value), [])
    found = measure(ledger.read("lite"), key, "top1")
    assert found is not None and found.n == 3 and found.low is None
    assert found.mean == pytest.approx(100 * statistics.mean(values))
    assert found.std == pytest.approx(100 * statistics.stdev(values))


def test_data_of_two_fingerprints_are_never_mixed(fake_ledger: ModuleType) -> None:
    old = fake_ledger.run_lines("key", 0, 0.5, run_id="key-old-s0", fingerprint="old", date="2026-03-01")
    old += fake_ledger.run_lines("key", 1, 0.5, run_id="key-old-s1", fingerprint="old", date="2026-01-01")
    new = fake_ledger.run_lines("key", 0, 0.9, run_id="key-new-s0", fingerprint="new", date="2026-03-02")
    book = pd.DataFrame(new + old)
    found = measure(book, "key", "top1")
    assert found is not None and (found.mean, found.n, found.fingerprint) == (pytest.approx(90), 1, "new")
    assert set(runs_of(book, "key")["fingerprint"]) == {"new"}


def test_a_key_is_not_mistaken_for_a_longer_one(fake_ledger: ModuleType) -> None:
    book = pd.DataFrame(fake_ledger.run_lines("keyring", 0, 0.5))
    assert measure(book, "key", "top1") is None


def test_a_row_without_a_run_says_so_and_leaves_no_number(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite", leave_out=("moco-lu",))
    row = next(line for line in tables.markdown(4, "lite").splitlines() if "+ L_u |" in line and "78.65" in line)
    assert [cell.strip() for cell in row.strip("|").split("|")][2:] == ["not run", "", "", ""]
    assert tables.summary("lite").set_index("table").loc[4, ["rows", "measured"]].tolist() == [8, 7]


def test_rows_that_share_a_run_and_other_weights_say_so(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite")
    text = tables.markdown(4, "lite")
    assert "tf_efficientnet_lite0 from imagenet-lite (paper: resnet50 from moco_v2)" in text
    assert "same run as “ResNet-50 (baseline)”" in text
    assert line_of("lite", "moco").key == line_of("lite", "baseline").key
    assert "same run at this profile: not tested" in sentences.ablation("lite")


def test_the_papers_own_profile_runs_the_papers_networks(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("paper")
    assert not any(line.ran_as for line in lines(4, "paper") if not line.row.control)


def test_controls_stand_under_a_rule_and_have_no_paper_number(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite")
    above, below = tables.markdown(4, "lite").split("| **Controls (not in the paper)** | | | | | |")
    assert "Final" in above and "Frozen backbone" in below
    assert all(row.split("|")[2].strip() == "" for row in below.strip().splitlines())


def test_generated_images_are_marked(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite")
    assert "SYNTHETIC" not in tables.markdown(4, "lite")
    fake_ledger.fill("smoke", data="synthetic")
    assert "**SYNTHETIC DATA" in tables.markdown(4, "smoke")
    assert tables.table(4, "smoke")["difference"].isna().all()  # no such number is set against the paper's
    assert "SYNTHETIC" in sentences.state("smoke") and "SYNTHETIC" in sentences.ablation("smoke")


def test_write_table_makes_two_files_that_rebuild_the_same(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite", seeds=2)
    first = [path.read_bytes() for path in tables.write_table(4, "lite")]
    assert first == [path.read_bytes() for path in tables.write_table(4, "lite")]
    long = pd.read_csv(paths.figures("lite") / "table04.csv")
    assert list(long.columns) == tables.COLUMNS and (long["n"] == 2).all()
    assert long.loc[long["recipe"] == "table04/final", "paper_mean"].item() == 95.86


def test_a_table_of_our_own_has_no_column_for_the_paper(fake_ledger: ModuleType) -> None:
    _, key, _ = row_runs("choice", "lite")[0]
    ledger.append("lite", fake_ledger.run_lines(key), [])
    text = tables.markdown("choice", "lite")
    assert "Paper" not in text and "Controls" not in text and "Validation accuracy" in text
    assert "| 97.00 | 1 |" in text


def test_table_1_counts_the_synthetic_set_and_says_so() -> None:
    text = tables.markdown(1, "smoke")
    assert "SYNTHETIC" in text and "| drt side | 12 |" in text
    long = tables.table(1, "smoke")
    assert list(long.columns) == tables.COLUMNS and len(long) == 48
    assert long.loc[long["column"] == "Test", "paper_mean"].sum() == 1305


@pytest.mark.real_data
def test_table_1_of_msl_is_the_papers() -> None:
    assert (tables.table(1, "lite")["difference"] == 0).all()
    assert "All counts agree." in tables.markdown(1, "lite")


def test_leak_of_the_shuffle_by_image() -> None:
    from marsnb.report.counts import twins

    table = twins("smoke").set_index("protocol")
    assert table.at["by_frame", "with_twin"] == 0 and table.at["paper", "with_twin"] > 0
    assert "`by_frame`" in sentences.leak("smoke") and "drill holes, turret" in sentences.imagery("smoke")
