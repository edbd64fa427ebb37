"""The claims to look at: a table with verdicts in colour and symbol, a figure of the evidence, and the tally."""

from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table
from rich.text import Text

from marsnb.report.claim_checks import FAILS, HOLDS, OPEN, UNTESTED, VERDICTS
from marsnb.report.claims import SYMBOLS, frame, judge, tally
from marsnb.report.evidence import finite, scale
from marsnb.report.style import BLACK, GREEN, GREY, ORANGE, PALE, RED, caption, make

COLOURS = {HOLDS: GREEN, FAILS: RED, OPEN: ORANGE, UNTESTED: PALE}
MARKS = {HOLDS: "o", FAILS: "X", OPEN: "s", UNTESTED: "D"}
WIDE = 25
"""Points beyond which an interval is drawn apart: single classes have few images."""
HEADS = ("§", "The paper says", "Paper", "Measured, with 95 % interval", "Verdict")


def _data(profile: str) -> str:
    return "synthetic" if scale(profile) == "synthetic" else "MSL v1, AI4Mars"


def table_html(profile: str, sections: str = "") -> str:
    """The claims as an HTML table, each verdict with its colour, its symbol and its word.

    Args:
        profile: name of the profile.
        sections: first digits of the sections to show, e.g. ``"345"``; all by default.
    """
    found = frame(profile).drop(columns="n").fillna("")
    if sections:
        found = found[found["section"].str[0].isin(list(sections))]
    cell = "text-align:left;vertical-align:top;padding:4px 8px;white-space:normal"
    rows = [f"<tr>{''.join(f'<th style={chr(34)}{cell}{chr(34)}>{head}</th>' for head in HEADS)}</tr>"]
    for line in found.to_dict("records"):
        verdict, measured = str(line["verdict"]), escape(str(line["measured"]))
        why = f'<br><span style="color:{GREY}">{escape(str(line["why"]))}</span>' if line["why"] else ""
        badge = f'<b style="border-left:6px solid {COLOURS[verdict]};padding-left:6px;white-space:nowrap">'
        cells = [
            escape(str(line["section"])), f"“{escape(str(line['quote']))}”", escape(str(line["paper"])),
            (measured + why).removeprefix("<br>"), f"{badge}{SYMBOLS[verdict]} {verdict}</b>",
        ]  # fmt: skip
        rows.append("<tr>" + "".join(f'<td style="{cell}">{text}</td>' for text in cells) + "</tr>")
    tag = "<p><b>SYNTHETIC DATA</b></p>" if scale(profile) == "synthetic" else ""
    return f'{tag}<table style="font-size:90%">{"".join(rows)}</table>'


def claims_table(profile: str) -> list[Table]:
    """The claims and their tally, to print."""
    found = frame(profile).drop(columns="n").fillna("")
    view = Table(title=f"Claims of the paper at profile {profile}", show_lines=True)
    for name in HEADS:
        view.add_column(name)
    for line in found.to_dict("records"):
        evidence = "; ".join(filter(None, [str(line["measured"]), str(line["why"])]))
        verdict = f"{SYMBOLS[str(line['verdict'])]} {line['verdict']}"
        view.add_row(*(Text(str(cell)) for cell in (line["section"], line["quote"], line["paper"], evidence, verdict)))
    counted = Table(title="How many hold")
    for name in ("section", *VERDICTS):
        counted.add_column(name, justify="left" if name == "section" else "right")
    for section, row in tally(found).iterrows():
        counted.add_row(str(section), *(str(row[verdict]) for verdict in VERDICTS))
    return [view, counted]


def fig_claims(profile: str) -> Path:
    """Every gain that a claim rests on, with its interval, the paper's number and the verdict."""
    return make("fig_claims", profile, _build, _draw)


def _build(profile: str) -> pd.DataFrame:
    found = []
    for item in judge(profile):
        for part in item.parts:
            if part.value is None or part.unit != "points" or not finite(part.value):
                continue
            if item.claim.kind != "direction":  # amounts are of the same gains, and counts need no interval
                continue
            value = part.value
            found.append({
                "claim": item.claim.id, "section": f"§ {item.claim.section}", "label": part.label, "value": value.value,
                "low": value.low, "high": value.high, "n": value.n, "paper": part.paper, "verdict": part.verdict,
                "data": _data(profile),
            })  # fmt: skip
    columns = ["claim", "section", "label", "value", "low", "high", "n", "paper", "verdict", "data"]
    if not found:
        return pd.DataFrame([[*[None] * 9, _data(profile)]], columns=columns)
    return pd.DataFrame(found, columns=columns).drop_duplicates("label")


