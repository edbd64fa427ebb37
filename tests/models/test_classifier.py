"""The classifier: shapes, which head learns from which loss, and batch normalisation that stays frozen."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from marsnb.errors import RecipeError
from marsnb.models.backbones import LITE, build_backbone
from marsnb.models.classifier import Classifier, freeze_batchnorm


@pytest.fixture
def images():
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def build(name="test_resnet", **options):
    torch.manual_seed(0)
    return Classifier(build_backbone(name, seed=0), 24, **options)


def train_one_step(model, images):
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    loss = model(images).square().mean() + model.embed_s(images).square().mean() + model.embed_u(images).square().mean()
    loss.backward()
    optimizer.step()


def test_shapes(images):
    model = build()
    width = model.backbone.num_features
    assert model.features(images).shape == (4, width)
    assert model(images).shape == (4, 24)
    assert model.embed_s(images).shape == model.embed_u(images).shape == (4, 128)
    assert [layer.out_features for layer in model.project_s if isinstance(layer, nn.Linear)] == [width, 128]
    assert build(embedding_dim=16).embed_s(images).shape == (4, 16)


def test_each_head_learns_from_its_own_output_only(images):
    for method, own in (("forward", "head"), ("embed_s", "project_s"), ("embed_u", "project_u")):
        model = build()
        getattr(model, method)(images).square().sum().backward()
        for part in ("head", "project_s", "project_u"):
            grads = [p.grad for p in getattr(model, part).parameters()]
            assert all((grad is not None) == (part == own) for grad in grads)
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.backbone.parameters())


def test_dropout_only_touches_the_logits_and_only_in_training(images):
    model = build(dropout=0.5).eval()
    assert torch.equal(model(images), model(images))
    for module in model.backbone.modules():
        assert not module.training
    model.dropout.train()
    assert not torch.equal(model(images), model(images))
    assert torch.equal(model.embed_s(images), model.embed_s(images))


@pytest.mark.parametrize("name", ["test_resnet", "resnet18", LITE])
def test_frozen_batchnorm_is_bit_equal_after_a_training_step(name, images):
    model = build(name, batchnorm="frozen").eval().train()
    norms = {key: part for key, part in model.named_modules() if isinstance(part, _BatchNorm)}
    assert norms
    assert model.training
    assert model.head.training
    before = copy.deepcopy(model.state_dict())
    train_one_step(model, images)
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert not any(key.startswith(f"{norm}.") for key in changed for norm in norms)
    assert "head.weight" in changed
    assert any(key.startswith("backbone.") for key in changed)
    copied = copy.deepcopy(model).train()
    assert not any(part.training for part in copied.modules() if isinstance(part, _BatchNorm))


def test_batchnorm_trains_by_default(images):
    model = build()
    before = copy.deepcopy(model.state_dict())
    train_one_step(model, images)
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert any(key.endswith("running_mean") for key in changed)


def test_freeze_batchnorm_leaves_other_layers_alone():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.SyncBatchNorm(4))
    assert freeze_batchnorm(network) is network
    assert [part.training for part in network] == [True, False, True, False]
    assert [part.weight.requires_grad for part in network] == [True, False, True, False]


def test_state_round_trips(images):
    saved, other = build().eval(), Classifier(build_backbone("test_resnet", seed=9), 24).eval()
    assert not torch.equal(saved(images), other(images))
    other.load_state_dict(saved.state_dict())
    assert torch.equal(saved(images), other(images))


def test_unknown_batchnorm_raises():
    with pytest.raises(RecipeError, match="known: train, frozen"):
        build(batchnorm="cold")
