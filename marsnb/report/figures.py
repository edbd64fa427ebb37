"""Figures with numbers: each is drawn from the CSV that lies beside it under the same name."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from marsnb.errors import RecipeError
from marsnb.report import counts, curves, images
from marsnb.report.measured import Line, lines, runs_of
from marsnb.report.style import BLACK, BLUE, GREY, ORANGE, PALE, RED, caption, make
from marsnb.training import ledger

BASELINE = "baseline"
"""Recipe row of Table 4 that Fig. 8 compares with; the paper's own model is the last row that is no control."""


def figure(name: str, profile: str) -> Path:
    """Draw one figure.

    Args:
        name: the paper's number (``"02a"``, ``"03"``, ``"04"``, ``"08"``) or ``"table04"``, ``"curves"``, ``"losses"``,
            ``"diagnostics"``.
        profile: name of the profile.

    Returns:
        Path of the PNG; SVG and CSV lie beside it.

    Raises:
        RecipeError: there is no such figure, or nothing was measured for it yet.
    """
    known = {
        "02a": fig02a,
        "03": images.fig03,
        "04": images.fig04,
        "08": fig08,
        "table04": fig_table04,
        "curves": curves.fig_curves,
        "losses": curves.fig_losses,
        "diagnostics": curves.fig_diagnostics,
    }
    if name not in known:
        raise RecipeError(f"unknown figure {name!r}; known: {', '.join(known)}")
    return known[name](profile)


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


def _heading(fig: Figure, title: str) -> None:
    """Title and legend above everything, both flush left."""
    fig.legend(loc="outside upper left", title=title, title_fontsize=10, alignment="left", fontsize=8)


def _measured(profile: str) -> list[Line]:
    found = [line for line in lines(4, profile) if line.measured]
    if not found:
        raise RecipeError(
            f"nothing of Table 4 was run at profile {profile}: run `marsnb run --table 4 --profile {profile}`"
        )
    return found


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
    _heading(fig, "Accuracy per class (Fig. 8)")
    seeds = int(frame["seeds"].max())
    text = f"n: test images. {'One seed' if seeds == 1 else f'Mean over {seeds} seeds'}. Data: {frame['data'].iloc[0]}."
    text += " Line in red: ours is below the baseline."
    if left_out:
        text += f" Left out, without test images: {', '.join(left_out)}."
    caption(fig, text)
    return fig


def fig_table04(profile: str) -> Path:
    """Table 4 as a figure: the paper's number and the measured one of every row, with their spreads."""
    return make("fig_table04", profile, _build_table04, _draw_table04)


def _build_table04(profile: str) -> pd.DataFrame:
    data = _measured(profile)[0].measured.data  # type: ignore[union-attr]
    rows = []
    for line in lines(4, profile):
        paper, m = line.row.paper, line.measured
        half = m.std if m and m.std is not None else None
        rows.append({
            "row": line.row.label, "control": line.row.control, "ran_as": line.ran_as,
            "same_as": line.same_as[0] if line.same_as else "",
            "paper_mean": paper.mean if paper else None, "paper_std": paper.std if paper else None,
            "measured_mean": m.mean if m else None,
            "measured_low": (m.mean - half if half is not None else m.low) if m else None,
            "measured_high": (m.mean + half if half is not None else m.high) if m else None,
            "n": m.n if m else None, "data": data,
        })  # fmt: skip
    return pd.DataFrame(rows)


def _draw_table04(frame: pd.DataFrame) -> Figure:
    frame = frame.iloc[::-1].reset_index(drop=True)
    at = frame.index.to_numpy()
    fig, ax = plt.subplots(figsize=(7.5, 0.42 * len(frame) + 1.3))
    both = frame[frame["paper_mean"].notna() & frame["measured_mean"].notna()]
    ax.hlines(both.index, both["paper_mean"], both["measured_mean"], color=PALE, linewidth=3, zorder=1)
    ax.errorbar(
        frame["paper_mean"], at + 0.09, xerr=frame["paper_std"], fmt="o", color=GREY, mfc="white", capsize=2,
        label="paper, ± standard deviation over 3 seeds",
    )  # fmt: skip
    gaps = [frame["measured_mean"] - frame["measured_low"], frame["measured_high"] - frame["measured_mean"]]
    several = (frame["n"].fillna(1) > 1).any()
    spread = "± standard deviation over seeds" if several else "95 % bootstrap interval over test images"
    error = np.nan_to_num(np.array(gaps, dtype=float)).clip(0)
    ax.errorbar(
        frame["measured_mean"], at - 0.09, xerr=error, fmt="D", color=BLUE, ms=5, capsize=2, label=f"measured, {spread}"
    )
    for y in at[frame["measured_mean"].isna().to_numpy()]:
        ax.text(0.99, y, "not run", transform=ax.get_yaxis_transform(), ha="right", va="center", color=RED, fontsize=8)
    first_control = frame.index[~frame["control"].astype(bool)].min()
    if first_control > 0:
        ax.axhline(first_control - 0.5, color=BLACK, linewidth=0.8)
        ax.text(
            0.0, first_control - 0.55, " controls (not in the paper)", transform=ax.get_yaxis_transform(),
            fontsize=7.5, va="top", color=GREY,
        )  # fmt: skip
    ax.set_yticks(
        at,
        [label + (" †" if pd.notna(s) and s else "") for label, s in zip(frame["row"], frame["same_as"], strict=True)],
    )
    ax.set_ylim(-0.7, len(frame) - 0.4)
    ax.set_xlabel("test accuracy (%)")
    _heading(fig, "Table 4: the paper's numbers and the measured ones")
    caption(fig, _notes_table04(frame))
    return fig


def _notes_table04(frame: pd.DataFrame) -> str:
    text = f"Last checkpoint. Data: {frame['data'].iloc[0]}."
    ran = sorted({str(r).split(" (paper")[0] for r in frame["ran_as"].dropna() if r})
    if ran:
        text += f" Run as: {'; '.join(ran)}; the paper's networks and start weights differ."
    if frame["same_as"].fillna("").astype(bool).any():
        text += " † shares its run with a row above, which the paper started from other weights."
    return text
