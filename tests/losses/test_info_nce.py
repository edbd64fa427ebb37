"""Eq. 1 against the equation written out, closed forms, limits, invariances, gradients."""

import math

import pytest
import torch

from marsnb.losses import LOSSES
from marsnb.losses.info_nce import InfoNCE, info_nce


def pairs(n=6, d=5, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z1, z2 = torch.randn(2, n, d, generator=generator, dtype=dtype)
    return z1, z2


def by_hand(z1, z2, temperature):
    """Eq. 1, one number at a time."""

    def kernel(u, v):
        dot = sum(float(a) * float(b) for a, b in zip(u, v, strict=True))
        return dot / (math.sqrt(sum(float(a) ** 2 for a in u)) * math.sqrt(sum(float(b) ** 2 for b in v)))

    total = 0.0
    for i in range(len(z1)):
        above = math.exp(kernel(z1[i], z2[i]) / temperature)
        below = sum(math.exp(kernel(z1[i], z2[j]) / temperature) for j in range(len(z2)))
        total += math.log(above / below)
    return -total / len(z1)


@pytest.mark.parametrize("temperature", [0.07, 0.2, 1.0])
def test_equals_the_equation(temperature):
    z1, z2 = pairs()
    assert info_nce(z1, z2, temperature).item() == pytest.approx(by_hand(z1, z2, temperature), rel=1e-12)


def test_is_one_sided():
    z1, z2 = pairs()
    assert info_nce(z1, z2).item() != pytest.approx(info_nce(z2, z1).item())


@pytest.mark.parametrize("n", [1, 2, 24])
def test_equal_embeddings_give_log_n(n):
    z = torch.ones(n, 8, dtype=torch.float64)
    assert info_nce(z, z).item() == pytest.approx(math.log(n), abs=1e-12)


def test_orthogonal_embeddings_give_the_closed_form():
    n, temperature = 24, 0.2
    z = 3 * torch.eye(n, dtype=torch.float64)
    expected = math.log(1 + (n - 1) * math.exp(-1 / temperature))
    assert info_nce(z, z, temperature).item() == pytest.approx(expected, rel=1e-12)


def test_temperature_to_infinity_gives_log_n_and_to_zero_gives_the_margin():
    z1, z2 = pairs()
    assert info_nce(z1, z2, 1e9).item() == pytest.approx(math.log(len(z1)), rel=1e-6)
    # As tau goes to 0, tau * loss goes to the mean of how far the best candidate lies above the positive.
    cosines = torch.nn.functional.cosine_similarity(z1[:, None], z2[None], dim=2)
    margin = (cosines.amax(dim=1) - cosines.diagonal()).mean()
    assert 1e-5 * info_nce(z1, z2, 1e-5).item() == pytest.approx(margin.item(), abs=1e-4)


def test_ignores_scale_and_a_common_rotation():
    z1, z2 = pairs()
    rotation = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64)).Q
    scale1, scale2 = torch.rand(2, 6, 1, dtype=torch.float64) + 0.1
    expected = info_nce(z1, z2).item()
    assert info_nce(scale1 * z1, scale2 * z2).item() == pytest.approx(expected, rel=1e-12)
    assert info_nce(z1 @ rotation, z2 @ rotation).item() == pytest.approx(expected, rel=1e-12)


def test_order_of_the_batch_does_not_matter():
    z1, z2 = pairs()
    order = torch.randperm(len(z1))
    assert info_nce(z1[order], z2[order]).item() == pytest.approx(info_nce(z1, z2).item(), rel=1e-12)


def test_gradient():
    z1, z2 = (z.requires_grad_() for z in pairs(n=4, d=3))
    assert torch.autograd.gradcheck(info_nce, (z1, z2))


def test_twenty_steps_lower_it():
    z1, z2 = (z.requires_grad_() for z in pairs(dtype=torch.float32))
    optimizer = torch.optim.SGD([z1, z2], lr=0.5)
    before = info_nce(z1, z2).item()
    for _ in range(20):
        optimizer.zero_grad()
        info_nce(z1, z2).backward()
        optimizer.step()
    assert info_nce(z1, z2).item() < 0.7 * before


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    z1, z2 = (z.to(dtype) for z in pairs())
    loss = info_nce(z1, z2, 0.01)  # exp(1 / 0.01) overflows float16 and float32 alike
    assert loss.dtype == torch.float32
    assert loss.item() == info_nce(z1.float(), z2.float(), 0.01).item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert info_nce(z1.float(), z2.float(), 0.01).item() == loss.item()


@pytest.mark.accelerator
def test_autocast_on_the_accelerator_changes_nothing():
    z1, z2 = (z.float().cuda() for z in pairs(24, 128))
    with torch.autocast("cuda", dtype=torch.float16):
        inside = info_nce(z1, z2)
    assert inside.dtype == torch.float32
    assert inside.item() == pytest.approx(info_nce(z1, z2).item(), rel=1e-6)


def test_module_is_the_function():
    z1, z2 = pairs()
    assert LOSSES["info_nce"] is InfoNCE
    assert torch.equal(InfoNCE(0.5)(z1, z2), info_nce(z1, z2, 0.5))
    assert torch.equal(InfoNCE()(z1, z2), info_nce(z1, z2, 0.2))
    assert "temperature=0.5" in repr(InfoNCE(0.5))


def test_wrong_input_raises():
    z1, z2 = pairs()
    for one, other in [(z1, z2[:5]), (z1[0], z2[0]), (z1[:0], z2[:0]), (z1[None], z2[None])]:
        with pytest.raises(ValueError, match="shape"):
            info_nce(one, other)
    for temperature in (0, -0.2, float("nan")):
        with pytest.raises(ValueError, match="temperature"):
            info_nce(z1, z2, temperature)
        with pytest.raises(ValueError, match="temperature"):
            InfoNCE(temperature)