def _draw(frame_: pd.DataFrame) -> Figure:
    shown = frame_.dropna(subset=["value"])
    wide = shown[["low", "high"]].abs().max(axis=1) > WIDE
    panels = [part for part in (shown[~wide], shown[wide]) if len(part)]
    heights = [len(part) + 1 for part in panels] or [1]
    size = (8, max(1.6, 0.21 * sum(heights) + 1))
    fig, axes = plt.subplots(len(heights), 1, figsize=size, height_ratios=heights, squeeze=False)
    if shown.empty:
        ax = axes[0, 0]
        ax.text(0.5, 0.5, "no gain of a claim was measured on real images at this profile", ha="center", color=GREY)
        ax.set_axis_off()
        return fig
    for ax, part in zip(axes[:, 0], panels, strict=True):
        _bars(ax, part)
    axes[0, 0].set_title("What the claims rest on")
    axes[-1, 0].set_xlabel("gain that the sentence claims (points): right of 0 is the claimed side")
    known = dict(pair for ax in axes[:, 0] for pair in zip(*ax.get_legend_handles_labels()[::-1], strict=True))
    fig.legend(known.values(), known.keys(), loc="outside upper right", ncols=5, fontsize=7.5)
    seeds = "One seed" if shown["n"].max() == 1 else f"{shown['n'].min():.0f} to {shown['n'].max():.0f} seeds"
    apart = f" Below, on a scale of their own: those that reach beyond {WIDE} points." if len(panels) > 1 else ""
    caption(fig, f"Section, and the two rows that are compared. Bars: 95 % interval of the difference. {seeds}.{apart}")
    return fig


def _bars(ax: Axes, shown: pd.DataFrame) -> None:
    at = np.arange(len(shown))[::-1]
    ax.axvline(0, color=BLACK, linewidth=0.8)
    for verdict in VERDICTS:
        mine = (shown["verdict"] == verdict).to_numpy()
        if mine.any():
            part = shown[mine]
            arms = np.stack([part["value"] - part["low"], part["high"] - part["value"]])
            colour = COLOURS[verdict]
            ax.errorbar(part["value"], at[mine], xerr=arms, fmt=MARKS[verdict], color=colour, ms=5, label=verdict)
    printed = shown["paper"].notna().to_numpy()
    ax.plot(shown["paper"][printed], at[printed], "d", color=GREY, mfc="white", ms=5, label="the paper's gain")
    ax.set_yticks(
        at, [f"{s}  {label}" for s, label in zip(shown["section"], shown["label"], strict=True)], fontsize=7.5
    )
    ax.set_ylim(-0.7, len(shown) - 0.3)


def fig_tally(profile: str) -> Path:
    """How many claims of each section hold."""

    def build(of: str) -> pd.DataFrame:
        counts = tally(frame(of)).drop(index="all").rename_axis("section").reset_index()
        return counts.assign(section="§ " + counts["section"], data=_data(of))

    return make("fig_claims_tally", profile, build, _draw_tally)


def _draw_tally(counts: pd.DataFrame) -> Figure:
    at, start = np.arange(len(counts))[::-1], np.zeros(len(counts))
    fig, ax = plt.subplots(figsize=(7.5, 0.32 * len(counts) + 1.2))
    for verdict in VERDICTS:
        width = counts[verdict].to_numpy(float)
        ax.barh(at, width, left=start, height=0.7, color=COLOURS[verdict], label=f"{SYMBOLS[verdict]} {verdict}")
        for y, x, n in zip(at, start + width / 2, width, strict=True):
            if n:
                colour = BLACK if verdict in (OPEN, UNTESTED) else "white"
                ax.text(x, y, f"{SYMBOLS[verdict]} {n:.0f}", ha="center", va="center", fontsize=8, color=colour)
        start += width
    ax.set_yticks(at, counts["section"])
    ax.set_xlabel("claims")
    ax.grid(axis="y", visible=False)
    ax.set_title("Do the paper's sentences hold?")
    fig.legend(loc="outside upper right", ncols=4, fontsize=8)
    caption(fig, f"{counts[list(VERDICTS)].to_numpy().sum()} claims. Data: {counts['data'].iloc[0]}.")
    return fig
