"""Alignment, uniformity and effective rank against loops, closed forms and invariances."""

import math

import pytest
import torch

from marsnb.losses.similarity import similarity
from marsnb.models.diagnostics import alignment, effective_rank, uniformity


def embeddings(n=7, d=4, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_alignment():
    z1, z2 = embeddings(seed=0), embeddings(seed=1)
    by_hand = sum(float((u / u.norm() - v / v.norm()).norm()) ** 2 for u, v in zip(z1, z2, strict=True)) / len(z1)
    assert alignment(z1, z2).item() == pytest.approx(by_hand, rel=1e-12)
    assert alignment(z1, 3 * z1).item() == pytest.approx(0, abs=1e-12)
    assert alignment(z1, -z1).item() == pytest.approx(4)
    assert alignment(z1, z2).item() == pytest.approx(2 + 2 * similarity(z1, z2).item(), rel=1e-12)


def test_uniformity():
    z = embeddings()
    unit = [row / row.norm() for row in z]
    potentials = [
        math.exp(-2 * float((unit[i] - unit[j]).norm()) ** 2) for i in range(len(z)) for j in range(i + 1, len(z))
    ]
    assert uniformity(z).item() == pytest.approx(math.log(sum(potentials) / len(potentials)), rel=1e-12)
    assert uniformity(torch.ones(5, 3)).item() == pytest.approx(0, abs=1e-6)  # collapsed
    assert uniformity(5 * torch.eye(6)).item() == pytest.approx(-4, rel=1e-5)  # all at squared distance 2
    assert uniformity(torch.eye(6), t=3).item() == pytest.approx(-6, rel=1e-5)


def test_effective_rank():
    assert effective_rank(torch.ones(9, 5)).item() == pytest.approx(1, abs=1e-3)
    assert effective_rank(torch.eye(6)).item() == pytest.approx(6, rel=1e-5)
    assert effective_rank(torch.zeros(4, 3)).item() == 1
    # Singular values 3 and 1: shares 3/4 and 1/4.
    expected = math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    assert effective_rank(torch.diag(torch.tensor([3.0, 1.0, 0.0]))).item() == pytest.approx(expected, rel=1e-5)


def test_effective_rank_ignores_scale_and_rotation_and_stays_in_its_bounds():
    z = embeddings()
    rotation = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64)).Q
    rank = effective_rank(z).item()
    assert 1 < rank < 4
    assert effective_rank(0.01 * z @ rotation).item() == pytest.approx(rank, rel=1e-9)


def test_half_precision_is_computed_in_float32():
    z = embeddings().half()
    for value in (alignment(z, z), uniformity(z), effective_rank(z)):
        assert value.dtype == torch.float32
        assert value.isfinite()


def test_wrong_input_raises():
    with pytest.raises(ValueError, match="one shape"):
        alignment(embeddings(3), embeddings(4))
    with pytest.raises(ValueError, match="N >= 2"):
        uniformity(embeddings(1))
    with pytest.raises(ValueError, match="N >= 1"):
        effective_rank(torch.ones(3))
