"""A user's own runs on other images: beside the committed ones, never among them, and never subtracted from them."""

import pandas as pd
import pytest

from marsnb import results
from marsnb.results import claims
from marsnb.training import ledger
from marsnb.training.spec import row_runs
from tests.fake import ledger as fake
from tests.fake import segmentation_ledger

OWN = {"fingerprint": "ffff00001111", "labelled": "own", "n": 9, "date": "2027-01-01"}


def key(number: int, row: str) -> str:
    return next(run for one, run, _ in row_runs(number, "lite") if one.id == row)


def add(number: int, row: str, value: float, seed: int = 0, **changes: object) -> None:
    """One more run of a row, on other data, as the ledger would enter it."""
    of_task = fake.pixel_lines if number >= 8 else fake.run_lines
    run = {**OWN, **changes}
    lines = of_task(key(number, row), seed, value)
    run_id = f"{key(number, row)}-{run['fingerprint'][:6]}-s{seed}"
    ledger.append("lite", [{**line, **run, "run_id": run_id} for line in lines], fake.curve_lines(run_id))


def everything() -> dict[str, pd.DataFrame]:
    frame = results.table(9, "lite")
    return {
        "table": frame,
        "summary": results.summary(frame),
        "differences": results.differences(frame, "baseline"),
        "curves": results.curves(9, "lite"),
        "claims": claims.frame("lite"),
    }


def test_one_run_on_nine_images_changes_nothing_of_three_seeds_on_2386() -> None:
    segmentation_ledger.fill("lite", 9, seeds=3, n=2386)
    before = everything()
    add(9, "baseline", 0.19)
    for name, frame in everything().items():
        pd.testing.assert_frame_equal(frame, before[name], obj=name)
    assert set(before["table"]["n"].dropna()) == {2386}
    assert (before["claims"].query("section == '7.3'")["verdict"] != claims.UNTESTED).any()


def test_own_runs_are_shown_when_asked_for_and_marked() -> None:
    segmentation_ledger.fill("lite", 9, seeds=3, n=2386)
    add(9, "baseline", 0.19)
    mine = results.table(9, "lite", "acc", data="mine").dropna(subset="value")
    assert mine[["row", "seed", "n", "whose"]].to_numpy().tolist() == [["baseline", 0, 9, "mine"]]
    both = results.summary(results.table(9, "lite", "acc", data="both"))
    base = both[both["row"] == "baseline"].set_index("whose")
    assert (base.loc["committed", "seeds"], base.loc["mine", "seeds"]) == (3, 1)
    assert base.loc["mine", "mean"] == pytest.approx(24) and base.loc["committed", "mean"] > 70
    assert "Baseline (own data)" in set(results.readable(both)["Method"])
    gaps = results.differences(results.table(9, "lite", "acc", data="both"), "baseline")
    assert set(gaps["whose"]) == {"committed"} and (gaps["seeds"] == 3).all()  # mine has nothing to be held against
    assert set(results.curves(9, "lite", "test/top1", data="mine")["whose"]) == {"mine"}


def test_runs_on_the_same_own_data_are_compared_with_each_other() -> None:
    segmentation_ledger.fill("lite", 9, seeds=3)
    add(9, "baseline", 0.19)
    add(9, "final", 0.29)
    gaps = results.differences(results.table(9, "lite", "acc", data="both"), {"all": ("final", "baseline")})
    assert gaps["whose"].tolist() == ["committed", "mine"]
    assert gaps["mean"].tolist()[1] == pytest.approx(10) and gaps["seeds"].tolist() == [3, 1]
    assert not gaps["told_apart"].iloc[1]


def test_of_two_measurements_of_one_size_the_earlier_is_the_committed_one() -> None:
    fake.fill("lite", number=6, date="2026-05-01")
    for row in ("ls-0.3", "ls-0.5", "ls-1", "ls-2", "ls-5"):
        add(6, row, 0.9, date="2026-06-01", n=1305)
    assert set(results.table(6, "lite")["labelled"]) == {"lab1"}
    for row in ("ls-0.3", "ls-0.5", "ls-1", "ls-2", "ls-5"):
        add(6, row, 0.9, date="2025-01-01", n=1305)
    assert set(results.table(6, "lite")["labelled"]) == {"own"}


def test_rows_that_see_unlabelled_images_too_are_compared_with_those_that_do_not() -> None:
    fake.fill("lite", seeds=3, leave_out=("final", "ls-lu"))
    for seed in range(3):
        add(4, "final", 0.8 + 0.01 * seed, seed, fingerprint="2112unlabelled", labelled="lab1", date="2026-01-02")
    gap = results.differences(results.table(4, "lite"), {"both losses": ("final", "moco")}).iloc[0]
    assert (gap["seeds"], gap["why"]) == (3, "")
    add(4, "final", 0.2, 0, fingerprint="5555ownpool", labelled="lab1")  # the user's own pool of unlabelled images
    shown = results.table(4, "lite").query("row == 'final'")
    assert set(shown["fingerprint"]) == {"2112unlabelled"} and len(shown) == 3
    mine = results.table(4, "lite", data="mine").query("row in ('final', 'moco')").dropna(subset="value")
    assert mine.groupby("row")["fingerprint"].unique().map(list).to_dict() == {
        "final": ["5555ownpool"], "moco": ["abc123def"],
    }  # fmt: skip


def test_a_ledger_without_the_column_tells_data_apart_by_name_and_images() -> None:
    fake.fill("lite", number=6, seeds=2, labelled=None)
    add(6, "ls-1", 0.3, labelled=None)
    frame = results.table(6, "lite").query("row == 'ls-1'")
    assert frame["labelled"].unique().tolist() == ["msl, 720"] and len(frame) == 2


def test_of_one_seed_run_twice_the_newest_counts() -> None:
    fake.fill("lite", number=6)
    lines = fake.run_lines(key(6, "ls-1"), 0, 0.55, date="2026-02-02")
    run_id = f"{key(6, 'ls-1')}-abc123-x-s0"
    ledger.append("lite", [{**line, "run_id": run_id} for line in lines], [])
    assert results.table(6, "lite").query("row == 'ls-1'")["value"].tolist() == [pytest.approx(55)]
