"""Every segmentation method of the registry, at each of its steps: finite, repeatable, restorable, and it learns."""

import io

import pytest
import torch

from marsnb.methods._base import method_settings
from marsnb.methods.segmentation import METHODS
from tests.fake.masks import at_step, batch_of, feed, labels_of, method_of

each_method = pytest.mark.parametrize("name", list(METHODS))
STEPS = {"less": 3, "semi_supervised": 3}  # all others have 2, which are alike
each_step = pytest.mark.parametrize(
    ("name", "place"), [(name, place) for name in METHODS for place in range(STEPS.get(name, 1))]
)


def train(method, fed, steps, lr=0.01):
    optimizer, losses = method.configure_optimizers(), []
    optimizer.param_groups[0]["lr"] = lr
    for i in range(steps):
        torch.manual_seed(i)
        loss = method.training_step(fed, i)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@each_step
def test_losses_are_finite_scalars_and_labels_or_none_do(name, place):
    method = at_step(method_of(name, dropout=0.5), place)
    blank, whole = torch.full_like(labels_of(), 255), labels_of().clamp_max(3)
    for labels in (labels_of(), blank, whole, torch.zeros_like(whole)):
        losses = method.step(**dict.fromkeys(method.streams, batch_of(labels)))
        assert losses["loss"].requires_grad
        assert all(value.shape == () and value.isfinite() for value in losses.values())
        losses["loss"].backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())


@each_step
def test_a_few_steps_lower_the_loss(name, place):
    method = at_step(method_of(name), place)
    method.epoch = 1  # past the ramps, on which a loss rises
    losses = train(method, feed(method), 6, lr=0.05)
    assert min(losses[3:]) < losses[0] or losses[0] == 0  # of an empty memory bank


@each_step
def test_a_restored_method_goes_on_bit_equal(name, place):
    method = at_step(method_of(name, dropout=0.5), place)
    train(method, feed(method), 2)
    file = io.BytesIO()
    torch.save(method.state_dict(), file)
    file.seek(0)
    other = method_of(name, dropout=0.5, seed=1)
    other.load_state_dict(torch.load(file, weights_only=True))
    other.stage, other.epoch, other.progress = (
        method.stage,
        method.epoch,
        method.progress,
    )  # what `begin_epoch` sets, without beginning the step anew
    found = []
    for one in (method, other):
        torch.manual_seed(7)
        found.append(one.step(**feed(one)))
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])


@each_method
def test_random_numbers_are_those_of_the_step(name):
    """A run seeds torch before each step; a method with draws of its own elsewhere would differ."""
    curves = []
    for _ in range(2):
        method = at_step(method_of(name, dropout=0.5), 0)
        curves.append(train(method, feed(method), 2))
        torch.rand(5)
    assert curves[0] == curves[1]


@each_method
def test_streams_steps_and_settings_are_there(name):
    method = method_of(name)
    assert set(method.streams) <= {"labelled", "unlabelled"} and "labelled" in method.streams
    assert len(method.steps) == STEPS.get(name, 2) and (name in STEPS or len(set(method.steps)) == 1)
    with_cross_entropy = [step for step in method.steps if step != "pretrain"]
    assert with_cross_entropy[0] == "joint" and len(with_cross_entropy) == 2  # as long as for any other
    assert type(method).__doc__ and method_settings(type(method), {}) is not None
