"""Online pseudo labels: how much they cover and how often they are right, per threshold and class, over the epochs."""

from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from marsnb.errors import RecipeError
from marsnb.report.curves import MARKS, line
from marsnb.report.measured import PERCENT
from marsnb.report.steps import JOINT, PRETRAIN, PSEUDO, changes, course, mark, seeds_text
from marsnb.report.style import CYCLE, GREY, caption, make
from marsnb.report.terrain import COLOURS

ROW = "t-09"
"""Of Table 10: the paper's own threshold, which is Table 9's final method."""
ALL = "all classes"
MEASURED = r"^test/(?P<measure>coverage|precision)@(?P<threshold>[\d.]+)(?:/(?P<class>.+))?$"
"""Names of the metrics that training leaves of each epoch (``training/pixels.py``)."""
NOTE = (
    "On labelled pixels of held-out images, where it can be checked. Covered: confidence above the threshold; right: "
    "the label says the same."
)


def seen(profile: str) -> pd.DataFrame:
    """What the pseudo labels of Table 10's runs were worth after each epoch, in percent.

    Returns:
        Columns ``row``, ``label``, ``seed``, ``epoch``, ``stage``, ``step``, ``measure``, ``threshold``, ``class``,
        ``value``, ``data``. ``measure``: of `ROW`, ``coverage`` (share of the labelled pixels) and ``precision`` at
        four thresholds; of every row, ``filled`` (share of the unlabelled training elements) at its own threshold.

    Raises:
        RecipeError: the run of `ROW` has no curves, or none of a step.
    """
    own = course(10, profile, (ROW,))
    parts = own["metric"].str.extract(MEASURED)
    kept = own.join(parts)[parts["measure"].notna()]
    if not {JOINT, PSEUDO} <= set(kept["step"]):
        raise RecipeError(
            f"the curves of Table 10's row {ROW!r} lack pseudo labels before or in its last step: delete its lines, "
            "and train it with `--score-every 1`"
        )
    kept = kept.assign(**{"threshold": kept["threshold"].astype(float), "class": kept["class"].fillna(ALL)})
    filled = course(10, profile)
    filled = filled[filled["metric"] == "pseudo_share"]
    filled = filled.assign(threshold=filled["label"].astype(float), measure="filled")
    filled["class"] = ALL
    columns = ["row", "label", "seed", "epoch", "stage", "step", "measure", "threshold", "class", "value", "data"]
    both = pd.concat([kept, filled], ignore_index=True)[columns]
    return both.assign(value=PERCENT * both["value"])


def mean(frame: pd.DataFrame, measure: str, threshold: float, name: str = ALL) -> pd.Series:
    """A measure over the epochs, mean over seeds; empty where nothing was covered."""
    mine = frame[(frame["measure"] == measure) & (frame["threshold"] == threshold) & (frame["class"] == name)]
    return mine.groupby("epoch")["value"].mean()


def thresholds(frame: pd.DataFrame) -> list[float]:
    """All thresholds, the strictest first."""
    return sorted(frame.loc[frame["measure"] == "coverage", "threshold"].unique(), reverse=True)


def ends(frame: pd.DataFrame) -> dict[str, int]:
    """Last epoch of each step with cross entropy, by what it trained with."""
    trained = frame[(frame["row"] == ROW) & (frame["step"] != PRETRAIN)]
    return {str(step): int(epoch) for step, epoch in trained.groupby("step", sort=False)["epoch"].max().items()}


def fig_course(profile: str) -> Path:
    """Coverage and precision over the epochs per threshold, and what each threshold filled while training."""
    return make("fig_pseudo_course", profile, seen, _draw_course)


def _draw_course(frame: pd.DataFrame) -> Figure:
    titles = {
        "coverage": "covered (% of the labelled pixels)",
        "precision": "right (% of the covered pixels)",
        "filled": "filled while training\n(% of the unlabelled elements)",
    }
    fig, axes = plt.subplots(1, 3, figsize=(11, 3.5))
    own = frame[frame["row"] == ROW]
    for ax, (measure, title) in zip(axes, titles.items(), strict=True):
        for i, threshold in enumerate(thresholds(frame)):
            line(ax, mean(frame, measure, threshold), CYCLE[i], marker=MARKS[i], ms=3.5, label=f"{threshold:g}")
        ax.set(title=title, xlabel="epoch", ylim=(-3, 103))
        mark(ax, changes(own) if measure != "filled" else {})
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, title="threshold", loc="outside right upper")
    alone = " Under contrast alone the segmentation head is not trained." if PRETRAIN in set(own["step"]) else ""
    text = f"{NOTE}{alone} Filled: each threshold in a run of its own (Table 10). {seeds_text(own)}"
    caption(fig, f"{text} Data: {frame['data'].iloc[0]}.", width=150)
    return fig


