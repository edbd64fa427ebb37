"""What a segmentation run predicts, as masks beside images and labels."""

import numpy as np
import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from marsnb.data.arrays import to_images as to_colour
from marsnb.data.arrays import to_unit
from marsnb.data.segmentation import UNLABELLED, SegmentationData
from marsnb.errors import DataError
from marsnb.models.pseudo_labels import THRESHOLD, merge_pseudo_labels
from marsnb.report.measured import PERCENT
from marsnb.report.segmenting import finish, matrices_of
from marsnb.report.style import caption, styled
from marsnb.report.terrain import legend, paint, stretched
from marsnb.training.load import load_segmenter
from marsnb.training.pairs import open_pair_arrays
from marsnb.training.recorder import CHECKPOINT
from marsnb.training.run import Result
from marsnb.training.segmentation import open_data
from marsnb.training.spec import SegmentationSpec

ENOUGH = 0.3
"""Share of an image's pixels that must have a label for the image to be shown."""


def chosen(matrices: pd.DataFrame, pixels: int, count: int = 4) -> pd.Series:
    """Images evenly spread from the worst to the best, by accuracy, among those with enough of a label.

    Args:
        matrices: see ``segmenting.matrices_of``.
        pixels: of an image.
        count: how many.

    Returns:
        Accuracy in percent by name, the worst first; fewer where there are fewer.
    """
    right = [column for column in matrices.columns if len(set(column.split(">"))) == 1]
    labelled = matrices.sum(axis=1)
    accuracy = PERCENT * matrices[right].sum(axis=1) / labelled.clip(lower=1)
    known = accuracy[labelled >= ENOUGH * pixels].sort_values(kind="stable")
    if len(known) <= count:
        return known
    return known.iloc[np.linspace(0, len(known) - 1, count).round().astype(int)]


def predictions(spec: SegmentationSpec, result: Result, data: SegmentationData, images: torch.Tensor) -> torch.Tensor:
    """Logits of a run's last checkpoint, in evaluation mode, on the CPU.

    Args:
        spec: the run.
        result: what it left.
        data: its data set.
        images: ``(B, 3, H, W)`` in [0, 1].

    Shape:
        Output: ``(B, C, H, W)``.

    Raises:
        DataError: the checkpoint is not on this machine, or cannot be loaded.
    """
    path = result.folder / CHECKPOINT
    if not path.is_file():
        raise DataError(
            f"the checkpoint of {result.run_id} is not on this machine: change the seed, or delete its lines"
        )
    model = load_segmenter(path, spec, len(data.class_names))
    with torch.inference_mode():
        return model(images).float()


def masks_of(result: Result, spec: SegmentationSpec, count: int = 4) -> Figure:
    """Test images with label, prediction, and the label filled by pseudo labels, the worst image first.

    Args:
        result: of the run.
        spec: the run.
        count: images.

    Raises:
        DataError: the run's folder is not on this machine, or no image has enough of a label.
    """
    data = open_data(spec)
    arrays = open_pair_arrays(data, spec)
    shown = chosen(matrices_of(result), spec.image_size**2, count)
    if shown.empty:
        raise DataError(
            f"no test image of {data.name} has a label on {PERCENT * ENOUGH:.0f} % of its pixels: nothing to show"
        )
    at = [data.names.index(str(name)) for name in shown.index]
    images, labels = arrays.images[at], np.asarray(arrays.masks[at])
    logits = predictions(spec, result, data, to_unit(to_colour(images)))
    threshold = float(spec.settings.get("threshold", THRESHOLD))
    merged = merge_pseudo_labels(logits, torch.from_numpy(labels), threshold).numpy().astype(np.uint8)
    answers = logits.argmax(dim=1).numpy().astype(np.uint8)
    rows = {"label": labels, "prediction": answers, f"label, filled\nabove {threshold:g}": merged}
    with styled():
        fig, axes = plt.subplots(1 + len(rows), len(at), figsize=(2.1 * len(at) + 0.6, 8.8), squeeze=False)
        for k, image in enumerate(images):
            axes[0, k].imshow(stretched(image), cmap="gray", vmin=0, vmax=1)
            bare = PERCENT * (labels[k] == UNLABELLED).mean()
            axes[0, k].set_title(f"ACC {shown.iloc[k]:.1f} %\n{bare:.0f} % without label", fontsize=8)
            for ax, masks in zip(axes[1:, k], rows.values(), strict=True):
                ax.imshow(paint(image, masks[k]))
        for ax in axes.flat:
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
        for ax, title in zip(axes[:, 0], ("image", *rows), strict=True):
            ax.set_ylabel(title)
        legend(fig, data.class_names)
        text = "Test images evenly spread from the worst to the best, of those with a label on"
        caption(fig, f"{text} {PERCENT * ENOUGH:.0f} %. Striped: no label. Data: {data.name}.", width=100)
        return finish(fig, result)
