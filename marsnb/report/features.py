"""Fig. 12: features of single elements before and after contrastive learning, as a map and as numbers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from marsnb.report.elements import IMAGES, LAYERS, PER_IMAGE, SEED, Sample, sample
from marsnb.report.quality import NOT_TESTED
from marsnb.report.sentences import scale_note
from marsnb.report.separation import (
    ALL,
    CHANGE,
    DRAWS,
    METRICS,
    PAPERS_LAYER,
    Separation,
    draws,
    interval,
    separate,
)
from marsnb.report.style import BLACK, BLUE, GREY, ORANGE, caption, is_synthetic, make
from marsnb.report.terrain import COLOURS

SERIES = {"baseline": (ORANGE, "o"), "ours": (BLUE, "D")}
MARKS = ("o", "s", "^", "D")
"""Of the classes, beside their colours."""
NEIGHBOURS = 15
"""Of UMAP: its default."""
PAIRS_NEAR = ("soil", "sand")
"""The two classes that the paper finds relatively close."""
SCATTERED = "big rock"
"""The class that the paper finds more scattered."""
NO_HEAD = "the baseline does not\ntrain this head"
SHARE = "share of resamples where nearest"
TITLES = {
    "silhouette": "silhouette",
    "intra": "distance within a class",
    "inter": "distance to other classes",
    "ratio": "the latter over the former",
}


def fig12(profile: str) -> Path:
    """Fig. 12: a UMAP of the sampled elements for each model and layer."""
    return make("fig12", profile, _build_map, _draw_map)


def umap(features: NDArray[np.float32], seed: int = SEED) -> NDArray[np.float32]:
    """Two coordinates for each element, by UMAP on cosine distances, the same at every call.

    Shape:
        ``features``: ``(n, D)``, n at least 4; the result: ``(n, 2)``.
    """
    from umap import UMAP  # slow to import

    neighbours = min(NEIGHBOURS, len(features) - 1)
    start = "spectral" if len(features) > 50 else "random"  # too few points have no spectrum to start from
    reducer = UMAP(n_neighbors=neighbours, min_dist=0.1, metric="cosine", init=start, random_state=seed, n_jobs=1)
    return np.asarray(reducer.fit_transform(features), dtype=np.float32)


def _build_map(profile: str) -> pd.DataFrame:
    found = sample(profile)
    parts = []
    for (series, layer), features in found.features.items():
        x, y = umap(features).T
        parts.append(pd.DataFrame({
            "series": series, "layer": layer, "name": found.names, "row": found.row, "column": found.column,
            "code": found.classes, "class": [found.class_names[c] for c in found.classes], "x": x, "y": y,
        }))  # fmt: skip
    return pd.concat(parts, ignore_index=True).assign(data=found.data)


def _draw_map(frame: pd.DataFrame) -> Figure:
    shown = frame.drop_duplicates("code").sort_values("code")
    names = {int(code): str(name) for code, name in zip(shown["code"], shown["class"], strict=True)}
    fig, axes = plt.subplots(len(SERIES), len(LAYERS), figsize=(9.6, 6.6), squeeze=False)
    for y, series in enumerate(SERIES):
        for x, (layer, title) in enumerate(LAYERS.items()):
            ax = axes[y, x]
            mine = frame[(frame["series"] == series) & (frame["layer"] == layer)]
            ax.set(xticks=[], yticks=[], title=f"{series}: {title}")
            ax.grid(False)
            if mine.empty:
                ax.set_axis_off()
                ax.text(0.5, 0.5, NO_HEAD, ha="center", color=GREY, transform=ax.transAxes)
                continue
            _points(ax, mine, names)
    handles, labels = axes[-1, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper center", ncols=len(names), markerscale=1.8)
    n = frame.drop_duplicates(["name", "row", "column"])
    counts = ", ".join(f"{name} {(n['code'] == code).sum():,}" for code, name in names.items())
    caption(
        fig,
        f"UMAP ({NEIGHBOURS} neighbours, cosine) of {len(n):,} elements of {n['name'].nunique():,} test images, the "
        f"same in every panel: {counts}. At most {IMAGES} images a class and {PER_IMAGE} elements of it in an image, "
        f"drawn with seed {SEED}. Axes of a UMAP have no meaning, and its distances little. "
        f"Data: {frame['data'].iloc[0]}.",
        width=135,
    )
    return fig


def _points(ax: Axes, frame: pd.DataFrame, names: dict[int, str]) -> None:
    for code, name in names.items():
        part = frame[frame["code"] == code]
        ax.scatter(
            part["x"], part["y"], s=11, color=COLOURS[code], marker=MARKS[code], edgecolors=BLACK, linewidths=0.25,
            alpha=0.85, label=name, rasterized=True,
        )  # fmt: skip


def fig_separation(profile: str) -> Path:
    """How compact and how separable the classes are in each layer, in numbers with intervals over images."""
    return make("fig_separation", profile, _build_numbers, _draw_numbers)


def _build_numbers(profile: str) -> pd.DataFrame:
    found = sample(profile)
    _, images = np.unique(found.at, return_inverse=True)
    times = draws(int(images.max()) + 1, SEED)
    apart = {key: separate(f, found.classes, images, times) for key, f in found.features.items()}
    rows = [row for layer in LAYERS for row in _rows(layer, apart, found)]
    columns = ["layer", "series", "class", "metric", "value", "low", "high"]
    return pd.DataFrame(rows, columns=columns).assign(images=len(times[0]), elements=len(found.at), data=found.data)


def _rows(layer: str, apart: dict[tuple[str, str], Separation], found: Sample) -> Iterator[tuple[object, ...]]:
    mine = {series: apart[series, layer] for series in SERIES if (series, layer) in apart}
    for series, one in mine.items():
        for metric in METRICS:
            for k, name in enumerate((ALL, *found.class_names)):
                yield layer, series, name, metric, *interval(one.values[metric][:, k])
        for a, name in enumerate(found.class_names):
            for b in range(a + 1, len(found.class_names)):
                both = (one.between[:, a, b] + one.between[:, b, a]) / 2
                yield layer, series, f"{name}, {found.class_names[b]}", "between", *interval(both)
        near = one.nearest()
        names = ", ".join(found.class_names[k] for k in near)
        yield layer, series, names, SHARE, one.share_nearest(near), np.nan, np.nan
    if len(mine) == len(SERIES):
        for metric in METRICS:
            for k, name in enumerate((ALL, *found.class_names)):
                change = mine["ours"].values[metric][:, k] - mine["baseline"].values[metric][:, k]
                yield layer, CHANGE, name, metric, *interval(change)


def _draw_numbers(frame: pd.DataFrame) -> Figure:
    fig, axes = plt.subplots(2, len(METRICS), figsize=(10.5, 5.6), sharey="row", squeeze=False)
    classes = [name for name in frame["class"].unique() if name != ALL and "," not in name]
    for ax, metric in zip(axes[0], METRICS, strict=True):
        _dots(ax, frame[(frame["metric"] == metric) & (frame["class"] == ALL)], "layer", list(LAYERS))
        ax.set_title(TITLES[metric])
    for ax, metric in zip(axes[1], METRICS, strict=True):
        mine = frame[(frame["metric"] == metric) & (frame["layer"] == PAPERS_LAYER)]
        _dots(ax, mine, "class", classes)
    axes[0, 0].set_ylabel("mean over the classes")
    axes[1, 0].set_ylabel("encoder, each class")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper right", ncols=len(SERIES))
    first = frame.iloc[0]
    caption(
        fig,
        f"{first['elements']:,} elements of {first['images']:,} test images. Distance: 1 - cosine, between elements of "
        f"different images. Lines: 95 % of {DRAWS:,} resamples of the images. Better is a high silhouette, a small "
        f"distance within, a large one to the others. Data: {first['data']}.",
        width=140,
    )
    return fig


def _dots(ax: Axes, frame: pd.DataFrame, by: str, order: list[str]) -> None:
    for k, (series, (colour, marker)) in enumerate(SERIES.items()):
        mine = frame[frame["series"] == series].set_index(by).reindex(order)
        y = np.arange(len(order))[::-1] + (0.12 if k == 0 else -0.12)
        ax.hlines(y, mine["low"], mine["high"], color=colour, linewidth=1.4)
        ax.plot(mine["value"], y, marker, color=colour, ms=5, linestyle="none", label=series)
    ax.set_yticks(np.arange(len(order))[::-1], order)
    ax.set_ylim(-0.5, len(order) - 0.5)
    ax.grid(axis="y", visible=False)


def features_text(profile: str, frame: pd.DataFrame) -> str:
    """What Fig. 12 says in numbers, layer by layer, beside the paper's four statements, as Markdown.

    Args:
        profile: name of the profile.
        frame: numbers of ``fig_separation``.
    """
    synthetic = is_synthetic(frame)
    at: Any = frame.set_index(["layer", "series", "class", "metric"]).sort_index()
    text = [
        scale_note(profile),
        "| Layer | | Baseline | Ours | Difference, 95 % interval | Verdict |",
        "|---|---|---:|---:|---:|---|",
    ]
    for layer, title in LAYERS.items():
        for metric in METRICS:
            values = [at.loc[(layer, s, ALL, metric)] if (layer, s, ALL, metric) in at.index else None for s in SERIES]
            cells = ["" if v is None else f"{v['value']:.3f}" for v in values]
            key = (layer, CHANGE, ALL, metric)
            if key in at.index:
                change = at.loc[key]
                cells += [f"{change['value']:+.3f} ({change['low']:+.3f} to {change['high']:+.3f})"]
                cells += [NOT_TESTED if synthetic else _verdict(change, 1 if metric != "intra" else -1)]
            else:
                cells += ["", "the baseline does not train it"]
            text.append(f"| {title} | {TITLES[metric]} | {' | '.join(cells)} |")
    return "\n".join([*text, "", *_statements(at, synthetic)])


def _verdict(change: pd.Series, sign: int) -> str:
    if change["low"] <= 0 <= change["high"]:
        return "within chance"
    return "better" if sign * change["value"] > 0 else "worse"


def _statements(at: Any, synthetic: bool) -> Iterator[str]:
    """The paper's sentences on Fig. 12, each beside what the encoder's features say."""
    if synthetic:
        yield f"- What the paper says of Fig. 12 is about Mars: {NOT_TESTED}."
    else:
        intra, inter = (at.loc[(PAPERS_LAYER, CHANGE, ALL, metric)] for metric in ("intra", "inter"))
        yield f'- "More compact": the distance within a class is {_verdict(intra, -1)}.'
        yield f'- "More separable": the distance to other classes is {_verdict(inter, 1)}.'
    for series in SERIES:
        mine = at.loc[(PAPERS_LAYER, series)]
        share = mine.xs(SHARE, level="metric")["value"]
        within = mine.xs("intra", level="metric")["value"].drop(ALL)
        near, scattered = str(share.index[0]), str(within.idxmax())
        same = (set(near.split(", ")) == set(PAIRS_NEAR), scattered == SCATTERED)
        fits = ["" if synthetic else ", as in the paper" if holds else ", unlike in the paper" for holds in same]
        yield (
            f"- In the encoder of {series} the nearest two classes are *{near}* (in {100 * share.iloc[0]:.0f} % of the "
            f"resamples){fits[0]}; the most scattered is *{scattered}* (distance within: {within.max():.3f}){fits[1]}."
        )
