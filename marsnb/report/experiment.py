"""One run in pictures and sentences, for the notebook that trains it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from marsnb.errors import DataError
from marsnb.report.curves import MARKS, line
from marsnb.report.sentences import scale_note
from marsnb.report.style import BLUE, CYCLE, GREY, ORANGE, RED, is_synthetic, stamp, styled
from marsnb.report.tables import number_text
from marsnb.training.run import Result


def _finish(fig: Figure, result: Result) -> Figure:
    if is_synthetic(result.metrics):
        stamp(fig)
    plt.close(fig)  # else a notebook would show it twice
    return fig


def curves_of(result: Result) -> Figure:
    """Losses, accuracy and effective rank per epoch of one run."""
    with styled():
        fig, axes = plt.subplots(1, 3, figsize=(10, 3))
        by_metric = {str(m): g.set_index("epoch")["value"] for m, g in result.curves.groupby("metric")}
        named = [m for m in by_metric if m == "ce" or m in ("inter_class", "similarity", "info_nce")]
        for i, metric in enumerate(["loss", *named]):
            line(axes[0], by_metric[metric], [GREY, *CYCLE][i], marker=MARKS[i], label=metric)
        for metric, colour, label in (("val/top1", ORANGE, "validation"), ("test/top1", BLUE, "test")):
            if metric in by_metric:
                line(axes[1], 100 * by_metric[metric], colour, label=label)
        ranks = [m for m in by_metric if m.endswith("effective_rank")]
        for metric, colour in zip(ranks, (GREY, RED), strict=False):
            of = metric.removesuffix("effective_rank").rstrip("/") or "features"
            line(axes[2], by_metric[metric], colour, label=of)
        for ax, title in zip(
            axes, ("mean loss of the epoch", "accuracy (%)", "effective rank (dimensions)"), strict=True
        ):
            ax.set_title(title)
            ax.set_xlabel("epoch")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            if ax.has_data():
                ax.legend(fontsize=7.5)
        return _finish(fig, result)


def predictions_of(result: Result) -> pd.DataFrame:
    """Per-image predictions of a run: ``split, name, label, prediction, confidence``.

    Raises:
        DataError: the run was measured on another machine, and its folder is not here.
    """
    path = result.folder / "predictions.csv"
    if not path.is_file():
        raise DataError(
            f"the predictions of {result.run_id} are not on this machine: change the seed, or delete its lines"
        )
    return pd.read_csv(path)


def confusion(matrix: pd.DataFrame) -> Figure:
    """Draw a confusion matrix, each row as shares of its true class.

    Args:
        matrix: images by true class (rows) and predicted class (columns); no row is empty.
    """
    total = matrix.sum(axis=1)
    fig, ax = plt.subplots(figsize=(0.27 * matrix.shape[1] + 2.6, 0.27 * matrix.shape[0] + 1.9))
    drawn = ax.imshow(matrix.div(total, axis=0).to_numpy() * 100, cmap="cividis", vmin=0, vmax=100)
    ax.set_xticks(np.arange(matrix.shape[1]), list(matrix.columns), rotation=90, fontsize=7)
    ax.set_yticks(np.arange(matrix.shape[0]), [f"{name} ({total[name]})" for name in matrix.index], fontsize=7)
    ax.grid(False)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class (test images)")
    ax.set_title("Confusion on test")
    fig.colorbar(drawn, ax=ax, shrink=0.7, label="share of the true class (%)")
    return fig


def confusion_of(result: Result) -> Figure:
    """Confusion matrix of a run on test."""
    test = predictions_of(result).query("split == 'test'")
    matrix = pd.crosstab(test["label"], test["prediction"])
    names = sorted(set(matrix.index) | set(matrix.columns))
    with styled():
        return _finish(confusion(matrix.reindex(columns=names, fill_value=0)), result)


def sentences(result: Result, profile: str, classes: Sequence[str] = ()) -> str:
    """What one run measured, as Markdown.

    Args:
        result: the run.
        profile: name of the profile.
        classes: classes to report one by one.
    """
    m = result.metrics
    score = m.set_index(["split", "metric"])["value"] * 100
    first = m.iloc[0]
    again = "" if result.fresh else " (found in the ledger, not trained again)"
    text = [scale_note(profile), f"Run `{result.run_id}`{again}:", ""]
    for split in m["split"].unique():
        s = score.loc[split]
        text.append(f"- {split}: {number_text(s['top1'], None, s['top1_low'], s['top1_high'])} % (last checkpoint)")
    for name in classes:
        if ("test", f"top1/{name}") in score.index:
            text.append(f"- test, *{name}*: {score['test', f'top1/{name}']:.1f} %")
    speed = f"{first['steps']:.0f} steps in {first['seconds']:.0f} s, {first['images_per_s']:.0f} images/s"
    text.append(f"- {speed}, on {first['device']}")
    return "\n".join(text)
