"""Stages that several runs have in common are trained once, and change no number."""

import pandas as pd
import pytest
import torch

from marsnb import paths
from marsnb.methods.segmentation.cross_entropy import CrossEntropy
from marsnb.methods.segmentation.semi_supervised import SemiSupervised
from marsnb.training import segmentation, shared
from marsnb.training.run import make_spec, run
from marsnb.training.shared import FOLDER, stage_ends

TINY = {
    "task": "segmentation", "dataset": "synthetic_terrain", "data_options": {"train": 8, "test": 4}, "image_size": 32,
    "backbone": "test_resnet", "start": "random", "epochs": 1, "steps_per_epoch": 2, "batch_labelled": 4,
    "decoder_channels": 16, "curve_images": 4,
}  # fmt: skip
KINDS = {"semi_supervised": SemiSupervised, "cross_entropy": CrossEntropy}


@pytest.fixture
def steps_taken(monkeypatch):
    """Counts the training steps of both methods."""
    taken = []
    for kind in KINDS.values():
        real = kind.step
        monkeypatch.setattr(kind, "step", lambda self, real=real, **b: (taken.append(1), real(self, **b))[1])
    return taken


def trained(method, settings, taken, **more):
    """The result of a run, its checkpoint's weights, and how many steps it took."""
    before = len(taken)
    result = run(make_spec(**TINY, method=method, settings=settings, **more), "smoke", device="cpu")
    state = torch.load(result.folder / "last.ckpt", weights_only=True)["state_dict"]
    return result, state, len(taken) - before


@pytest.mark.parametrize(
    ("method", "first", "settings", "steps"),
    [
        ("semi_supervised", {}, {"threshold": 0.3}, 2),
        ("semi_supervised", {}, {"pseudo_labels": False}, 2),
        ("semi_supervised", {}, {"weight_s": 0.1}, 4),
        ("semi_supervised", {}, {"contrast": False}, 4),
        ("cross_entropy", {}, {"step_count": 3}, 2),
        ("cross_entropy", {"step_count": 3}, {}, 0),
    ],
)
def test_a_run_takes_over_what_another_has_trained(method, first, settings, steps, steps_taken, monkeypatch, tmp_path):
    alone, state, every = trained(method, settings, steps_taken)
    monkeypatch.setenv("MARSNB_FIGURES", str(tmp_path / "others"))
    monkeypatch.setenv("MARSNB_RUNS", str(tmp_path / "others-runs"))
    trained(method, first, steps_taken)
    result, after, taken = trained(method, settings, steps_taken)
    assert taken == steps and every == int(alone.metrics["steps"].iloc[0]) == int(result.metrics["steps"].iloc[0])
    same = ["split", "metric", "value", "n"]
    pd.testing.assert_frame_equal(result.metrics[same], alone.metrics[same], check_exact=True)
    pd.testing.assert_frame_equal(result.curves, alone.curves, check_exact=True)
    assert all(torch.equal(state[name], after[name]) for name in state)


@pytest.mark.parametrize("settings", [{"temperature": 0.2}, {"queue": 8}, {"pretrain": False}])
def test_what_decides_the_first_stage_shares_nothing(settings):
    """No file of one is a file of the other."""
    ends = []
    for given in ({}, settings):
        spec = make_spec(**TINY, method="semi_supervised", settings=given)
        method = segmentation.build_method(spec, 4, 2)
        ends.append(set(stage_ends(spec, method, "data", torch.device("cpu")).values()))
    assert all(ends) and not ends[0] & ends[1]


def test_another_seed_and_a_run_again_train_all_of_their_stages(steps_taken):
    trained("semi_supervised", {}, steps_taken)
    assert trained("semi_supervised", {"threshold": 0.3}, steps_taken, seed=1)[2] == 6
    before = len(steps_taken)
    run(make_spec(**TINY, method="semi_supervised", settings={"threshold": 0.3}), "smoke", device="cpu")
    assert len(steps_taken) - before == 2
    run(make_spec(**TINY, method="semi_supervised", settings={"threshold": 0.3}), "smoke", device="cpu", again=True)
    assert len(steps_taken) - before == 2 + 6


@pytest.mark.parametrize("changed", [None, "_code", "versions"])
def test_only_what_the_same_code_trained_counts_in_another_ledger(changed, steps_taken, monkeypatch, tmp_path, capsys):
    first, _, every = trained("cross_entropy", {}, steps_taken)
    capsys.readouterr()
    monkeypatch.setenv("MARSNB_FIGURES", str(tmp_path / "empty"))
    if changed:
        monkeypatch.setattr(shared, changed, lambda: "other")
    result, _, taken = trained("cross_entropy", {}, steps_taken)
    same = ["split", "metric", "value", "n"]
    pd.testing.assert_frame_equal(result.metrics[same], first.metrics[same], check_exact=True)
    said = "last.ckpt is of other code, libraries or another kind of device: trained anew"
    assert (taken, capsys.readouterr().out.count(said)) == ((every, 1) if changed else (0, 0))
    assert trained("cross_entropy", {}, steps_taken, seed=1)[2] == every and said not in capsys.readouterr().out


def test_only_code_that_numbers_depend_on_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    found = []
    for name in ("marsnb/models/a.py", "notebooks/a.py", "marsnb/results/a.py", "marsnb/cli.py", "marsnb/models/b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1")
        found.append(shared._code.__wrapped__())
    assert found[0] == found[1] == found[2] == found[3] != found[4]


def test_a_damaged_stage_is_trained_again(steps_taken):
    trained("semi_supervised", {}, steps_taken)
    for path in (paths.runs() / FOLDER).iterdir():
        path.write_bytes(path.read_bytes()[:1000])
    result, _, taken = trained("semi_supervised", {"threshold": 0.3}, steps_taken)
    assert taken == 6 and result.fresh
