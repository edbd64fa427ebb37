"""Scores of a classifier on a split, and the numbers that show a collapse."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from marsnb.data.arrays import to_images, to_unit
from marsnb.data.augment import strong
from marsnb.data.base import ClassificationData, LabelledList
from marsnb.files import write_whole
from marsnb.models.classifier import Classifier
from marsnb.models.diagnostics import alignment, effective_rank, uniformity
from marsnb.training.batches import Arrays

CHUNK = 64  # images per forward pass
DIAGNOSTIC_IMAGES = 128  # validation images that alignment, uniformity and effective rank are computed on


@dataclass(frozen=True)
class Scores:
    """Predictions of a split: ``labels``, ``predictions`` and ``confidences``, each ``(n,)``."""

    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    confidences: NDArray[np.float32]

    @property
    def top1(self) -> float:
        """Share of images whose class is predicted."""
        return float((self.labels == self.predictions).mean())

    def interval(self, draws: int = 10_000) -> tuple[float, float]:
        """95 % bootstrap interval of ``top1`` over images.

        The mean of a resample of n zeros and ones is a binomial draw over n, so no resample needs to be made.
        """
        n = len(self.labels)
        means = np.random.default_rng(0).binomial(n, self.top1, draws) / n
        return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))

    def metrics(self, class_names: tuple[str, ...]) -> dict[str, tuple[float, int]]:
        """Every metric with its n; classes that the split lacks are left out."""
        low, high = self.interval()
        n = len(self.labels)
        values = {"top1": (self.top1, n), "top1_low": (low, n), "top1_high": (high, n)}
        for c, name in enumerate(class_names):
            members = self.labels == c
            if members.any():
                values[f"top1/{name}"] = (float((self.predictions[members] == c).mean()), int(members.sum()))
        return values


def forward_all(module: nn.Module, array: Any, indices: NDArray[np.int64], device: torch.device) -> Tensor:
    """``module`` on the chosen rows of ``array`` in evaluation mode, on the CPU at the end, ``(n, ...)``.

    ``array`` is a numpy array, or anything that gives one for an array of indices.
    """
    module.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(indices), CHUNK):
            x = to_unit(to_images(array[indices[start : start + CHUNK]]).to(device))
            x = x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x
            parts.append(module(x).float().cpu())
    return torch.cat(parts)


def score(model: Classifier, arrays: Arrays, split: LabelledList, device: torch.device) -> Scores:
    """Predictions of ``model`` on a split."""
    module = model.head if arrays.images.ndim == 2 else model
    array = arrays.images if arrays.scored is None else arrays.scored
    probabilities = forward_all(module, array, split.indices, device).softmax(dim=1)
    confidences, predictions = probabilities.max(dim=1)
    return Scores(split.labels, predictions.numpy(), confidences.numpy())


def strong_views(arrays: Arrays, split: LabelledList, size: int, device: torch.device) -> tuple[Tensor, ...]:
    """Two strong views of some images of a split, or of what the trunk made of them; the same whenever it is called.

    The global random state is left as it was. Where the arrays hold features there are no views.
    """
    if arrays.images.ndim == 2:
        return ()
    chosen = split.indices[np.linspace(0, len(split) - 1, min(DIAGNOSTIC_IMAGES, len(split))).astype(np.int64)]
    if arrays.shown is not None:
        kept = (arrays.shown.gather(chosen, np.full(len(chosen), view))[0] for view in range(2))
        return tuple(to_unit(to_images(view)).to(device) for view in kept)
    change, images = strong(size), to_unit(to_images(arrays.images[chosen]).to(device))
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.inference_mode():
        torch.manual_seed(0)
        return change(images), change(images)


def diagnostics(model: Classifier, embedding: str, views: tuple[Tensor, ...]) -> dict[str, float]:
    """Alignment, uniformity and effective rank of the features and of the method's embedding, ``features`` for none.

    They are of two views (see `strong_views`); without them nothing is found.
    """
    if not views:
        return {}
    model.eval()
    values = {}
    with torch.inference_mode():
        f1, f2 = (torch.cat([model.features(part) for part in view.split(CHUNK)]) for view in views)
        pairs = {"": (f1, f2)}
        if embedding != "features":
            project = model.project_s if embedding == "embed_s" else model.project_u
            pairs[f"{embedding}/"] = (project(f1), project(f2))
        for prefix, (z1, z2) in pairs.items():
            values[f"{prefix}alignment"] = float(alignment(z1, z2))
            values[f"{prefix}uniformity"] = float(uniformity(z1))
            values[f"{prefix}effective_rank"] = float(effective_rank(z1))
    return values


def write_predictions(scores: dict[str, Scores], data: ClassificationData, path: Path) -> None:
    """Per-image predictions of the scored splits as CSV: ``split, name, label, prediction, confidence``."""
    classes, parts = np.array(data.class_names), []
    for split, s in scores.items():
        names = [data.source.names[i] for i in getattr(data, split).indices]
        answered = {"label": classes[s.labels], "prediction": classes[s.predictions], "confidence": s.confidences}
        parts.append(pd.DataFrame({"split": split, "name": names, **answered}))
    write_whole(path, pd.concat(parts).to_csv(index=False, float_format="%.6f", lineterminator="\n"))
