"""Scores of segmentation, all from one confusion matrix per image: Table 9's ACC, MACC, FACC and mIoU."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marsnb.losses._elements import IGNORE_INDEX

Metric = Literal["acc", "macc", "facc", "miou"]
METRICS: tuple[Metric, ...] = ("acc", "macc", "facc", "miou")
_DRAWS_AT_ONCE = 500  # bounds the memory of the bootstrap: draws x images counts


def confusion_matrices(
    predictions: Tensor, labels: Tensor, num_classes: int, ignore_index: int = IGNORE_INDEX
) -> NDArray[np.int64]:
    """Pixels of each image by label (row) and prediction (column), ``(B, C, C)``, unlabelled ones left out.

    Args:
        predictions: predicted class of each pixel, ``(B, H, W)``.
        labels: class of each pixel, ``(B, H, W)``, of any integer type.
        num_classes: C; 4 in AI4Mars.
        ignore_index: label of unlabelled pixels; 255 in AI4Mars.

    Raises:
        ValueError: the shapes differ, or a labelled pixel's label or prediction is not a class.
    """
    if predictions.shape != labels.shape or labels.ndim != 3:
        raise ValueError(
            f"expected predictions and labels of one shape (B, H, W), "
            f"got {tuple(predictions.shape)} and {tuple(labels.shape)}"
        )
    images = len(labels)
    counted = labels != ignore_index  # (B, H, W)
    image = torch.arange(images, device=labels.device).view(-1, 1, 1).expand_as(labels)[counted]  # (N,)
    label, predicted = labels[counted].long(), predictions[counted].long()  # (N,), (N,)
    for what, found in (("label", label), ("prediction", predicted)):
        wrong = found[(found < 0) | (found >= num_classes)]
        if len(wrong):
            raise ValueError(f"{what} {int(wrong[0])} is not one of {num_classes} classes")
    cells = (image * num_classes + label) * num_classes + predicted
    counts = torch.bincount(cells, minlength=images * num_classes**2)
    return counts.view(images, num_classes, num_classes).cpu().numpy()


def class_iou(matrix: NDArray) -> NDArray[np.float64]:
    """Intersection over union of each class, NaN for a class that no label has; ``(..., C, C)`` to ``(..., C)``.

    A pixel predicted as an absent class still counts against the class it has, so nothing is forgiven.
    """
    right = np.diagonal(matrix, axis1=-2, axis2=-1).astype(float)  # (..., C)
    labelled, predicted = matrix.sum(axis=-1), matrix.sum(axis=-2)
    return _share(right, labelled + predicted - right, labelled > 0)


def class_accuracy(matrix: NDArray) -> NDArray[np.float64]:
    """Share of right pixels of each class, NaN for a class that no label has; ``(..., C, C)`` to ``(..., C)``."""
    labelled = matrix.sum(axis=-1)
    return _share(np.diagonal(matrix, axis1=-2, axis2=-1).astype(float), labelled, labelled > 0)


def summarise(matrix: NDArray, metric: Metric) -> NDArray[np.float64]:
    """A metric of confusion matrices (label by prediction, pixels), ``(..., C, C)`` to ``(...)``; NaN without labels.

    ``acc`` is the share of right pixels; ``macc`` the mean over classes of `class_accuracy`; ``miou`` that of
    `class_iou`; ``facc`` the latter weighted by the classes' shares of labelled pixels. Classes that no label has do
    not count.

    Reference:
        Wang et al., arXiv 2206.02180, section 7.3.
    """
    labelled = matrix.sum(axis=-1)  # (..., C)
    total = labelled.sum(axis=-1)  # (...)
    if metric == "acc":
        return _share(np.trace(matrix, axis1=-2, axis2=-1).astype(float), total, total > 0)
    if metric == "facc":
        # departure: the paper calls it accuracy "weighted and summed by the frequency of occurrence", which would be
        # ACC again; its numbers follow ACC / (2 - ACC), as frequency-weighted IoU does.
        weighted = (np.nan_to_num(class_iou(matrix)) * labelled).sum(axis=-1)
        return _share(weighted, total, total > 0)
    values = class_accuracy(matrix) if metric == "macc" else class_iou(matrix)  # (..., C)
    present = labelled > 0
    return _share(np.nan_to_num(values).sum(axis=-1), present.sum(axis=-1), total > 0)


@dataclass(frozen=True)
class SegmentationScores:
    """Confusion matrices of a split, ``(n, C, C)``, one per image, in the order of the split."""

    matrices: NDArray[np.int64]

    @property
    def matrix(self) -> NDArray[np.int64]:
        """The one confusion matrix of the split, ``(C, C)``, which every score is of."""
        return self.matrices.sum(axis=0)

    def value(self, metric: Metric) -> float:
        """A metric of the split; see `summarise`."""
        return float(summarise(self.matrix, metric))

    def resampled(self, draws: int = 10_000) -> NDArray[np.int64]:
        """Bootstrap over images, ``(draws, C, C)``: each draw sums the matrices of n images taken with replacement."""
        n, generator, parts = len(self.matrices), np.random.default_rng(0), []
        for start in range(0, draws, _DRAWS_AT_ONCE):
            images = generator.integers(0, n, (min(_DRAWS_AT_ONCE, draws - start), n))  # (draws, n)
            times = np.stack([np.bincount(row, minlength=n) for row in images])  # (draws, n), how often each is taken
            # Floating point has a fast product, and is exact here: counts of pixels stay below 2^53.
            parts.append(np.rint(times.astype(float) @ self.matrices.reshape(n, -1).astype(float)).astype(np.int64))
        return np.concatenate(parts).reshape(draws, *self.matrices.shape[1:])

    def metrics(self, class_names: tuple[str, ...]) -> dict[str, tuple[float, int]]:
        """Every metric with its number of images; classes that the split lacks are left out."""
        n = int((self.matrices.sum(axis=(1, 2)) > 0).sum())
        values: dict[str, tuple[float, int]] = {}
        resampled = self.resampled()
        for metric in METRICS:
            low, high = _interval(summarise(resampled, metric))
            values |= {metric: (self.value(metric), n), f"{metric}_low": (low, n), f"{metric}_high": (high, n)}
        ious, shown = class_iou(self.matrix), (self.matrices.sum(axis=2) > 0).sum(axis=0)
        values |= {
            f"iou/{name}": (float(iou), int(images))
            for name, iou, images in zip(class_names, ious, shown, strict=True)
            if images
        }
        return values


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Middle 95 % of the values that are not NaN; NaN if none is."""
    values = values[~np.isnan(values)]
    low, high = np.quantile(values, (0.025, 0.975)) if len(values) else (np.nan, np.nan)
    return float(low), float(high)


def _share(part: NDArray, whole: NDArray, where: NDArray) -> NDArray[np.float64]:
    """``part / whole`` where ``where``, NaN elsewhere."""
    nothing = np.full(np.shape(part), np.nan)
    return np.divide(part, whole, out=nothing, where=where)
