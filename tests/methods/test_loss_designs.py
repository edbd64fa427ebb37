"""Methods that put another loss in the place of cross entropy, or beside it."""

import pytest
import torch
from torch.nn import functional as F

from marsnb.losses.class_balanced import effective_weights
from marsnb.methods.classification._parts import Batch
from marsnb.methods.classification.ldam_drw import CosineLinear
from marsnb.training.classification import build_method
from marsnb.training.spec import make_spec

COUNTS = (40, 20, 10, 5)
LABELS = torch.tensor([0, 1, 2, 3, 0, 1, 2, 0])


def build(name, **fields):
    fields = {"lr_head": 1e-2, "lr_backbone": 1e-3, "epochs": 10} | fields
    spec = make_spec(dataset="synthetic", image_size=32, method=name, backbone="test_resnet", start="random", **fields)
    return build_method(spec, COUNTS).train()


def batch():
    return Batch(torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)), LABELS)


def test_ldam_scores_by_cosines_of_a_normed_head():
    method = build("ldam_drw")
    model, images = method.model.eval(), batch().images
    assert isinstance(model.head, CosineLinear) and model.head.bias is None
    features = model.features(images)
    expected = F.normalize(features) @ F.normalize(model.head.weight).T
    torch.testing.assert_close(model(images), expected)
    assert model(images).abs().max() <= 1 + 1e-6


@pytest.mark.parametrize(
    ("epochs", "milestones", "settings", "first"),
    [
        (30, (20, 25), {}, 20),  # with the first decay
        (6, (4, 5), {}, 4),
        (2, (1,), {}, 1),
        (10, (), {}, 8),  # 80 % where nothing decays
        (30, (20, 25), {"deferred": 0.8}, 24),
        (5, (), {"deferred": 0.5}, 3),
    ],
)
def test_ldam_reweights_from_the_first_decay_on(epochs, milestones, settings, first):
    method = build("ldam_drw", epochs=epochs, milestones=milestones, settings=settings)
    began = []
    for epoch in range(epochs):
        method.begin_epoch(epoch)
        began.append(method.reweighted())
    assert began == [epoch >= first for epoch in range(epochs)]


def test_ldam_weights_are_class_balanced_and_count_late_only():
    method = build("ldam_drw", milestones=(7, 9))
    torch.testing.assert_close(method.weights, effective_weights(COUNTS))
    method.eval()
    early, cosines = method.step(batch())["loss"], method.model(batch().images)
    method.begin_epoch(7)
    late = method.step(batch())["loss"]
    torch.testing.assert_close(early, method.ldam(cosines, LABELS))
    torch.testing.assert_close(late, method.ldam(cosines, LABELS, method.weights))
    assert not torch.equal(early, late)


def test_triplets_are_the_semi_hard_ones():
    method = build("triplet_loss")
    features = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))
    unit = F.normalize(features)
    losses = []
    for a in range(8):
        for p in range(8):
            for n in range(8):
                if a == p or LABELS[a] != LABELS[p] or LABELS[a] == LABELS[n]:
                    continue
                gap = float((unit[a] - unit[n]).norm() - (unit[a] - unit[p]).norm())
                if 0 < gap <= 0.2:
                    losses.append(0.2 - gap)
    assert len(losses) > 3
    assert method.triplets(features, LABELS).item() == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def test_a_batch_without_triplets_costs_nothing_and_has_a_gradient():
    method = build("triplet_loss")
    features = torch.randn(4, 3, requires_grad=True)
    loss = method.triplets(features, torch.arange(4))
    loss.backward()
    assert loss.item() == 0 and not features.grad.any()


def test_centers_follow_the_features_by_their_own_rule_at_any_learning_rate():
    method = build("center_loss", lr_head=0.0, lr_backbone=0.0, lr_projection=0.0)
    for i in range(20):
        method.training_step({"labelled": batch()}, i)
    features = method.model.features(batch().images)
    for label in range(4):
        mean = features[label == LABELS].mean(dim=0)
        torch.testing.assert_close(method.center.centers[label], mean, rtol=1e-3, atol=1e-4)
    assert method.center.alpha == 0.5 and build("center_loss", settings={"alpha": 0.1}).center.alpha == 0.1


def test_center_loss_is_its_equation():
    method = build("center_loss", settings={"weight": 0.7})
    losses = method.step(batch())
    features = method.model.features(batch().images).detach()
    means = torch.stack([features[label == LABELS].mean(dim=0) for label in range(4)])
    expected = (features - means[LABELS]).square().sum(dim=1).mean() / 2  # of the first batch
    torch.testing.assert_close(losses["center"], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(losses["loss"], losses["ce"] + 0.7 * losses["center"])


def test_class_balanced_loss_weighs_rare_classes_more():
    weights = build("class_balanced_loss").balanced.weights
    assert (weights.diff() > 0).all()
    equal = build("class_balanced_loss", settings={"beta": 0.0})
    labelled = batch()
    torch.testing.assert_close(
        equal.step(labelled)["loss"], F.cross_entropy(equal.model(labelled.images), LABELS), rtol=1e-4, atol=1e-5
    )


def test_cosines_are_in_single_precision_under_autocast():
    layer, inputs = CosineLinear(7, 3), torch.randn(5, 7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(inputs)
    assert found.dtype == torch.float32 and torch.equal(found, layer(inputs))
