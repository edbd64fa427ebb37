"""A step of several processes is that of one on the whole batch: with threads that stand for processes."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from marsnb import distributed
from marsnb.losses._elements import expectation
from marsnb.losses.element_wise import element_wise
from marsnb.losses.inter_class import inter_class
from marsnb.methods.segmentation._consistency import squared_difference
from marsnb.models.batchnorm import _batch_norm, synchronised_batchnorm, untracked_batchnorm
from marsnb.models.memory_bank import MemoryBank


@pytest.fixture
def processes(monkeypatch):
    """Run a function of a rank in so many threads that see each other as processes, and return what each returned."""
    here = threading.local()

    def run(size, work):
        barrier, shared = threading.Barrier(size), {}

        def all_reduce(x):
            shared[here.rank] = x.clone()
            barrier.wait(20)
            total = sum(shared[r] for r in range(size))
            barrier.wait(20)
            x.copy_(total)

        def one(rank):
            here.rank = rank
            try:
                return work(rank)
            except BaseException:
                barrier.abort()
                raise

        with monkeypatch.context() as patch:
            patch.setattr(distributed, "size", lambda: size)
            patch.setattr(distributed, "rank", lambda: here.rank)
            patch.setattr(distributed.dist, "all_reduce", all_reduce)
            with ThreadPoolExecutor(size) as pool:
                return list(pool.map(one, range(size)))

    return run


def take(x, rank, size):
    """A process's part, a leaf of its own graph."""
    return x.detach()[distributed.part(len(x), rank, size)].clone().requires_grad_(x.is_floating_point())


@pytest.mark.parametrize(("count", "size"), [(16, 2), (24, 5), (7, 3), (1, 2)])
def test_parts_are_the_batch_in_its_order(count, size):
    items = list(range(count))
    parts = [items[distributed.part(count, rank, size)] for rank in range(size)]
    assert [item for one in parts for item in one] == items and max(map(len, parts)) - min(map(len, parts)) <= 1


def test_one_process_changes_nothing():
    x = torch.randn(3, 2)
    assert distributed.gathered(x) is x and distributed.summed(x) is x and torch.equal(distributed.averaged(x), x)
    assert distributed.share_of(torch.tensor(0)) == 1 and distributed.share_of(torch.tensor(5)) == 5
    with synchronised_batchnorm() as mode:
        assert mode is None


@pytest.mark.parametrize("size", [2, 3])
def test_rows_are_gathered_in_order_and_their_gradients_go_home(processes, size):
    whole, weights = torch.randn(7, 2), torch.randn(7, 2)

    def work(rank):
        mine = take(whole, rank, size)
        gathered = distributed.gathered(mine)
        (gathered * weights).sum().backward()
        return gathered, mine.grad

    found = processes(size, work)
    assert all(torch.equal(gathered, whole) for gathered, _ in found)
    # Every process has the whole loss, and gradients of all are averaged: so each is asked for ``size`` times its own.
    torch.testing.assert_close(torch.cat([grad for _, grad in found]), size * weights)


def difference(losses, counted):
    """A mean over all elements that count: logits of ``losses`` against themselves upside down."""
    logits = torch.stack([losses, -losses], dim=1)
    return squared_difference(logits, logits.flip(1).softmax(dim=1), counted)


@pytest.mark.parametrize("mean", [expectation, difference])
def test_means_are_those_of_the_whole_batch(processes, mean):
    losses = torch.rand(4, 5, 5)
    counted = torch.rand(4, 5, 5) < torch.tensor([0.9, 0.1, 0.0, 0.5]).view(-1, 1, 1)  # one image counts nowhere
    parts = processes(2, lambda r: mean(take(losses, r, 2), take(counted, r, 2)))
    torch.testing.assert_close(sum(parts) / 2, mean(losses, counted))
    none = torch.zeros_like(counted)
    assert processes(2, lambda r: mean(take(losses, r, 2), take(none, r, 2))) == [0, 0]


