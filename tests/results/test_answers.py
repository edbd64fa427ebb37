"""Answers to single images are kept beside the ledger as they were, and stand in for what runs left."""

import shutil
from collections.abc import Sequence

import pandas as pd
import pytest

from marsnb import cli, paths, results
from marsnb.errors import DataError
from marsnb.results.images import keep_answers
from marsnb.training import ledger
from marsnb.training.spec import row_runs

TERRAINS = ("soil", "sand")
CELLS = [f"{label}>{said}" for label in TERRAINS for said in TERRAINS]


def entered(table: int, row: str, metric: str, value: float, seed: int = 0, n: int = 4) -> str:
    """A run in the ledger of lite; its id."""
    key = next(key for one, key, _ in row_runs(table, "lite") if one.id == row)
    run_id = f"{key}-abc123-s{seed}"
    facts = {"data": "msl", "labelled": "abc", "fingerprint": "abc", "seed": seed, "date": "2026-01-01", "n": n}
    ledger.append("lite", [{"run_id": run_id, **facts, "split": "test", "metric": metric, "value": value}], [])
    return run_id


def classified(run_id: str, right: Sequence[bool]) -> pd.DataFrame:
    """What a run of classification leaves: four test images, one of validation."""
    answers = ["ground" if yes else "inlet" for yes in right]
    frame = pd.DataFrame({"name": [f"{i}.JPG" for i in range(len(right))], "label": "ground", "prediction": answers})
    frame = frame.assign(split="test", confidence=[0.1234567 + 0.1 * i for i in range(len(right))])
    seen = frame[["split", "name", "label", "prediction", "confidence"]]
    (paths.runs() / run_id).mkdir(parents=True)
    pd.concat([seen, seen.head(1).assign(split="val")]).to_csv(paths.runs() / run_id / "predictions.csv", index=False)
    return frame


def segmented(run_id: str, matrices: Sequence[Sequence[int]]) -> None:
    """What a run of segmentation leaves: confusion matrices of test images, one of validation."""
    lines = [["test", f"{i}.JPG", *cells] for i, cells in enumerate(matrices)]
    (paths.runs() / run_id).mkdir(parents=True)
    frame = pd.DataFrame([*lines, ["val", "9.JPG", 1, 1, 1, 1]], columns=["split", "name", *CELLS])
    frame.to_csv(paths.runs() / run_id / "matrices.csv", index=False)


def forget_runs() -> None:
    """As on another machine, which has the repository alone."""
    shutil.rmtree(paths.runs())


def test_a_classifiers_answers_to_the_test_images_are_kept_and_read() -> None:
    run_id = entered(4, "baseline", "top1", 0.75)
    truth = classified(run_id, [True, True, False, True])
    path = keep_answers(run_id, "lite")
    assert path == paths.figures("lite") / "answers" / f"{run_id}.csv"
    assert set(pd.read_csv(path)["split"]) == {"test"} and "0.123\n" in path.read_text()
    forget_runs()
    found = results.answers(run_id)
    for column in ("name", "label", "prediction"):
        assert found[column].tolist() == truth[column].tolist()
    assert found["confidence"].tolist() == [0.123, 0.223, 0.323, 0.423]
    assert keep_answers(run_id, "lite") == path  # nothing to copy from, and nothing lost
    with pytest.raises(DataError, match="are not on this machine"):
        results.answers(run_id, "val")


def test_a_segmenters_matrices_are_kept_and_read() -> None:
    run_id = entered(9, "final", "acc", 0.8)
    segmented(run_id, [[4, 0, 1, 0], [0, 0, 1, 4]])
    before = results.matrices(run_id)
    keep_answers(run_id, "lite")
    forget_runs()
    pd.testing.assert_frame_equal(results.matrices(run_id), before)
    assert before.columns.tolist() == CELLS and before.loc["1.JPG"].tolist() == [0, 0, 1, 4]


def test_one_seed_is_compared_image_by_image_from_what_was_kept() -> None:
    right = {"baseline": [False] * 10 + [True] * 10, "final": [True] * 20}
    runs = {row: entered(4, row, "top1", sum(yes) / 20, n=20) for row, yes in right.items()}
    for row, yes in right.items():
        classified(runs[row], yes)
        keep_answers(runs[row], "lite")
    found = results.differences(results.table(4, "lite", "top1"), {"x": ("final", "baseline")}).iloc[0]
    forget_runs()
    again = results.differences(results.table(4, "lite", "top1"), {"x": ("final", "baseline")}).iloc[0]
    assert found["rule"] == again["rule"] == "test images, one seed" and 0 < again["low"] < 50 < again["high"]
    assert (found["low"], found["high"]) == (again["low"], again["high"])
    masks = {"baseline": [2, 3, 1, 4], "final": [5, 0, 0, 5]}
    for row, cells in masks.items():
        run_id = entered(9, row, "acc", (cells[0] + cells[3]) / 10)
        segmented(run_id, [cells, cells])
        keep_answers(run_id, "lite")
    forget_runs()
    found = results.differences(results.table(9, "lite", "acc"), {"x": ("final", "baseline")}).iloc[0]
    assert found["rule"] == "test images, one seed" and found["low"] == pytest.approx(40)


def test_answers_of_another_training_are_refused() -> None:
    run_id = entered(4, "baseline", "top1", 0.5)
    classified(run_id, [True, True, False, True])
    with pytest.raises(DataError, match=r"right on 75.00 %, its scores in the ledger on 50.00 %: it was trained anew"):
        keep_answers(run_id, "lite")
    run_id = entered(9, "baseline", "acc", 0.5)
    segmented(run_id, [[4, 0, 1, 0]])
    with pytest.raises(DataError, match="trained anew"):
        keep_answers(run_id, "lite")
    assert not (paths.figures("lite") / "answers").exists()


def test_what_is_missing_is_named() -> None:
    with pytest.raises(DataError, match="no scores of nothing-s0 on test: look up its run ids"):
        keep_answers("nothing-s0", "lite")
    run_id = entered(4, "baseline", "top1", 0.5)
    with pytest.raises(DataError, match=f"point MARSNB_RUNS at the folder that has {run_id}"):
        keep_answers(run_id, "lite")


def test_the_command_copies_all_that_is_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(*words: str) -> tuple[int | str | None, str, str]:
        monkeypatch.setattr("sys.argv", ["marsnb", "answers", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        shown = capsys.readouterr()
        return stop.value.code, shown.out, shown.err

    here, absent = (entered(4, "baseline", "top1", 0.75, seed) for seed in (0, 1))
    other = entered(4, "final", "top1", 1.0)
    for run_id, right in ((here, [True, True, False, True]), (other, [True] * 4)):
        classified(run_id, right)
    code, out, err = call("--table", "4", "--row", "baseline")
    assert code == 1 and f"{here}.csv" in out and other not in out
    assert err.startswith(f"marsnb: the answers of {absent}") and err.count("\n") == 1
    code, out, _ = call(other, "--profile", "lite")
    assert code == 0 and out.strip() == str(paths.figures("lite") / "answers" / f"{other}.csv")
    code, out, err = call("--table", "4")
    assert code == 1 and here in out and other in out
    assert "give run ids, or --table" in call()[2] and "no row 'best'" in call("--table", "4", "--row", "best")[2]
