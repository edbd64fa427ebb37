"""Figures of a training's course: accuracy, losses and collapse diagnostics per epoch, for the rows of Table 4."""

from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from marsnb.errors import RecipeError
from marsnb.report.measured import lines
from marsnb.report.steps import seeds_text
from marsnb.report.style import BLUE, CYCLE, GREY, ORANGE, PALE, caption, make
from marsnb.training import ledger

ACCURACY = ("test/top1", "val/top1")
DIAGNOSTICS = {
    "alignment": "alignment: mean squared\ndistance of two views",
    "uniformity": "uniformity: log potential,\nlower is more spread out",
    "effective_rank": "effective rank of the features\n(dimensions)",
    "embedding": "effective rank of the method's\nembedding (dimensions)",
}
MARKS = ["o", "s", "^", "D", "v", "P", "X", "*"]


def course(profile: str, controls: bool = True) -> pd.DataFrame:
    """Curves of every run behind Table 4, each run once.

    Args:
        profile: name of the profile.
        controls: whether the rows that are not in the paper are among them.

    Returns:
        Columns ``row`` (labels of all that share the run), ``seed``, ``epoch`` (from 1), ``metric``, ``value``,
        ``data``.

    Raises:
        RecipeError: there is no curve of any of them yet.
    """
    book, recorded = ledger.read(profile), ledger.read_curves(profile)
    labels: dict[str, list[str]] = {}
    for found in lines(4, profile):
        if found.measured and (controls or not found.row.control):
            for run_id in found.measured.run_ids:
                labels.setdefault(run_id, []).append(found.row.label)
    frame = recorded[recorded["run_id"].isin(labels)].copy()
    if frame.empty:
        raise RecipeError(f"no curves of Table 4 at profile {profile}: run `marsnb run --table 4 --profile {profile}`")
    facts = book.drop_duplicates("run_id").set_index("run_id")
    frame["row"] = ["\n= ".join(labels[run_id]) for run_id in frame["run_id"]]
    frame["seed"] = facts.loc[frame["run_id"], "seed"].to_numpy()
    frame["data"] = facts.loc[frame["run_id"], "data"].to_numpy()
    order = {run_id: i for i, run_id in enumerate(labels)}
    frame["order"] = frame["run_id"].map(order)
    frame = frame.sort_values(["order", "metric", "epoch"], kind="stable")
    return frame[["row", "seed", "epoch", "metric", "value", "data"]].reset_index(drop=True)


def fig_curves(profile: str) -> Path:
    """Test and validation accuracy per epoch, one panel per run of Table 4."""
    return make("fig_curves", profile, lambda p: _only(course(p), ACCURACY), _draw_curves)


def fig_losses(profile: str) -> Path:
    """The named losses per epoch, one panel per run of Table 4."""

    def build(of: str) -> pd.DataFrame:
        frame = course(of)
        return _only(frame, [m for m in frame["metric"].unique() if "/" not in m and m not in (*DIAGNOSTICS, "loss")])

    return make("fig_losses", profile, build, _draw_losses)


def fig_diagnostics(profile: str) -> Path:
    """Alignment, uniformity and effective rank per epoch: does the representation collapse?"""

    def build(of: str) -> pd.DataFrame:
        frame = course(of, controls=False)
        frame["metric"] = frame["metric"].replace(r"embed_\w/effective_rank", "embedding", regex=True)
        return _only(frame, DIAGNOSTICS)

    return make("fig_diagnostics", profile, build, _draw_diagnostics)


def _only(frame: pd.DataFrame, metrics: object) -> pd.DataFrame:
    kept = frame[frame["metric"].isin(list(metrics))]  # type: ignore[call-overload]
    if kept.empty:
        raise RecipeError("the curves of Table 4 hold none of this figure's metrics: run its rows again")
    return kept


