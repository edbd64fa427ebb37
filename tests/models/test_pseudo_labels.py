"""Online pseudo labels: only what is unlabelled, only what is sure, at the features' resolution."""

import pytest
import torch

from marsnb.models.pseudo_labels import merge_pseudo_labels


def batch(b=2, classes=4, size=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (b, size, size), generator=generator)
    labels[torch.rand(b, size, size, generator=generator) < 0.5] = 255
    return 4 * torch.randn(b, classes, size, size, generator=generator), labels


def test_equals_a_loop_over_pixels():
    logits, labels = batch()
    merged = merge_pseudo_labels(logits, labels)
    filled = 0
    for b in range(2):
        for i in range(8):
            for j in range(8):
                p = logits[b, :, i, j].softmax(dim=0)
                sure = labels[b, i, j] == 255 and p.max() > 0.9
                filled += int(sure)
                assert merged[b, i, j] == (p.argmax() if sure else labels[b, i, j])
    assert 0 < filled < (labels == 255).sum()


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.9, 1.0])
def test_a_labelled_pixel_never_changes(threshold):
    logits, labels = batch()
    merged = merge_pseudo_labels(logits, labels.byte(), threshold)
    assert merged.dtype == torch.int64
    assert torch.equal(merged[labels != 255], labels[labels != 255])
    if threshold == 0:
        assert not (merged == 255).any()
    if threshold == 1:
        assert torch.equal(merged, labels)


def test_the_threshold_has_to_be_exceeded_and_fewer_pixels_pass_a_higher_one():
    half = torch.zeros(1, 2, 1, 1)
    unlabelled = torch.full((1, 1, 1), 255)
    assert merge_pseudo_labels(half, unlabelled, 0.5).item() == 255
    assert merge_pseudo_labels(half, unlabelled, 0.49).item() == 0
    logits, labels = batch()
    filled = [(merge_pseudo_labels(logits, labels, t) != 255).sum().item() for t in (0.5, 0.7, 0.9, 0.99)]
    assert filled == sorted(filled, reverse=True)
    assert filled[0] > filled[-1]


def test_at_the_features_resolution_it_is_the_merged_map_down_sampled():
    logits, labels = batch()
    small = merge_pseudo_labels(logits, labels, size=(2, 2))
    assert torch.equal(small, merge_pseudo_labels(logits, labels)[:, ::4, ::4])


def test_no_gradient_and_no_change_of_the_inputs():
    logits, labels = batch()
    logits.requires_grad_()
    before = labels.clone()
    assert not merge_pseudo_labels(logits, labels).requires_grad
    assert torch.equal(labels, before)


def test_wrong_input_raises():
    logits, labels = batch()
    with pytest.raises(ValueError, match="from 0 to 1"):
        merge_pseudo_labels(logits, labels, 90)
    with pytest.raises(ValueError, match="shape of the logits"):
        merge_pseudo_labels(logits, labels[:, :4])
