"""Regional contrast: what is drawn, and the loss against a naive loop."""

import math

import pytest
import torch
from torch.nn import functional as F

from marsnb.losses import LOSSES
from marsnb.losses.regional_contrast import Region, draw_regions, regional_contrast

CLASSES = 4
SIZES = {"queries": 7, "keys": 11}


def pixels(count=60, seed=0):
    torch.manual_seed(seed)
    return torch.randn(count, 5), torch.randint(0, CLASSES, (count,)), torch.rand(count)


def naive(vectors, labels, regions, temperature):
    """Each query by itself: -log of its mean's share; a class without hard pixels counts as 0."""
    losses = []
    for region in regions:
        mean = vectors[labels == region.label].mean(dim=0)
        terms = []
        for query in region.queries.tolist():
            at = [F.cosine_similarity(vectors[query], mean, dim=0).item()]
            at += [F.cosine_similarity(vectors[query], vectors[key], dim=0).item() for key in region.keys.tolist()]
            exps = [math.exp(value / temperature) for value in at]
            terms.append(-math.log(exps[0] / sum(exps)))
        losses.append(sum(terms) / len(terms))
    return sum(losses) / len(set(labels.tolist()))


def test_queries_are_hard_pixels_of_the_class_and_keys_never_share_it():
    vectors, labels, confidence = pixels()
    regions = draw_regions(vectors, labels, confidence, CLASSES, hard=0.5)
    assert [region.label for region in regions] == list(range(CLASSES))
    for region in regions:
        assert (labels[region.queries] == region.label).all() and (confidence[region.queries] < 0.5).all()
        assert (labels[region.keys] != region.label).all()
        assert (len(region.queries), len(region.keys)) == (256, 512)
        hard = ((labels == region.label) & (confidence < 0.5)).nonzero()[:, 0]
        assert set(region.queries.tolist()) == set(hard.tolist())  # of so many draws, each is one
    for region in draw_regions(vectors, labels, confidence, CLASSES, hard=0.5, keys=5000):
        assert set(region.keys.tolist()) == set((labels != region.label).nonzero()[:, 0].tolist())


def test_keys_follow_the_class_relation_graph():
    """Class 1 points where class 0 points, class 2 away from it; class 3 has no pixel."""
    labels = torch.tensor([0] * 10 + [1] * 5 + [2] * 40)
    directions = torch.tensor([[1.0, 0.0], [2.0, 0.0], [-3.0, 0.0]])
    regions = draw_regions(directions[labels], labels, torch.zeros(55), CLASSES, keys=4000, temperature=0.5)
    share = (labels[regions[0].keys] == 1).float().mean().item()
    assert share == pytest.approx(1 / (1 + math.exp(-4)), abs=0.02)  # cosines of 1 and -1
    assert [region.label for region in regions] == [0, 1, 2]


def test_loss_is_the_naive_loop():
    vectors, labels, confidence = pixels()
    regions = draw_regions(vectors, labels, confidence, CLASSES, **SIZES)
    assert len(regions) == CLASSES
    for temperature in (0.5, 0.1):
        ours = regional_contrast(vectors, labels, regions, temperature)
        assert ours.item() == pytest.approx(naive(vectors, labels, regions, temperature), rel=1e-4)
    assert LOSSES["regional_contrast"](0.1)(vectors, labels, regions).item() == pytest.approx(ours.item())


def test_gradient_reaches_the_queries_only():
    vectors, labels, confidence = pixels()
    vectors.requires_grad_()
    regions = draw_regions(vectors, labels, confidence, CLASSES, **SIZES)
    regional_contrast(vectors, labels, regions).backward()
    touched = vectors.grad.abs().sum(dim=1) > 0
    queries = torch.zeros(60, dtype=torch.bool)
    queries[torch.cat([region.queries for region in regions])] = True
    assert torch.equal(touched, queries) and not queries.all()