def _panels(count: int, width: float = 2.6, height: float = 2.1) -> tuple[Figure, list[Axes]]:
    across = min(3, count)
    down = -(-count // across)
    fig, grid = plt.subplots(down, across, figsize=(width * across, height * down + 0.5), sharey=True, squeeze=False)
    axes = list(grid.flat)
    for ax in axes[count:]:
        ax.set_visible(False)
    return fig, axes[:count]


def _mean(frame: pd.DataFrame) -> pd.Series:
    return frame.groupby("epoch")["value"].mean()


def line(ax: Axes, values: pd.Series, colour: str, **more: object) -> None:
    """Draw values over epochs, with marks where they are few."""
    marked = {"marker": "o", "ms": 3, **more}  # a single epoch would not show without a mark
    ax.plot(values.index, values.to_numpy(), color=colour, **(marked if len(values) <= 15 else {**more, "marker": ""}))  # type: ignore[arg-type]


def _draw_curves(frame: pd.DataFrame) -> Figure:
    rows = list(dict.fromkeys(frame["row"]))
    fig, axes = _panels(len(rows))
    frame = frame.assign(value=100 * frame["value"])
    test, val = (frame[frame["metric"] == metric] for metric in ACCURACY)
    for ax, row in zip(axes, rows, strict=True):
        mine = _mean(test[test["row"] == row])
        for other in rows:
            line(ax, _mean(test[test["row"] == other]).loc[: mine.index.max()], PALE, linewidth=0.8, marker="")
        if row in set(val["row"]):  # a run that trains on the validation list too is not scored on it
            line(ax, _mean(val[val["row"] == row]), ORANGE, linestyle="--", label="validation")
        line(ax, mine, BLUE, linewidth=2, label="test")
        ax.set_title(row, fontsize=7.5)
    _label(fig, "epoch", "accuracy (%)")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper right", ncols=2, fontsize=8)
    fig.suptitle("Accuracy per epoch, rows of Table 4", x=0.01, ha="left", fontsize=10)
    caption(fig, f"{seeds_text(frame)} Grey: test accuracy of the other rows. Data: {frame['data'].iloc[0]}.")
    return fig


def _draw_losses(frame: pd.DataFrame) -> Figure:
    rows, metrics = list(dict.fromkeys(frame["row"])), sorted(frame["metric"].unique())
    fig, axes = _panels(len(rows))
    for ax, row in zip(axes, rows, strict=True):
        for i, metric in enumerate(metrics):
            part = frame[(frame["row"] == row) & (frame["metric"] == metric)]
            if len(part):
                line(ax, _mean(part), CYCLE[i], label=metric, marker=MARKS[i])
        ax.set_title(row, fontsize=7.5)
    _label(fig, "epoch", "mean loss of the epoch")
    found = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    fig.legend(found.values(), found.keys(), loc="outside upper right", ncols=len(found), fontsize=8)
    fig.suptitle("Losses per epoch, rows of Table 4", x=0.01, ha="left", fontsize=10)
    caption(
        fig, f"{seeds_text(frame)} Before weighting. similarity is Eq. 3, at best -1. Data: {frame['data'].iloc[0]}."
    )
    return fig


def _draw_diagnostics(frame: pd.DataFrame) -> Figure:
    rows = list(dict.fromkeys(frame["row"]))
    fig, axes = plt.subplots(1, 4, figsize=(11, 3.2))
    for ax, (metric, label) in zip(axes, DIAGNOSTICS.items(), strict=True):
        part = frame[frame["metric"] == metric]
        for i, row in enumerate(rows):
            values = _mean(part[part["row"] == row])
            if len(values) or metric == "alignment":  # every row is in the legend
                line(ax, values, CYCLE[i], marker=MARKS[i], ms=3.5, label=row)
        ax.set_title(label, fontsize=8)
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside right upper", fontsize=7.5)
    caption(
        fig,
        f"{seeds_text(frame)} On 128 images of the validation list, two strong views each. "
        f"Data: {frame['data'].iloc[0]}.",
        width=150,
    )
    return fig


def _label(fig: Figure, x: str, y: str) -> None:
    fig.supxlabel(x, fontsize=9, color=GREY)
    fig.supylabel(y, fontsize=9, color=GREY)
    for ax in fig.axes:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
