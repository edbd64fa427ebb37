"""Segmentation scores against loops over pixels, hand-made matrices and torchmetrics."""

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from marsnb.training.segmentation_metrics import (
    METRICS,
    SegmentationScores,
    class_accuracy,
    class_iou,
    confusion_matrices,
    summarise,
)

HAND = np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]])  # class 2 neither labelled nor predicted


def batch(b=4, classes=3, size=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (b, size, size), generator=generator)
    labels[torch.rand(b, size, size, generator=generator) < 0.4] = 255
    return torch.randint(0, classes, (b, size, size), generator=generator), labels


def test_matrices_equal_a_loop_over_pixels():
    predictions, labels = batch()
    expected = np.zeros((4, 3, 3), dtype=np.int64)
    for b, i, j in np.ndindex(4, 6, 6):
        if labels[b, i, j] != 255:
            expected[b, labels[b, i, j], predictions[b, i, j]] += 1
    assert np.array_equal(confusion_matrices(predictions, labels, 3), expected)
    assert np.array_equal(confusion_matrices(predictions.byte(), labels.byte(), 3), expected)


def test_a_hand_example():
    scores = SegmentationScores(HAND[None])
    iou = np.array([6 / 9, 3 / 6])
    assert scores.value("acc") == pytest.approx(9 / 12)
    assert scores.value("macc") == pytest.approx((6 / 8 + 3 / 4) / 2)
    assert scores.value("miou") == pytest.approx(iou.mean())
    assert scores.value("facc") == pytest.approx(8 / 12 * iou[0] + 4 / 12 * iou[1])
    np.testing.assert_allclose(class_iou(HAND), [*iou, np.nan])
    np.testing.assert_allclose(class_accuracy(HAND), [0.75, 0.75, np.nan])


def test_facc_is_acc_over_two_minus_acc_where_errors_are_even():
    """Each class as often predicted as labelled, and right equally often: IoU = a / (2 - a) in every class."""
    even = np.array([[80, 10, 10], [10, 80, 10], [10, 10, 80]])
    for metric in ("facc", "miou"):
        assert summarise(even, metric) == pytest.approx(0.8 / 1.2)
    # Table 9: ACC 94.02 stands beside FACC 88.82, 0.1 from what the relation gives.
    predicted = 0.9402 / (2 - 0.9402)
    assert predicted == pytest.approx(0.8882, abs=0.0015)
    # Accuracy weighted by frequency, the paper's words, would be ACC again.
    weights = HAND.sum(axis=1) / HAND.sum()
    assert np.nansum(weights * class_accuracy(HAND)) == pytest.approx(float(summarise(HAND, "acc")))


def test_a_class_without_labels_is_left_out_but_predicting_it_costs():
    predicted_absent = np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]])
    predicted_absent[0] = [6, 0, 2]
    assert np.isnan(class_iou(predicted_absent)[2])
    assert summarise(predicted_absent, "miou") == pytest.approx((6 / 9 + 3 / 4) / 2)
    assert summarise(predicted_absent, "acc") == pytest.approx(9 / 12)


def test_perfect_and_wrong():
    for metric in METRICS:
        assert summarise(np.diag([5, 3, 0]), metric) == 1
        assert summarise(np.array([[0, 5, 0], [3, 0, 0], [0, 0, 0]]), metric) == 0


def test_equals_torchmetrics_where_every_class_is_present():
    predictions, labels = batch()
    ious = MulticlassJaccardIndex(3, average="none", ignore_index=255)(predictions, labels)
    scores = SegmentationScores(confusion_matrices(predictions, labels, 3))
    np.testing.assert_allclose(class_iou(scores.matrix), ious.numpy(), rtol=1e-6)
    weighted = MulticlassJaccardIndex(3, average="weighted", ignore_index=255)(predictions, labels)
    assert scores.value("facc") == pytest.approx(weighted.item(), rel=1e-6)


def test_unlabelled_images_count_nowhere():
    predictions, labels = batch()
    scores = SegmentationScores(confusion_matrices(predictions, labels, 3))
    labels[3] = 255
    less = SegmentationScores(confusion_matrices(predictions, labels, 3))
    assert np.array_equal(less.matrix, scores.matrices[:3].sum(axis=0))
    assert np.isnan(summarise(less.matrices, "miou")[3])
    assert summarise(less.matrices, "miou")[0] == summarise(scores.matrices, "miou")[0]
    assert less.metrics(("a", "b", "c"))["acc"][1] == 3
    nothing = SegmentationScores(np.zeros((2, 3, 3), dtype=np.int64))
    assert all(np.isnan(nothing.value(metric)) for metric in METRICS)
    assert all(np.isnan(value) for value, _ in nothing.metrics(("a", "b", "c")).values())


def test_the_split_is_scored_by_one_matrix_not_by_the_mean_over_images():
    matrices = np.array([[[9, 1], [0, 0]], [[0, 0], [1, 1]]])
    scores = SegmentationScores(matrices)
    assert scores.value("acc") == pytest.approx(10 / 12)
    assert summarise(scores.matrices, "acc").tolist() == pytest.approx([0.9, 0.5])


def test_interval_is_the_bootstrap_of_summed_matrices():
    generator = np.random.default_rng(0)
    scores = SegmentationScores(generator.integers(0, 50, (40, 3, 3)) + 100 * np.eye(3, dtype=np.int64))
    resampled = scores.resampled(2000)
    low, high = np.quantile(summarise(resampled, "miou"), (0.025, 0.975))
    assert low < scores.value("miou") < high
    assert np.array_equal(resampled, scores.resampled(2000))
    metrics = scores.metrics(("a", "b", "c"))
    assert (metrics["miou_low"][0], metrics["miou_high"][0]) == pytest.approx((low, high), abs=0.002)
    slow = [float(summarise(scores.matrices[generator.integers(0, 40, 40)].sum(axis=0), "miou")) for _ in range(2000)]
    assert (low, high) == pytest.approx(tuple(np.quantile(slow, (0.025, 0.975))), abs=0.004)
    alike = SegmentationScores(np.repeat(HAND[None], 5, axis=0))
    assert summarise(alike.resampled(50), "facc") == pytest.approx(alike.value("facc"))


def test_metrics_by_name():
    values = SegmentationScores(HAND[None]).metrics(("soil", "bedrock", "sand"))
    assert set(values) == {
        *METRICS,
        *(f"{metric}_{end}" for metric in METRICS for end in ("low", "high")),
        "iou/soil",
        "iou/bedrock",
    }
    assert values["iou/soil"] == (pytest.approx(6 / 9), 1)


def test_wrong_input_raises():
    predictions, labels = batch()
    with pytest.raises(ValueError, match="of one shape"):
        confusion_matrices(predictions[:1], labels, 3)
    with pytest.raises(ValueError, match="label 7 is not one of 3"):
        confusion_matrices(predictions, torch.full_like(labels, 7), 3)
    with pytest.raises(ValueError, match="prediction 3 is not one of 3"):
        confusion_matrices(torch.full_like(labels, 3), labels, 3)
