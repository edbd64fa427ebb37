"""Eq. 2 against the equation written out over classes, its closed forms, and what sets it apart from Eq. 1."""

import math

import pytest
import torch

from marsnb.losses import LOSSES
from marsnb.losses.info_nce import info_nce
from marsnb.losses.inter_class import InterClass, inter_class


def class_pairs(classes=5, d=4, dtype=torch.float64, seed=0):
    """Two embeddings of each class, as dictionaries by class, as the equation indexes them."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(2, classes, d, generator=generator, dtype=dtype)
    return ({c: z[0, c] for c in range(classes)}, {c: z[1, c] for c in range(classes)})


def stack(by_class, order):
    return torch.stack([by_class[c] for c in order])


def by_hand(first, second, temperature):
    """Eq. 2, one number at a time: a mean over anchor classes, a sum over all classes below the line."""

    def kernel(u, v):
        return float(u @ v) / math.sqrt(float(u @ u) * float(v @ v))

    total = 0.0
    for ci in first:
        above = math.exp(kernel(first[ci], second[ci]) / temperature)
        below = 0.0
        for cj in second:
            below += math.exp(kernel(first[ci], second[cj]) / temperature)
        total += math.log(above / below)
    return -total / len(first)


@pytest.mark.parametrize("temperature", [0.1, 0.2, 1.0])
@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [3, 0, 4, 2, 1]])
def test_equals_the_equation_in_any_order_of_classes(temperature, order):
    first, second = class_pairs()
    loss = inter_class(stack(first, order), stack(second, order), temperature, classes=torch.tensor(order))
    assert loss.item() == pytest.approx(by_hand(first, second, temperature), rel=1e-12)


@pytest.mark.parametrize("classes", [2, 24])
def test_closed_forms(classes):
    collapsed = torch.ones(classes, 8, dtype=torch.float64)
    assert inter_class(collapsed, collapsed).item() == pytest.approx(math.log(classes), rel=1e-12)
    # Classes on orthogonal axes: the best that the loss can do with C <= D short of a simplex.
    apart = torch.eye(classes, dtype=torch.float64)
    assert inter_class(apart, apart).item() == pytest.approx(math.log(1 + (classes - 1) * math.exp(-5)), rel=1e-12)


def test_a_simplex_of_classes_is_lower_than_orthogonal_classes():
    classes = 6
    simplex = torch.eye(classes, dtype=torch.float64) - 1 / classes  # cosine -1 / (C - 1) between classes
    expected = math.log(1 + (classes - 1) * math.exp((-1 / (classes - 1) - 1) / 0.2))
    assert inter_class(simplex, simplex).item() == pytest.approx(expected, rel=1e-12)
    axes = torch.eye(classes, dtype=torch.float64)
    assert inter_class(simplex, simplex) < inter_class(axes, axes)


def test_temperature_limits():
    first, second = class_pairs()
    z1, z2 = stack(first, range(5)), stack(second, range(5))
    assert inter_class(z1, z2, 1e9).item() == pytest.approx(math.log(5), rel=1e-6)
    assert inter_class(z1, z1, 1e-3).item() == pytest.approx(0, abs=1e-12)  # each row is its own nearest candidate


def test_ignores_scale_and_a_common_rotation():
    first, second = class_pairs()
    z1, z2 = stack(first, range(5)), stack(second, range(5))
    rotation = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64)).Q
    assert inter_class(7 * z1 @ rotation, 0.1 * z2 @ rotation).item() == pytest.approx(inter_class(z1, z2).item())


def test_a_second_row_of_a_class_is_refused_where_info_nce_takes_it():
    first, second = class_pairs()
    z1, z2 = stack(first, [0, 1, 1]), stack(second, [0, 1, 1])
    assert info_nce(z1, z2).isfinite()
    with pytest.raises(ValueError, match="one row per class"):
        inter_class(z1, z2, classes=torch.tensor([0, 1, 1]))
    with pytest.raises(ValueError, match="one class per row"):
        inter_class(z1, z2, classes=torch.tensor([0, 1]))


def test_false_negatives_are_what_it_removes():
    """Two rows of one class cannot both be matched under Eq. 1: log 2 is their floor; Eq. 2 has no such floor."""
    classes = torch.tensor([0, 0, 1, 2])
    z = 1.0 * torch.nn.functional.one_hot(classes, 4)  # each class at a point of its own, perfectly told apart
    sample_wise = info_nce(z, z, 0.01)
    class_wise = inter_class(z[1:], z[1:], 0.01, classes=classes[1:])
    assert sample_wise.item() == pytest.approx(2 / 4 * math.log(2), rel=1e-5)
    assert class_wise.item() == pytest.approx(0, abs=1e-6)


def test_gradient():
    first, second = class_pairs(4, 3)
    z1, z2 = stack(first, range(4)).requires_grad_(), stack(second, range(4)).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: inter_class(a, b, classes=torch.arange(4)), (z1, z2))


def test_twenty_steps_lower_it():
    first, second = class_pairs(dtype=torch.float32)
    z1, z2 = stack(first, range(5)).requires_grad_(), stack(second, range(5)).requires_grad_()
    optimizer = torch.optim.SGD([z1, z2], lr=0.5)
    before = inter_class(z1, z2).item()
    for _ in range(20):
        optimizer.zero_grad()
        inter_class(z1, z2).backward()
        optimizer.step()
    assert inter_class(z1, z2).item() < 0.7 * before


def test_module_is_the_function():
    first, second = class_pairs()
    z1, z2 = stack(first, range(5)), stack(second, range(5))
    assert LOSSES["inter_class"] is InterClass
    assert torch.equal(InterClass()(z1, z2), inter_class(z1, z2, 0.2))
    assert torch.equal(InterClass(0.5)(z1, z2, torch.arange(5)), inter_class(z1, z2, 0.5))
    assert "temperature=0.5" in repr(InterClass(0.5))
    with pytest.raises(ValueError, match="one row per class"):
        InterClass()(z1, z2, torch.zeros(5, dtype=torch.int64))


def test_wrong_input_raises():
    with pytest.raises(ValueError, match="shape"):
        inter_class(torch.ones(3, 4), torch.ones(2, 4))
    for call in (lambda: InterClass(0), lambda: inter_class(torch.ones(3, 4), torch.ones(3, 4), -1)):
        with pytest.raises(ValueError, match="temperature"):
            call()
