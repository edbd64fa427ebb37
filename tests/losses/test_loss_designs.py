"""Focal, center, class-balanced and LDAM losses against loops written from their equations, and their limits."""

import math

import pytest
import torch
from torch.nn import functional as F

from marsnb.losses import LOSSES
from marsnb.losses.center import Center, center, moved_centers
from marsnb.losses.class_balanced import ClassBalanced, class_balanced, effective_weights
from marsnb.losses.focal import focal
from marsnb.losses.ldam import LDAM, ldam, ldam_margins

COUNTS = (100, 30, 4, 1)
LABELS = torch.tensor([0, 0, 1, 2, 3, 0, 1, 2])


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(len(LABELS), len(COUNTS), generator=torch.Generator().manual_seed(0)) * 2


def probabilities(row: torch.Tensor) -> list[float]:
    exps = [math.exp(float(x)) for x in row]
    return [e / sum(exps) for e in exps]


@pytest.mark.parametrize("gamma", [0.5, 1, 2, 5])
def test_focal_equals_a_loop(logits, gamma):
    total = 0.0
    for row, label in zip(logits, LABELS, strict=True):
        p = probabilities(row)[int(label)]
        total += -((1 - p) ** gamma) * math.log(p)
    assert focal(logits, LABELS, gamma).item() == pytest.approx(total / len(LABELS), rel=1e-5)


def test_focal_without_gamma_is_cross_entropy(logits):
    torch.testing.assert_close(focal(logits, LABELS, 0), F.cross_entropy(logits, LABELS))


def test_focal_in_closed_form_and_where_the_image_is_recognised():
    two = torch.zeros(1, 2)
    assert focal(two, torch.tensor([0]), 2).item() == pytest.approx(0.25 * math.log(2))
    sure = torch.tensor([[60.0, 0.0]], requires_grad=True)
    for gamma in (0.5, 2):
        loss = focal(torch.where(sure > 0, 200.0, sure), torch.tensor([0]), gamma) + focal(
            sure, torch.tensor([0]), gamma
        )
        loss.backward()
        assert loss.item() == 0 and torch.isfinite(sure.grad).all()
    with pytest.raises(ValueError, match="gamma must be at least 0"):
        focal(two, torch.tensor([0]), -1)


def test_center_equals_a_loop():
    features = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    centers = torch.randn(4, 3, generator=torch.Generator().manual_seed(2))
    total = sum(
        sum((float(f) - float(c)) ** 2 for f, c in zip(feature, centers[int(label)], strict=True))
        for feature, label in zip(features, LABELS, strict=True)
    )
    assert center(features, LABELS, centers).item() == pytest.approx(total / 8 / 2, rel=1e-5)
    assert center(centers[LABELS], LABELS, centers).item() == 0
    with pytest.raises(ValueError, match="expected features"):
        center(features[:, :2], LABELS, centers)


def test_centers_move_as_a_loop_of_eq_4():
    features = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    centers = torch.randn(5, 3, generator=torch.Generator().manual_seed(2))
    expected = centers.clone()
    for j in range(5):
        members = [i for i in range(8) if int(LABELS[i]) == j]
        delta = sum(centers[j] - features[i] for i in members) / (1 + len(members)) if members else torch.zeros(3)
        expected[j] -= 0.5 * delta
    moved = moved_centers(features, LABELS, centers, 0.5)
    torch.testing.assert_close(moved, expected)
    assert torch.equal(moved[4], centers[4])  # no image of it
    assert torch.equal(moved_centers(features, LABELS, centers, 0.0), centers)
    assert moved_centers(features.requires_grad_(), LABELS, centers, 0.5).requires_grad is False


def test_a_center_begins_as_the_mean_of_the_first_batch_of_its_class():
    torch.manual_seed(0)
    loss, features = Center(4, 3), torch.randn(4, 3, requires_grad=True)
    value = loss(features, torch.tensor([1, 1, 1, 3]))
    mean = features[:3].detach().mean(dim=0)
    assert value.item() == pytest.approx(0.5 * (features[:3] - mean).square().sum().item() / 4, rel=1e-5)
    assert loss.seen.tolist() == [False, True, False, True]
    torch.testing.assert_close(loss.centers[[1, 3]], torch.stack([mean, features[3].detach()]))
    assert (loss.centers[[0, 2]] == 0).all()
    value.backward()
    torch.testing.assert_close(features.grad[:3], (features[:3].detach() - mean) / 4)  # centres are constants


def test_centers_arrive_at_the_class_means_and_follow_them():
    torch.manual_seed(0)
    means, loss = 10 * torch.randn(4, 3), Center(4, 3)
    labels = torch.arange(4).repeat(4)  # four of each in a batch: a centre goes 0.4 of the way
    for shift in (0.0, 5.0):
        for _ in range(20):
            loss(means[labels] + shift, labels)
        torch.testing.assert_close(loss.centers, means + shift, rtol=0, atol=1e-3)


