"""The 6 x 6 image of notebook 12: a label with holes, a prediction, and what pseudo labels make of the two."""

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from marsnb.data.segmentation import UNLABELLED
from marsnb.report.style import BLACK, PALE, caption, styled
from marsnb.report.terrain import COLOURS

CLASSES = ("soil", "bedrock", "sand", "big rock")
_ = UNLABELLED  # so that the holes show below
LABELS = torch.tensor([
    [0, 0, 0, _, _, _],
    [0, 0, _, _, 1, 1],
    [0, _, _, 1, 1, 1],
    [2, 2, _, _, 1, _],
    [2, 2, 2, _, _, _],
    [2, 2, _, _, 3, _],
])  # fmt: skip
"""Class of each pixel; 255 where nobody has said."""
PREDICTED = torch.tensor([
    [0, 0, 0, 0, 1, 1],
    [0, 0, 0, 1, 1, 1],
    [0, 2, 0, 1, 1, 1],
    [2, 2, 2, 1, 0, 1],
    [2, 2, 2, 2, 3, 3],
    [2, 0, 2, 2, 3, 3],
])  # fmt: skip
CONFIDENCE = torch.tensor([
    [0.99, 0.98, 0.97, 0.93, 0.61, 0.88],
    [0.99, 0.96, 0.91, 0.55, 0.94, 0.97],
    [0.95, 0.58, 0.72, 0.92, 0.98, 0.99],
    [0.97, 0.94, 0.86, 0.66, 0.57, 0.95],
    [0.99, 0.98, 0.93, 0.75, 0.52, 0.60],
    [0.98, 0.91, 0.96, 0.92, 0.67, 0.71],
])  # fmt: skip
"""Probability of the predicted class."""


def logits() -> Tensor:
    """Logits whose softmax is `CONFIDENCE` for `PREDICTED`, the rest shared by the other classes, ``(1, 4, 6, 6)``."""
    others = (1 - CONFIDENCE) / (len(CLASSES) - 1)  # (6, 6)
    chance = others[None].repeat(len(CLASSES), 1, 1)  # (4, 6, 6)
    return chance.scatter(0, PREDICTED[None], CONFIDENCE[None]).log()[None]


def _grid(ax: Axes, codes: np.ndarray, texts: np.ndarray) -> None:
    for (row, column), code in np.ndenumerate(codes):
        colour = "white" if code == UNLABELLED else COLOURS[code]
        ax.add_patch(Rectangle((column, row), 1, 1, facecolor=colour, edgecolor=PALE, linewidth=0.8, alpha=0.75))
        ax.text(column + 0.5, row + 0.5, str(texts[row, column]), ha="center", va="center", fontsize=8, color=BLACK)
    ax.set(
        xlim=(-0.06, codes.shape[1] + 0.06), ylim=(codes.shape[0] + 0.06, -0.06), xticks=[], yticks=[], aspect="equal"
    )
    ax.grid(False)
    ax.spines[:].set_visible(False)


def _names(codes: np.ndarray) -> np.ndarray:
    return np.where(codes == UNLABELLED, "–", codes.astype(str))


def example(merged: Mapping[str, Tensor] | None = None) -> Figure:
    """The label, the prediction with its confidence, and merged labels.

    Args:
        merged: ``(6, 6)`` labels by the title of their panel; filled pixels get a thick frame.
    """
    labels, predicted = LABELS.numpy(), PREDICTED.numpy()
    panels = {"label": labels, "prediction": predicted, "its confidence": predicted}
    texts = [_names(labels), _names(predicted), np.vectorize("{:.2f}".format)(CONFIDENCE.numpy())]
    for title, found in (merged or {}).items():
        panels[title] = found.numpy()
        texts.append(_names(found.numpy()))
    with styled():
        fig, axes = plt.subplots(1, len(panels), figsize=(2.35 * len(panels), 2.9))
        for ax, (title, codes), text in zip(axes, panels.items(), texts, strict=True):
            _grid(ax, codes, text)
            ax.set_title(title)
            for row, column in np.argwhere((labels == UNLABELLED) & (codes != UNLABELLED) & (title in (merged or {}))):
                ax.add_patch(Rectangle((column, row), 1, 1, fill=False, edgecolor=BLACK, linewidth=2))
        names = ", ".join(f"{code} {name}" for code, name in enumerate(CLASSES))
        framed = " Framed: filled by a pseudo label." if merged else ""
        caption(fig, f"{names}; – no label.{framed}", width=120)
        plt.close(fig)
        return fig


def counted(labels: Tensor, merged: Tensor) -> str:
    """What a merge did to labels, in words."""
    bare = labels == UNLABELLED
    filled = bare & (merged != UNLABELLED)
    changed = int((~bare & (merged != labels)).sum())
    return (
        f"Of {labels.numel()} pixels {int(bare.sum())} have no label; pseudo labels fill {int(filled.sum())} of them, "
        f"{int((bare & ~filled).sum())} stay without. Labels that were changed: {changed}."
    )
