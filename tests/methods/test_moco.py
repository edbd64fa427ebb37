import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from marsnb.errors import TrainingError
from marsnb.methods.pretraining.moco import MoCo
from marsnb.models.backbones import IMAGENET_MEAN, IMAGENET_STD, Backbone

BATCH, QUEUE, WIDTH = 4, 12, 8


def tiny() -> Backbone:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, WIDTH), nn.BatchNorm1d(WIDTH))
    return Backbone(network, WIDTH, IMAGENET_MEAN, IMAGENET_STD)


@pytest.fixture
def moco() -> MoCo:
    torch.manual_seed(0)
    return MoCo(tiny(), steps=10, lr=0.03, momentum=0.9, temperature=0.2, queue=QUEUE, embedding_dim=6)


def views() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(BATCH, 3, 8, 8), torch.rand(BATCH, 3, 8, 8)


def test_key_starts_as_a_copy_of_its_own(moco):
    for query, key in zip(moco.query.parameters(), moco.key.parameters(), strict=True):
        assert torch.equal(query, key) and query.data_ptr() != key.data_ptr()
        assert query.requires_grad and not key.requires_grad


def test_key_after_k_steps(moco):
    """With a query that stands still at q, k steps leave the key at m^k key_0 + (1 - m^k) q."""
    first = [p.detach().clone() for p in moco.key.parameters()]
    with torch.no_grad():
        for p in moco.query.parameters():
            p.add_(torch.randn_like(p))
    for _ in range(5):
        moco.step(*views())
    kept = moco.momentum**5
    for query, key, start in zip(moco.query.parameters(), moco.key.parameters(), first, strict=True):
        torch.testing.assert_close(key, kept * start + (1 - kept) * query)


def test_queue_holds_the_last_keys_in_order(moco):
    seen = []
    for i in range(4):
        first, second = views()
        before = moco.loss.memory_bank.bank.clone()
        moco.step(first, second)
        with torch.no_grad():
            seen.append(F.normalize(moco.key(second), dim=1))  # training-mode BatchNorm: the same output again
        bank, at = moco.loss.memory_bank.bank, i * BATCH % QUEUE
        torch.testing.assert_close(bank[at : at + BATCH], seen[i])
        others = [j for j in range(QUEUE) if not at <= j < at + BATCH]
        assert torch.equal(bank[others], before[others])
    torch.testing.assert_close(moco.loss.memory_bank.bank, torch.cat([seen[3], seen[1], seen[2]]))
    assert not moco.loss.memory_bank.bank.requires_grad


def test_loss_is_the_equation(moco):
    first, second = views()
    bank = moco.loss.memory_bank.bank.clone()
    loss = moco.step(first, second)
    with torch.no_grad():
        queries, keys = F.normalize(moco.query(first), dim=1), F.normalize(moco.key(second), dim=1)
    expected = 0.0
    for q, k in zip(queries, keys, strict=True):
        positive = math.exp(float(q @ k) / 0.2)
        negatives = sum(math.exp(float(q @ n) / 0.2) for n in bank)
        expected -= math.log(positive / (positive + negatives)) / BATCH
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_gradient_only_in_the_query(moco):
    moco.step(*views()).backward()
    assert all(p.grad is None for p in moco.key.parameters())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in moco.query.parameters())
    trained = {id(p) for group in moco.configure_optimizers()["optimizer"].param_groups for p in group["params"]}
    assert trained == {id(p) for p in moco.query.parameters()}


def test_rate_falls_along_half_a_cosine(moco):
    made = moco.configure_optimizers()
    optimizer, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]
    for step in range(moco.steps + 1):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.015 * (1 + math.cos(math.pi * step / 10)), abs=1e-9)
        optimizer.step()
        scheduler.step()


def test_steps_lower_the_loss(moco):
    optimizer = moco.configure_optimizers()["optimizer"]
    images = torch.rand(BATCH, 3, 8, 8)
    losses = []
    for _ in range(20):
        loss = moco.training_step((images, images), 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses == moco.losses
    # the batch's own keys are in the queue from the second step on, so compare with a later one
    assert losses[-1] < losses[4]


def test_a_loss_that_is_not_finite_stops(moco):
    first, second = views()
    with pytest.raises(TrainingError, match="became nan at step 0") as caught:
        moco.training_step((first * math.nan, second), 0)
    assert "\n" not in str(caught.value) and moco.losses == []
