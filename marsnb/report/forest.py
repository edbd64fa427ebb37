"""A table as a figure: the paper's number and the measured one of every row, with their spreads."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from marsnb import recipes
from marsnb.errors import RecipeError
from marsnb.report.layout import NOT_RUN
from marsnb.report.measured import Line, lines
from marsnb.report.style import BLACK, BLUE, GREEN, GREY, ORANGE, PALE, RED, caption, make

SERIES = ((BLUE, "D"), (ORANGE, "s"), (GREEN, "^"))
"""Colour and mark of the measured numbers; the last row heading of a table printed across gets the first."""
APART = 0.15
"""How far the paper's number stands above its row and the measured one below it, in rows."""
MANY = 3
"""Networks and start weights that a caption names one by one; more are counted."""


def fig_table(number: int, profile: str) -> Path:
    """Draw a table: measured numbers against the paper's, by category or by column where the table has them.

    Args:
        number: the paper's number of the table.
        profile: name of the profile.

    Returns:
        Path of ``fig_tableNN.png``; SVG and CSV lie beside it.

    Raises:
        RecipeError: nothing of the table was run yet.
    """
    stem = f"fig_{recipes.load_table(number).key}"
    return make(stem, profile, lambda of: numbers(number, of), lambda frame: _draw(frame, number))


def numbers(number: int, profile: str, empty: bool = False, metric: str | None = None) -> pd.DataFrame:
    """What a figure of a table is drawn from, one line per row in the recipe's order.

    Args:
        number: the paper's number of the table.
        profile: name of the profile.
        empty: whether a table of which nothing was run is given as well, with the paper's numbers alone.
        metric: one of the table's; its first by default.

    Returns:
        Columns ``row, group, series, variable, control, ran_as, same_as, paper_mean, paper_std, measured_mean,
        measured_low, measured_high, n, data``. ``group`` is the row's category, or its column where the table has
        several row headings; these are then ``series``. ``variable`` is the column of a table with one row heading.
        ``measured_low`` and ``_high`` are mean ± standard deviation over seeds, for one seed the bootstrap interval.

    Raises:
        RecipeError: nothing of the table was run yet, and it may not be empty.
    """
    found = lines(number, profile, metric)
    done = [line.measured for line in found if line.measured]
    if not done and not empty:
        raise RecipeError(
            f"nothing of Table {number} was run at profile {profile}: "
            f"run `marsnb run --table {number} --profile {profile}`"
        )
    data = "; ".join(sorted({m.data for m in done}))
    several = len({line.row.cell.row for line in found if line.row.cell}) > 1
    return pd.DataFrame([{**_place(line, several), **_values(line), "data": data} for line in found])


def _place(line: Line, several: bool) -> dict[str, object]:
    row, cell = line.row, line.row.cell
    return {
        "row": row.label,
        "group": cell.column if cell and several else row.family,
        "series": cell.row if cell and several else "",
        "variable": cell.column if cell and not several else "",
        "control": row.control,
        "ran_as": line.ran_as,
        "same_as": line.same_as[0] if line.same_as else "",
    }


def _values(line: Line) -> dict[str, object]:
    paper, m = line.paper, line.measured
    half = m.std if m else None
    return {
        "paper_mean": paper.mean if paper else None,
        "paper_std": paper.std if paper else None,
        "measured_mean": m.mean if m else None,
        "measured_low": (m.mean - half if half is not None else m.low) if m else None,
        "measured_high": (m.mean + half if half is not None else m.high) if m else None,
        "n": m.n if m else None,
    }


def heading(fig: Figure, title: str, **more: object) -> None:
    """Title and legend above everything, both flush left."""
    fig.legend(loc="outside upper left", title=title, title_fontsize=10, alignment="left", fontsize=8, **more)  # type: ignore[arg-type]


def spread(n: pd.Series) -> str:
    """What the interval of measured numbers is, from their numbers of seeds."""
    over, one = "± standard deviation over seeds", "95 % bootstrap interval over test images"
    n = n.dropna()
    if (n > 1).all() and len(n):
        return over
    return f"{over}; for one seed, {one}" if (n > 1).any() else one


