"""Notebook 11: time and memory of Eq. 6 against Eq. 7, where Eq. 6 stops fitting, and what the paper says of it."""

from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from marsnb.bench.contrast import BATCHED, CLASSES, DIM, GIB, IMAGES, SIDES, measured, similarities
from marsnb.report.style import BLUE, GREY, ORANGE, RED, caption, make

DATA = "random features"
"""What is measured on: the cost depends on the sizes alone."""
BUDGET = 1.0
"""GiB that Eq. 6 may grow into by default."""
SETTLED = 32
"""Edge from which slopes are fitted: below, what every call costs hides the growth."""
PAPER_SIDE, PAPER_BATCH, PAPER_PAIRS, PAPER_QUEUE = 128, 16, 268e6, 32
"""Section 5.1 and 7.1 of the paper: map, batch, "268 million vector multiplications", entries of a queue."""
LETTERED = (8, 16, 32, 64, 128)
"""Sizes that have room for their name on the axis."""
LOOK = {"Eq. 6": (ORANGE, "s"), "Eq. 7": (BLUE, "o")}


def fig_cost(profile: str, budget: float = BUDGET) -> Path:
    """Time and peak memory of both equations against the elements of the map, measured now.

    Args:
        profile: name of the profile, which says where it is kept; the sizes are the same in all.
        budget: GiB that Eq. 6 may grow into.
    """
    return make("fig_cost", profile, partial(_build, budget=budget), _draw)


def _build(profile: str, budget: float) -> pd.DataFrame:
    return measured(budget).assign(data=DATA)


def single(frame: pd.DataFrame, equation: str) -> pd.DataFrame:
    """Lines of one equation and one image, by size."""
    mine = frame[(frame["equation"] == equation) & (frame["images"] == 1)]
    return mine.sort_values("elements", ignore_index=True)


def growth(frame: pd.DataFrame, equation: str, what: str) -> tuple[float, float]:
    """Exponent p of ``what`` = a N^p, fitted on a log-log scale from `SETTLED` on, and its 95 % uncertainty.

    NaN for fewer than two sizes; of two sizes the uncertainty is infinite.
    """
    mine = single(frame, equation)
    mine = mine[mine["side"] >= SETTLED]
    if len(mine) < 2:
        return float("nan"), float("nan")
    fit = stats.linregress(np.log(mine["elements"]), np.log(mine[what]))
    arm = float(stats.t.ppf(0.975, len(mine) - 2) * fit.stderr) if len(mine) > 2 else inf
    return float(fit.slope), arm


def slope(frame: pd.DataFrame, equation: str, what: str) -> float:
    """The exponent alone."""
    return growth(frame, equation, what)[0]


def need_of_eq6(frame: pd.DataFrame, side: int, images: int = 1) -> float:
    """Bytes that Eq. 6 needs, from its largest measured size and, for more images, from what another image added.

    Args:
        frame: numbers of the figure.
        side: edge of the map.
        images: of the batch.
    """
    largest = single(frame, "Eq. 6").iloc[-1]
    need = float(largest["peak"]) * (side / float(largest["side"])) ** 4
    mine = frame[(frame["equation"] == "Eq. 6") & (frame["side"] == BATCHED)].set_index("images")["peak"]
    if images == 1 or IMAGES not in mine.index:
        return need * images
    another = (float(mine[IMAGES]) / float(mine[1]) - 1) / (IMAGES - 1)  # share of one image's need
    return need * (1 + (images - 1) * another)


def _draw(frame: pd.DataFrame) -> Figure:
    fig, axes = plt.subplots(1, 2, figsize=(9.2, 3.9))
    panels = (("seconds", "seconds of computing, forward and backward", 1.0), ("peak", "peak memory, MiB", 2.0**20))
    for ax, (what, title, unit) in zip(axes, panels, strict=True):
        for equation, (colour, marker) in LOOK.items():
            mine = single(frame, equation)
            p = slope(frame, equation, what)
            label = equation if np.isnan(p) else f"{equation}: grows as $N^{{{p:.2f}}}$"
            ax.plot(mine["elements"], mine[what] / unit, color=colour, marker=marker, label=label)
        ax.set(title=title, xscale="log", yscale="log", xlabel="elements N of the feature map")
        ax.set_xticks([side**2 for side in LETTERED], [f"{side}×{side}" for side in LETTERED])
        ax.minorticks_off()
        ax.legend(loc="upper left")
    _foretell(axes[1], frame)
    caption(
        fig,
        f"One image, {DIM} channels, {CLASSES} classes, every element labelled, {frame['device'].iloc[0]}. Exponents "
        f"fitted from {SETTLED}×{SETTLED} on. Hollow: not run, foretold from the largest size that was. Inputs and "
        "gradient included.",
    )
    return fig


