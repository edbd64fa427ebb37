"""Two and four processes on one ledger, one run, one bank and one cache: one result, as if there were one process."""

from pathlib import Path

import pandas as pd
import pytest

from tests.campaigns.tools import append_runs, build_bank, decode, differences, folders, left, train, undisturbed
from tests.forked import start

each_crowd = pytest.mark.parametrize("count", [2, 4])


def together(root: Path, *calls: tuple) -> None:
    processes = [start(*call, environment=folders(root)) for call in calls]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * len(calls)


@each_crowd
@pytest.mark.parametrize(
    "call", [(decode,), (build_bank, 1), (train, "classification")], ids=lambda call: call[0].__name__
)
def test_the_same_thing_at_once(tmp_path: Path, count: int, call: tuple) -> None:
    undisturbed(tmp_path / "one", *call)
    together(tmp_path / "many", *[call] * count)
    found = differences(left(tmp_path / "one"), left(tmp_path / "many"))
    print(f"\n{count} times {call[0].__name__} at once; not equal: {found}")
    assert not found


@each_crowd
def test_one_ledger(tmp_path: Path, count: int) -> None:
    together(tmp_path, *[(append_runs, name, 25) for name in "abcd"[:count]])
    lines = pd.read_csv(tmp_path / "figures" / "smoke" / "runs.csv")
    curves = pd.read_csv(tmp_path / "figures" / "smoke" / "curves.csv")
    print(
        f"\n{count} writers of 25 runs: {lines['run_id'].nunique()} runs, {len(lines)} lines, {len(curves)} of curves"
    )
    assert lines["run_id"].nunique() == 25 * count
    assert len(lines) == 6 * 25 * count and not lines.duplicated(["run_id", "split", "metric"]).any()
    assert len(curves) == 3 * 25 * count


def test_different_runs_into_one_ledger(tmp_path: Path) -> None:
    rows = [(train, task, seed) for task in ("classification", "segmentation") for seed in (0, 1)]
    for row in rows:
        undisturbed(tmp_path / "one", *row)
    together(tmp_path / "many", *rows)
    one, many = left(tmp_path / "one"), left(tmp_path / "many")
    tables = [[pd.read_csv(tmp_path / side / "figures" / "smoke" / "runs.csv") for side in ("one", "many")]]
    order = ["run_id", "split", "metric"]
    for first, second in tables:
        same = [*order, "value", "n"]
        pd.testing.assert_frame_equal(
            *[table[same].sort_values(order, ignore_index=True) for table in (first, second)], check_exact=True
        )
    found = [name for name in differences(one, many) if not name.startswith("figures")]
    print(f"\n{len(rows)} runs at once; files not equal: {found}")
    assert not found
