"""Notebook 14: what a training step of each method of Table 8 costs, and the paper's claim that ours needs less."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from marsnb import paths, recipes
from marsnb.bench.steps import PAIRS, TABLE, measured
from marsnb.report.forest import heading
from marsnb.report.style import BLUE, GREEN, GREY, ORANGE, caption, make

DATA = "random images"
"""What is measured on: the cost depends on the sizes alone."""
MIB = 2**20
LOOK = {"pretrain": (GREEN, "^"), "joint": (BLUE, "o"), "pseudo": (ORANGE, "s")}
NAMES = {"pretrain": "pretraining", "joint": "with cross entropy", "pseudo": "with fixed or online pseudo labels"}
OURS, RECO = "ours", "reco"
WORDS = {
    "step": "time per step",
    "whole": "time of the whole training",
    "peak": "peak memory",
    "state": "memory kept",
}
"""What ``ratios`` are of."""


@dataclass(frozen=True)
class Cost:
    """What a method costs.

    Attributes:
        step: time of a step in those of the baseline, the mean over all steps of its training.
        whole: time of the whole training, in epochs of the baseline.
        peak, state: bytes: the most that a step holds, and what stays between steps.
    """

    step: float
    whole: float
    peak: int
    state: int


def fig_steps(profile: str, pairs: int = PAIRS) -> Path:
    """Time of a step, of the whole training, and peak memory of every method of Table 8, measured now.

    Args:
        profile: whose network and batch are measured.
        pairs: steps of each method, each beside one of the baseline.
    """

    def build(name: str) -> pd.DataFrame:
        return measured(name, pairs).assign(profile=profile, data=DATA)

    return make("fig_steps", profile, build, _draw)


def path_of(profile: str) -> Path:
    """The numbers of the figure."""
    return paths.figures(profile) / "fig_steps.csv"


def cost_of(frame: pd.DataFrame, row: str) -> Cost:
    """The cost of a row's method.

    Args:
        frame: numbers of the figure.
        row: its id.
    """
    mine = frame[frame["row"] == row]
    whole = float((mine["ms"] / mine["base_ms"] * mine["epochs"]).sum())
    return Cost(whole / float(mine["epochs"].sum()), whole, int(mine["peak"].max()), int(mine["state"].max()))


def _draw(frame: pd.DataFrame) -> Figure:
    rows = list(dict.fromkeys(frame["row"]))
    labels = frame.drop_duplicates("row").set_index("row")["label"]
    whole = {row: cost_of(frame, row).whole for row in rows}
    fig, axes = plt.subplots(1, 3, figsize=(9.4, 0.3 * len(rows) + 1.7), sharey=True)
    for step, (colour, marker) in LOOK.items():
        mine = frame[frame["step"] == step]
        at = [rows.index(row) for row in mine["row"]]
        axes[0].plot(mine["ms"] / mine["base_ms"], at, marker, color=colour, label=NAMES[step])
        axes[2].plot(mine["peak"] / MIB, at, marker, color=colour)
    axes[1].barh(range(len(rows)), [whole[row] / whole[OURS] for row in rows], height=0.5, color=GREY)
    titles = ("time of a step, baseline = 1", "whole training, ours = 1", "peak memory of a step, MiB")
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(title)
        ax.set_xlim(left=0)
    axes[0].axvline(1, color=GREY, linewidth=0.8, linestyle="--")
    axes[1].axvline(1, color=GREY, linewidth=0.8, linestyle="--")
    axes[0].set_yticks(range(len(rows)), [labels[row] for row in rows])
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    handles, names = axes[0].get_legend_handles_labels()
    heading(fig, f"What a training step of Table {TABLE} costs", handles=handles, labels=names)
    first = frame.iloc[0]
    threads = "" if str(first["device"]).startswith("cuda") else f", {first['threads']} thread"
    caption(
        fig,
        f"{first['backbone']}, {first['image_size']} px, batches of {first['batch']}, {first['device']}{threads}. "
        "Medians; each step was taken beside one of the baseline, which is cross entropy alone. The whole "
        "training counts every epoch of every step. Memory: weights, teacher, momentum, gradients and activations.",
        width=125,
    )
    return fig


def steps_table(frame: pd.DataFrame) -> str:
    """Every method's cost, as Markdown."""
    text = [
        "| Method | Time per step, by step of the training (baseline = 1) | Whole training (ours = 1) | Kept between "
        "steps, MiB | Peak, MiB |",
        "|---|---|---:|---:|---:|",
    ]
    ours = cost_of(frame, OURS)
    for row, mine in frame.groupby("row", sort=False):
        cost = cost_of(frame, str(row))
        times = dict(zip(mine["step"], mine["ms"] / mine["base_ms"], strict=True))
        steps = ", ".join(f"{step} {ratio:.2f}" for step, ratio in times.items())
        text.append(
            f"| {mine['label'].iloc[0]} | {steps} | {cost.whole / ours.whole:.2f} | {cost.state / MIB:,.0f} | "
            f"{cost.peak / MIB:,.0f} |"
        )
    return "\n".join(text)


