"""A run of segmentation from spec to ledger: repeatable, resumable after a SIGKILL in each of its steps."""

import os
import signal

import pandas as pd
import pytest
import torch

from marsnb import paths
from marsnb.data.segmentation import UNLABELLED
from marsnb.errors import DataError, RecipeError, TrainingError
from marsnb.methods.segmentation import METHODS
from marsnb.training import ledger
from marsnb.training.recorder import Recorder
from marsnb.training.run import make_spec, run
from tests.forked import in_a_process

TINY = {
    "task": "segmentation",
    "dataset": "synthetic_terrain",
    "data_options": {"train": 12, "test": 8},
    "image_size": 32,
    "backbone": "test_resnet",
    "start": "random",
    "method": "semi_supervised",
    "settings": {"threshold": 0.3},
    "epochs": 2,
    "steps_per_epoch": 2,
    "batch_labelled": 4,
    "decoder_channels": 16,
    "curve_images": 4,
}


def tiny(**fields):
    return make_spec(**{**TINY, **fields})


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_runs_to_the_ledger(method):
    result = run(tiny(method=method, settings={}, epochs=1), "smoke", device="cpu")
    assert result.fresh and set(result.metrics["task"]) == {"segmentation"}
    assert {"acc", "macc", "facc", "miou", "miou_low", "iou/sand"} <= set(result.metrics["metric"])
    assert {"loss", "ce", "test/acc", "test/miou", "test/coverage@0.9"} <= set(result.curves["metric"])
    kept = pd.read_csv(result.folder / "matrices.csv")
    right = sum(kept[f"{name}>{name}"].sum() for name in ("soil", "bedrock", "sand", "big rock"))
    assert right / kept.iloc[:, 2:].to_numpy().sum() == pytest.approx(result.value("acc"), abs=1e-6)


def test_steps_follow_each_other_and_pseudo_labels_come_last():
    result = run(tiny(), "smoke", device="cpu")
    epochs = result.curves.groupby("metric")["epoch"].apply(list)
    assert epochs["ce"] == [3, 4, 5, 6]  # none while the contrast pretrains
    assert epochs["element_wise"] == [1, 2, 3, 4, 5, 6]
    assert epochs["pseudo_share"] == [5, 6]
    assert result.metrics["epochs"].iloc[0] == 6 and result.metrics["steps"].iloc[0] == 12


def train(die_at=0):
    """Train; after the global step that is given, the process dies."""
    ended = Recorder.on_train_batch_end

    def batch_end(self, trainer, *rest):
        ended(self, trainer, *rest)
        if trainer.global_step == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    Recorder.on_train_batch_end = batch_end
    run(tiny(), "smoke", device="cpu")


def weights():
    checkpoint = next(paths.runs().glob("*/last.ckpt"))
    return torch.load(checkpoint, weights_only=True)["state_dict"]


@pytest.mark.slow
def test_killed_in_each_step_it_ends_with_the_same_numbers_and_bank(monkeypatch, tmp_path):
    assert in_a_process(train) == 0
    expected, curves, state = ledger.read("smoke"), ledger.read_curves("smoke"), weights()
    assert state["bank.stored"].sum() > 0
    monkeypatch.setenv("MARSNB_FIGURES", str(tmp_path / "killed"))
    monkeypatch.setenv("MARSNB_RUNS", str(tmp_path / "killed-runs"))
    for step in (3, 7, 11):  # in the middle of pretraining, of joint training, of the last step
        assert in_a_process(train, step) == -signal.SIGKILL
        assert not ledger.ledger_path("smoke").exists()
    assert in_a_process(train) == 0
    same = ["run_id", "split", "metric", "value", "n"]
    pd.testing.assert_frame_equal(ledger.read("smoke")[same], expected[same], check_exact=True)
    pd.testing.assert_frame_equal(ledger.read_curves("smoke"), curves, check_exact=True)
    resumed = weights()
    assert state.keys() == resumed.keys()
    assert all(torch.equal(state[name], resumed[name]) for name in state)


def test_equal_seeds_are_equal_and_others_differ(monkeypatch, tmp_path):
    first = run(tiny(epochs=1), "smoke", device="cpu")
    monkeypatch.setenv("MARSNB_FIGURES", str(tmp_path / "again"))
    monkeypatch.setenv("MARSNB_RUNS", str(tmp_path / "again-runs"))
    second = run(tiny(epochs=1), "smoke", device="cpu")
    other = run(tiny(epochs=1, seed=1), "smoke", device="cpu")
    pd.testing.assert_frame_equal(first.curves, second.curves)
    assert not other.curves["value"].equals(second.curves["value"])


def test_a_method_without_contrast_leaves_the_bank_empty():
    result = run(tiny(settings={"contrast": False, "pretrain": False}, epochs=1), "smoke", device="cpu")
    state = torch.load(result.folder / "last.ckpt", weights_only=True)["state_dict"]
    assert state["bank.stored"].sum() == 0
    assert "element_wise" not in set(result.curves["metric"])


def test_masks_without_any_label_train_and_score(monkeypatch):
    from marsnb.training import pairs

    opened = pairs.open_pairs

    def unlabelled(source, size):
        images, masks = opened(source, size)
        masks = masks.copy()
        masks[:6] = UNLABELLED  # images of the training list, whole batches among them
        return images, masks

    monkeypatch.setattr(pairs, "open_pairs", unlabelled)
    result = run(tiny(batch_labelled=2, epochs=1), "smoke", device="cpu")
    assert 0 <= result.value("miou") <= 1
    assert result.curves["value"].notna().all()


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"method": "mean_teachr"}, RecipeError, "unknown segmentation method 'mean_teachr'"),
        ({"dataset": "ai4mar"}, RecipeError, "unknown segmentation data set 'ai4mar' .did you mean 'ai4mars'"),
        (
            {"settings": {"weight": 1}},
            RecipeError,
            "method setting 'weight' is unknown to SemiSupervised; known",
        ),
        ({"lr_head": 1}, RecipeError, "run setting 'lr_head'.*known: .*momentum"),
        ({"task": "detection"}, RecipeError, "run setting 'task' is 'detection'; known: classification, segmentation"),
        ({"decoder_channels": 0}, RecipeError, "run setting 'decoder_channels'.*at least 1"),
        ({"evaluate": ["val"]}, DataError, "the val list of synthetic_terrain is empty under protocol sol"),
        ({"batch_labelled": 64, "steps_per_epoch": None}, DataError, "fewer than 64 pairs"),
        ({"lr": 1e30}, TrainingError, "became (nan|inf) at step .*; lower the learning rates"),
    ],
)
def test_a_wrong_spec_is_one_line(fields, error, message):
    with pytest.raises(error, match=message) as caught:
        run(tiny(**fields), "smoke", device="cpu")
    assert "\n" not in str(caught.value)
