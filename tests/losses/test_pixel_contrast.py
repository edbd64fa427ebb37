"""Pixel contrast: against a naive loop, within images and across them; what counts, and what does not."""

import math

import pytest
import torch
from torch.nn import functional as F

from marsnb.losses import LOSSES
from marsnb.losses.pixel_contrast import pixel_contrast


def maps(seed=0):
    torch.manual_seed(seed)
    labels = torch.randint(0, 3, (3, 3, 4))
    labels[:, 0] = 255
    labels[2] = 255
    return torch.randn(3, 5, 3, 4), labels


def naive(features, labels, temperature, partners=None):
    images = []
    for i in range(len(labels)):
        shown = [i] if partners is None else [i, int(partners[i])]
        # (vector, label, which of the two), labelled pixels only
        pixels = [
            (features[at, :, y, x], int(labels[at, y, x]), which)
            for which, at in enumerate(shown)
            for y in range(labels.shape[1])
            for x in range(labels.shape[2])
            if labels[at, y, x] != 255
        ]
        anchors = []
        for vector, label, which in pixels:
            e = [math.exp(F.cosine_similarity(vector, other, dim=0).item() / temperature) for other, _, _ in pixels]
            against = sum(v for v, (_, y, w) in zip(e, pixels, strict=True) if y != label and w == which)
            terms = [-math.log(v / (v + against)) for v, (_, y, _) in zip(e, pixels, strict=True) if y == label]
            anchors.append(sum(terms) / len(terms))
        if anchors:
            images.append(sum(anchors) / len(anchors))
    return sum(images) / max(1, len(images))


@pytest.mark.parametrize("partners", [None, torch.tensor([1, 2, 0])])
def test_loss_is_the_naive_loop(partners):
    features, labels = maps()
    for temperature in (0.07, 0.5):
        ours = pixel_contrast(features, labels, temperature, partners=partners)
        assert ours.item() == pytest.approx(naive(features, labels, temperature, partners), rel=1e-4)
    assert LOSSES["pixel_contrast"](0.5)(features, labels, partners).item() == pytest.approx(ours.item())


def test_unlabelled_elements_do_not_count():
    features, labels = maps()
    features.requires_grad_()
    for partners in (None, torch.tensor([1, 2, 0])):
        (gradient,) = torch.autograd.grad(pixel_contrast(features, labels, partners=partners), features)
        assert torch.equal(gradient.abs().sum(dim=1) > 0, labels != 255)


def test_across_images_negatives_come_from_the_own_image_alone():
    """Each image has one class: within, nothing stands against a pixel, so the loss is 0; and so across."""
    features, labels = maps()
    labels = torch.arange(3)[:, None, None].expand(3, 3, 4)
    assert pixel_contrast(features, labels) == 0
    assert pixel_contrast(features, labels, partners=torch.tensor([1, 2, 0])) == 0


@pytest.mark.parametrize("value", [255, 1])
def test_without_labels_or_negatives_it_is_0_with_a_gradient_of_0(value):
    features = torch.randn(2, 5, 3, 4, requires_grad=True)
    loss = pixel_contrast(features, torch.full((2, 3, 4), value))
    loss.backward()
    assert loss == 0 and features.grad.abs().sum() == 0


def test_two_orthogonal_classes_have_a_closed_form():
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).T.reshape(1, 2, 1, 2)
    loss = pixel_contrast(features, torch.tensor([[[0, 1]]]), 0.5)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-5)


def test_twenty_steps_lower_the_loss():
    features, labels = maps()
    features.requires_grad_()
    values = []
    for _ in range(20):
        loss = pixel_contrast(features, labels, partners=torch.tensor([1, 0, 2]))
        (gradient,) = torch.autograd.grad(loss, features)
        features.data -= 1.0 * gradient
        values.append(loss.item())
    assert values[-1] < 0.7 * values[0]


def test_labels_of_another_grid_raise():
    with pytest.raises(ValueError, match="labels_at"):
        pixel_contrast(torch.rand(1, 5, 3, 4), torch.zeros(1, 6, 8, dtype=torch.int64))


def test_autocast_changes_nothing():
    features, labels = maps()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = pixel_contrast(features, labels)
    assert loss.dtype == torch.float32 and torch.equal(loss, pixel_contrast(features, labels))