@pytest.mark.parametrize(
    ("labels", "confidence"),
    [
        (torch.full((6,), 2), torch.zeros(6)),  # one class: nothing to tell it from
        (torch.arange(6) % 3, torch.ones(6)),  # all easy
        (torch.zeros(0, dtype=torch.int64), torch.zeros(0)),
    ],
)
def test_without_a_region_the_loss_is_0_with_a_gradient_of_0(labels, confidence):
    vectors = torch.rand(len(labels), 5, requires_grad=True)
    regions = draw_regions(vectors, labels, confidence, CLASSES)
    assert regions == []
    loss = regional_contrast(vectors, labels, regions)
    loss.backward()
    assert loss == 0 and vectors.grad.abs().sum() == 0


def test_a_class_that_equals_its_mean_and_no_other_has_a_closed_form():
    vectors, labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    regions = [Region(0, torch.tensor([0, 0]), torch.tensor([1, 1, 1]))]
    loss = regional_contrast(vectors, labels, regions, 0.5)
    assert loss.item() == pytest.approx(math.log(1 + 3 * math.exp(-2)) / 2, rel=1e-5)  # class 1 has no query


def test_a_class_without_hard_pixels_counts_and_one_without_pixels_does_not():
    vectors, labels, confidence = pixels()
    labels = labels.clamp_max(2)  # class 3 has no pixel
    confidence[labels == 1] = 0.99
    regions = draw_regions(vectors, labels, confidence, CLASSES, **SIZES)
    assert [region.label for region in regions] == [0, 2]
    ours = regional_contrast(vectors, labels, regions)
    assert ours.item() == pytest.approx(naive(vectors, labels, regions, 0.5), rel=1e-4)
    one = [regional_contrast(vectors, labels, [region]) for region in regions]
    assert ours.item() == pytest.approx(sum(loss.item() for loss in one), rel=1e-5)  # each is a third


def test_a_device_without_double_precision_does(monkeypatch):
    """As on Apple's devices: a tensor of float64 made on the device is refused."""
    real = {name: getattr(torch, name) for name in ("rand", "empty", "zeros", "tensor", "arange")}

    def refuse(name):
        def made(*args, **more):
            if more.get("dtype") is torch.float64 and more.get("device") is not None:
                raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
            return real[name](*args, **more)

        return made

    for name in real:
        monkeypatch.setattr(torch, name, refuse(name))
    with pytest.raises(TypeError, match="MPS"):
        torch.rand(2, dtype=torch.float64, device="cpu")
    vectors, labels, confidence = pixels()
    regions = draw_regions(vectors, labels, confidence, CLASSES, **SIZES)
    assert len(regions) == CLASSES and regional_contrast(vectors, labels, regions).dtype == torch.float32


def test_the_largest_draw_is_a_key_of_its_class(monkeypatch):
    vectors, labels, confidence = pixels()
    monkeypatch.setattr(torch, "rand", lambda *size, **more: torch.ones(*size))  # what rounding may make of 1 - 2^-24
    for region in draw_regions(vectors, labels, confidence, CLASSES, **SIZES):
        assert (labels[region.keys] != region.label).all()


def test_twenty_steps_lower_the_loss():
    vectors, labels, confidence = pixels()
    vectors.requires_grad_()
    values = []
    for _ in range(20):
        torch.manual_seed(0)
        loss = regional_contrast(vectors, labels, draw_regions(vectors, labels, confidence, CLASSES))
        (gradient,) = torch.autograd.grad(loss, vectors)
        vectors.data -= 5.0 * gradient
        values.append(loss.item())
    assert values[-1] < values[0] - 0.1


def test_autocast_changes_nothing():
    vectors, labels, confidence = pixels()

    def loss():
        torch.manual_seed(1)
        return regional_contrast(vectors, labels, draw_regions(vectors, labels, confidence, CLASSES, **SIZES))

    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss()
    assert found.dtype == torch.float32 and torch.equal(found, loss())
