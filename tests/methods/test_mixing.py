import pytest
import torch
from torch.nn import functional as F
from torchvision.transforms import v2

from marsnb.methods.classification._parts import Batch
from marsnb.training.classification import build_method
from marsnb.training.spec import make_spec

CLASSES = 3
each_mixing = pytest.mark.parametrize("name", ["mixup", "cutmix"])


def build(name, **settings):
    spec = make_spec(
        dataset="synthetic", image_size=32, method=name, backbone="test_resnet", start="random", settings=settings
    )
    return build_method(spec, (4, 3, 2)).train()


def batch():
    """Every image is one value of its own."""
    images = (torch.arange(6) / 6).view(6, 1, 1, 1).expand(6, 3, 32, 32).contiguous()
    return Batch(images, torch.arange(6) % CLASSES)


def mixed(method, labelled):
    images, targets = method.mix(labelled.images, labelled.labels)
    assert images.shape == labelled.images.shape and targets.shape == (6, CLASSES)
    return images, targets


@each_mixing
def test_a_share_of_one_changes_nothing(name, monkeypatch):
    monkeypatch.setattr(torch.distributions.Beta, "sample", lambda self, shape: torch.ones(1))
    method, labelled = build(name), batch()
    images, targets = mixed(method, labelled)
    assert torch.equal(images, labelled.images)
    assert torch.equal(targets, F.one_hot(labelled.labels, CLASSES).float())
    loss = method.step(labelled)["loss"]
    torch.testing.assert_close(loss, build("cross_entropy").step(labelled=labelled)["loss"])


@each_mixing
def test_labels_are_shares_of_what_is_in_the_image(name):
    torch.manual_seed(0)
    method, labelled = build(name), batch()
    for _ in range(20):
        before = labelled.images.clone()
        images, targets = mixed(method, labelled)
        torch.testing.assert_close(targets.sum(dim=1), torch.ones(6))
        own, other = labelled.images, labelled.images.roll(1, 0)
        if name == "cutmix":
            assert ((images == own) | (images == other)).all()
            share = (images == own).float().mean(dim=(1, 2, 3))
        else:
            share = ((images - other) / (own - other)).mean(dim=(1, 2, 3))
            torch.testing.assert_close(images, own * share[0] + other * (1 - share[0]))
        torch.testing.assert_close(share, share[:1].expand(6))
        hot = F.one_hot(labelled.labels, CLASSES).float()
        torch.testing.assert_close(targets, share[:, None] * hot + (1 - share[:, None]) * hot.roll(1, 0))
        assert torch.equal(labelled.images, before)  # the batch itself is left alone


@each_mixing
def test_loss_is_that_of_both_labels_and_repeats_under_a_seed(name):
    method, labelled = build(name, alpha=1.0), batch()
    losses = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        losses.append(method.step(labelled)["loss"])
    assert torch.equal(losses[0], losses[1]) and not torch.equal(losses[0], losses[2])
    torch.manual_seed(0)
    images, targets = mixed(method, labelled)
    logits, share = method.model(images), targets[0, 0]  # image 0 is of class 0, its partner of another
    whole = share * F.cross_entropy(logits, labelled.labels)
    whole = whole + (1 - share) * F.cross_entropy(logits, labelled.labels.roll(1, 0))
    torch.testing.assert_close(losses[0], whole)


def test_defaults_are_the_references():
    mixup, cutmix = build("mixup").mix, build("cutmix").mix
    assert isinstance(mixup, v2.MixUp) and mixup.alpha == 0.2
    assert isinstance(cutmix, v2.CutMix) and cutmix.alpha == 1.0


def test_dropout_drops_features_in_training_alone():
    method, images = build("dropout", rate=0.25), torch.rand(4, 3, 32, 32)
    assert build("dropout").model.dropout.p == 0.5 and build("cross_entropy").model.dropout.p == 0
    seen = []
    method.model.head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    method.model.backbone.eval()
    for training in (True, False):
        method.model.dropout.train(training)
        method.model(images)
    dropped = (seen[0] == 0) & (seen[1] != 0)
    assert dropped.any()
    torch.testing.assert_close(seen[0][~dropped], seen[1][~dropped] / 0.75)
