"""A run from spec to ledger: repeatable, resumable after a SIGKILL at any point, and skipped when measured."""

import os
import signal
import sys
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch

from marsnb import memory, paths
from marsnb.data import bank
from marsnb.errors import DataError, RecipeError, TrainingError
from marsnb.files import locked
from marsnb.methods.classification import METHODS
from marsnb.training import ledger
from marsnb.training.classification import open_data
from marsnb.training.recorder import Recorder
from marsnb.training.run import make_spec, pick_device, run, run_id_of
from tests.forked import in_a_process

TINY = {
    "dataset": "synthetic",
    "data_options": {"train": 144, "test": 48, "unlabelled": 32},
    "image_size": 32,
    "backbone": "test_resnet",
    "start": "random",
    "method": "semi_supervised",
    "epochs": 3,
    "steps_per_epoch": 2,
    "milestones": [2],
    "lr_backbone": 1e-3,
    "lr_projection": 1e-3,
}


def tiny(**fields):
    return make_spec(**{**TINY, **fields})


def values(profile="smoke"):
    frame = ledger.read(profile)
    return frame.set_index(["run_id", "split", "metric"])["value"]


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_runs_to_the_ledger(method):
    result = run(tiny(method=method, epochs=1), "smoke", device="cpu")
    assert result.fresh
    assert 0 <= result.value() <= 1
    assert {"loss", "val/top1", "test/top1"} <= set(result.curves["metric"])
    if not METHODS[method].precompute:
        assert {"alignment", "uniformity", "effective_rank"} <= set(result.curves["metric"])
    predictions = pd.read_csv(result.folder / "predictions.csv")
    test = predictions[predictions["split"] == "test"]
    assert (test["label"] == test["prediction"]).mean() == pytest.approx(result.value(), abs=1e-6)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A run in folders of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARSNB_FIGURES", str(tmp_path_factory.mktemp("first")))
        patch.setenv("MARSNB_RUNS", str(tmp_path_factory.mktemp("first-runs")))
        return run(tiny(), "smoke", device="cpu")


def test_equal_seeds_are_equal_and_others_differ(first):
    second = run(tiny(), "smoke", device="cpu")
    other = run(tiny(seed=1), "smoke", device="cpu")
    assert first.fresh and second.fresh
    pd.testing.assert_frame_equal(first.curves, second.curves)
    assert not other.curves["value"].equals(second.curves["value"])
    assert other.run_id.rsplit("-s", 1)[0] == second.run_id.rsplit("-s", 1)[0]


def test_what_is_measured_is_not_trained_again():
    first = run(tiny(epochs=1), "smoke", recipe="table04/final", device="cpu")
    text = ledger.ledger_path("smoke").read_text()
    second = run(tiny(epochs=1), "smoke", recipe="table03/ours", device="cpu")
    assert first.fresh and not second.fresh
    assert second.run_id == first.run_id
    assert ledger.ledger_path("smoke").read_text() == text


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def die_in_the_middle_of_an_epoch():
    ended = Recorder.on_train_batch_end

    def batch_end(self, trainer, *rest):
        ended(self, trainer, *rest)
        if trainer.global_step == 3:
            die()

    Recorder.on_train_batch_end = batch_end


def die_while_the_checkpoint_is_written():
    whole = pl.Trainer.save_checkpoint

    def save(self, path, *rest, **more):
        if self.current_epoch == 1:
            Path(path).write_bytes(b"half")
            die()
        return whole(self, path, *rest, **more)

    pl.Trainer.save_checkpoint = save


def die_after_the_last_epoch_before_the_ledger():
    ledger.append = die


def die_while_the_bank_is_built():
    make, made = bank._chunk, []

    def chunk(*job):
        made.append(job)
        return make(*job) if len(made) < 4 else die()

    bank._chunk = chunk


DEATHS = (
    die_in_the_middle_of_an_epoch, die_while_the_checkpoint_is_written, die_after_the_last_epoch_before_the_ledger
)  # fmt: skip
"""Each is patched into the process that trains; the next process has no patch."""


def train(death=None):
    if death is not None:
        death()
    run(tiny(), "smoke", device="cpu")


def train_from_the_bank(death=None):
    if death is not None:
        death()
    run(tiny(trunk="layer2", views=2, threads=1), "smoke", device="cpu")


@pytest.mark.slow
def test_killed_anywhere_it_ends_with_the_same_numbers_from_the_bank(monkeypatch, tmp_path):
    assert in_a_process(train_from_the_bank) == 0
    expected, expected_curves = values(), ledger.read_curves("smoke")
    monkeypatch.setenv("MARSNB_FIGURES", str(tmp_path / "killed"))
    monkeypatch.setenv("MARSNB_RUNS", str(tmp_path / "killed-runs"))
    for death in (die_while_the_bank_is_built, die_in_the_middle_of_an_epoch, die_while_the_checkpoint_is_written):
        assert in_a_process(train_from_the_bank, death) == -signal.SIGKILL
        assert not ledger.ledger_path("smoke").exists()
    assert in_a_process(train_from_the_bank) == 0
    pd.testing.assert_series_equal(values(), expected, check_exact=True)
    pd.testing.assert_frame_equal(ledger.read_curves("smoke"), expected_curves, check_exact=True)


