"""One look for all figures: theme, forest plots of tables, grids of images, the SYNTHETIC stamp, and saving."""

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from marsnb import paths
from marsnb.files import write_whole
from marsnb.results import synthetic, write_csv
from marsnb.results.intervals import ENOUGH
from marsnb.results.output import NAMES, NOT_RUN

# Okabe and Ito's eight colours, told apart with every common colour blindness
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, YELLOW, BLACK = "#56B4E9", "#CC79A7", "#F0E442", "#000000"
GREY, PALE = "#6E6E6E", "#C9C9C9"
CYCLE = [BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK, GREY]
MARKS = ["D", "s", "^", "o", "v", "P", "X", "*"]
TERRAIN = {"soil": PURPLE, "bedrock": BLUE, "sand": YELLOW, "big rock": RED}
DPI = 150
_LOOK: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # shipped with matplotlib, so the letters are the same everywhere
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.hashsalt": "marsnb",  # the same figure gives the same bytes
}


def theme() -> None:
    """Set the look of all figures drawn from here on: seaborn's white grid in eight colours of Okabe and Ito."""
    sns.set_theme(context="paper", style="whitegrid", palette=CYCLE, rc=_LOOK)


def stamp(fig: Figure) -> None:
    """Mark a figure of generated images, over everything else on it; once, however often it is asked for."""
    if any(text.get_text() == "SYNTHETIC" for text in fig.texts):
        return
    fig.text(0.5, 0.5, "SYNTHETIC", ha="center", va="center", rotation=30, fontsize=48, color=RED, alpha=0.13, zorder=9)
    # beside the figure, where neither a legend nor a label can be
    fig.text(-0.01, 0.5, "SYNTHETIC DATA", rotation=90, ha="right", va="center", fontsize=9, color=RED, weight="bold")


def save(fig: Figure, stem: str, profile: str, frame: pd.DataFrame, images: bool = False) -> None:
    """Write ``stem.csv``, ``stem.png`` and ``stem.svg``, each whole or not at all; the figure stays open to be shown.

    It is stamped where the profile's images are generated. The ``frame`` has the numbers it was drawn from. If it shows
    ``images`` of a data set, the files go to a folder that git ignores.
    """
    if synthetic(profile):
        stamp(fig)
    fig.draw_without_rendering()
    fig.set_layout_engine("none")  # laid out once, and not anew for each of the files and for the page
    at = paths.images(profile) if images else paths.figures(profile)
    write_csv(at / f"{stem}.csv", frame)
    for kind, metadata in (("svg", {"Date": None, "Creator": "marsnb"}), ("png", {"Software": "marsnb"})):
        write_whole(at / f"{stem}.{kind}", _encode(fig, kind, metadata))


