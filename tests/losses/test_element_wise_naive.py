"""Eq. 6 against the equation written out, its closed forms and limits."""

import math

import pytest
import torch

from marsnb.losses import LOSSES
from marsnb.losses.element_wise_naive import ElementWiseNaive, element_wise_naive


def maps(b=2, d=5, h=3, w=4, classes=3, dtype=torch.float64, seed=0):
    """Features, and labels with a third unlabelled."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (b, h, w), generator=generator)
    labels[torch.rand(b, h, w, generator=generator) < 1 / 3] = 255
    return torch.randn(b, d, h, w, generator=generator, dtype=dtype), labels


def by_hand(features, labels, temperature):
    """Eq. 6, one number at a time: j runs over the labelled elements of i's image, i itself among them."""

    def kernel(u, v):
        return float(u @ v) / math.sqrt(float(u @ u) * float(v @ v))

    images = []
    for f, y in zip(features, labels, strict=True):
        elements = [(f[:, i, j], int(y[i, j])) for i, j in (y != 255).nonzero().tolist()]
        logs = []
        for fi, ci in elements:
            above = sum(math.exp(kernel(fi, fj) / temperature) for fj, cj in elements if cj == ci)
            below = sum(math.exp(kernel(fi, fj) / temperature) for fj, _ in elements)
            logs.append(math.log(above / below))
        if logs:
            images.append(logs)
    return -sum(sum(logs) / len(logs) for logs in images) / len(images)


@pytest.mark.parametrize("temperature", [0.07, 0.2, 1.0])
def test_equals_the_equation(temperature):
    features, labels = maps()
    labels[1, 1:] = 255
    loss = element_wise_naive(features, labels, temperature)
    assert loss.item() == pytest.approx(by_hand(features, labels, temperature), rel=1e-12)


def test_closed_forms():
    # Two classes of 3 and 1 elements, all alike: an element's own class has 3/4 or 1/4 of the similarity.
    labels = torch.tensor([[[0, 0], [0, 1]]])
    alike = torch.ones(1, 4, 2, 2, dtype=torch.float64)
    expected = -(3 * math.log(3 / 4) + math.log(1 / 4)) / 4
    assert element_wise_naive(alike, labels).item() == pytest.approx(expected, rel=1e-12)
    # Each class on an axis of its own: cosine 1 within, 0 between.
    apart = torch.nn.functional.one_hot(labels, 4).permute(0, 3, 1, 2).double()
    e = math.exp(1 / 0.5)
    expected = -(3 * math.log(3 * e / (3 * e + 1)) + math.log(e / (e + 3))) / 4
    assert element_wise_naive(apart, labels, 0.5).item() == pytest.approx(expected, rel=1e-12)


def test_limits():
    features, labels = maps()
    assert element_wise_naive(features, labels, 1e-4).item() == pytest.approx(0, abs=1e-9)  # each is its own nearest
    one_class = torch.where(labels == 255, 255, 2)
    assert element_wise_naive(features, one_class).item() == pytest.approx(0, abs=1e-12)
    loss = element_wise_naive(features, labels)
    assert element_wise_naive(9 * features, labels).item() == pytest.approx(loss.item(), rel=1e-9)


def test_an_unlabelled_image_changes_nothing_and_an_unlabelled_batch_gives_zero():
    features, labels = maps()
    alone = element_wise_naive(features[:1], labels[:1])
    labels[1] = 255
    features.requires_grad_()
    loss = element_wise_naive(features, labels)
    loss.backward()
    assert loss.item() == pytest.approx(alone.item(), rel=1e-12)
    assert torch.equal(features.grad.abs().sum(dim=1) > 0, labels != 255)
    features.grad = None
    nothing = element_wise_naive(features, torch.full_like(labels, 255))
    nothing.backward()
    assert nothing.item() == 0
    assert not features.grad.any()


def test_gradient():
    features, labels = maps(h=2, w=2)
    assert torch.autograd.gradcheck(lambda f: element_wise_naive(f, labels, 0.5), features.requires_grad_())


def test_twenty_steps_lower_it():
    features, labels = maps(dtype=torch.float32)
    features.requires_grad_()
    optimizer = torch.optim.SGD([features], lr=0.5)
    before = element_wise_naive(features, labels, 0.5).item()
    for _ in range(20):
        optimizer.zero_grad()
        element_wise_naive(features, labels, 0.5).backward()
        optimizer.step()
    assert element_wise_naive(features, labels, 0.5).item() < 0.7 * before


def test_module_is_the_function_and_wrong_input_raises():
    features, labels = maps()
    assert LOSSES["element_wise_naive"] is ElementWiseNaive
    assert torch.equal(ElementWiseNaive()(features, labels), element_wise_naive(features, labels, 0.07))
    assert "ignore_index=254" in repr(ElementWiseNaive(ignore_index=254))
    for match, call in {
        "temperature": lambda: ElementWiseNaive(-1),
        "labels_at": lambda: element_wise_naive(features, labels[:1]),
    }.items():
        with pytest.raises(ValueError, match=match):
            call()
