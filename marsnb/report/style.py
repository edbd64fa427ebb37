"""One look for all figures, and the one place that writes them: PNG, SVG and the CSV they were drawn from."""

import io
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

from marsnb import paths
from marsnb.errors import DataError
from marsnb.files import write_whole
from marsnb.report.files import write_csv

# Okabe and Ito's eight colours, told apart with every common colour blindness
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, YELLOW, BLACK = "#56B4E9", "#CC79A7", "#F0E442", "#000000"
GREY, PALE = "#6E6E6E", "#C9C9C9"
CYCLE = [BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK, GREY]

STYLE: Any = {
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",  # shipped with matplotlib, so the letters are the same everywhere
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=CYCLE),
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.hashsalt": "marsnb",  # the same figure gives the same bytes
}
DPI = 150


def styled() -> Any:
    """The context that every figure is drawn in."""
    return mpl.rc_context(STYLE)


def is_synthetic(frame: pd.DataFrame) -> bool:
    """Whether any line of ``frame`` comes from generated images (its column ``data`` says so)."""
    return bool(frame["data"].astype(str).str.contains("synthetic", case=False).any())


def caption(fig: Figure, text: str, width: int = 110) -> None:
    """Write ``text`` in small grey letters under a figure, wrapped at ``width`` characters."""
    fig.text(0.01, -0.01, "\n".join(textwrap.wrap(text, width)), ha="left", va="top", fontsize=7.5, color=GREY)


def stamp(fig: Figure) -> None:
    """Mark a figure of generated images, over everything else on it."""
    fig.text(
        0.5, 0.5, "SYNTHETIC", ha="center", va="center", rotation=30, fontsize=48, color=RED, alpha=0.13, zorder=99
    )
    # beside the figure, where neither a legend nor the caption can be
    fig.text(-0.01, 0.5, "SYNTHETIC DATA", rotation=90, ha="right", va="center", fontsize=9, color=RED, weight="bold")


def _encode(fig: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    metadata: dict[str, Any] = {"Date": None, "Creator": "marsnb"} if kind == "svg" else {"Software": "marsnb"}
    fig.savefig(buffer, format=kind, dpi=DPI, bbox_inches="tight", pad_inches=0.1, metadata=metadata)
    return buffer.getvalue()


def folder(profile: str, images: bool = False) -> Path:
    """Folder a figure is saved in; those that show images of a data set have one of their own, which git ignores."""
    return paths.images(profile) if images else paths.figures(profile)


def save(fig: Figure, stem: str, profile: str, data: pd.DataFrame, images: bool = False) -> Path:
    """Write ``stem.csv``, ``stem.png`` and ``stem.svg``, each whole or not at all.

    Args:
        fig: the figure; it is marked SYNTHETIC if its data say so.
        stem: name of the three files.
        profile: name of the profile.
        data: what it was drawn from; its column ``data`` names the data set.
        images: whether it shows images of a data set.

    Returns:
        Path of the PNG.
    """
    if is_synthetic(data):
        stamp(fig)
    at = folder(profile, images)
    with styled():
        png, svg = _encode(fig, "png"), _encode(fig, "svg")
    plt.close(fig)
    write_csv(at / f"{stem}.csv", data)
    write_whole(at / f"{stem}.svg", svg)
    return write_whole(at / f"{stem}.png", png)


def make(
    stem: str,
    profile: str,
    build: Callable[[str], pd.DataFrame],
    draw: Callable[[pd.DataFrame], Figure],
    images: bool = False,
) -> Path:
    """Build a figure's numbers, write them beside it, and draw it from what was written.

    Where the data set is not on this machine but the numbers lie there already, it is drawn from those.

    Args:
        stem: name of the files.
        profile: name of the profile.
        build: profile -> numbers, with a column ``data``.
        draw: numbers -> figure.
        images: whether the figure shows images of a data set.

    Returns:
        Path of the PNG.

    Raises:
        DataError: there are neither new numbers nor old ones.
    """
    at = folder(profile, images) / f"{stem}.csv"
    try:
        write_csv(at, build(profile))
    except DataError:
        if not at.is_file():
            raise
    frame = pd.read_csv(at)
    with styled():
        return save(draw(frame), stem, profile, frame, images)