def _encode(fig: Figure, kind: str, metadata: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with plt.rc_context({"svg.hashsalt": "marsnb"}):
        fig.savefig(buffer, format=kind, dpi=DPI, bbox_inches="tight", pad_inches=0.1, metadata=metadata)
    return buffer.getvalue()


def forest(frame: pd.DataFrame, title: str = "", *, y: str = "", hue: str = "") -> Figure:
    """Draw a table, or differences between its rows: the paper's numbers and the measured ones with their intervals.

    Args:
        frame: what ``results.summary`` or ``results.differences`` gives, or some of its lines; one panel per metric.
        title: of the figure.
        y: column that names the lines; ``label`` of a summary and ``what`` of differences by default.
        hue: column whose values stand on one line in colours of their own, such as ``cell_row``; by default ``whose``
            where the frame has more than one measurement.

    Returns:
        The figure. Full marks are means over three seeds or more, hollow ones of fewer; the interval of one seed, which
        is over its test images and knows nothing of other seeds, is dotted. An interval that goes on beyond the axis
        ends in an arrow.
    """
    gaps = "what" in frame
    y = y or ("what" if gaps else "label")
    hue = hue or ("whose" if frame["whose"].nunique() > 1 else "")
    frame = frame if gaps else frame.sort_values("control", kind="stable")
    slots = _Slots(frame, y, grouped=not gaps and y == "label")
    metrics, kinds = list(dict.fromkeys(frame["metric"])), list(dict.fromkeys(frame[hue])) if hue else [""]
    height = 0.27 * (slots.end + 1) * (1 + 0.25 * (len(kinds) > 1)) + 1.1
    fig, grid = plt.subplots(
        1, len(metrics), figsize=(max(7.0, 2.0 + 2.1 * len(metrics)), height), sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for ax, metric in zip(grid[0], metrics, strict=True):
        mine = frame[frame["metric"] == metric]
        sides = []
        for i, kind in enumerate(kinds):
            some = mine[mine[hue] == kind] if hue else mine
            shift = 0.24 * (i - (len(kinds) - 1) / 2) if len(kinds) > 1 else 0.0
            sides.append((some, slots.place(some[y]) + shift, CYCLE[i % 8]))
            _draw_side(ax, *sides[-1], MARKS[i % 8], CYCLE[i % 8] if hue else GREY)
        _limit(ax, mine, gaps)
        for side in sides:
            _arrows(ax, *side)
        ax.set_xlabel(f"{NAMES.get(metric, metric)} ({'points' if gaps else '%'})")
        ax.grid(axis="y", visible=False)
        ax.hlines(list(slots.at.values()), 0, 1, transform=ax.get_yaxis_transform(), color=PALE, lw=0.4, zorder=0)
    slots.label(grid[0][0], grid[0])
    measured = set(frame.dropna(subset="mean")[y])
    for name in (name for name in slots.at if name not in measured):  # right of the axes, where no number can be
        line = frame[frame[y] == name].iloc[0]
        why = str(line.get("why") or line.get("not_at") or NOT_RUN)
        grid[0][-1].annotate(
            why, (1.01, slots.at[name]), xycoords=grid[0][-1].get_yaxis_transform(), va="center", color=RED, fontsize=7
        )
    fig.legend(handles=_keys(frame, hue, kinds), loc="outside lower center", ncols=2, fontsize=8)
    fig.suptitle(title, x=0.01, ha="left", fontsize=10)
    return fig


class _Slots:
    """Where everything stands from top to bottom: ``at`` of each line, of each category's heading, and of the rule."""

    def __init__(self, frame: pd.DataFrame, y: str, grouped: bool) -> None:
        lines = frame.drop_duplicates(y)
        self.at: dict[str, float] = {}
        self.headings: dict[float, str] = {}
        self.rule: float | None = None
        place, before, control = 0.0, "", False
        for line in lines.to_dict("records"):
            name, family = str(line[y]), str(line.get("family", "")) if grouped else ""
            if grouped and line["control"] and not control:
                control, self.rule, family = True, place - 0.4, "Controls, not in the paper"
                place += 0.2
            if family and family != before and family != name:
                self.headings[place] = family
                place += 0.9
            before = family or before
            self.at[name] = place
            place += 1.0
        self.end = place

    def place(self, names: pd.Series) -> NDArray[np.float64]:
        """Heights of some lines."""
        return np.array([self.at[str(name)] for name in names], dtype=float)

    def label(self, first: Axes, axes: Sequence[Axes]) -> None:
        """Write the names and headings, and draw the rule above the controls."""
        first.set_yticks([*self.at.values(), *self.headings], [*self.at, *self.headings.values()])
        for text in first.get_yticklabels()[len(self.at) :]:
            text.set_fontweight("bold")
        first.set_ylim(self.end - 0.4, -0.7)
        for ax in axes:
            if self.rule is not None:
                ax.axhline(self.rule, color=BLACK, linewidth=0.8)


def _draw_side(ax: Axes, some: pd.DataFrame, at: NDArray[np.float64], colour: str, mark: str, of_paper: str) -> None:
    spread = some.get("paper_std")
    ax.errorbar(some["paper"], at - 0.12, xerr=spread, fmt="o", color=of_paper, mfc="white", ms=4.5, lw=1, zorder=2)
    for low, high, seeds, height in zip(some["low"], some["high"], some["seeds"], at + 0.12, strict=True):
        ax.hlines(height, low, high, color=colour, lw=1.6, alpha=0.7, ls=":" if seeds == 1 else "-", zorder=3)
        if seeds == 1:  # the last dot of a dotted line may be far from its end
            ax.plot([low, high], [height, height], "|", color=colour, ms=5, zorder=3)
    for few in (True, False):
        which = ((some["seeds"] < ENOUGH) == few).to_numpy()
        face = "white" if few else colour
        ax.plot(some["mean"][which], at[which] + 0.12, mark, ms=5, color=colour, mfc=face, zorder=4)


def _arrows(ax: Axes, some: pd.DataFrame, at: NDArray[np.float64], colour: str) -> None:
    """Mark the intervals that go on beyond the axis."""
    left, right = ax.get_xlim()
    for edge, beyond, mark in ((left, some["low"] < left, "<"), (right, some["high"] > right, ">")):
        heights = at[beyond.to_numpy()] + 0.12
        if not len(heights):
            continue  # an empty line that is not clipped would have the layout make room for the figure's corner
        ax.plot(np.full(len(heights), edge), heights, mark, ms=4, color=colour, clip_on=False, zorder=5)


def _limit(ax: Axes, mine: pd.DataFrame, gaps: bool) -> None:
    """Limits that show every number, and of an interval no more than as much again as all numbers span."""
    spread = mine["paper_std"].fillna(0) if "paper_std" in mine else 0
    theirs = [mine["paper"] - spread, mine["paper"] + spread]
    points = pd.concat([mine["mean"], *theirs, pd.Series([0.0] if gaps else [])]).dropna().astype(float)
    if points.empty:
        return
    low, high = points.min(), points.max()
    span = max(high - low, 1.0)
    ends = pd.concat([mine["low"], mine["high"], points]).dropna()
    inside = ends.clip(low - span, high + span)
    ax.set_xlim(inside.min() - 0.04 * span, inside.max() + 0.04 * span)
    if gaps:
        ax.axvline(0, color=BLACK, linewidth=0.8, zorder=1)


def _keys(frame: pd.DataFrame, hue: str, kinds: Sequence[str]) -> list[Line2D]:
    spread = "paper_std" in frame and frame["paper_std"].notna().any()
    theirs = "paper, ± sd of 3 seeds" if spread else "paper"
    look: dict[str, Any] = {"marker": "o", "mfc": "white", "ms": 4.5, "linewidth": 1 if spread else 0}
    keys = [
        Line2D([], [], color=CYCLE[i % 8] if hue else GREY, label=f"{kind}, {theirs}" if kind else theirs, **look)
        for i, kind in enumerate(kinds)
        if (frame[frame[hue] == kind] if hue else frame)["paper"].notna().any()
    ]
    known = ((1, "one seed, 95 % over its test images"), (2, "two seeds, 95 % over seeds"))
    for i, kind in enumerate(kinds):
        name, mine = f"{kind}, " if kind else "", frame[frame[hue] == kind] if hue else frame
        seeds = mine.dropna(subset="mean")["seeds"]
        look = {"marker": MARKS[i % 8], "color": CYCLE[i % 8], "ms": 5}
        if (seeds >= ENOUGH).any():
            keys.append(Line2D([], [], label=f"{name}measured, 95 % over seeds", **look))
        for number, what in known:
            if (seeds == number).any():
                line = ":" if number == 1 else "-"
                keys.append(Line2D([], [], mfc="white", ls=line, label=f"{name}measured, {what}", **look))
    return keys


def orders(
    ax: Axes, frame: pd.DataFrame, colours: Iterable[str], texts: tuple[str, str] = ("{label}", "{label}")
) -> None:
    """Draw the paper's order of some rows beside the measured one: a line that stays level kept its rank.

    Args:
        ax: empty axes.
        frame: lines of ``results.summary`` of one metric, all with ``paper`` and ``mean``.
        colours: of the lines.
        texts: beside each row's left and right end, with its columns as names in brackets.
    """
    ranks = frame[["paper", "mean"]].rank(ascending=False, method="first")
    for line, (theirs, mine), colour in zip(frame.to_dict("records"), ranks.to_numpy(), colours, strict=True):
        look: dict[str, Any] = {"va": "center", "fontsize": 7, "color": colour}
        ax.plot([0, 1], [theirs, mine], "o-", color=colour, lw=1.2, ms=4)
        ax.text(-0.04, theirs, texts[0].format_map(line), ha="right", **look)
        ax.text(1.04, mine, texts[1].format_map(line), ha="left", **look)
    ax.set(xlim=(-1.0, 2.0), xticks=[0, 1], xticklabels=["paper", "measured"], yticks=[], ylim=(len(frame) + 0.6, 0.4))
    ax.spines[:].set_visible(False)
    ax.grid(visible=False)


def grid(
    rows: Mapping[str, Sequence[NDArray]], titles: Sequence[str] = (), *, size: float = 1.7, title: str = ""
) -> Figure:
    """Draw images, ``(H, W)`` grey or ``(H, W, 3)``, uint8 or 0 to 1, in lines with a name and columns with titles.

    Titles may break into lines; ``size`` is an image's, inches.
    """
    across = max(map(len, rows.values()))
    fig, axes = plt.subplots(
        len(rows), across, figsize=(size * across + 0.4, size * len(rows) + 0.5), squeeze=False, layout="constrained"
    )
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        for ax, image in zip(line, images, strict=False):
            top = 255 if image.dtype == np.uint8 else 1
            ax.imshow(image, cmap="gray", vmin=0, vmax=top)
        for ax in line:
            ax.set(xticks=[], yticks=[])
        for ax in line[len(images) :]:
            ax.axis("off")
        line[0].set_ylabel(name, fontsize=8)
    for ax, text in zip(axes[0], titles, strict=False):
        ax.set_title(text, fontsize=7, loc="center")
    fig.suptitle(title, x=0.01, ha="left", fontsize=10)
    return fig


def stretched(image: NDArray) -> NDArray[np.float64]:
    """An image in grey with its darkest and brightest hundredth cut off: much of Navcam is dark.

    From ``(H, W, 1)`` or ``(H, W, 3)``, uint8, to ``(H, W)``, 0 to 1.
    """
    grey = image.mean(axis=-1)
    low, high = np.percentile(grey, (1, 99))
    return np.clip((grey - low) / max(high - low, 1), 0, 1)


def paint(image: NDArray, mask: NDArray) -> NDArray[np.float64]:
    """An image under the colours of its labels; where it has none it stays grey under dark and light stripes.

    From the image, ``(H, W, 1)`` or ``(H, W, 3)``, uint8, and its mask, ``(H, W)``, codes 0 .. 3 in the order of
    ``TERRAIN`` (any other is no label), to ``(H, W, 3)``, 0 to 1.
    """
    grey = 0.15 + 0.85 * stretched(image)[..., None]  # (H, W, 1); no colour turns black
    table = np.zeros((256, 3))
    table[: len(TERRAIN)] = [to_rgb(colour) for colour in TERRAIN.values()]
    colours = table[mask]  # (H, W, 3)
    rows, columns = np.indices(mask.shape)
    bare = mask >= len(TERRAIN)
    colours[bare & ((rows + columns) // 8 % 2 == 0)] = 1  # white; the stripes between them stay black
    weight = np.where(bare, 0.4, 0.6)[..., None]  # (H, W, 1)
    painted: NDArray[np.float64] = (1 - weight) * grey + weight * colours
    return painted
