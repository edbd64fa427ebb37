"""Scores of a segmenter on a split, and how far its pseudo labels can be trusted there."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from marsnb.data.segmentation import UNLABELLED, PairSource, SegmentationData
from marsnb.files import read_table, write_whole
from marsnb.models.segmenter import Segmenter
from marsnb.training.pairs import PairArrays
from marsnb.training.segmentation_metrics import METRICS, SegmentationScores, confusion_matrices

CHUNK = 32  # images per forward pass
THRESHOLDS = (0.99, 0.9, 0.7, 0.5)  # of Table 10, at which pseudo labels are looked at


@dataclass(frozen=True)
class Confident:
    """Pixels whose confidence exceeds each threshold, among the labelled pixels of a split."""

    pixels: NDArray[np.int64]  # (T, C), of each class that is predicted
    right: NDArray[np.int64]  # (T, C), those of them that the label confirms
    labelled: NDArray[np.int64]  # (C,), labelled pixels of each class

    def values(self, class_names: tuple[str, ...]) -> dict[str, float]:
        """``coverage@T`` and ``precision@T``, over all and per predicted class; a precision of nothing is left out."""
        found: dict[str, float] = {}
        for t, threshold in enumerate(THRESHOLDS):
            found[f"coverage@{threshold}"] = float(self.pixels[t].sum() / max(1, self.labelled.sum()))
            if self.pixels[t].sum():
                found[f"precision@{threshold}"] = float(self.right[t].sum() / self.pixels[t].sum())
            for c, name in enumerate(class_names):
                found[f"coverage@{threshold}/{name}"] = float(self.pixels[t, c] / max(1, self.labelled.sum()))
                if self.pixels[t, c]:
                    found[f"precision@{threshold}/{name}"] = float(self.right[t, c] / self.pixels[t, c])
        return found


def evenly(indices: NDArray[np.int64], count: int | None) -> NDArray[np.int64]:
    """``count`` of the indices, evenly spread; all of them where there are no more, or ``count`` is ``None``."""
    if count is None or count >= len(indices):
        return indices
    return indices[np.linspace(0, len(indices) - 1, count).round().astype(np.int64)]


def score_pixels(
    model: Segmenter,
    arrays: PairArrays,
    indices: NDArray[np.int64],
    device: torch.device,
    own_masks: PairSource | None = None,
) -> tuple[SegmentationScores, Confident]:
    """Predictions of ``model`` on the chosen pairs, in evaluation mode.

    Masks are those of ``arrays`` at the run's size; where ``own_masks`` are given, these at the size that they have
    there, to which logits are scaled bilinearly.

    Returns:
        A confusion matrix per image, and the confident pixels of all of them.
    """
    model.eval()
    classes, matrices = model.num_classes, []
    pixels, right = (np.zeros((len(THRESHOLDS), classes), dtype=np.int64) for _ in range(2))
    with torch.inference_mode():
        for start in range(0, len(indices), CHUNK):
            chosen = indices[start : start + CHUNK]
            logits = model(arrays.inputs(chosen, device)).float()  # (B, C, H, W)
            for at, labels in _labels(arrays, chosen, own_masks):
                labels, shown = labels.to(device), logits[at]
                if shown.shape[-2:] != labels.shape[-2:]:
                    shown = F.interpolate(shown, size=labels.shape[-2:], mode="bilinear", align_corners=False)
                confidence, predicted = shown.softmax(dim=1).max(dim=1)  # (b, h, w) each
                matrices.append(confusion_matrices(predicted, labels, classes))
                known = labels != UNLABELLED
                for t, threshold in enumerate(THRESHOLDS):
                    sure = known & (confidence > threshold)
                    pixels[t] += torch.bincount(predicted[sure], minlength=classes).cpu().numpy()
                    right[t] += torch.bincount(predicted[sure & (predicted == labels)], minlength=classes).cpu().numpy()
    scores = SegmentationScores(np.concatenate(matrices))
    return scores, Confident(pixels, right, scores.matrix.sum(axis=1))


def _labels(
    arrays: PairArrays, chosen: NDArray[np.int64], own: PairSource | None
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Masks of the chosen pairs, ``(b, h, w)``, with their places: all at once, or one by one at own size."""
    if own is None:
        yield slice(None), torch.from_numpy(np.ascontiguousarray(arrays.masks[chosen]))
        return
    for i, index in enumerate(chosen):
        yield slice(i, i + 1), torch.from_numpy(np.array(own.mask(int(index), None)))[None]


def curve_values(scores: SegmentationScores, sure: Confident, class_names: tuple[str, ...]) -> dict[str, float]:
    """What the curves keep of an epoch; values that are not defined are left out."""
    values = {metric: scores.value(metric) for metric in METRICS}
    return {name: value for name, value in (values | sure.values(class_names)).items() if np.isfinite(value)}


def write_matrices(scores: dict[str, SegmentationScores], data: SegmentationData, path: Path) -> None:
    """Confusion matrix of each image of the scored splits as CSV: ``split, name, LABEL>PREDICTION, ...`` in pixels."""
    cells = [f"{label}>{predicted}" for label in data.class_names for predicted in data.class_names]
    parts = []
    for split, s in scores.items():
        part = pd.DataFrame(s.matrices.reshape(len(s.matrices), -1), columns=cells)
        part.insert(0, "name", [data.names[i] for i in getattr(data, split)])
        part.insert(0, "split", split)
        parts.append(part)
    write_whole(path, pd.concat(parts).to_csv(index=False, lineterminator="\n"))


def read_cells(path: Path, split: str = "test") -> pd.DataFrame:
    """What ``write_matrices`` left of a split: by ``name``, columns ``LABEL>PREDICTION``, in pixels."""
    frame = read_table(path, ("split", "name"), dtype={"split": str, "name": str})
    return frame[frame["split"] == split].drop(columns="split").set_index("name")


def read_matrices(path: Path, split: str = "test") -> tuple[tuple[str, ...], SegmentationScores]:
    """Names of a split's images and their confusion matrices, as ``write_matrices`` left them."""
    frame = read_cells(path, split)
    cells = frame.to_numpy(np.int64)  # (n, C * C)
    classes = round(cells.shape[1] ** 0.5)
    return tuple(frame.index), SegmentationScores(cells.reshape(len(frame), classes, classes))
