"""The teacher's average: its closed form, what it copies, and that nothing but an update moves it."""

import pytest
import torch
from torch import nn

from marsnb.models.ema import EMA


def network():
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))


def weighted(values, decay):
    """a_k written out: each value's weight is what its update gave it and later ones left of it."""
    keeps = [min(1 - 1 / k, decay) for k in range(1, len(values) + 1)]
    total = torch.zeros_like(values[0])
    for j, value in enumerate(values):
        weight = 1 - keeps[j]
        for keep in keeps[j + 1 :]:
            weight *= keep
        total += weight * value
    return total


@pytest.mark.parametrize("decay", [0.0, 0.7, 0.99])
def test_closed_form_after_k_steps(decay):
    torch.manual_seed(0)
    followed, seen = network(), []
    average = EMA(followed, decay)
    for _ in range(9):
        followed[0].weight.data.normal_()
        followed[1].running_mean.normal_()
        seen.append((followed[0].weight.data.clone(), followed[1].running_mean.clone()))
        average.update(followed)
    weights, means = zip(*seen, strict=True)
    torch.testing.assert_close(average.average[0].weight, nn.Parameter(weighted(weights, decay), requires_grad=False))
    torch.testing.assert_close(average.average[1].running_mean, weighted(means, decay))
    if decay == 0.99:  # not yet long enough to forget: the plain mean
        torch.testing.assert_close(average.average[0].weight.data, torch.stack(weights).mean(dim=0))


def test_the_first_update_copies_and_counters_are_always_copied():
    followed = network()
    average = EMA(network(), 0.9)
    followed(torch.rand(4, 3))
    average.update(followed)
    for mine, theirs in zip(average.average.state_dict().values(), followed.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)
    followed(torch.rand(4, 3))
    average.update(followed)
    assert average.average[1].num_batches_tracked == followed[1].num_batches_tracked == 2


def test_it_stays_in_evaluation_mode_without_gradient():
    average = EMA(network(), 0.9)
    holder = nn.ModuleList([average]).train()
    assert holder.training and not any(part.training for part in average.modules())
    assert not any(p.requires_grad for p in average.parameters())
    x = torch.rand(4, 3, requires_grad=True)
    before = {key: value.clone() for key, value in average.state_dict().items()}
    assert torch.equal(average(x), average(x)) and not average(x).requires_grad
    assert all(torch.equal(value, before[key]) for key, value in average.state_dict().items())


def test_a_restored_average_goes_on_as_the_saved_one():
    followed, first = network(), EMA(network(), 0.9)
    for _ in range(3):
        followed[0].weight.data.normal_()
        first.update(followed)
    second = EMA(network(), 0.9)
    second.load_state_dict(first.state_dict())
    followed[0].weight.data.normal_()
    first.update(followed), second.update(followed)
    ours, theirs = first.state_dict(), second.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_wrong_decay_raises(decay):
    with pytest.raises(ValueError, match="decay must be from 0 to below 1"):
        EMA(network(), decay)


def test_what_is_frozen_is_not_touched():
    """So that a folded copy of a teacher's trunk, which is made anew where a weight has changed, is made once."""
    followed = network()
    followed[0].requires_grad_(False)
    average = EMA(followed, 0.9)
    before = average.average[0].weight._version, average.average[1].weight._version
    for _ in range(3):
        followed[1].weight.data.normal_()
        average.update(followed)
    assert average.average[0].weight._version == before[0] and average.average[1].weight._version > before[1]
