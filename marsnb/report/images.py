"""Figures that show images of a data set: they stay on the machine, in a folder that git ignores."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from marsnb.data.base import ClassificationData, Image
from marsnb.data.pds import FRAME_LENGTH
from marsnb.report.counts import open_data
from marsnb.report.style import caption, make

GAP_CLASSES = ("drt side", "inlet", "drt front", "scoop")
"""Classes whose look changes most from train to test, by section 3 of the paper and its Fig. 8."""
ACROSS = 4
"""Images per class and split in Fig. 3, and per rule in Fig. 4."""
SEEN, MEASURED = 160, 96
"""Edge in pixels of a picture shown, and of one looked at by the rules of Fig. 4."""

Grey = NDArray[np.float32]


class Rule(NamedTuple):
    """How one row of Fig. 4 is chosen: the images of highest ``score`` among those that ``applies`` lets through."""

    title: str
    unit: str
    score: Callable[[Image, Grey], float]
    applies: Callable[[Image, Grey], bool]


def saturated(image: Image, grey: Grey) -> float:
    """Share of pixels at the end of the scale in all channels, in percent: over-exposure."""
    return float(100 * (image.min(axis=-1) >= 250).mean())


def channel_gap(image: Image, grey: Grey) -> float:
    """Largest difference between the means of two colour channels, in grey values (0-255): colour channel error."""
    means = image.reshape(-1, 3).mean(axis=0)
    return float(means.max() - means.min())


def sharpness(image: Image, grey: Grey) -> float:
    """Variance of the Laplacian over the variance of the image: low where the image is blurred or enlarged."""
    laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float(laplacian.var() / max(float(grey.var()), 1e-6))


RULES = (
    Rule("over-exposed", "saturated pixels {:.0f} %", saturated, lambda image, grey: True),
    Rule("colour channel error", "channels apart by {:.0f}", channel_gap, lambda image, grey: True),
    Rule(
        "low resolution or blur", "relative sharpness {:.4f}", lambda image, grey: -sharpness(image, grey),
        lambda image, grey: bool(grey.std() > 20 and saturated(image, grey) < 20),  # else a blank wall would win
    ),
)  # fmt: skip


def fig03(profile: str) -> Path:
    """Fig. 3: the same class in early and in late sols."""
    return make("fig03", profile, _choose_03, lambda frame: _draw_03(frame, open_data(profile)), images=True)


def spread(data: ClassificationData, candidates: NDArray[np.int64], count: int) -> list[int]:
    """``count`` images spread evenly over the sols, one per frame, nothing left to chance.

    Args:
        data: the data set.
        candidates: positions in ``data.source``.
        count: how many; fewer where there are fewer frames.
    """
    frames: dict[str, int] = {}
    for i in sorted(map(int, candidates), key=lambda i: data.source.names[i]):  # names begin with the sol
        frames.setdefault(data.source.names[i][:FRAME_LENGTH], i)
    ordered = list(frames.values())
    at = np.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().astype(int)
    return [ordered[i] for i in at]


def _choose_03(profile: str) -> pd.DataFrame:
    data = open_data(profile)
    rows = []
    for name in GAP_CLASSES:
        label = data.class_names.index(name)
        known = np.concatenate([part.indices[part.labels == label] for part in (data.train, data.val)])
        late = data.test.indices[data.test.labels == label]
        for split, members in (("train and validation", known), ("test", late)):
            for i in spread(data, members, ACROSS):
                image = data.source.names[i]
                rows.append(
                    {"class": name, "split": split, "images": len(members), "sol": int(image[:4]), "name": image}
                )
    return pd.DataFrame(rows).assign(data=data.name)


def _show(ax: Axes, data: ClassificationData, name: str, below: str) -> None:
    ax.imshow(data.source.decode(list(data.source.names).index(name), SEEN))
    ax.text(0.5, -0.03, below, transform=ax.transAxes, ha="center", va="top", fontsize=7)


def _blank(axes: np.ndarray) -> None:
    for ax in axes.flat:
        ax.set_axis_off()


def _draw_03(frame: pd.DataFrame, data: ClassificationData) -> Figure:
    names = list(dict.fromkeys(frame["class"]))
    fig, axes = plt.subplots(len(names), 2 * ACROSS, figsize=(11, 1.62 * len(names) + 0.5), squeeze=False)
    _blank(axes)
    for (name, split), group in frame.groupby(["class", "split"], sort=False):
        row, first = names.index(str(name)), ACROSS if split == "test" else 0
        for column, line in enumerate(group.to_dict("records")):
            _show(axes[row, first + column], data, line["name"], f"sol {line['sol']}")
        n = int(group["images"].iloc[0])
        axes[row, first].set_title(f"{name}, {split} ({n:,} images)", fontsize=8)
    caption(fig, f"Images spread evenly over the sols, one per frame. Data: {data.name}.")
    return fig


def fig04(profile: str) -> Path:
    """Fig. 4: images of low quality, found by a rule per kind of damage."""
    return make("fig04", profile, _choose_04, lambda frame: _draw_04(frame, open_data(profile)), images=True)


def _choose_04(profile: str) -> pd.DataFrame:
    data = open_data(profile)
    scores = np.full((len(data.source.names), len(RULES)), -np.inf)
    for i in range(len(scores)):
        image = data.source.decode(i, MEASURED)
        grey = image.astype(np.float32).mean(axis=-1)
        for k, rule in enumerate(RULES):
            if rule.applies(image, grey):
                scores[i, k] = rule.score(image, grey)
    labels = dict(
        zip(
            *(
                np.concatenate([getattr(p, a) for p in (data.train, data.val, data.test)])
                for a in ("indices", "labels")
            ),
            strict=True,
        )
    )
    rows = []
    for k, rule in enumerate(RULES):
        for i in _best(scores[:, k], data.source.names):
            name = data.class_names[labels[i]] if i in labels else ""
            rows.append({"rule": rule.title, "value": abs(scores[i, k]), "class": name, "name": data.source.names[i]})
    return pd.DataFrame(rows).assign(data=data.name)


def _best(scores: NDArray[np.float64], names: object) -> list[int]:
    """Positions of the highest scores, one per frame and at most one per command sequence of a sol."""
    taken: dict[str, int] = {}
    for i in np.argsort(-scores, kind="stable"):
        if np.isfinite(scores[i]) and len(taken) < ACROSS:
            taken.setdefault(names[i][:12], int(i))  # type: ignore[index]
    return list(taken.values())


def _draw_04(frame: pd.DataFrame, data: ClassificationData) -> Figure:
    units = {rule.title: rule.unit for rule in RULES}
    fig, axes = plt.subplots(len(RULES), ACROSS, figsize=(1.75 * ACROSS + 0.6, 2.1 * len(RULES)), squeeze=False)
    _blank(axes)
    for row, rule in enumerate(RULES):
        for column, line in enumerate(frame[frame["rule"] == rule.title].to_dict("records")):
            below = f"{line['class']}, sol {int(line['name'][:4])}\n{units[rule.title].format(line['value'])}"
            _show(axes[row, column], data, line["name"], below)
        axes[row, 0].set_title(rule.title, fontsize=9, weight="bold")
    caption(fig, f"Per row the {ACROSS} highest by its rule, one per command sequence. Data: {data.name}.", width=80)
    return fig
