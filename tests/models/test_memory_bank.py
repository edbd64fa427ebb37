"""The memory bank: first in, first out; averages of images; safe while empty; the same after a round trip."""

import copy

import pytest
import torch

from marsnb.losses.element_wise import element_wise
from marsnb.models.memory_bank import MemoryBank


def one(value, c, d=2):
    """A feature map of one element with a class."""
    return torch.full((1, d, 1, 1), float(value)), torch.full((1, 1, 1), c)


def random_batch(b=3, d=2, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes + 1, (b, 4, 4), generator=generator)
    return torch.randn(b, d, 4, 4, generator=generator), torch.where(labels == classes, 255, labels)


def test_first_in_first_out():
    bank = MemoryBank(2, dim=2, length=3)
    for value in range(1, 6):
        bank.enqueue(*one(value, c=1))
        held = list(range(max(1, value - 2), value + 1))
        assert bank.entries(1)[:, 0].tolist() == held
        assert bank.prototypes[1].tolist() == pytest.approx([sum(held) / len(held)] * 2)
    assert bank.valid.tolist() == [False, True]
    assert bank.filled.tolist() == [0, 3]
    assert bank.entries(0).shape == (0, 2)
    assert not bank.prototypes[0].any()


def test_an_entry_is_the_mean_of_a_class_in_one_image():
    features, labels = random_batch()
    bank = MemoryBank(3, dim=2)
    bank.enqueue(features, labels.byte())
    for c in range(3):
        expected = [f[:, y == c].mean(dim=1) for f, y in zip(features, labels, strict=True) if (y == c).any()]
        torch.testing.assert_close(bank.entries(c), torch.stack(expected))


def test_a_batch_longer_than_a_queue_leaves_its_last_images():
    bank = MemoryBank(1, dim=1, length=4)
    bank.enqueue(torch.arange(10.0).view(10, 1, 1, 1), torch.zeros(10, 1, 1, dtype=torch.int64))
    assert bank.entries(0).flatten().tolist() == [6, 7, 8, 9]


def test_a_class_that_is_not_there_keeps_its_queue_and_unlabelled_images_change_nothing():
    bank = MemoryBank(2, dim=2)
    bank.enqueue(*one(3, c=0))
    before = copy.deepcopy(bank.state_dict())
    bank.enqueue(*one(9, c=255))
    assert all(torch.equal(before[name], tensor) for name, tensor in bank.state_dict().items())
    bank.enqueue(*one(5, c=1))
    assert bank.entries(0).tolist() == [[3, 3]]
    low = MemoryBank(3, dim=2, ignore_index=2)  # an ignored label that could be a class
    low.enqueue(*one(5, c=2))
    assert not low.valid.any()


def test_no_gradient_is_kept_and_the_features_stay_free():
    features, labels = random_batch()
    features.requires_grad_()
    bank = MemoryBank(3, dim=2)
    bank.enqueue(2 * features, labels)
    assert not bank.queues.requires_grad
    assert not list(bank.parameters())
    element_wise(features, labels, bank.prototypes, bank.valid).backward()
    assert features.grad.abs().sum() > 0


def test_goes_on_bit_equal_after_a_round_trip(tmp_path):
    bank, restored = MemoryBank(3, dim=2, length=4), MemoryBank(3, dim=2, length=4)
    for seed in range(3):
        bank.enqueue(*random_batch(seed=seed))
    torch.save(bank.state_dict(), tmp_path / "bank.pt")
    restored.load_state_dict(torch.load(tmp_path / "bank.pt", weights_only=True))
    for b in (bank, restored):
        b.enqueue(*random_batch(seed=9))
    assert all(torch.equal(tensor, restored.state_dict()[name]) for name, tensor in bank.state_dict().items())
    assert torch.equal(bank.prototypes, restored.prototypes)


def test_the_loss_is_zero_with_an_empty_bank_and_not_with_two_classes():
    features, labels = random_batch()
    bank = MemoryBank(3, dim=2)
    assert element_wise(features, labels, bank.prototypes, bank.valid) == 0
    bank.enqueue(features, labels)
    assert element_wise(features, labels, bank.prototypes, bank.valid) > 0


def test_half_precision_features_are_averaged_in_float32():
    features, labels = random_batch()
    bank, reference = MemoryBank(3, dim=2), MemoryBank(3, dim=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        bank.enqueue(features.bfloat16(), labels)
    reference.enqueue(features.bfloat16().float(), labels)
    assert torch.equal(bank.queues, reference.queues)


def test_the_papers_sizes_and_wrong_ones():
    bank = MemoryBank(4)
    assert bank.queues.shape == (4, 32, 128)
    assert "num_classes=4, dim=128, length=32" in repr(bank)
    for match, call in {
        "above 0": lambda: MemoryBank(4, length=0),
        "128 channels": lambda: bank.enqueue(*one(1, c=0)),
        "labels_at": lambda: bank.enqueue(torch.ones(1, 128, 2, 2), torch.zeros(1, 4, 4, dtype=torch.int64)),
    }.items():
        with pytest.raises(ValueError, match=match):
            call()
