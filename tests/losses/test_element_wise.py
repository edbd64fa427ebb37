"""Eq. 7 against the equation written out, its closed forms and limits, and what must not reach it."""

import math

import pytest
import torch
import torch.nn.functional as F

from marsnb.losses import LOSSES
from marsnb.losses._elements import labels_at
from marsnb.losses.element_wise import ElementCosine, ElementWise, element_wise


def maps(b=2, d=5, h=3, w=4, classes=3, dtype=torch.float64, seed=0):
    """Features, labels with a third unlabelled, and prototypes."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(b, d, h, w, generator=generator, dtype=dtype)
    labels = torch.randint(0, classes, (b, h, w), generator=generator)
    labels[torch.rand(b, h, w, generator=generator) < 1 / 3] = 255
    return features, labels, torch.randn(classes, d, generator=generator, dtype=dtype)


def kernel(u, v):
    return float(u @ v) / math.sqrt(float(u @ u) * float(v @ v))


def by_hand(features, labels, prototypes, temperature, valid=None):
    """Eq. 7, one number at a time: E over images, E over an image's elements, a sum over classes below the line."""
    classes = [c for c in range(len(prototypes)) if valid is None or valid[c]]
    images = []
    for f, y in zip(features, labels, strict=True):
        logs = []
        for i in range(y.shape[0]):
            for j in range(y.shape[1]):
                ci = int(y[i, j])
                if ci not in classes:
                    continue
                above = math.exp(kernel(f[:, i, j], prototypes[ci]) / temperature)
                below = sum(math.exp(kernel(f[:, i, j], prototypes[cj]) / temperature) for cj in classes)
                logs.append(math.log(above / below))
        if logs:
            images.append(logs)
    return -sum(sum(logs) / len(logs) for logs in images) / len(images)


@pytest.mark.parametrize("temperature", [0.07, 0.2, 1.0])
def test_equals_the_equation(temperature):
    features, labels, prototypes = maps()
    labels[1, 1:] = 255  # so that the two images have unlike numbers of elements
    loss = element_wise(features, labels, prototypes, None, temperature)
    expected = by_hand(features, labels, prototypes, temperature)
    assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_a_class_without_a_prototype_is_no_candidate_and_no_anchor():
    features, labels, prototypes = maps()
    valid = torch.tensor([True, False, True])
    loss = element_wise(features, labels, prototypes, valid)
    assert loss.item() == pytest.approx(by_hand(features, labels, prototypes, 0.07, valid), rel=1e-12)
    prototypes[1] = torch.nan  # whatever stands there
    features.requires_grad_()
    without = element_wise(features, labels.masked_fill(labels == 1, 255), prototypes, valid)
    without.backward()
    assert without.item() == pytest.approx(loss.item(), rel=1e-12)
    assert features.grad.isfinite().all()


def test_closed_forms():
    features, labels, _ = maps()
    alike = torch.ones(3, 5, dtype=torch.float64)
    assert element_wise(features, labels, alike).item() == pytest.approx(math.log(3), rel=1e-12)
    # Every element on its class's axis: cosine 1 to its own prototype, 0 to the others.
    axes = torch.eye(3, 5, dtype=torch.float64)
    on_axis = 4 * axes[labels.where(labels != 255, 0)].permute(0, 3, 1, 2)
    for temperature in (0.07, 0.5):
        expected = math.log(1 + 2 * math.exp(-1 / temperature))
        assert element_wise(on_axis, labels, axes, None, temperature).item() == pytest.approx(expected, rel=1e-9)


def test_limits_of_temperature_and_scale():
    features, labels, prototypes = maps()
    loss = element_wise(features, labels, prototypes)
    assert element_wise(features, labels, prototypes, None, 1e9).item() == pytest.approx(math.log(3), rel=1e-6)
    assert element_wise(1e-3 * features, labels, 50 * prototypes).item() == pytest.approx(loss.item(), rel=1e-9)


def test_an_unlabelled_image_changes_nothing_and_an_unlabelled_batch_gives_zero():
    features, labels, prototypes = maps()
    alone = element_wise(features[:1], labels[:1], prototypes)
    labels[1] = 255
    features.requires_grad_()
    loss = element_wise(features, labels, prototypes)
    loss.backward()
    assert loss.item() == pytest.approx(alone.item(), rel=1e-12)
    assert not features.grad[1].any()
    features.grad = None
    nothing = element_wise(features, torch.full_like(labels, 255), prototypes)
    nothing.backward()
    assert nothing.item() == 0
    assert not features.grad.any()


@pytest.mark.parametrize("valid", [[False, False, False], [False, True, False]])
def test_fewer_than_two_queues_give_zero_and_no_gradient(valid):
    features, labels, prototypes = maps()
    features.requires_grad_()
    loss = element_wise(features, labels, torch.zeros_like(prototypes), torch.tensor(valid))
    loss.backward()
    assert loss.item() == 0
    assert not features.grad.any()  # and no NaN


def test_a_batch_of_a_single_class_is_told_apart_from_the_other_prototypes():
    features, labels, prototypes = maps()
    labels = torch.where(labels == 255, 255, 2)
    loss = element_wise(features, labels, prototypes)
    assert loss.item() == pytest.approx(by_hand(features, labels, prototypes, 0.07), rel=1e-12)
    assert loss > 0


