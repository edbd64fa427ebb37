"""Untracked batch normalisation: outputs and gradients as ever, running statistics that stand still."""

import copy

import pytest
import torch
from torch import nn

from marsnb.models.backbones import build_backbone
from marsnb.models.batchnorm import untracked_batchnorm
from marsnb.models.classifier import Classifier, freeze_batchnorm
from marsnb.models.segmenter import build_segmenter


def networks():
    """One of timm's kinds of batch normalisation, one of torchvision's, and one of a decoder's."""
    yield Classifier(build_backbone("test_resnet", "random", seed=0), 3)
    yield Classifier(build_backbone("resnet18", "random", seed=0), 3)
    yield build_segmenter("resnet18", 3, seed=0, decoder_channels=16, dropout=0.0)


def state(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


def equal(one, other):
    return all(torch.equal(one[key], value) for key, value in other.items())


@pytest.mark.parametrize("place", range(3))
def test_untracked_uses_the_batch_and_comes_back(place):
    model = list(networks())[place].train()
    x, before = torch.rand(4, 3, 32, 32), state(model)
    with untracked_batchnorm(model):
        inside = model(x)
    assert equal(before, model.state_dict())
    assert torch.equal(inside, model(x))
    assert not equal(before, model.state_dict())


def test_its_gradients_are_the_tracked_ones():
    model, x = next(iter(networks())).train(), torch.rand(4, 3, 32, 32)
    other = copy.deepcopy(model)
    with untracked_batchnorm(model):
        model(x).square().sum().backward()
    other(x).square().sum().backward()
    assert all(
        torch.equal(a.grad, b.grad) for a, b in zip(model.head.parameters(), other.head.parameters(), strict=True)
    )
    first, second = (next(net.backbone.parameters()).grad for net in (model, other))
    assert torch.equal(first, second) and first.abs().sum() > 0


def test_frozen_batch_normalisation_keeps_using_its_running_statistics():
    model, x = next(iter(networks())).train(), torch.rand(4, 3, 32, 32)
    model(x)
    freeze_batchnorm(model)
    with untracked_batchnorm(model):
        inside = model(x)
    assert torch.equal(inside, model(x)) and not torch.equal(inside, copy.deepcopy(model).train()(x))


def test_an_exception_leaves_nothing_untracked_and_what_was_untracked_stays_so():
    net = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2, track_running_stats=False))
    with pytest.raises(RuntimeError, match="stop"), untracked_batchnorm(net):
        assert not net[0].track_running_stats
        raise RuntimeError("stop")
    assert [part.track_running_stats for part in net] == [True, False]
