import copy

import pytest
import torch
from torch.nn import functional as F

from marsnb.methods.classification._parts import Batch
from marsnb.methods.classification.pseudo_label import masked_pseudo_cross_entropy
from marsnb.training.classification import build_method
from marsnb.training.spec import make_spec


def build(**settings):
    spec = make_spec(
        dataset="synthetic",
        image_size=32,
        method="pseudo_label",
        backbone="test_resnet",
        start="random",
        settings=settings,
        epochs=10,
    )
    return build_method(spec, (4, 3, 2)).train()


def batches():
    torch.manual_seed(0)
    return {
        "labelled": Batch(torch.rand(6, 3, 32, 32), torch.arange(6) % 3),
        "unlabelled": Batch(torch.rand(5, 3, 32, 32), torch.full((5,), -1)),
    }


def test_against_a_loop():
    torch.manual_seed(0)
    logits = 4 * torch.randn(40, 5, dtype=torch.float64)
    total, used = 0.0, 0
    for row in logits:
        p = row.softmax(0)
        if p.max() >= 0.9:
            total, used = total - p.max().log().item(), used + 1
    assert 0 < used < 40
    loss, share = masked_pseudo_cross_entropy(logits, 0.9)
    assert loss.item() == pytest.approx(total / 40) and share.item() == pytest.approx(used / 40)


def test_an_image_below_the_threshold_is_never_touched():
    torch.manual_seed(0)
    logits = (4 * torch.randn(40, 5)).requires_grad_()
    masked_pseudo_cross_entropy(logits, 0.9)[0].backward()
    sure = logits.detach().softmax(1).amax(1) >= 0.9
    assert sure.any() and not sure.all()
    assert (logits.grad[~sure] == 0).all()
    assert (logits.grad[sure].abs().sum(1) > 0).all()
    # The labels are constants: p - onehot, over the whole batch.
    p = logits.detach().softmax(1)
    expected = (p - F.one_hot(p.argmax(1), 5)) / 40
    torch.testing.assert_close(logits.grad[sure], expected[sure])


def test_nobody_is_sure():
    logits = torch.zeros(4, 3, requires_grad=True)
    loss, share = masked_pseudo_cross_entropy(logits, 0.95)
    loss.backward()
    assert loss == 0 and share == 0 and (logits.grad == 0).all()


def test_a_broken_image_below_the_threshold_is_noticed():
    logits = torch.zeros(4, 3)
    logits[0] = float("nan")
    assert masked_pseudo_cross_entropy(logits, 0.95)[0].isnan()


def test_half_precision_is_summed_in_single():
    assert all(v.dtype == torch.float32 for v in masked_pseudo_cross_entropy(torch.zeros(4, 3).bfloat16(), 0.1))


@pytest.mark.parametrize(("progress", "ramp"), [(0.0, 0.0), (0.1, 0.25), (0.2, 0.5), (0.4, 1.0), (0.9, 1.0)])
def test_ramp(progress, ramp):
    method = build(threshold=0.1, weight=3.0)
    method.progress = progress
    assert method.ramp() == pytest.approx(ramp)
    losses = method.step(**batches())
    assert losses["used"] == 1 and losses["pseudo"] > 0
    torch.testing.assert_close(losses["loss"], losses["ce"] + 3 * ramp * losses["pseudo"])


def test_without_warmup_the_whole_weight_counts_at_once():
    assert build(warmup=0.0).ramp() == 1


def test_progress_comes_from_the_training_step():
    method = build(threshold=0.1)
    method.begin_epoch(2)
    method.training_step(batches(), 0)
    assert method.ramp() == pytest.approx(0.5)


def test_running_statistics_are_those_of_labelled_images():
    method, given = build(), batches()
    other = copy.deepcopy(method.model)
    method.step(**given)
    other(given["labelled"].images)
    ours, theirs = method.model.state_dict(), other.state_dict()
    assert any("running_mean" in key for key in ours)
    for key in ours:
        assert torch.equal(ours[key], theirs[key]), key
