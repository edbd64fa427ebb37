"""The paper's three steps: what each trains, what pseudo labels reach, how the rate is annealed."""

import pytest
import torch
from torch.nn import functional as F

from marsnb.losses._elements import labels_at
from marsnb.losses.element_wise import element_wise
from marsnb.methods.segmentation._parts import MaskBatch
from marsnb.methods.segmentation.semi_supervised import filled_share
from marsnb.models.pseudo_labels import merge_pseudo_labels
from marsnb.training.segmentation import build_method
from marsnb.training.spec import make_spec


def method_of(name="semi_supervised", epochs=2, **settings):
    spec = make_spec(
        task="segmentation", dataset="synthetic_terrain", image_size=32, method=name, backbone="test_resnet",
        start="random", epochs=epochs, decoder_channels=16, dropout=0.0, settings=settings,
    )  # fmt: skip
    return build_method(spec, 4, steps=5)


def batch(labels=None):
    torch.manual_seed(0)
    if labels is None:
        labels = torch.randint(0, 4, (3, 2, 4)).repeat_interleave(16, 1).repeat_interleave(8, 2)
        labels[:, :8] = 255
    return MaskBatch(torch.rand(3, 3, 32, 32), labels)


def learning(method, fed):
    method.zero_grad()
    method.step(labelled=fed)["loss"].backward()
    return {name.split(".")[1] for name, p in method.named_parameters() if p.grad is not None and p.grad.abs().sum()}


def test_each_step_trains_its_own_parts():
    method, fed = method_of(), batch()
    method.begin_epoch(0)
    method.step(labelled=fed)  # fills the bank, against which there is nothing to contrast yet
    assert method.step_name == "pretrain"
    assert learning(method, fed) == {"encoder", "decoder_s", "head_s"}
    method.begin_epoch(2)
    assert method.step_name == "joint"
    assert learning(method, fed) == {"encoder", "decoder", "head", "decoder_s", "head_s"}
    method.begin_epoch(4)
    assert method.step_name == "pseudo"


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({}, ("pretrain", "joint", "pseudo")),
        ({"pretrain": False}, ("joint", "pseudo")),
        ({"pseudo_labels": False}, ("pretrain", "joint", "joint")),
        ({"contrast": False}, ("pretrain", "joint", "joint")),
    ],
)
def test_ablations_leave_steps_out(settings, steps):
    assert method_of(**settings).steps == steps
    assert method_of("cross_entropy").steps == ("joint", "joint")


def test_joint_loss_is_eq_9():
    method, fed = method_of(weight_s=0.5), batch()
    method.begin_epoch(2)
    method.step(labelled=fed)
    prototypes, valid = method.bank.prototypes.clone(), method.bank.valid.clone()
    state = {name: value.clone() for name, value in method.model.state_dict().items()}
    found = method.step(labelled=fed)
    method.model.load_state_dict(state)  # batch statistics moved
    logits, embeddings = method.model.both(fed.images)
    contrast = element_wise(embeddings, labels_at(fed.labels, (8, 8)), prototypes, valid)
    per_image = [F.cross_entropy(z[None], y[None], ignore_index=255) for z, y in zip(logits, fed.labels, strict=True)]
    ce = torch.stack(per_image).mean()
    assert found["ce"].item() == pytest.approx(ce.item(), rel=1e-5)
    assert found["element_wise"].item() == pytest.approx(contrast.item(), rel=1e-5)
    assert found["loss"].item() == pytest.approx((ce + 0.5 * contrast).item(), rel=1e-5)


def test_pseudo_labels_reach_the_contrast_and_the_bank_but_not_cross_entropy():
    fed = batch()
    results = {}
    for name, threshold in (("none", 1.0), ("all", 0.0)):
        method = method_of(threshold=threshold)
        method.begin_epoch(4)
        method.step(labelled=fed)
        results[name] = (method.step(labelled=fed), method.bank.queues.clone())
    (without, few), (filled, many) = results["none"], results["all"]
    assert torch.equal(without["ce"], filled["ce"])
    assert not torch.equal(without["element_wise"], filled["element_wise"])
    assert not torch.equal(few, many)
    assert without["pseudo_share"] == 0 and filled["pseudo_share"] == 1


def test_filled_share_is_of_the_unlabelled():
    known = torch.tensor([[[0, 255], [255, 255]]])
    logits = torch.tensor([[[[0.0, 5.0], [0.0, 5.0]], [[9.0, 0.0], [0.1, 0.0]]]])
    merged = merge_pseudo_labels(logits, known, 0.9)
    assert merged.tolist() == [[[0, 0], [255, 0]]]
    assert filled_share(known, merged).item() == pytest.approx(2 / 3)
    assert filled_share(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2)) == 0


@pytest.mark.parametrize("value", [255, 2])
def test_batches_without_labels_or_of_one_class_give_finite_losses(value):
    method, fed = method_of(), batch(torch.full((3, 32, 32), value))
    for epoch in (0, 2, 4):
        method.begin_epoch(epoch)
        losses = method.step(labelled=fed)
        assert all(torch.isfinite(loss) for loss in losses.values())
        losses["loss"].backward()
    if value == 255:
        assert losses["ce"] == 0
    assert method.bank.valid.tolist() == [value == c for c in range(4)] or value == 255


def test_the_rate_is_annealed_step_by_step_and_begins_anew(monkeypatch):
    method, rates = method_of(), []
    monkeypatch.setattr(method, "set_rates", lambda groups: rates.append(groups["all"]))
    for epoch in range(6):
        method.begin_epoch(epoch)
        for step in range(5):
            method.on_train_batch_start(None, step)
    assert rates[0] == rates[10] == rates[20] == 0.01
    assert rates[:10] == sorted(rates[:10], reverse=True)
    assert rates[9] == pytest.approx(0.01 * 0.1**0.9)
