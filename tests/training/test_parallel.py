"""Several devices share a run: parts of its batches, seeds of their own, and what cannot be shared is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from marsnb import distributed
from marsnb.data.base import LabelledList
from marsnb.errors import TrainingError
from marsnb.methods.classification import METHODS
from marsnb.training import parallel, trainer
from marsnb.training.batches import Arrays, Batches
from marsnb.training.pairs import PairArrays, PairBatches
from marsnb.training.run import run
from marsnb.training.spec import make_spec

CPU, GPU = torch.device("cpu"), torch.device("cuda")
BASE = {"dataset": "synthetic", "image_size": 8, "backbone": "test_resnet", "start": "random", "steps_per_epoch": 2}
OURS = make_spec(method="semi_supervised", **BASE)
PAIRS = make_spec(**BASE | {"dataset": "synthetic_terrain"}, task="segmentation", method="semi_supervised", epochs=1)
CLASSES = 5
"""Odd, so that a batch of one pair per class is two parts of different sizes."""


class FakeBank:
    """Four views of each image; a view is its number and that of its image."""

    views = 4

    def gather(self, indices, views):
        return (np.stack([indices, views], axis=1)[..., None, None].astype(np.float16),) * 2


def numbered(n, channels):
    """Images that are their own numbers."""
    return np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, 8, 8, channels))


def classification(banks):
    n = 60
    labels = np.arange(n) % CLASSES
    arrays = Arrays(numbered(n, 3), numbered(40, 3), {"train": LabelledList(np.arange(n), labels)}, banks=banks)
    return Batches(arrays, METHODS["semi_supervised"].streams, OURS)


def segmentation(bank):
    every = np.arange(60)
    arrays = PairArrays(numbered(60, 1), numbered(60, 1)[..., 0], {"train": every, "val": every, "test": every}, bank)
    return PairBatches(arrays, ("labelled", "other"), PAIRS)


MAKE = {
    "images": lambda: classification({}),
    "bank": lambda: classification(dict.fromkeys(METHODS["semi_supervised"].streams, FakeBank())),
    "pairs": lambda: segmentation(None),
    "bank of pairs": lambda: segmentation(FakeBank()),
}


def fed(make, monkeypatch, rank=0, size=1):
    with monkeypatch.context() as patch:
        patch.setattr(distributed, "rank", lambda: rank)
        patch.setattr(distributed, "size", lambda: size)
        return list(make().train_dataloader())


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("size", [2, 4])
def test_parts_of_every_stream_are_the_batch_of_one_process(monkeypatch, kind, size):
    whole = fed(MAKE[kind], monkeypatch)
    parts = [fed(MAKE[kind], monkeypatch, rank, size) for rank in range(size)]
    assert len(whole) == 2
    for step, batch in enumerate(whole):
        for name, item in batch.items():
            if name == "step":
                assert {part[step]["step"] for part in parts} == {item}
                continue
            for key, tensor in item.items():
                pieces = [part[step][name][key] for part in parts]
                assert torch.equal(torch.cat(pieces), tensor), (name, key)
                lengths = list(map(len, pieces))
                assert max(lengths) - min(lengths) == (name == "class_pairs" and 1)


def test_each_process_has_random_numbers_of_its_own(monkeypatch):
    seeds = set()
    for rank in range(4):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        for seed in range(3):
            for step in (0, 1, 2, 336, 20_160):
                torch.manual_seed(trainer.part_seed(seed, step))
                seeds.add(float(torch.rand((), dtype=torch.float64)))
    assert len(seeds) == 4 * 3 * 5
    monkeypatch.undo()
    assert trainer.part_seed(2, 7) == 2_000_013  # that of the runs there are


@pytest.mark.parametrize(
    ("fields", "device", "devices", "message"),
    [
        ({"method": "mixup"}, CPU, 2, "^method 'mixup' trains on one device only; on several: .*semi_supervised"),
        ({}, CPU, 3, "^batch_labelled 16 is not 3 equal parts of at least 2: choose another number of devices"),
        ({}, CPU, 16, "^batch_labelled 16 is not 16 equal parts"),
        ({"batch_unlabelled": 15}, CPU, 2, "^batch_unlabelled 15 is not 2 equal"),
        ({"compile": True}, CPU, 2, "^a compiled run takes one device: set compile to false"),
        ({}, torch.device("cuda:1"), 2, "^device 'cuda:1' is one device: choose cpu or cuda"),
        ({}, GPU, 2, "^2 devices were asked for, but this machine has 1$"),
    ],
)
def test_what_cannot_be_shared_is_refused_in_one_line(monkeypatch, fields, device, devices, message):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    spec = make_spec(**{"method": "semi_supervised", **BASE, **fields})
    with pytest.raises(TrainingError, match=message) as error:
        parallel.refuse(spec, device, devices)
    assert "\n" not in str(error.value)


def test_what_can_be_shared_is_not_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    for devices in (2, 4, 8):
        for spec in (OURS, PAIRS):
            parallel.refuse(spec, GPU, devices)
    labelled_alone = make_spec(method="cross_entropy", batch_unlabelled=15, **BASE)
    parallel.refuse(labelled_alone, CPU, 2)  # is fed no unlabelled images


def test_a_refused_run_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("MARSNB_RUNS", str(tmp_path))
    with pytest.raises(TrainingError, match="3 equal parts"):
        run(OURS, "smoke", device="cpu", devices=3)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_precision_follows_the_device(monkeypatch):
    assert trainer.precision_on(CPU, "auto") == "32-true"
    for has, precision in ((True, "bf16-mixed"), (False, "32-true")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_, has=has: has)
        assert trainer.precision_on(GPU, "auto") == precision
        assert trainer.precision_on(GPU, "16-mixed") == "16-mixed"


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_gpu_is_fed_from_pinned_memory(device):
    strategy = SimpleNamespace(root_device=torch.device(device))
    found = trainer.feeding(SimpleNamespace(strategy=strategy))
    assert found["batch_size"] is None and found.get("pin_memory", False) == (device == "cuda")
    assert trainer.feeding(None) == {"batch_size": None}
