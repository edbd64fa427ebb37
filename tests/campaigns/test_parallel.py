"""Two processes that share a run take the steps of one on the whole batch, in both tasks: losses, bank and weights.

``pytest tests/campaigns`` runs it; it takes a minute or two, most of it for starting processes.
"""

import threading
import time

import psutil
import pytest
import pytorch_lightning as pl
import torch

from marsnb import paths
from marsnb.errors import TrainingError
from marsnb.training import ledger
from marsnb.training.parallel import spread
from marsnb.training.recorder import CHECKPOINT
from marsnb.training.run import make_spec, run, run_id_of, work_of
from marsnb.training.trainer import make_trainer
from tests.training.test_run import TINY as CLASSES
from tests.training.test_segmentation_run import TINY as MASKS

CLASSIFICATION = {**CLASSES, "epochs": 1, "steps_per_epoch": 3, "milestones": []}
SEGMENTATION = {**MASKS, "settings": {"threshold": 0.3, "queue": 5}, "epochs": 1, "dropout": 0.0}  # epochs of a step
CASES = {
    "ours": CLASSIFICATION,
    "running statistics of labelled images": CLASSIFICATION | {"batchnorm": "labelled"},
    "frozen": CLASSIFICATION | {"batchnorm": "frozen"},
    "eq 1": CLASSIFICATION | {"method": "info_nce"},
    "cross entropy": CLASSIFICATION | {"method": "cross_entropy"},
    "segmentation": SEGMENTATION,
    "segmentation, cross entropy": SEGMENTATION | {"method": "cross_entropy", "settings": {}},
}


class Still:
    """A stand-in for augmentation that draws nothing; every second view is mirrored."""

    def __init__(self):
        self.calls = 0

    def __call__(self, images, masks=None):
        if masks is not None:
            return images.double(), masks.long()
        self.calls += 1
        images = images.double()
        return images if self.calls % 2 else images.flip(-1)


class Watch(pl.Callback):
    def __init__(self):
        self.losses = []

    def on_train_epoch_start(self, trainer, method):
        method.epoch_losses = {}

    def on_train_batch_end(self, trainer, method, outputs, batch, batch_idx):
        self.losses.append({name: values[-1] for name, values in method.epoch_losses.items()})


def train(rank, devices, folder, cases):
    """Every case, in one of ``devices`` processes; the first writes what came of it."""
    for name, fields in cases.items():
        spec = make_spec(**fields)
        work = work_of(spec).prepare(spec, work_of(spec).open_data(spec), torch.device("cpu"))
        work.method.double()  # so that no small difference of the order of a sum grows
        if spec.task == "classification":
            work.batches.augmentations = {"ordinary": lambda images: images.double(), "strong": Still()}
        else:
            work.batches.augmentation = Still()
        watch = Watch()
        make_trainer(torch.device("cpu"), "32-true", work.epochs, [watch], folder, devices).fit(
            work.method, work.batches
        )
        if rank == 0:
            torch.save((watch.losses, work.method.state_dict()), folder / f"{name}-{devices}.pt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What one and two processes left."""
    path = tmp_path_factory.mktemp("parallel")
    train(0, 1, path, CASES)
    spread(2, train, 2, path, CASES)
    return path


@pytest.mark.parametrize("name", CASES)
def test_two_processes_are_one(folder, name):
    (one, weights), (two, shared) = (torch.load(folder / f"{name}-{n}.pt") for n in (1, 2))
    assert len(one) == len(two) == (3 if CASES[name].get("task") is None else 4 if "cross" in name else 6)
    for step, (mine, theirs) in enumerate(zip(one, two, strict=True)):
        assert theirs == pytest.approx(mine, abs=1e-5), f"step {step}"
    assert ("bank.queues" in weights) == (name == "segmentation")
    assert any("running_mean" in key for key in weights) and weights.keys() == shared.keys()
    for key, value in weights.items():
        torch.testing.assert_close(shared[key], value, atol=1e-5, rtol=1e-5, msg=lambda text, key=key: f"{key}: {text}")


def test_a_shared_run_is_entered_once_and_survives_a_killed_process():
    spec = make_spec(**CLASSIFICATION | {"epochs": 3})
    last = paths.runs() / run_id_of(spec, work_of(spec).open_data(spec))[0] / CHECKPOINT

    def kill_one():
        while not last.exists():
            time.sleep(0.05)
        workers()[-1].kill()

    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.raises(TrainingError, match=r"of 2 was killed.*goes on from the last epoch"):
        run(spec, "smoke", device="cpu", devices=2)
    killer.join()
    assert not workers()
    assert ledger.read("smoke").empty
    second = run(spec, "smoke", device="cpu", devices=2)
    assert second.fresh and set(second.metrics["device"].str[:4]) == {"2 x "}
    assert second.curves.loc[second.curves["metric"] == "loss", "epoch"].tolist() == [1, 2, 3]
    assert not run(spec, "smoke", device="cpu", devices=2).fresh
    assert not ledger.read("smoke").duplicated(["run_id", "split", "metric"]).any()


def workers():
    return [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


def test_a_loss_that_is_not_finite_is_told_as_with_one_process():
    with pytest.raises(TrainingError, match=r"^loss became nan at step .*; no epoch had ended yet$"):
        fields = SEGMENTATION | {"method": "cross_entropy", "settings": {}, "lr": 1e30}
        run(make_spec(**fields), "smoke", device="cpu", devices=2)
    assert ledger.read("smoke").empty
