"""Figures with numbers: each is drawn from the CSV that lies beside it under the same name."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from marsnb.errors import RecipeError
from marsnb.recipes import load_table, tables
from marsnb.report import (
    claim_pictures,
    convergence,
    cost_of_contrast,
    cost_of_steps,
    counts,
    curves,
    examples,
    failures,
    features,
    forest,
    images,
    inconsistencies,
    masks,
    panels,
    pseudo,
    ranking_picture,
    terrain,
)
from marsnb.report.forest import heading
from marsnb.report.layout import NOT_RUN, variable
from marsnb.report.measured import lines, runs_of
from marsnb.report.style import BLUE, GREY, ORANGE, RED, caption, make
from marsnb.training import ledger

SWEEPS = (6, 7)
"""Tables that vary one weight."""
BASELINE = "baseline"
"""Recipe row of Table 4 that Fig. 8 compares with; the paper's own model is the last row that is no control."""


def figure(name: str, profile: str) -> Path:
    """Draw one figure.

    Args:
        name: the paper's number (``"02a"``, ``"02b"``, ``"03"`` to ``"05"``, ``"08"`` to ``"13"``), a table's
            (``"table03"`` and on), ``"sweeps"`` (Tables 6 and 7), ``"sweeps_segmentation"`` (Tables 10 and 11),
            ``"ranking"`` (Table 3), ``"curves"``, ``"losses"``, ``"diagnostics"``, ``"pseudo_course"``,
            ``"pseudo_classes"`` and ``"pseudo_trade"`` (pseudo labels), ``"separation"`` (Fig. 12 in numbers),
            ``"cost"`` (Eq. 6 against Eq. 7) and ``"steps"`` (Table 8's methods), both measured now,
            ``"claims"``, ``"claims_tally"`` or ``"facc"``.
        profile: name of the profile.

    Returns:
        Path of the PNG; SVG and CSV lie beside it.

    Raises:
        RecipeError: there is no such figure, or nothing was measured for it yet.
    """
    known: dict[str, Callable[[str], Path]] = {
        "02a": fig02a,
        "02b": terrain.fig02b,
        "03": images.fig03,
        "04": images.fig04,
        "05": terrain.fig05,
        "08": fig08,
        "09": examples.fig09,
        "10": failures.fig10,
        "11": convergence.fig11,
        "12": features.fig12,
        "13": masks.fig13,
        **{f"table{number:02d}": partial(_fig_table, number) for number in tables()},
        "sweeps": fig_sweeps,
        "sweeps_segmentation": panels.fig_swept,
        "ranking": ranking_picture.fig_ranking,
        "curves": curves.fig_curves,
        "losses": curves.fig_losses,
        "diagnostics": curves.fig_diagnostics,
        "pseudo_course": pseudo.fig_course,
        "pseudo_classes": pseudo.fig_classes,
        "pseudo_trade": pseudo.fig_trade,
        "separation": features.fig_separation,
        "cost": cost_of_contrast.fig_cost,
        "steps": cost_of_steps.fig_steps,
        "claims": claim_pictures.fig_claims,
        "claims_tally": claim_pictures.fig_tally,
        "facc": inconsistencies.fig_facc,
    }
    if name not in known:
        raise RecipeError(f"unknown figure {name!r}; known: {', '.join(known)}")
    return known[name](profile)


def _fig_table(number: int, profile: str) -> Path:
    """A table row by row, in a panel per metric where it has several."""
    draw = panels.fig_panels if load_table(number).more_metrics else forest.fig_table
    return draw(number, profile)


def fig02a(profile: str) -> Path:
    """Fig. 2a: share of each class in train and validation against test."""
    return make("fig02a", profile, _build_02a, _draw_02a)


def _build_02a(profile: str) -> pd.DataFrame:
    frame = counts.class_counts(profile)
    for split in ("train_val", "test"):
        frame[f"{split}_share"] = 100 * frame[split] / max(frame[split].sum(), 1)
    return frame


def _draw_02a(frame: pd.DataFrame) -> Figure:
    frame = frame.sort_values("train_val", kind="stable")
    at = np.arange(len(frame))
    fig, ax = plt.subplots(figsize=(7, 7.5))
    for split, offset, colour, label in (
        ("train_val", 0.2, BLUE, "train and validation"),
        ("test", -0.2, ORANGE, "test"),
    ):
        label = f"{label} ({int(frame[split].sum()):,} images)"
        ax.barh(at + offset, frame[f"{split}_share"], height=0.38, color=colour, label=label)
        for y, share, n in zip(at + offset, frame[f"{split}_share"], frame[split], strict=True):
            ax.text(share + 0.3, y, f"{int(n):,}", va="center", fontsize=6.5, color=GREY)
    ax.set_yticks(at, frame["class"])
    ax.set_ylim(-0.6, len(frame) - 0.4)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("share of the images of the split (%)")
    ax.set_title("Class shares, train and validation against test (Fig. 2a)")
    ax.legend(loc="lower right")
    caption(fig, f"Numbers at the bars: images. Data: {frame['data'].iloc[0]}.")
    return fig


def fig08(profile: str) -> Path:
    """Fig. 8: test accuracy per class of the baseline and of the paper's model."""
    return make("fig08", profile, _build_08, _draw_08)


