"""Learning rates as a function of the epoch, and that a run trains at them."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from marsnb.data.base import LabelledList
from marsnb.errors import TrainingError
from marsnb.training.batches import Arrays, Batches
from marsnb.training.classification import build_method
from marsnb.training.spec import ClassificationSpec, SegmentationSpec, make_spec


def of(**rates):
    """A spec with these rates."""
    return ClassificationSpec(dataset="d", image_size=32, method="m", backbone="b", start="s", **rates)


def test_the_papers():
    schedule = of()
    expected = {0: 1.0, 19: 1.0, 20: 0.1, 24: 0.1, 25: 0.01, 29: 0.01}
    for epoch, factor in expected.items():
        assert schedule.factor(epoch) == pytest.approx(factor)
        rates = {"head": 1e-3 * factor, "projection": 1e-6 * factor, "backbone": 1e-6 * factor}
        assert schedule.rates(epoch) == pytest.approx(rates)
    assert schedule.rates() == schedule.rates(0)
    assert schedule.weight_decay == 0


def test_each_group_has_its_own_rate():
    schedule = of(lr_head=1.0, lr_projection=2.0, lr_backbone=3.0, milestones=(2, 2, 4), lr_decay=0.5)
    assert schedule.rates(1) == {"head": 1.0, "projection": 2.0, "backbone": 3.0}
    assert schedule.rates(2) == {"head": 0.25, "projection": 0.5, "backbone": 0.75}  # twice at one epoch
    assert schedule.rates(4) == {"head": 0.125, "projection": 0.25, "backbone": 0.375}


def test_no_milestones_no_decay():
    assert of(milestones=()).rates(1000) == of(milestones=()).rates(0)


def test_rates_never_rise():
    factors = [of(milestones=(1, 3, 7)).factor(epoch) for epoch in range(10)]
    assert factors == sorted(factors, reverse=True)
    assert len(set(factors)) == 4


def test_segmentations_rate_falls_to_nothing():
    spec = SegmentationSpec(dataset="d", image_size=32, method="m", backbone="b", start="s")
    assert (spec.rate(0.0), spec.rate(1.0), spec.rate(2.0)) == (0.01, 0, 0)
    assert spec.rate(0.5) == pytest.approx(0.01 * 0.5**0.9)


class Watch(pl.Callback):
    """Notes the rates that each epoch trains at, and can break the network before a step."""

    def __init__(self, break_at=None):
        self.rates, self.break_at = [], break_at

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.break_at:
            torch.nn.init.constant_(pl_module.model.head.weight, float("nan"))

    def on_train_batch_end(self, trainer, *_):
        self.rates.append({group["name"]: group["lr"] for group in trainer.optimizers[0].param_groups})


def fit(folder, watch, epochs):
    """Epochs of one step each through Lightning, at the paper's rates."""
    images = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    split = LabelledList(np.arange(12), np.arange(12) % 4)
    paper = {"lr_head": 1e-3, "lr_projection": 1e-6, "lr_backbone": 1e-6}
    small = {"epochs": epochs, "steps_per_epoch": 1, "batch_labelled": 2, "image_size": 32}
    network = {"method": "cross_entropy", "backbone": "test_resnet", "start": "random"}
    spec = make_spec(dataset="synthetic", **network, **small, **paper)
    method = build_method(spec, (1,) * 4)
    batches = Batches(Arrays(images, None, {"train": split}), method.streams, spec)
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = pl.Trainer(accelerator="cpu", max_epochs=epochs, callbacks=[watch], default_root_dir=folder, **off)
    trainer.fit(method, batches)


@pytest.mark.filterwarnings("ignore")
def test_rates_fall_at_the_papers_epochs(tmp_path):
    watch = Watch()
    fit(tmp_path, watch, epochs=30)
    factors = [1.0] * 20 + [0.1] * 5 + [0.01] * 5
    for name, rate in {"head": 1e-3, "projection": 1e-6, "backbone": 1e-6}.items():
        np.testing.assert_allclose([rates[name] for rates in watch.rates], [rate * f for f in factors], rtol=1e-9)


@pytest.mark.filterwarnings("ignore")
def test_the_step_that_broke_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"loss became nan at step 3 \(epoch 3\)"):
        fit(tmp_path, Watch(break_at=3), epochs=5)
