"""The course of segmentation runs, with the step of training that each epoch is in."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from marsnb.errors import RecipeError
from marsnb.report.measured import Line, lines
from marsnb.report.style import GREY
from marsnb.training import ledger

PRETRAIN, JOINT, PSEUDO, CE = "contrast alone", "joint losses", "pseudo labels", "cross entropy"
"""What a step trains with, in the words of the figures."""


def staged(curves: pd.DataFrame, epochs: int) -> pd.DataFrame:
    """Add to the curves of one run the step that each epoch is in.

    What a step trains with shows in the losses that it left.

    Args:
        curves: ``epoch`` (from 1), ``metric``, ``value``.
        epochs: of one step.

    Returns:
        The same lines with ``stage``, the number of the step from 0, and ``step``, one of the names above.
    """
    frame = curves.assign(stage=(curves["epoch"] - 1) // epochs)
    found = frame.groupby("stage")["metric"].agg(set)
    return frame.assign(step=frame["stage"].map({stage: _name(metrics) for stage, metrics in found.items()}))


def _name(metrics: set[str]) -> str:
    if "pseudo_share" in metrics:
        return PSEUDO
    if "element_wise" in metrics:
        return JOINT if "ce" in metrics else PRETRAIN
    return CE


def course(number: int, profile: str, rows: tuple[str, ...] | None = None) -> pd.DataFrame:
    """Curves of rows of a segmentation table, with their steps.

    Args:
        number: of the table.
        profile: name of the profile.
        rows: ids of the rows, all of which must have been run; by default those that were.

    Returns:
        Columns ``row`` (its id), ``label``, ``seed``, ``epoch`` (from 1), ``stage``, ``step``, ``metric``, ``value``,
        ``data``; rows in their order.

    Raises:
        RecipeError: a row that is needed, or every row, has no curves.
    """
    book, curves = ledger.read(profile), ledger.read_curves(profile)
    parts: list[pd.DataFrame] = []
    for line in lines(number, profile):
        if rows is not None and line.row.id not in rows:
            continue
        mine = _of(line, book, curves)
        if mine.empty and rows is not None:
            raise RecipeError(_not_run(f"row {line.row.id!r} of Table {number}", number, profile))
        parts.append(mine)
    parts = [part for part in parts if len(part)]
    if not parts:
        raise RecipeError(_not_run(f"Table {number}", number, profile))
    return pd.concat(parts, ignore_index=True)


def _not_run(what: str, number: int, profile: str) -> str:
    return f"{what} has no curves at profile {profile}: run `marsnb run --table {number} --profile {profile}`"


def _of(line: Line, book: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    run_ids = line.measured.run_ids if line.measured else ()
    seeds = book.drop_duplicates("run_id").set_index("run_id")["seed"]
    parts = [
        staged(curves[curves["run_id"] == run_id], line.spec.epochs).assign(seed=seeds[run_id]) for run_id in run_ids
    ]
    columns = ["row", "label", "seed", "epoch", "stage", "step", "metric", "value", "data"]
    if not parts or line.measured is None:
        return pd.DataFrame(columns=columns)
    return pd.concat(parts).assign(row=line.row.id, label=line.row.label, data=line.measured.data)[columns]


def changes(frame: pd.DataFrame) -> dict[float, str]:
    """Where one step gives way to the next, half an epoch before it begins, and the name of the next.

    Args:
        frame: ``epoch``, ``stage``, ``step`` of one row.
    """
    first = frame.sort_values("epoch").drop_duplicates("stage").iloc[1:]  # nothing gives way to the first
    return {float(epoch) - 0.5: str(step) for epoch, step in zip(first["epoch"], first["step"], strict=True)}


def mark(ax: Axes, where: dict[float, str], text: bool = True) -> None:
    """Mark changes of step by an arrow, with the name of the new step over the panel.

    Args:
        ax: the panel; a title is lifted over the names.
        where: see `changes`.
        text: whether the names are written.
    """
    for x, name in where.items():
        ax.axvline(x, color=GREY, linewidth=0.8, linestyle=":")
        ax.annotate(
            name if text else "", xy=(x, 0.87), xytext=(x, 1.02), xycoords=ax.get_xaxis_transform(), ha="center",
            va="bottom", fontsize=7, color=GREY, arrowprops={"arrowstyle": "-|>", "color": GREY, "linewidth": 1.2},
        )  # fmt: skip
    ax.set_title(ax.get_title(loc="left"), pad=20 if text and where else 8)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def seeds_text(frame: pd.DataFrame) -> str:
    """How many runs stand behind a line, as a sentence."""
    counts = frame.groupby("row")["seed"].nunique()
    few, many = int(counts.min()), int(counts.max())
    if many == 1:
        return "One seed."
    return f"Mean over {many} seeds." if few == many else f"Mean over {few} to {many} seeds."


def scored(images: int | None) -> str:
    """Which images the curves are of, as a sentence; empty where it is all of them.

    Args:
        images: ``curve_images`` of the run's spec.
    """
    return "" if images is None else f"Curves are of {images} test images, evenly spread in time; tables are of all."
