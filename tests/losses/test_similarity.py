"""Eq. 3 against the equation written out, closed forms, invariances, gradients, and the collapse it allows."""

import math

import pytest
import torch

from marsnb.losses import LOSSES
from marsnb.losses.similarity import Similarity, similarity


def pairs(n=6, d=5, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z1, z2 = torch.randn(2, n, d, generator=generator, dtype=dtype)
    return z1, z2


def by_hand(z1, z2):
    """Eq. 3, one number at a time."""
    total = 0.0
    for u, v in zip(z1, z2, strict=True):
        dot = norm_u = norm_v = 0.0
        for a, b in zip(u.tolist(), v.tolist(), strict=True):
            dot, norm_u, norm_v = dot + a * b, norm_u + a * a, norm_v + b * b
        total += dot / math.sqrt(norm_u * norm_v)
    return -total / len(z1)


def test_equals_the_equation():
    z1, z2 = pairs()
    assert similarity(z1, z2).item() == pytest.approx(by_hand(z1, z2), rel=1e-12)


def test_closed_forms():
    z1, _ = pairs()
    assert similarity(z1, z1).item() == pytest.approx(-1)
    assert similarity(z1, -z1).item() == pytest.approx(1)
    axes = torch.eye(4, dtype=torch.float64)
    assert similarity(axes, axes.roll(1, dims=0)).item() == pytest.approx(0, abs=1e-12)
    # Half of the pairs agree, half are at 60 degrees.
    first = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    second = torch.tensor([[2.0, 0.0], [0.5, math.sqrt(0.75)]])
    assert similarity(first, second).item() == pytest.approx(-0.75)


def test_collapse_is_its_minimum():
    one_point = torch.ones(6, 5)
    assert similarity(one_point, one_point).item() == pytest.approx(-1)


def test_does_not_depend_on_the_other_images():
    z1, z2 = pairs()
    alone = torch.stack([similarity(z1[i : i + 1], z2[i : i + 1]) for i in range(len(z1))]).mean()
    assert similarity(z1, z2).item() == pytest.approx(alone.item(), rel=1e-12)


def test_is_symmetric_and_ignores_scale_and_a_common_rotation():
    z1, z2 = pairs()
    rotation = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64)).Q
    expected = similarity(z1, z2).item()
    assert similarity(z2, z1).item() == pytest.approx(expected, rel=1e-12)
    assert similarity(9 * z1 @ rotation, 0.01 * z2 @ rotation).item() == pytest.approx(expected, rel=1e-12)


def test_gradient_reaches_both_views():
    z1, z2 = (z.requires_grad_() for z in pairs(4, 3))
    assert torch.autograd.gradcheck(similarity, (z1, z2))
    similarity(z1, z2).backward()
    assert z1.grad.abs().sum() > 0
    assert z2.grad.abs().sum() > 0


def test_twenty_steps_lower_it():
    z1, z2 = (z.requires_grad_() for z in pairs(dtype=torch.float32))
    optimizer = torch.optim.SGD([z1, z2], lr=1.0)
    before = similarity(z1, z2).item()
    for _ in range(20):
        optimizer.zero_grad()
        similarity(z1, z2).backward()
        optimizer.step()
    assert similarity(z1, z2).item() < before - 0.3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    z1, z2 = ((100 * z).to(dtype) for z in pairs(d=128))  # squared norms overflow float16
    loss = similarity(z1, z2)
    assert loss.dtype == torch.float32
    assert loss.item() == similarity(z1.float(), z2.float()).item()


def test_module_is_the_function():
    z1, z2 = pairs()
    assert LOSSES["similarity"] is Similarity
    assert torch.equal(Similarity()(z1, z2), similarity(z1, z2))


def test_is_lightlys_loss():
    from lightly.loss import NegativeCosineSimilarity

    z1, z2 = pairs()
    assert similarity(z1, z2).item() == pytest.approx(NegativeCosineSimilarity()(z1, z2).item(), rel=1e-12)


def test_wrong_input_raises():
    with pytest.raises(ValueError, match="shape"):
        similarity(torch.ones(3, 4), torch.ones(2, 4))
    with pytest.raises(ValueError, match="shape"):
        similarity(torch.ones(3), torch.ones(3))