@pytest.mark.parametrize("size", [2, 3])
def test_eq_2_has_all_processes_negatives(processes, size):
    z1, z2 = (torch.randn(7, 4, requires_grad=True) for _ in range(2))
    loss = inter_class(z1, z2)
    loss.backward()

    def work(rank):
        one, two = take(z1, rank, size), take(z2, rank, size)
        mine = inter_class(one, two)
        mine.backward()
        return mine.detach(), one.grad, two.grad

    found = processes(size, work)
    for mine, _, _ in found:
        torch.testing.assert_close(mine, loss.detach())
    for place, z in ((1, z1), (2, z2)):
        torch.testing.assert_close(torch.cat([parts[place] for parts in found]) / size, z.grad)


def test_every_bank_sees_the_images_of_all_processes_in_the_batchs_order(processes):
    features, labels = torch.randn(4, 3, 5, 5), torch.randint(0, 3, (4, 5, 5))
    labels[1] = 255
    bank = MemoryBank(3, dim=3, length=3)  # shorter than what a batch brings
    bank.enqueue(features, labels)

    def work(rank):
        mine = MemoryBank(3, dim=3, length=3)
        mine.enqueue(take(features, rank, 2), take(labels, rank, 2))
        loss = element_wise(take(features, rank, 2), take(labels, rank, 2), mine.prototypes, mine.valid)
        return mine, loss.detach()

    found = processes(2, work)
    for mine, _ in found:
        torch.testing.assert_close(mine.queues, bank.queues)
        assert torch.equal(mine.stored, bank.stored)
    loss = element_wise(features, labels, bank.prototypes, bank.valid)
    torch.testing.assert_close(sum(part for _, part in found) / 2, loss)


@pytest.mark.parametrize("mode", ["tracked", "untracked", "frozen"])
def test_batch_normalisation_is_over_all_processes(processes, mode):
    x, target = (torch.randn(7, 3, 2, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    first = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3, affine=False), nn.BatchNorm2d(3)).double()
    nn.init.normal_(first[0].weight)

    def step(images, wanted):
        net = copy.deepcopy(first)
        if mode == "frozen":
            net[0].eval()
        if mode == "untracked":
            with untracked_batchnorm(net):
                y = net(images)
        else:
            y = net(images)
        ((y - wanted) ** 2).sum().backward()
        return y.detach(), images.grad, net

    def work(rank):
        with synchronised_batchnorm():
            mine = take(x, rank, 3), take(target, rank, 3)
            return step(*mine)

    y, gradient, net = step(x, target)
    found = processes(3, work)
    torch.testing.assert_close(torch.cat([part for part, _, _ in found]), y)
    torch.testing.assert_close(torch.cat([part for _, part, _ in found]), gradient)
    for _, _, other in found:
        for key, value in net.state_dict().items():
            torch.testing.assert_close(other.state_dict()[key], value)
    weights = [sum(n[0].weight.grad for _, _, n in found), net[0].weight.grad]
    torch.testing.assert_close(*weights)


@pytest.mark.accelerator
def test_the_accelerators_batch_normalisation_is_the_same(monkeypatch, tmp_path):
    """torch's own, in a group of one: outputs, gradients and running statistics are those of ``F.batch_norm``."""
    torch.distributed.init_process_group("nccl", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        x = torch.randn(8, 5, 6, 6, device="cuda").contiguous(memory_format=torch.channels_last)
        weight, bias = torch.rand(5, device="cuda"), torch.rand(5, device="cuda")
        found = []
        for normalise in (nn.functional.batch_norm, _batch_norm):
            leaf, stats = x.clone().requires_grad_(), (torch.zeros(5, device="cuda"), torch.ones(5, device="cuda"))
            y = normalise(leaf, *stats, weight.clone(), bias.clone(), True, 0.1, 1e-5)
            (y * y.detach().sin()).sum().backward()
            found.append((y.detach(), leaf.grad, *stats))
        for mine, theirs in zip(*found, strict=True):
            torch.testing.assert_close(theirs, mine, atol=1e-4, rtol=1e-4)
    finally:
        torch.distributed.destroy_process_group()