@pytest.mark.slow
def test_killed_anywhere_it_ends_with_the_same_numbers(monkeypatch, tmp_path):
    assert in_a_process(train) == 0
    expected, expected_curves = values(), ledger.read_curves("smoke")
    monkeypatch.setenv("MARSNB_FIGURES", str(tmp_path / "killed"))
    monkeypatch.setenv("MARSNB_RUNS", str(tmp_path / "killed-runs"))
    for death in DEATHS:
        assert in_a_process(train, death) == -signal.SIGKILL
        assert not ledger.ledger_path("smoke").exists()
    assert in_a_process(train) == 0
    pd.testing.assert_series_equal(values(), expected, check_exact=True)
    pd.testing.assert_frame_equal(ledger.read_curves("smoke"), expected_curves, check_exact=True)


def test_a_broken_loss_stops_the_run_without_a_ledger_line(monkeypatch):
    method = METHODS["cross_entropy"]
    healthy = method.step

    def breaks_later(self, labelled):
        losses = healthy(self, labelled=labelled)
        return losses if self.global_step < 4 else {"loss": losses["loss"] * float("nan"), "ce": losses["ce"]}

    monkeypatch.setattr(method, "step", breaks_later)
    with pytest.raises(
        TrainingError, match=r"loss became nan at step 4 .*last good checkpoint is .*last\.ckpt"
    ) as caught:
        run(tiny(method="cross_entropy"), "smoke", device="cpu")
    assert "\n" not in str(caught.value)
    assert ledger.read("smoke").empty
    monkeypatch.setattr(method, "step", healthy)
    assert run(tiny(method="cross_entropy"), "smoke", device="cpu").fresh


def test_a_run_that_another_process_trains_is_waited_for(capsys):
    spec = tiny(epochs=1)
    run_id, _ = run_id_of(spec, open_data(spec))
    held = threading.Event()

    def hold():  # a lock is of its open file, so a thread is like a process here
        with locked(paths.runs() / f"{run_id}.lock"):
            held.set()
            time.sleep(0.5)
            rows = [{"run_id": run_id, "split": "test", "metric": "top1", "value": 0.5, "n": 1}]
            ledger.append("smoke", rows, [])

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    result = run(spec, "smoke", device="cpu")
    thread.join()
    assert not result.fresh and result.value() == 0.5
    assert f"another process is training {run_id}: waiting for it" in capsys.readouterr().err


def test_checkpoints_hold_no_code():
    result = run(tiny(epochs=1), "smoke", device="cpu")
    content = torch.load(result.folder / "last.ckpt", weights_only=True)
    assert content["epoch"] == 0


def test_a_run_leaves_no_model_in_memory_and_its_peak_is_its_own(monkeypatch):
    large = np.ones(2**27)  # 1 GiB, before the run
    del large
    before, seen = memory.peak_memory(), []
    begun = Recorder.on_train_start
    started = lambda self, trainer, module: (seen.append(weakref.ref(module)), begun(self, trainer, module))  # noqa: E731
    monkeypatch.setattr(Recorder, "on_train_start", started)
    result = run(tiny(epochs=1), "smoke", device="cpu")
    assert len(seen) == 1 and seen[0]() is None
    assert sys.platform != "linux" or result.metrics["peak_memory"].max() < before


def test_an_absent_device_is_named(monkeypatch):
    with pytest.raises(TrainingError, match="choose one from auto, cpu"):
        pick_device("tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert pick_device("cuda:0") == torch.device("cuda", 0)
    with pytest.raises(TrainingError, match="device 'cuda:7' is not on this machine"):
        pick_device("cuda:7")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"method": "focal_los"}, "unknown method 'focal_los'"),
        ({"dataset": "msll"}, r"unknown data set 'msll' \(did you mean 'msl'"),
        ({"settings": {"weight": 1}}, "method setting 'weight' is unknown to SemiSupervised; known: temperature"),
        ({"lr": 1}, "run setting 'lr'.*known: .*lr_backbone"),
        ({"epochs": 0}, "run setting 'epochs'.*at least 1"),
    ],
)
def test_a_wrong_spec_is_one_line(fields, message):
    with pytest.raises(RecipeError, match=message) as caught:
        run(tiny(**fields), "smoke", device="cpu")
    assert "\n" not in str(caught.value)


def test_a_training_list_smaller_than_a_batch_is_named():
    with pytest.raises(DataError, match="fewer than 4096 images"):
        run(tiny(batch_labelled=4096, steps_per_epoch=None, method="cross_entropy"), "smoke", device="cpu")


def test_scoring_less_often_changes_the_curve_alone(first):
    seldom = run(tiny(), "smoke", device="cpu", score_every=2)
    scored = seldom.curves[seldom.curves["metric"] == "test/top1"]
    assert scored["epoch"].tolist() == [2, 3]
    same = ["split", "metric", "value", "n"]
    assert first.metrics[same].equals(seldom.metrics[same])
    losses = [result.curves.query("metric == 'loss'")["value"].tolist() for result in (first, seldom)]
    assert losses[0] == losses[1]
