"""Scores of a segmenter, and its confident pixels, against counts by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from marsnb.data.segmentation import UNLABELLED
from marsnb.training.pairs import PairArrays
from marsnb.training.pixels import THRESHOLDS, evenly, score_pixels

CPU = torch.device("cpu")


class Grey(nn.Module):
    """Says class 1 where the image is bright, class 0 elsewhere; it is sure of the left half only."""

    num_classes = 2

    def forward(self, images):
        bright = images[:, 0] > 0.5
        sure = torch.full_like(images[:, 0], 0.2)
        sure[..., : images.shape[-1] // 2] = 6.0
        return torch.stack([torch.where(bright, 0.0, sure), torch.where(bright, sure, 0.0)], dim=1)


def case():
    images = np.zeros((3, 4, 4, 1), dtype=np.uint8)
    images[1] = 255
    masks = np.zeros((3, 4, 4), dtype=np.uint8)
    masks[1, :2] = 1  # the lower half of the bright image is of class 0: wrong
    masks[2] = UNLABELLED
    return PairArrays(images, masks, {"test": np.arange(3)})


def test_matrices_and_confident_pixels():
    scores, sure = score_pixels(Grey(), case(), np.arange(3), CPU)
    assert scores.matrices[0].tolist() == [[16, 0], [0, 0]]
    assert scores.matrices[1].tolist() == [[0, 8], [0, 8]]
    assert scores.matrices[2].sum() == 0
    assert sure.labelled.tolist() == [24, 8]
    for t, threshold in enumerate(THRESHOLDS):
        half = 1 if threshold >= 0.6 else 2  # the right half has a confidence of 0.55
        assert sure.pixels[t].tolist() == [8 * half, 8 * half]
        assert sure.right[t].tolist() == [8 * half, 4 * half]
    values = sure.values(("dark", "bright"))
    assert values["coverage@0.9"] == 0.5 and values["precision@0.9"] == 0.75
    assert values["precision@0.9/bright"] == 0.5 and values["coverage@0.5/dark"] == 0.5


def test_precision_of_nothing_is_left_out():
    _, sure = score_pixels(Grey(), case(), np.array([2]), CPU)
    values = sure.values(("dark", "bright"))
    assert values["coverage@0.9"] == 0 and not any(name.startswith("precision") for name in values)


@pytest.mark.parametrize(("count", "chosen"), [(None, range(10)), (20, range(10)), (2, (0, 9)), (4, (0, 3, 6, 9))])
def test_evenly(count, chosen):
    assert evenly(np.arange(10), count).tolist() == list(chosen)
