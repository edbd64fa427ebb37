"""Table 3's ranking as a figure: the paper's accuracy of each method against the measured one."""

from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from marsnb.report import forest
from marsnb.report.ranking import ranking
from marsnb.report.style import CYCLE, GREY, PALE, caption, make

FIGURE = 3
"""The table that the figure is of."""
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")


def fig_ranking(profile: str) -> Path:
    """Table 3 as points: the paper's accuracy of each method against the measured one.

    Raises:
        RecipeError: nothing of the table was run yet.
    """
    return make("fig_ranking", profile, _build, _draw)


def _build(profile: str) -> pd.DataFrame:
    frame = forest.numbers(FIGURE, profile)
    frame = frame[~frame["control"] & frame["paper_mean"].notna()].drop(columns=["series", "variable", "control"])
    found = ranking(FIGURE, profile)
    frame["number"] = range(1, len(frame) + 1)
    frame["counted"] = frame["row"].isin(found.rows)
    frame["rho"] = found.rho
    frame["rho_low"], frame["rho_high"] = found.rho_interval or (None, None)
    frame["why_not"] = found.why_not
    return frame


def _draw(frame: pd.DataFrame) -> Figure:
    frame = frame.assign(group=forest.words(frame["group"]))
    groups = {name: i % len(CYCLE) for i, name in enumerate(dict.fromkeys(frame["group"]))}
    frame["colour"] = [CYCLE[groups[name]] for name in frame["group"]]
    frame["mark"] = [MARKS[groups[name]] for name in frame["group"]]
    missing = frame[frame["measured_mean"].isna()]
    shown = frame[frame["measured_mean"].notna()]
    fig, ax = plt.subplots(figsize=(8, 5))
    gaps = forest.errors(shown)
    ax.errorbar(
        shown["paper_mean"], shown["measured_mean"], xerr=shown["paper_std"].fillna(0), yerr=gaps, fmt="none",
        ecolor=PALE, elinewidth=0.8, zorder=1,
    )  # fmt: skip
    handles = []
    before = ""
    for line in shown.to_dict("records"):
        look = {"marker": line["mark"], "color": line["colour"], "mfc": line["colour"] if line["counted"] else "white"}
        ax.plot(line["paper_mean"], line["measured_mean"], linestyle="", ms=6, zorder=3, **look)
        if line["group"] not in (before, line["row"]):  # "Ours" is not written twice
            handles.append(Line2D([], [], linestyle="", label=line["group"]))
        before = line["group"]
        label = f"{line['number']}  {line['row']}{'' if line['counted'] else ' †'}"
        handles.append(Line2D([], [], linestyle="", label=label, ms=6, **look))
    x, y = ax.get_xlim(), ax.get_ylim()
    ends = [max(x[0], y[0]), min(x[1], y[1])]
    if ends[0] < ends[1]:  # the part of "as in the paper" that is in sight
        ax.plot(ends, ends, color=GREY, linestyle="--", linewidth=0.8, zorder=0, scalex=False, scaley=False)
    ax.set_xlabel("the paper's accuracy (%)")
    ax.set_ylabel("measured test accuracy (%)")
    ax.set_title(_title(frame))
    legend = fig.legend(handles=handles, loc="outside right upper", fontsize=7.5)
    for text in legend.get_texts():
        text.set_fontweight("bold" if text.get_text() in groups else "normal")
    caption(fig, _notes(frame, missing), width=125)
    fig.canvas.draw()  # the places of the points are known only now
    forest.number_points(ax, shown[["number", "paper_mean", "measured_mean"]])
    return fig


def _title(frame: pd.DataFrame) -> str:
    first = frame.iloc[0]
    head = f"Table {FIGURE}: "
    if pd.isna(first["rho"]):
        return f"{head}order of the methods not tested"
    interval = f"{first['rho_low']:.2f}, {first['rho_high']:.2f}"
    return f"{head}Spearman's ρ = {first['rho']:.2f} [{interval}] over {int(frame['counted'].sum())} methods"


def _notes(frame: pd.DataFrame, missing: pd.DataFrame) -> str:
    text = "Dashed: measured as in the paper. "
    text += "" if frame["rho"].isna().any() else "In brackets: 95 % bootstrap interval. "
    text += f"Bars: paper, ± standard deviation; measured, {forest.spread(frame['n'])}. {forest.notes(frame, False)}"
    why = forest.words(frame["why_not"]).iloc[0]
    if why:
        text += f" Not tested: {why}."
    if (~frame["counted"] & frame["measured_mean"].notna()).any():
        text += " †, hollow: shares its run with a method above and does not count."
    return text + (f" Not run: {', '.join(missing['row'])}." if len(missing) else "")
