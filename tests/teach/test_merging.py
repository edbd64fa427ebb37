"""The 6 x 6 example of notebook 12."""

import pytest
import torch
from matplotlib import pyplot as plt

from marsnb.data.segmentation import UNLABELLED
from marsnb.models.pseudo_labels import merge_pseudo_labels
from marsnb.teach import merging


def by_hand(threshold: float) -> torch.Tensor:
    merged = merging.LABELS.clone()
    for row in range(6):
        for column in range(6):
            if merged[row, column] == UNLABELLED and merging.CONFIDENCE[row, column] > threshold:
                merged[row, column] = merging.PREDICTED[row, column]
    return merged


@pytest.mark.parametrize("threshold", [0.99, 0.9, 0.7, 0.5, 0.0])
def test_by_hand_is_what_the_function_does(threshold: float) -> None:
    merged = merge_pseudo_labels(merging.logits(), merging.LABELS[None], threshold)[0]
    assert torch.equal(merged, by_hand(threshold))


def test_the_logits_have_the_confidence_that_is_shown() -> None:
    confidence, predicted = merging.logits().softmax(dim=1).max(dim=1)
    assert torch.equal(predicted[0], merging.PREDICTED)
    assert torch.allclose(confidence[0], merging.CONFIDENCE)


def test_the_example_shows_each_case() -> None:
    bare = merging.LABELS == UNLABELLED
    sure = merging.CONFIDENCE > 0.9
    for case in (bare & sure, bare & ~sure, ~bare & sure & (merging.LABELS != merging.PREDICTED)):
        assert case.any()  # filled; left without; sure, wrong, and not heard
    assert (bare & (merging.CONFIDENCE < 0.5)).sum() == 0  # 0.5 fills all of it


def test_filled_pixels_are_counted_and_framed() -> None:
    merged = by_hand(0.9)
    filled = int(((merging.LABELS == UNLABELLED) & (merged != UNLABELLED)).sum())
    assert f"pseudo labels fill {filled} of them" in merging.counted(merging.LABELS, merged)
    assert "Labels that were changed: 0." in merging.counted(merging.LABELS, merged)
    frames = [patch for patch in merging.example({"merged": merged}).axes[-1].patches if not patch.get_fill()]
    assert len(frames) == filled
    assert plt.get_fignums() == []
