"""What does not fit inside the paper itself, as a table, and Fig. FACC: what the third metric of Table 9 is."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from marsnb.report import paper_points, paper_points_terrain
from marsnb.report.paper_points import Point
from marsnb.report.style import BLUE, GREY, RED, caption, make
from marsnb.training.segmentation_metrics import facc_if_even


def points() -> list[Point]:
    """Every point, in the order of the sections: what the paper says, what its own numbers give, whether they agree."""
    return [make_point() for make_point in (*paper_points.POINTS, *paper_points_terrain.POINTS)]


def markdown(fits: bool) -> str:
    """The points as a Markdown table.

    Args:
        fits: only those that fit, or only the others.
    """
    text = ["| Where | The paper says | Its own numbers give | |", "|---|---|---|---|"]
    for point in points():
        if bool(point.fits) is fits:
            mark = {True: "✓ fits", False: "✗ does not fit", None: "? depends on the reading"}[point.fits]
            text.append(f"| {point.where} | {point.says} | {point.gives} | {mark} |")
    return "\n".join(text)


def fig_facc(profile: str) -> Path:
    """FACC of Tables 9 to 11 against ACC, beside what frequency-weighted IoU and plain accuracy would be."""
    return make("fig_facc", profile, lambda _: paper_points_terrain.facc_rows().assign(data="paper"), _draw)


def _draw(rows: pd.DataFrame) -> Figure:
    fig, ax = plt.subplots(figsize=(6, 3.8))
    acc = np.linspace(rows["acc"].min() - 0.15, rows["acc"].max() + 0.15, 50)
    even = 100 * facc_if_even(acc / 100)
    ax.plot(acc, even, color=GREY, linestyle="--", label="ACC / (2 - ACC), frequency-weighted IoU")
    odd = (rows["row"] == paper_points_terrain.OUTLIER).to_numpy()
    ax.plot(rows["acc"][~odd], rows["facc"][~odd], "o", color=BLUE, label="rows of Tables 9 to 11")
    ax.plot(rows["acc"][odd], rows["facc"][odd], "X", color=RED, ms=8, label="λ_s = 0.01, probably misprinted")
    ax.set_xlabel("ACC as printed (%)")
    ax.set_ylabel("FACC as printed (%)")
    ax.set_title("What is FACC?")
    ax.legend(loc="lower right", fontsize=8)
    caption(
        fig, "Numbers of the paper. Plain accuracy, which the paper's words amount to, would lie at FACC = ACC.", 90
    )
    return fig