def fig_classes(profile: str) -> Path:
    """Precision per class after the last epoch, and the classes among the covered pixels, per threshold."""

    def build(of: str) -> pd.DataFrame:
        frame = seen(of)
        return frame[(frame["row"] == ROW) & (frame["epoch"] == frame.loc[frame["row"] == ROW, "epoch"].max())]

    return make("fig_pseudo_classes", profile, build, _draw_classes)


def last(frame: pd.DataFrame, measure: str, epoch: int | None = None) -> pd.DataFrame:
    """A measure by class (rows) and threshold (columns) after an epoch, the last by default; mean over seeds."""
    mine = frame[(frame["row"] == ROW) & (frame["measure"] == measure)]
    mine = mine[mine["epoch"] == (mine["epoch"].max() if epoch is None else epoch)]
    names = list(dict.fromkeys(frame.loc[frame["measure"] == "coverage", "class"]))  # also those of no precision
    wide = mine.pivot_table(index="class", columns="threshold", values="value")
    return wide.reindex(index=names, columns=thresholds(frame))


def _draw_classes(frame: pd.DataFrame) -> Figure:
    right, covered = last(frame, "precision"), last(frame, "coverage")
    fig, (left_ax, right_ax) = plt.subplots(1, 2, figsize=(10, 3.4), width_ratios=[1.2, 1])
    at = range(len(right))[::-1]
    for i, threshold in enumerate(right.columns):
        offset = 0.24 - 0.16 * i
        left_ax.plot(
            right[threshold], [y + offset for y in at], MARKS[i], color=CYCLE[i], label=f"{threshold:g}", clip_on=False
        )
    for y, name in zip(at, right.index, strict=True):
        if right.loc[name].isna().all():
            left_ax.text(1, y, "never covered", va="center", fontsize=8, color=GREY, backgroundcolor="white")
    left_ax.set_yticks(list(at), list(right.index))
    left_ax.set(
        xlim=(-3, 103), xlabel="right (% of the pixels covered as this class)", title="How often they are right"
    )
    left_ax.set_ylim(-0.6, len(right) - 0.4)
    left_ax.legend(title="threshold", loc="upper left", bbox_to_anchor=(1, 1))
    _stack(right_ax, 100 * covered.drop(ALL) / covered.loc[ALL])
    seeds = seeds_text(frame)
    caption(fig, f"After epoch {int(frame['epoch'].max())}. {NOTE} {seeds} Data: {frame['data'].iloc[0]}.", width=140)
    return fig


def _stack(ax: Axes, parts: pd.DataFrame) -> None:
    """Bars of the classes' shares, one per threshold."""
    labels = [f"{threshold:g}" for threshold in parts.columns]
    left = pd.Series(0.0, index=parts.columns)
    for (name, shares), colour in zip(parts.iterrows(), COLOURS, strict=False):
        ax.barh(labels, shares.fillna(0), left=left, color=colour, label=str(name), edgecolor="white", linewidth=0.5)
        left += shares.fillna(0)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set(xlim=(0, 100), xlabel="predicted class (% of the covered pixels)", ylabel="threshold", title="What they are")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=len(parts), fontsize=8)


def fig_trade(profile: str) -> Path:
    """Precision against coverage at all thresholds, at the end of each step with cross entropy."""

    def build(of: str) -> pd.DataFrame:
        frame = seen(of)
        kept = (frame["row"] == ROW) & (frame["class"] == ALL) & frame["epoch"].isin(ends(frame).values())
        return frame[kept & (frame["measure"] != "filled")]

    return make("fig_pseudo_trade", profile, build, _draw_trade)


def _draw_trade(frame: pd.DataFrame) -> Figure:
    fig, ax = plt.subplots(figsize=(6.4, 4))
    for i, (step, epoch) in enumerate(ends(frame).items()):
        x, y = (last(frame, measure, epoch).loc[ALL] for measure in ("coverage", "precision"))
        ax.plot(x, y, marker=MARKS[i], color=CYCLE[i], label=f"epoch {epoch}, end of: {step}")
        for threshold in y.dropna().index:
            ax.annotate(
                f"{threshold:g}", (x[threshold], y[threshold]), xytext=(5, 5) if i else (-5, -11),
                textcoords="offset points", ha="left" if i else "right", fontsize=7.5, color=CYCLE[i],
            )  # fmt: skip
    ax.set(xlabel="covered (% of the labelled pixels)", ylabel="right (% of the covered pixels)")
    ax.set_title("The lower the threshold, the more is covered; is less of it right?")
    ax.margins(0.12)
    ax.legend(loc="best", fontsize=8)
    caption(fig, f"Numbers at the marks: thresholds. {NOTE} Data: {frame['data'].iloc[0]}.", width=95)
    return fig


def filled_last(frame: pd.DataFrame, threshold: float) -> float | None:
    """Share of the unlabelled training elements filled in the last epoch of the run with that threshold, in percent."""
    values = mean(frame[frame["step"] == PSEUDO], "filled", threshold)
    return float(values.iloc[-1]) if len(values) else None