def _foretell(ax: Axes, frame: pd.DataFrame) -> None:
    """Mark the sizes that Eq. 6 was not run at, the budget and the machine's memory."""
    left = [side for side in SIDES if side not in set(single(frame, "Eq. 6")["side"])]
    colour, marker = LOOK["Eq. 6"]
    needs = [need_of_eq6(frame, side) / 2**20 for side in left]
    ax.plot([side**2 for side in left], needs, marker, color=colour, mfc="white", mew=1.4)
    for what, name in (("budget", "budget of this run"), ("memory", "memory of this machine")):
        level = float(frame[what].iloc[0]) / 2**20
        ax.axhline(level, color=RED if what == "memory" else GREY, linestyle="--", linewidth=1)
        ax.text(SIDES[0] ** 2, level * 1.1, f"{name}, {level / 1024:.3g} GiB", fontsize=7, va="bottom")
    ax.set_ylim(top=max([*needs, float(frame["memory"].max()) / 2**20]) * 30)  # room for the legend


def table(frame: pd.DataFrame) -> str:
    """What was measured for one image, as Markdown."""
    text = [
        "| Map | Similarities, Eq. 6 | Eq. 6, ms | Eq. 7, ms | Ratio | Eq. 6, MiB | Eq. 7, MiB | Ratio |",
        "|---|" + "---:|" * 7,
    ]
    six: Any = single(frame, "Eq. 6").set_index("side")
    for line in single(frame, "Eq. 7").to_dict("records"):
        side = int(line["side"])
        cells = [f"{side} × {side}", f"{similarities('Eq. 6', side**2):,}"]
        for what, unit in (("seconds", 1e-3), ("peak", 2.0**20)):
            seven = line[what]
            if side in six.index:
                cells += [
                    f"{six.loc[side, what] / unit:,.2f}",
                    f"{seven / unit:,.2f}",
                    f"{six.loc[side, what] / seven:,.1f}",
                ]
            else:
                need = f"{need_of_eq6(frame, side) / unit:,.0f} foretold" if what == "peak" else "not run"
                cells += [need, f"{seven / unit:,.2f}", ""]
        text.append(f"| {' | '.join(cells)} |")
    return "\n".join(text)


def _gib(value: float) -> str:
    return f"{value / GIB:,.2f} GiB" if value < 10 * GIB else f"{value / GIB:,.0f} GiB"


def what_we_see(frame: pd.DataFrame) -> str:
    """Growth, the largest map that fits, and the paper's two statements, as Markdown."""
    last, first = single(frame, "Eq. 6").iloc[-1], frame.iloc[0]
    memory = float(first["memory"])
    fits = int(float(last["side"]) * (memory / float(last["peak"])) ** 0.25)
    pairs = similarities("Eq. 6", PAPER_SIDE**2)
    one, batch = need_of_eq6(frame, PAPER_SIDE), need_of_eq6(frame, PAPER_SIDE, PAPER_BATCH)
    seven: Any = single(frame, "Eq. 7").set_index("side")
    growth = [
        f"{e} {what} N^{slope(frame, e, c):.2f}" for e in LOOK for what, c in (("memory", "peak"), ("time", "seconds"))
    ]
    holds = "is right" if abs(pairs - PAPER_PAIRS) < 1e6 else "is not right"
    matrices = float(last["peak"]) / (4 * float(last["elements"]) ** 2)
    text = [
        f"- **Growth** with the number N of elements: {', '.join(growth)}. Theory: 2 for Eq. 6, 1 for Eq. 7.",
        f"- **At {last['side']} × {last['side']}**, the largest map that both ran, Eq. 6 took "
        f"{last['seconds'] / seven.loc[last['side'], 'seconds']:,.0f} times the time and "
        f"{last['peak'] / seven.loc[last['side'], 'peak']:,.0f} times the memory of Eq. 7. Its peak is that of "
        f"{matrices:.1f} matrices of N × N numbers of 4 bytes.",
    ]
    if first["stopped_side"]:
        side = int(first["stopped_side"])
        text.append(
            f"- **Stopped** before {side} × {side}: it needs {_gib(first['stopped_need'])}, the budget is "
            f"{_gib(float(first['budget']))}."
        )
    verdict = {True: "fits", False: "does not fit"}
    text += [
        f"- **Where it stops fitting here.** This machine has {_gib(memory)}. If all of it were free, one image could "
        f"have a map of {fits} × {fits}.",
        f"- **The paper's count.** {PAPER_SIDE} × {PAPER_SIDE} has {PAPER_SIDE**2:,} elements, hence {pairs:,} "
        f'similarities: "{PAPER_PAIRS / 1e6:.0f} million" {holds}. They are those of *one* image.',
        f'- **"Exceeds the capacity of current computation devices."** One image of {PAPER_SIDE} × {PAPER_SIDE} needs '
        f"{_gib(one)}, which {verdict[one < memory]} here. The batch of {PAPER_BATCH} needs {_gib(batch)}, which "
        f"{verdict[batch < memory]} here: every image keeps matrices until the backward pass. Eq. 7 needs "
        f"{seven.loc[PAPER_SIDE, 'peak'] / 2**20:.1f} MiB an image, and its bank "
        f"{CLASSES * PAPER_QUEUE * DIM * 4 / 1024:.0f} KiB in all.",
    ]
    return "\n".join(text)