def test_centers_move_in_single_precision_under_autocast():
    torch.manual_seed(0)
    features, loss, other = torch.randn(8, 3), Center(4, 3), Center(4, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss(features, LABELS)
    other(features, LABELS)
    assert loss.centers.dtype == torch.float32 and torch.equal(loss.centers, other.centers)


def test_evaluation_moves_no_center_and_state_goes_round():
    torch.manual_seed(0)
    loss, other = Center(4, 3), Center(4, 3)
    loss(torch.randn(8, 3), LABELS % 3)
    before = {key: value.clone() for key, value in loss.state_dict().items()}
    assert set(before) == {"centers", "seen"} and not list(loss.parameters())
    loss.eval()
    assert loss(torch.randn(8, 3), LABELS).isfinite()  # of class 3, which has no centre yet, too
    assert all(torch.equal(before[key], value) for key, value in loss.state_dict().items())
    other.load_state_dict(before)
    features = torch.randn(8, 3)
    assert torch.equal(loss.train()(features, LABELS), other(features, LABELS))
    assert torch.equal(loss.centers, other.centers)


def test_class_balanced_weights_equal_a_loop():
    beta = 0.99
    raw = [(1 - beta) / (1 - beta**n) for n in COUNTS]
    expected = [len(COUNTS) * w / sum(raw) for w in raw]
    assert effective_weights(COUNTS, beta).tolist() == pytest.approx(expected, rel=1e-5)


def test_class_balanced_limits(logits):
    torch.testing.assert_close(effective_weights(COUNTS, 0), torch.ones(4))
    torch.testing.assert_close(ClassBalanced(COUNTS, 0)(logits, LABELS), F.cross_entropy(logits, LABELS))
    inverse = effective_weights(COUNTS, 1 - 1e-9)
    torch.testing.assert_close(inverse / inverse[0], 100 / torch.tensor(COUNTS, dtype=torch.float32))


def test_a_class_without_images_has_no_weight_and_takes_none():
    weights = effective_weights((100, 0, 4), 0.99)
    assert weights[1] == 0 and weights.sum().item() == pytest.approx(2)
    assert torch.isfinite(ldam_margins((100, 0, 4))).all()
    for function in (effective_weights, ldam_margins):
        with pytest.raises(ValueError, match="no class has an image"):
            function((0, 0))
    with pytest.raises(ValueError, match="beta must be"):
        effective_weights((1, 2), 1.0)


def test_class_balanced_equals_a_loop(logits):
    weights = effective_weights(COUNTS, 0.999)
    total = sum(
        float(weights[label]) * -math.log(probabilities(row)[int(label)])
        for row, label in zip(logits, LABELS, strict=True)
    )
    assert class_balanced(logits, LABELS, weights).item() == pytest.approx(total / len(LABELS), rel=1e-5)


def test_ldam_equals_a_loop():
    cosines = torch.rand(8, 4, generator=torch.Generator().manual_seed(3)) * 2 - 1
    margins, weights = ldam_margins(COUNTS, 0.5), effective_weights(COUNTS, 0.9)
    total = 0.0
    for row, label in zip(cosines, LABELS, strict=True):
        lowered = row.clone()
        lowered[label] -= 0.5 * COUNTS[int(label)] ** -0.25  # the rarest class has one image: its margin is 0.5
        total += float(weights[label]) * -math.log(probabilities(10 * lowered)[int(label)])
    assert ldam(cosines, LABELS, margins, 10, weights).item() == pytest.approx(total / 8, rel=1e-4)


def test_ldam_without_margin_is_scaled_cross_entropy(logits):
    cosines = logits.clamp(-1, 1)
    torch.testing.assert_close(LDAM(COUNTS, 0.0, 30.0)(cosines, LABELS), F.cross_entropy(30 * cosines, LABELS))


def test_rarer_classes_have_larger_margins():
    margins = ldam_margins(COUNTS)
    assert (margins.diff() > 0).all() and margins.max().item() == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["focal", "center", "class_balanced", "ldam"])
def test_twenty_steps_lower_it(name):
    torch.manual_seed(0)
    made = {"center": {"classes": 4, "width": 4}, "class_balanced": {"counts": COUNTS}, "ldam": {"counts": COUNTS}}
    loss, x = LOSSES[name](**made.get(name, {})), torch.randn(8, 4, requires_grad=True)
    optimizer = torch.optim.SGD([x, *loss.parameters()], lr=0.1)
    values = []
    for _ in range(20):
        value = loss(F.normalize(x) if name == "ldam" else x, LABELS)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.95 * values[0]