def words(column: pd.Series) -> pd.Series:
    """A column of texts as it was before it went through a CSV, which knows no empty text."""
    return column.astype(object).where(column.notna(), "").astype(str)


def errors(frame: pd.DataFrame) -> np.ndarray:
    """Lengths of the measured numbers' error bars, shape ``(2, rows)``; none where there is no interval."""
    gaps = [frame["measured_mean"] - frame["measured_low"], frame["measured_high"] - frame["measured_mean"]]
    return np.nan_to_num(np.array(gaps, dtype=float)).clip(0)


@dataclass
class _Slots:
    """Where everything stands from top to bottom: ``y`` of each row, of each heading, and of the rule."""

    rows: list[float] = field(default_factory=list)
    headings: list[tuple[float, str]] = field(default_factory=list)
    rule: float | None = None
    end: float = 0.0


def _slots(frame: pd.DataFrame) -> _Slots:
    slots, y, group, control = _Slots(), 0.0, "", False
    for line in frame.to_dict("records"):
        if line["control"] and not control:
            control, slots.rule, y = True, y - 0.4, y + 0.35
        if line["group"] and line["group"] != group:
            if (frame["group"] == line["group"]).sum() > 1 or line["group"] != line[
                "row"
            ]:  # "Ours" is not written twice
                y += 0.2 * bool(slots.rows)
                slots.headings.append((y, line["group"]))
                y += 0.85
            else:
                y += 0.3
        group = line["group"]
        slots.rows.append(y)
        y += 1.0
    slots.end = y
    return slots


def _draw(frame: pd.DataFrame, number: int) -> Figure:
    text = ["group", "series", "ran_as", "same_as"]
    frame = frame.assign(**{name: words(frame[name]) for name in text})
    # the controls come last, wherever they stand in the recipe
    frame = frame.sort_values("control", kind="stable").reset_index(drop=True)
    slots = _slots(frame)
    frame["y"] = slots.rows
    fig, ax = plt.subplots(figsize=(7.5, 0.33 * slots.end + 1.5))
    _draw_numbers(ax, frame)
    for y in frame.loc[frame["measured_mean"].isna(), "y"]:  # right of the axes, where no number can be
        ax.text(1.01, y, NOT_RUN, transform=ax.get_yaxis_transform(), ha="left", va="center", color=RED, fontsize=8)
    if slots.rule is not None:
        ax.axhline(slots.rule, color=BLACK, linewidth=0.8)
        ax.text(
            0.0, slots.rule + 0.05, " controls (not in the paper)", transform=ax.get_yaxis_transform(),
            fontsize=7.5, va="top", color=GREY,
        )  # fmt: skip
    _label_rows(ax, frame, slots)
    ax.set_ylim(slots.end - 0.4, -0.7)
    ax.set_xlabel("test accuracy (%)")
    heading(fig, f"Table {number}: the paper's numbers and the measured ones")
    caption(fig, notes(frame))
    return fig


def _label_rows(ax: Axes, frame: pd.DataFrame, slots: _Slots) -> None:
    names = [series or row for series, row in zip(frame["series"], frame["row"], strict=True)]
    marked = [name + (" †" if same else "") for name, same in zip(names, frame["same_as"], strict=True)]
    ax.set_yticks([*frame["y"], *(y for y, _ in slots.headings)], [*marked, *(name for _, name in slots.headings)])
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)
    ax.hlines(frame["y"], 0, 1, transform=ax.get_yaxis_transform(), color="#E6E6E6", linewidth=0.6, zorder=0)
    for label in ax.get_yticklabels()[len(frame) :]:
        label.set_fontweight("bold")
    for label, group, name in zip(ax.get_yticklabels(), frame["group"], frame["row"], strict=False):
        if group == name:
            label.set_fontweight("bold")