def _build_08(profile: str) -> pd.DataFrame:
    paper_rows = [line for line in lines(4, profile) if not line.row.control]
    pair = {"baseline": next((x for x in paper_rows if x.row.id == BASELINE), paper_rows[0]), "ours": paper_rows[-1]}
    book, found = ledger.read(profile), []
    known: set[str] = set()
    for series, line in pair.items():
        if line.measured is None:
            raise RecipeError(
                f"row {line.row.id!r} of Table 4 was not run at profile {profile}: "
                f"run `marsnb run --table 4 --profile {profile}`"
            )
        mine = runs_of(book, line.key)
        mine = mine[mine["metric"].str.startswith("top1/")]
        known |= set(mine["metric"].str.removeprefix("top1/"))  # validation has classes that test lacks
        mine = mine[mine["split"] == "test"]
        for metric, group in mine.groupby("metric", sort=True):
            found.append({
                "class": str(metric).removeprefix("top1/"), "series": series, "label": line.row.label,
                "top1": 100 * group["value"].mean(), "n": int(group["n"].max()),
                "seeds": group["seed"].nunique(), "data": line.measured.data,
            })  # fmt: skip
    missing = sorted(known - {item["class"] for item in found})
    empty = {"label": "", "top1": None, "n": 0, "seeds": 0, "data": found[0]["data"]}
    found += [{"class": name, "series": series, **empty} for name in missing for series in pair]
    return pd.DataFrame(found)


def _draw_08(frame: pd.DataFrame) -> Figure:
    left_out = sorted(frame.loc[frame["n"] == 0, "class"].unique())
    frame = frame[frame["n"] > 0]
    wide = frame.pivot(index="class", columns="series", values="top1").sort_values(["ours", "baseline"])
    n = frame.groupby("class")["n"].max()
    at = np.arange(len(wide))
    fig, ax = plt.subplots(figsize=(7, 0.28 * len(wide) + 1.2))
    better = np.where(wide["ours"] >= wide["baseline"], BLUE, RED)
    ax.hlines(at, wide["baseline"], wide["ours"], color=better, linewidth=1.5, alpha=0.5)
    labels = frame.drop_duplicates("series").set_index("series")["label"]
    ax.plot(wide["baseline"], at, "o", color=ORANGE, mfc="white", mew=1.6, label=f"baseline: {labels['baseline']}")
    ax.plot(wide["ours"], at, "D", color=BLUE, ms=5.5, label=f"ours: {labels['ours']}")
    ax.set_yticks(at, [f"{name}  (n = {n[name]})" for name in wide.index])
    ax.set_xlim(-3, 103)
    ax.set_xlabel("test accuracy of the class (%)")
    heading(fig, "Accuracy per class (Fig. 8)")
    seeds = int(frame["seeds"].max())
    text = f"n: test images. {'One seed' if seeds == 1 else f'Mean over {seeds} seeds'}. Data: {frame['data'].iloc[0]}."
    text += " Line in red: ours is below the baseline."
    if left_out:
        text += f" Left out, without test images: {', '.join(left_out)}."
    caption(fig, text)
    return fig


def fig_sweeps(profile: str) -> Path:
    """Tables 6 and 7: accuracy against the weights λ_s and λ_u, the paper's and the measured."""
    return make("fig_sweeps", profile, _build_sweeps, _draw_sweeps)


def _build_sweeps(profile: str) -> pd.DataFrame:
    parts, refused = [], []
    for number in SWEEPS:
        try:
            part = forest.numbers(number, profile)
        except RecipeError as error:
            refused.append(error)
            part = forest.numbers(number, profile, empty=True)
        parts.append(part.assign(table=number, title=load_table(number).title))
    if len(refused) == len(SWEEPS):
        raise refused[0]
    frame = pd.concat(parts, ignore_index=True)
    frame["data"] = "; ".join(sorted(set(frame["data"]) - {""}))
    return frame[["table", "title", *(name for name in frame.columns if name not in ("table", "title"))]]


def _draw_sweeps(frame: pd.DataFrame) -> Figure:
    fig, axes = plt.subplots(1, len(SWEEPS), figsize=(8.5, 3.9), sharey=True)
    measured = f"measured, {forest.spread(frame['n'])}"
    for ax, (number, part) in zip(axes, frame.groupby("table"), strict=True):
        part = part.sort_values("variable", key=lambda weight: weight.astype(float), kind="stable")
        at = np.arange(len(part))  # the weights grow about twofold a step: evenly spaced, they are nearly a log axis
        ax.errorbar(
            at - 0.05, part["paper_mean"], yerr=part["paper_std"], fmt="o--", color=GREY, mfc="white", capsize=2,
            label="paper, ± standard deviation over 3 seeds",
        )  # fmt: skip
        ax.errorbar(
            at + 0.05, part["measured_mean"], yerr=forest.errors(part), fmt="D-", color=BLUE, ms=5, capsize=2,
            label=measured,
        )  # fmt: skip
        for x in at[part["measured_mean"].isna()]:  # the line has a gap there
            ax.text(x, 0.02, NOT_RUN, transform=ax.get_xaxis_transform(), ha="center", color=RED, fontsize=7.5)
        ax.set_xticks(at, [f"{weight:g}" for weight in part["variable"].astype(float)])
        ax.set_xlim(-0.5, len(part) - 0.5)
        ax.set_xlabel(f"{variable(list(part['row']))} (not to scale)")
        ax.set_title(f"Table {number}: {part['title'].iloc[0]}", fontsize=8.5)
    axes[0].set_ylabel("test accuracy (%)")
    axes[0].margins(y=0.12)  # room for "not run"
    handles, labels = axes[0].get_legend_handles_labels()
    heading(fig, "Accuracy against the losses' weights", handles=handles, labels=labels)
    caption(fig, forest.notes(frame, dagger=False), width=125)
    return fig