def ratios(frame: pd.DataFrame, one: str = RECO, other: str = OURS) -> dict[str, float]:
    """Cost of one row's method as a multiple of another's: ``step``, ``whole``, ``peak`` and ``state``."""
    a, b = cost_of(frame, one), cost_of(frame, other)
    return {"step": a.step / b.step, "whole": a.whole / b.whole, "peak": a.peak / b.peak, "state": a.state / b.state}


def uncertainty(frame: pd.DataFrame) -> dict[str, float]:
    """Factor by which each of ``ratios`` may be off: how far the baseline's steps were apart; memory is counted."""
    apart = float(frame["base_ms"].max() / frame["base_ms"].min())
    return {"step": apart, "whole": apart, "peak": 1.0, "state": 1.0}


def steps_text(frame: pd.DataFrame) -> str:
    """The paper's claim about ReCo, tested: as Markdown."""
    found, off = ratios(frame), uncertainty(frame)
    label = recipes.load_table(TABLE).row(RECO).label
    holds = [name for name, value in found.items() if value / off[name] > 1]
    fails = [WORDS[name] for name, value in found.items() if value * off[name] <= 1]
    unsure = [WORDS[name] for name in found if name not in holds and WORDS[name] not in fails]
    verdict = "holds" if len(holds) == len(found) else "holds in part" if holds else "does not hold"
    if not holds and unsure:
        verdict = "is undecided"
    but = f"; not in {', '.join(fails)}" if fails and holds else ""
    but += f"; undecided in {', '.join(unsure)}, by how far the baseline's own steps were apart" if unsure else ""
    ours = frame[frame["row"] == OURS].set_index("step")
    base = frame.iloc[0]
    extra = (ours["peak"].max() - base["peak"]) / base["peak"]
    return "\n".join([
        f'- The paper: "Compared with ReCo, our strategy requires fewer computational resources." **It {verdict} '
        f"here**{but}: {label} takes {found['step']:.2f} times the time of ours per step, {found['whole']:.2f} times "
        f"for the whole training, although ours has one step of training more; its peak memory is {found['peak']:.2f} "
        f"times that of ours, and what it keeps between steps {found['state']:.2f} times.",
        f"- Why: a step of {label} passes the labelled batch and a second one through the network, and the second one "
        "through its teacher as well. Ours passes the labelled batch alone, through a second decoder.",
        f"- Against cross entropy alone, a step of ours takes {cost_of(frame, OURS).step:.2f} times the time, and "
        f"{100 * extra:+.0f} % of peak memory.",
        f"- The paper names neither time nor memory. Measured with {scale_of(frame)}.",
    ])  # fmt: skip


def scale_of(frame: pd.DataFrame) -> str:
    """Network, size, batch and machine of a measurement."""
    first = frame.iloc[0]
    return f"{first['backbone']} at {first['image_size']} px, batches of {first['batch']}, {first['device']}"