def test_gradient_reaches_labelled_elements_only_and_no_prototype():
    features, labels, prototypes = maps()
    features.requires_grad_()
    prototypes.requires_grad_()
    element_wise(features, labels, prototypes).backward()
    touched = features.grad.abs().sum(dim=1) > 0
    assert torch.equal(touched, labels != 255)
    assert prototypes.grad is None


def test_gradient():
    features, labels, prototypes = maps(h=2, w=2)
    features.requires_grad_()
    assert torch.autograd.gradcheck(lambda f: element_wise(f, labels, prototypes), features)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_fused_cosine_is_that_of_torch(memory_format):
    features, _, prototypes = maps(dtype=torch.float32)
    vectors = F.normalize(prototypes, dim=1)
    fused, plain = (features.clone(memory_format=memory_format).requires_grad_() for _ in range(2))
    ours = ElementCosine.apply(fused, vectors)
    theirs = torch.einsum("bdhw,cd->bchw", F.normalize(plain, dim=1), vectors)
    torch.testing.assert_close(ours, theirs)
    weights = torch.randn_like(theirs)
    (ours * weights).sum().backward()
    (theirs * weights).sum().backward()
    torch.testing.assert_close(fused.grad, plain.grad)
    assert fused.grad.is_contiguous(memory_format=memory_format)


def test_a_feature_of_zeros_has_the_loss_of_chance_and_no_gradient():
    features, labels, prototypes = torch.zeros(1, 5, 1, 1), torch.zeros(1, 1, 1), torch.eye(3, 5)
    features.requires_grad_()
    loss = element_wise(features, labels.long(), prototypes)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(3))
    assert not features.grad.any()


def test_half_precision_is_computed_in_float32():
    features, labels, prototypes = maps(dtype=torch.float32)
    half = features.bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = element_wise(half, labels, prototypes)
    loss.backward()
    assert loss.dtype == torch.float32
    assert half.grad.dtype == torch.bfloat16
    assert loss.item() == pytest.approx(element_wise(half.float(), labels, prototypes).item(), rel=1e-6)


def test_nothing_of_the_size_of_the_features_is_kept_for_the_backward_pass():
    features, labels, prototypes = maps(d=128, h=16, w=16, dtype=torch.float32)
    features.requires_grad_()
    kept = {}

    def note(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        element_wise(features, labels, prototypes)
    kept.pop(features.untyped_storage().data_ptr())
    assert sum(kept.values()) < 0.25 * features.untyped_storage().nbytes()


def test_twenty_steps_lower_it():
    features, labels, prototypes = maps(dtype=torch.float32)
    features.requires_grad_()
    optimizer = torch.optim.SGD([features], lr=0.5)
    before = element_wise(features, labels, prototypes).item()
    for _ in range(20):
        optimizer.zero_grad()
        element_wise(features, labels, prototypes).backward()
        optimizer.step()
    assert element_wise(features, labels, prototypes).item() < 0.5 * before


def test_labels_of_any_integer_type_and_any_ignore_index():
    features, labels, prototypes = maps()
    loss = element_wise(features, labels, prototypes)
    assert torch.equal(element_wise(features, labels.byte(), prototypes), loss)
    other = labels.masked_fill(labels == 255, -1)
    assert torch.equal(element_wise(features, other, prototypes, ignore_index=-1), loss)


def test_labels_at_takes_whole_labels_and_every_fourth_pixel():
    labels = torch.arange(64, dtype=torch.uint8).view(1, 8, 8)
    assert torch.equal(labels_at(labels, (2, 2)), labels[:, ::4, ::4])
    assert torch.equal(labels_at(labels, (8, 8)), labels)
    assert labels_at(labels, (3, 5)).shape == (1, 3, 5)


def test_module_is_the_function():
    features, labels, prototypes = maps()
    assert LOSSES["element_wise"] is ElementWise
    assert torch.equal(ElementWise()(features, labels, prototypes), element_wise(features, labels, prototypes))
    ours = ElementWise(0.5, ignore_index=0)(features, labels.where(labels != 255, 0), prototypes)
    known = labels.masked_fill(labels == 0, 255)
    assert torch.equal(ours, element_wise(features, known, prototypes, None, 0.5))
    assert "temperature=0.5, ignore_index=255" in repr(ElementWise(0.5))


def test_wrong_input_raises():
    features, labels, prototypes = maps()
    for match, call in {
        "temperature": lambda: ElementWise(0),
        "of shape .B, D, H, W": lambda: element_wise(features[0], labels, prototypes),
        "labels_at": lambda: element_wise(features, labels[:, :2], prototypes),
        "integer": lambda: element_wise(features, labels.float(), prototypes),
        "prototypes of shape": lambda: element_wise(features, labels, prototypes[:, :3]),
        "one flag per class": lambda: element_wise(features, labels, prototypes, torch.tensor([True])),
    }.items():
        with pytest.raises(ValueError, match=match):
            call()
    with pytest.raises(IndexError):
        element_wise(features, labels.masked_fill(labels == 0, 3), prototypes)
