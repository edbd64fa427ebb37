"""Tables with several metrics as figures: a panel per metric; and Tables 10 and 11 as curves."""

from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from marsnb import recipes
from marsnb.errors import RecipeError
from marsnb.report import forest
from marsnb.report.effects import CHOICES, effects
from marsnb.report.layout import FIRST, HEADINGS, NAMES, NOT_RUN
from marsnb.report.segmentation import HOW
from marsnb.report.style import BLACK, BLUE, GREY, RED, caption, make

SWEPT = (10, 11)
"""Tables that vary a threshold or a weight."""
LOGARITHMIC = {11}
"""Tables whose rows are weights of several orders of magnitude."""


def fig_panels(number: int, profile: str) -> Path:
    """Draw a table with several metrics: one panel each, which share the rows.

    Args:
        number: the paper's number of the table.
        profile: name of the profile.

    Returns:
        Path of ``fig_tableNN.png``; SVG and CSV lie beside it.

    Raises:
        RecipeError: nothing of the table was run yet.
    """
    head = recipes.load_table(number)
    return make(f"fig_{head.key}", profile, lambda of: _numbers(number, of), lambda frame: _draw(frame, number))


def _numbers(number: int, profile: str) -> pd.DataFrame:
    parts = [
        forest.numbers(number, profile, metric=metric).assign(metric=metric)
        for metric in recipes.load_table(number).metrics
    ]
    return pd.concat(parts, ignore_index=True)


def _draw(frame: pd.DataFrame, number: int) -> Figure:
    frame = frame.assign(
        **{name: forest.words(frame[name]) for name in ("row", "group", "series", "ran_as", "same_as")}
    )
    frame = frame.sort_values("control", kind="stable")  # the controls come last, wherever they stand in the recipe
    metrics = list(dict.fromkeys(frame["metric"]))
    parts = [frame[frame["metric"] == metric].reset_index(drop=True) for metric in metrics]
    slots = forest._slots(parts[0])
    size = (2.6 + 1.9 * len(metrics), 0.36 * slots.end + 1.7)
    fig, axes = plt.subplots(1, len(metrics), figsize=size, sharey=True)
    for ax, metric, part in zip(axes, metrics, parts, strict=True):
        part["y"] = slots.rows
        forest._draw_numbers(ax, part)
        forest._label_rows(ax, part, slots)
        if slots.rule is not None:
            ax.axhline(slots.rule, color=BLACK, linewidth=0.8)
        ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        ax.set_title(HEADINGS.get(metric, metric))
    for ax in axes[1:]:
        ax.tick_params(axis="y", labelleft=False)
    _not_run(axes[-1], parts[-1])
    axes[0].set_ylabel(FIRST.get(number, ""))
    axes[0].set_ylim(slots.end - 0.4, -0.7)
    handles, labels = axes[0].get_legend_handles_labels()
    forest.heading(
        fig, f"Table {number}: the paper's numbers and the measured ones, test images", handles=handles, labels=labels
    )
    caption(fig, forest.notes(parts[0]), width=125)
    return fig


def _not_run(ax: Axes, part: pd.DataFrame) -> None:
    for y in part.loc[part["measured_mean"].isna(), "y"]:  # right of all panels, where no number can be
        ax.text(1.02, y, NOT_RUN, transform=ax.get_yaxis_transform(), ha="left", va="center", color=RED, fontsize=8)


def fig_swept(profile: str) -> Path:
    """Tables 10 and 11: each metric's difference from the paper's choice, over the threshold and the weight.

    Raises:
        RecipeError: there is nothing to compare yet: the paper's choice, or every other row, was not run.
    """
    return make("fig_sweeps_segmentation", profile, _swept, _draw_swept)


def _swept(profile: str) -> pd.DataFrame:
    parts = []
    for number in SWEPT:
        choice = CHOICES[number]
        head, part = recipes.load_table(number), effects(number, profile)
        labels = {row.id: float(row.label) for row in head.rows if not row.control}
        base = {"paper": 0.0, "measured": 0.0, "low": 0.0, "high": 0.0, "how": "choice", "after": choice}
        rows = [*part.to_dict("records"), *({**base, "metric": metric} for metric in head.metrics)]
        part = pd.DataFrame(rows, columns=["after", "metric", "paper", "measured", "low", "high", "how", "data"])
        parts.append(part.assign(table=number, value=part["after"].map(labels)))
    frame = pd.concat(parts, ignore_index=True).sort_values(["table", "metric", "value"], kind="stable")
    data = sorted(set(frame["data"].dropna()))
    if not data:
        raise RecipeError(
            f"no two rows of Tables 10 and 11 to compare at profile {profile}: run `marsnb run --table 10 --profile "
            f"{profile}`"
        )
    columns = ["table", "metric", "value", "paper", "measured", "low", "high", "how"]
    return frame[columns].assign(data="; ".join(data))


def _draw_swept(frame: pd.DataFrame) -> Figure:
    metrics = list(recipes.load_table(SWEPT[0]).metrics)
    fig, axes = plt.subplots(len(SWEPT), len(metrics), figsize=(2 + 1.9 * len(metrics), 5.2), sharey="row")
    for row, number in zip(axes, SWEPT, strict=True):
        for ax, metric in zip(row, metrics, strict=True):
            _curve(ax, frame[(frame["table"] == number) & (frame["metric"] == metric)], number)
            ax.set_title(NAMES[metric])
            ax.set_xlabel(FIRST[number])
        choice = recipes.load_table(number).row(CHOICES[number]).label
        row[0].set_ylabel(f"Table {number}: points against\nthe paper's choice, {choice}")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    forest.heading(fig, "Other thresholds and weights than the paper's", handles=handles, labels=labels)
    ways = [text for how, text in HOW.items() if (frame["how"] == how).any()]
    caption(fig, f"Bars: {'; '.join(ways) or 'none'}. Last checkpoint. Data: {frame['data'].iloc[0]}.", width=125)
    return fig


def _curve(ax: Axes, part: pd.DataFrame, number: int) -> None:
    gaps = [part["measured"] - part["low"], part["high"] - part["measured"]]
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.plot(part["value"], part["paper"], "o--", color=GREY, mfc="white", label="paper")
    ax.errorbar(
        part["value"], part["measured"], yerr=pd.concat(gaps, axis=1).fillna(0).clip(lower=0).T, fmt="D-", color=BLUE,
        ms=4.5, capsize=2, label="measured",
    )  # fmt: skip
    if number in LOGARITHMIC:
        ax.set_xscale("log")
    ax.set_xticks(part["value"], [f"{value:g}" for value in part["value"]], fontsize=7)
    ax.minorticks_off()
    ax.margins(x=0.12, y=0.15)  # room for "not run"
    for x in part.loc[part["measured"].isna(), "value"]:  # the line has a gap there
        ax.text(x, 0.02, NOT_RUN, transform=ax.get_xaxis_transform(), ha="center", color=RED, fontsize=6.5)