def _draw_numbers(ax: Axes, frame: pd.DataFrame) -> None:
    y = frame["y"]
    both = frame[frame["paper_mean"].notna() & frame["measured_mean"].notna()]
    places = zip(both["paper_mean"], both["measured_mean"], both["y"], strict=True)
    ends = [[(theirs, at - APART), (ours, at + APART)] for theirs, ours, at in places]
    ax.add_collection(LineCollection(ends, color=PALE, linewidth=2.5, zorder=1))
    theirs = frame["paper_std"].astype(float)
    ax.errorbar(
        frame["paper_mean"], y - APART, xerr=theirs, fmt="o", color=GREY, mfc="white", ms=5.5, capsize=2,
        label=f"paper{', ± standard deviation over 3 seeds' if theirs.notna().any() else ''}",
    )  # fmt: skip
    series = list(dict.fromkeys(frame["series"]))[::-1]
    for i, name in reversed(list(enumerate(series))):
        mine = frame[frame["series"] == name]
        colour, mark = SERIES[i % len(SERIES)]
        label = f"measured{f', {name.lower()}' if name else ''}, {spread(frame['n'])}"
        ax.errorbar(
            mine["measured_mean"], mine["y"] + APART, xerr=errors(mine), fmt=mark, color=colour, ms=5, capsize=2,
            label=label,
        )  # fmt: skip


def notes(frame: pd.DataFrame, dagger: bool = True) -> str:
    """What the caption of such a figure says: data, what ran in the place of the paper's, shared runs.

    Args:
        frame: the figure's numbers.
        dagger: whether rows that share a run carry the mark.
    """
    text = f"Last checkpoint. Data: {frame['data'].iloc[0]}."
    ran = words(frame.loc[frame["measured_mean"].notna(), "ran_as"])
    ways = sorted({way.split(" (paper")[0] for way in ran if way})
    if len(ways) > MANY:
        starts = sorted({way.split(" from ")[-1] for way in ways})
        text += f" {(ran != '').sum()} of {len(ran)} rows ran with another network or other start weights than the"
        text += f" paper's (start weights: {', '.join(starts)}); the remarks under the table say how."
    elif ways:
        text += f" Run as: {'; '.join(ways)}; the paper's networks or start weights differ."
    if dagger and (words(frame["same_as"]) != "").any():
        text += " † shares its run with a row above: this profile makes no difference between them."
    return text


def number_points(ax: Axes, shown: pd.DataFrame) -> None:
    """Write each point's number beside it, at the nearest place where it covers neither a point nor a number.

    Args:
        ax: axes whose place on the figure is settled, that is, drawn once.
        shown: columns number, x and y of the points, in this order.
    """
    points = ax.transData.transform(shown.iloc[:, 1:].to_numpy(float))  # pixels
    unit = ax.get_figure(root=True).dpi / 72  # type: ignore[union-attr]  # pixels per point of letter size
    taken = [_box(x, y, 8.5 * unit, 8.5 * unit) for x, y in points]
    for (x, y), (number, *place) in zip(points, shown.itertuples(index=False, name=None), strict=True):
        size = ((4.5 * len(str(number)) + 1) * unit, 7.5 * unit)
        places = [
            (r * np.cos(angle) * unit, r * np.sin(angle) * unit)
            for r in range(9, 60, 3)
            for angle in np.pi * (np.arange(16) / 8 + 0.25)
        ]
        free = (at for at in places if not any(_box(x + at[0], y + at[1], *size).overlaps(box) for box in taken))
        dx, dy = next(free, places[0])
        taken.append(_box(x + dx, y + dy, *size))
        leader = {"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "shrinkA": 3, "shrinkB": 3}
        ax.annotate(
            str(number), (place[0], place[1]), (dx / unit, dy / unit), textcoords="offset points",
            ha="center", va="center", fontsize=7, color=BLACK, zorder=4,
            arrowprops=leader if np.hypot(dx, dy) > 14 * unit else None,
        ).set_in_layout(False)  # fmt: skip


def _box(x: float, y: float, width: float, height: float) -> Bbox:
    return Bbox.from_bounds(x - width / 2, y - height / 2, width, height)
