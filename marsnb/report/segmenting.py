"""One segmentation run in pictures and sentences, for the notebook that trains it."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from marsnb.errors import DataError
from marsnb.report.curves import MARKS, line
from marsnb.report.measured import PERCENT
from marsnb.report.sentences import scale_note
from marsnb.report.steps import PSEUDO, changes, mark, scored, staged
from marsnb.report.style import BLUE, GREY, ORANGE, is_synthetic, stamp, styled
from marsnb.report.tables import number_text
from marsnb.training.pixels import read_cells
from marsnb.training.run import Result
from marsnb.training.spec import SegmentationSpec

SCORES = {"acc": "ACC", "macc": "MACC", "facc": "FACC", "miou": "mIoU"}
SPLITS = {"test": BLUE, "val": ORANGE}


def finish(fig: Figure, result: Result) -> Figure:
    """Mark a figure of generated images, and close it, or a notebook would show it twice."""
    if is_synthetic(result.metrics):
        stamp(fig)
    plt.close(fig)
    return fig


def curves_of(result: Result, spec: SegmentationSpec) -> Figure:
    """Losses, accuracy, mIoU and the share filled by pseudo labels per epoch, changes of the losses marked."""
    frame = staged(result.curves, spec.epochs)
    by_metric = {str(m): g.set_index("epoch")["value"] for m, g in frame.groupby("metric")}
    where = changes(frame)
    with styled():
        fig, axes = plt.subplots(2, 2, figsize=(9.6, 6), sharex=True)
        for i, (metric, colour) in enumerate((("ce", BLUE), ("element_wise", ORANGE))):
            if metric in by_metric:
                line(axes[0, 0], by_metric[metric], colour, marker=MARKS[i], label=metric)
        axes[0, 0].set_title("mean loss of the epoch, not weighted")
        for ax, metric in ((axes[0, 1], "acc"), (axes[1, 0], "miou")):
            for split, colour in SPLITS.items():
                if f"{split}/{metric}" in by_metric:
                    line(ax, PERCENT * by_metric[f"{split}/{metric}"], colour, label=split)
            ax.set_title(f"{SCORES[metric]} (%)")
        if "pseudo_share" in by_metric:
            line(axes[1, 1], PERCENT * by_metric["pseudo_share"], GREY, label="filled")
        axes[1, 1].set_title("unlabelled elements filled by pseudo labels (%)")
        for ax in axes.flat:
            mark(ax, where)
            ax.set_xlim(0.5, frame["epoch"].max() + 0.5)
            if ax.get_legend_handles_labels()[0]:
                ax.legend(fontsize=7.5)
        for ax in axes[1]:
            ax.set_xlabel("epoch")
        return finish(fig, result)


def matrices_of(result: Result, split: str = "test") -> pd.DataFrame:
    """Confusion matrix of each image of a split: by ``name``, columns ``LABEL>PREDICTION``, in pixels.

    Raises:
        DataError: the run was measured on another machine, and its folder is not here.
    """
    path = result.folder / "matrices.csv"
    if not path.is_file():
        raise DataError(
            f"the confusion matrices of {result.run_id} are not on this machine: change the seed, or delete its lines"
        )
    return read_cells(path, split)


def confusion(matrices: pd.DataFrame) -> pd.DataFrame:
    """The one confusion matrix of all images, labels in rows and predictions in columns, in pixels."""
    total = matrices.sum()
    parts = total.index.str.split(">")
    names = list(dict.fromkeys(parts.str[0]))
    return pd.DataFrame(total.to_numpy().reshape(len(names), len(names)), index=names, columns=names)


def confusion_of(result: Result) -> Figure:
    """Confusion matrix of a run on test, each row as shares of its class."""
    matrix = confusion(matrices_of(result))
    total = matrix.sum(axis=1)
    share = PERCENT * matrix.div(total.where(total > 0), axis=0)  # a class without pixels has none
    with styled():
        fig, ax = plt.subplots(figsize=(6, 4.2))
        drawn = ax.imshow(share.to_numpy(), cmap="cividis", vmin=0, vmax=PERCENT)
        for (i, j), value in np.ndenumerate(share.to_numpy()):
            text = "" if np.isnan(value) else f"{value:.1f}"
            ax.text(j, i, text, ha="center", va="center", color="black" if value > 55 else "white")
        ax.set_xticks(range(len(matrix)), list(matrix.columns))
        of_all = PERCENT * total / max(total.sum(), 1)
        ax.set_yticks(range(len(matrix)), [f"{name}\n({of_all[name]:.1f} % of the area)" for name in matrix.index])
        ax.grid(False)
        ax.set(xlabel="predicted class", ylabel="label", title="Confusion on test, labelled pixels")
        fig.colorbar(drawn, ax=ax, shrink=0.8, label="share of the class's pixels (%)")
        return finish(fig, result)


def sentences(result: Result, spec: SegmentationSpec, profile: str) -> str:
    """What one run measured, as Markdown."""
    m = result.metrics
    score, first = m.set_index(["split", "metric"])["value"] * PERCENT, m.iloc[0]
    again = "" if result.fresh else " (found in the ledger, not trained again)"
    text = [scale_note(profile), f"Run `{result.run_id}`{again}:", ""]
    for split in m["split"].unique():
        s = score.loc[split]
        parts = [
            f"{name} {number_text(s[key], None, s[f'{key}_low'], s[f'{key}_high'])}" for key, name in SCORES.items()
        ]
        text.append(f"- {split}, last checkpoint, in percent: {', '.join(parts)}")
        ious = s[s.index.str.startswith("iou/")].rename(lambda name: name.removeprefix("iou/"))
        text.append(f"- {split}, IoU per class: {', '.join(f'*{n}* {value:.1f} %' for n, value in ious.items())}")
    text += [f"- {sentence}" for sentence in (*_changes(result, spec), scored(spec.curve_images)) if sentence]
    speed = f"{first['steps']:.0f} steps in {first['seconds']:.0f} s, {first['images_per_s']:.0f} images/s"
    text.append(f"- {speed}, on {first['device']}")
    return "\n".join(text)


def _changes(result: Result, spec: SegmentationSpec) -> list[str]:
    """What mIoU did over each change of the losses, and how much pseudo labels filled."""
    frame = staged(result.curves, spec.epochs)
    split = next((split for split in SPLITS if f"{split}/miou" in set(frame["metric"])), "test")
    values = PERCENT * frame[frame["metric"] == f"{split}/miou"].set_index("epoch")["value"]
    found = []
    for x, step in changes(frame).items():
        old, new = values[values.index < x], values[values.index > x]
        if len(old) and len(new):
            found.append(
                f"epoch {x + 0.5:.0f} begins *{step}*: mIoU goes from {old.iloc[-1]:.2f} to {new.iloc[0]:.2f} %"
            )
    filled = PERCENT * frame[frame["metric"] == "pseudo_share"].set_index("epoch")["value"]
    if len(filled):
        found.append(
            f"*{PSEUDO}* fill {filled.iloc[0]:.1f} % of the unlabelled elements at first, {filled.iloc[-1]:.1f} % last"
        )
    return found
