"""Pictures and numbers of notebook 03: what a batch is made of, and two embeddings side by side."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib import pyplot as plt
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

from marsnb.data.base import ClassificationData, LabelledList
from marsnb.data.streams import class_pairs, shuffled
from marsnb.report.style import BLUE, CYCLE, GREY, PALE, RED, caption, stamp, styled
from marsnb.teach.negatives import groups
from marsnb.teach.small import BATCH, Trained, embed

SHOWN = 6
"""Classes with a colour in a scatter; all others are grey."""


def batches(data: ClassificationData, seed: int = 0) -> Figure:
    """The table of anchors and candidates of a random batch and of a class-paired one, each cell by what it is."""
    at = shuffled(len(data.train), BATCH["eq1"], 0, seed)
    first, second = class_pairs(data.train.labels, 0, seed)
    what = {"a random batch (Eq. 1)": (at, at), "a class-paired batch (Eq. 2)": (first, second)}
    colours = {"negative, another class": "#F2F2F2", "negative, same class": RED, "positive": BLUE}
    with styled():
        fig, axes = plt.subplots(1, 2, figsize=(9.2, 4.6))
        for ax, (title, (rows, columns)) in zip(axes, what.items(), strict=True):
            labels = data.train.labels
            cells = (labels[rows][:, None] == labels[columns][None]).astype(int)
            np.fill_diagonal(cells, 2)
            ax.imshow(cells, cmap=ListedColormap(list(colours.values())), vmin=0, vmax=2)
            wrong = int((cells == 1).sum())
            ax.set(title=f"{title}: {wrong} of {cells.size - len(cells)} negatives\nshare their anchor's class")
            ax.set(xlabel="candidate (second view)", ylabel="anchor (first view)", xticks=[], yticks=[])
            ax.grid(False)
        handles = [Patch(facecolor=colour, edgecolor=PALE, label=name) for name, colour in colours.items()]
        fig.legend(handles=handles, loc="outside lower center", ncols=3)
        return _done(fig, data)


def _done(fig: Figure, data: ClassificationData) -> Figure:
    if data.synthetic:
        stamp(fig)
    plt.close(fig)
    return fig


def scatters(trained: Mapping[str, Trained], data: ClassificationData, split: LabelledList, title: str) -> Figure:
    """Embeddings by H_s of one split, their first two principal components, a panel for each training."""
    often = np.argsort(-np.bincount(split.labels, minlength=len(data.class_names)), kind="stable")[:SHOWN]
    with styled():
        fig, axes = plt.subplots(1, len(trained), figsize=(4.2 * len(trained) + 1.4, 4.2), squeeze=False)
        for ax, (name, course) in zip(axes[0], trained.items(), strict=True):
            points = F.normalize(embed(course.model, data, split.indices), dim=1).numpy()
            pca = PCA(2, random_state=0).fit(points)
            flat = pca.transform(points)
            rest = ~np.isin(split.labels, often)
            ax.scatter(*flat[rest].T, s=9, color=PALE, label="other classes")
            for label, colour, marker in zip(often, CYCLE, "os^vDP", strict=False):
                mine = flat[split.labels == label]
                ax.scatter(*mine.T, s=20, color=colour, marker=marker, alpha=0.8, label=data.class_names[label])
            ax.set(title=f"{name} ({100 * pca.explained_variance_ratio_.sum():.0f} % of the variance)")
            ax.set(xticklabels=[], yticklabels=[], xlabel="first component", ylabel="second component")
        fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right upper")
        caption(fig, f"{len(split)} {title}, embedding of H_s, length 1.")
        return _done(fig, data)


def silhouettes(trained: Mapping[str, Trained], data: ClassificationData) -> pd.DataFrame:
    """Silhouette of the classes by cosine distance, for each training, part of the network and split."""
    rows = []
    for where, head in (("embedding of H_s", "s"), ("features", "features")):
        for split_name, split in (("training", data.train), ("validation", data.val), ("test", data.test)):
            row: dict[str, object] = {"images": split_name, "where": where}
            for name, course in trained.items():
                z = embed(course.model, data, split.indices, head).numpy()
                row[name] = float(silhouette_score(z, split.labels, metric="cosine"))
            rows.append(row)
    return pd.DataFrame(rows)


def verdicts(frame: pd.DataFrame, first: str, second: str) -> str:
    """One sentence per line of `silhouettes`: which of two trainings separates the classes better."""
    lines = []
    for row in frame.to_dict("records"):
        better = "Eq. 2" if row[second] > row[first] else "Eq. 1"
        lines.append(
            f"- {row['where']}, {row['images']} images: {first} {row[first]:+.3f}, {second} {row[second]:+.3f}; higher "
            f"with {better}."
        )
    return "\n".join(lines)


def push(before: pd.DataFrame, after: pd.DataFrame) -> str:
    """What Eq. 1 does with the negatives of the anchor's class, before and after training, in words."""
    number = 100 * before["number"].mean()
    lines = []
    for name, frame in (("untrained network", before), ("network trained by Eq. 1", after)):
        share = 100 * frame["push"].mean()
        word = "more" if share > number else "less"
        lines.append(
            f"- {name}: {share:.1f} % of the push goes to negatives of the anchor's own class, which are {number:.1f} "
            f"% of the negatives: {share / max(number, 1e-9):.2f} times as much as their number, that is {word}."
        )
    return "\n".join(lines)


def overlap(data: ClassificationData) -> str:
    """How many training images have a sibling of the same exposure, sequence or sol, in words."""
    parts = []
    for kind, group in groups(data).items():
        count = np.bincount(group)
        parts.append(f"{100 * (count[group] > 1).mean():.0f} % have one of the same {kind}")
    return f"Of {len(data.train):,} training images, " + ", ".join(parts) + "."


def curve(trained: Mapping[str, Trained], data: ClassificationData) -> Figure:
    """The loss of each training."""
    with styled():
        fig, axes = plt.subplots(1, len(trained), figsize=(4.2 * len(trained), 2.4), squeeze=False)
        for ax, (name, course), colour in zip(axes[0], trained.items(), CYCLE, strict=False):
            (values,) = course.losses.values()
            ax.plot(course.steps, values, color=colour, marker="o", markersize=3)
            level = float(torch.tensor(BATCH["eq1"] if name == "Eq. 1" else len(np.unique(data.train.labels))).log())
            ax.axhline(level, color=GREY, linestyle="--", linewidth=1)
            ax.text(course.steps[-1], level, "guessing", color=GREY, ha="right", va="bottom", fontsize=8)
            ax.set(title=name, xlabel="step", ylabel="loss")
        return _done(fig, data)
