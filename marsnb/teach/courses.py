"""Pictures and sentences of the tiny trainings of notebook 04, made from their numbers."""

import math
from collections.abc import Mapping

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from marsnb.report.style import BLUE, CYCLE, GREY, ORANGE, PURPLE, caption, stamp, styled
from marsnb.teach.small import Trained

COLLAPSED = 0.05
"""A variance of unit embeddings below this is called collapsed: they lie about 13 degrees from their mean."""
NAMES = {"eq1": "Eq. 1", "eq2": "Eq. 2", "eq3": "Eq. 3", "simsiam": "SimSiam"}


def losses(course: Trained, synthetic: bool) -> Figure:
    """Each loss of one training over its steps."""
    with styled():
        fig, axes = plt.subplots(1, len(course.losses), figsize=(4.2 * len(course.losses), 2.6), squeeze=False)
        for ax, (name, values), colour in zip(axes[0], course.losses.items(), (BLUE, ORANGE, PURPLE), strict=False):
            ax.plot(course.steps, values, color=colour, marker="o", markersize=3)
            ax.set(title=NAMES[name], xlabel="step", xlim=(-2, course.steps[-1] + 2))
        if synthetic:
            stamp(fig)
        plt.close(fig)
        return fig


def collapse(courses: Mapping[str, Trained], synthetic: bool, joined: int | None = None) -> Figure:
    """Variance and effective rank over the steps, of the embedding and of the features, a line for each training.

    Args:
        courses: trainings by the name to show.
        synthetic: whether the images are generated.
        joined: step to mark, at which Eq. 2 joined.
    """
    with styled():
        fig, axes = plt.subplots(2, 2, figsize=(9.6, 5.2), sharex=True, squeeze=False)
        for row, (what, title) in enumerate((("variance", "variance"), ("rank", "effective rank"))):
            for column, where in enumerate(("embedding", "features")):
                ax = axes[row, column]
                for (name, course), colour, dash in zip(courses.items(), CYCLE, ("-", "--", ":", "-."), strict=False):
                    ax.plot(course.steps, course.measures[f"{what} {where}"], color=colour, linestyle=dash, label=name)
                if joined is not None:
                    ax.axvline(joined, color=GREY, linewidth=1)
                    ax.text(joined, 1.0, " Eq. 2 joins", transform=ax.get_xaxis_transform(), va="top", fontsize=8)
                ax.set(title=f"{title} of the {where}", xlabel="step" if row else "")
                ax.set_ylim(0 if what == "variance" else 1, 1.02 if what == "variance" else None)
        fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(courses))
        caption(fig, f"Measured on test images. Variance of unit vectors: 0 where all are equal; below {COLLAPSED:g} "
                     "the sentences say collapsed. Effective rank: directions in use.")  # fmt: skip
        if synthetic:
            stamp(fig)
        plt.close(fig)
        return fig


def at(course: Trained, step: int, what: str) -> float:
    """A measure, or a loss, at the last measured step that is not after ``step``."""
    values = course.measures.get(what) or course.losses[what]
    return [value for when, value in zip(course.steps, values, strict=True) if when <= step][-1]


def _state(value: float) -> str:
    return "collapsed" if value < COLLAPSED else "not collapsed"


def between(course: Trained, start: int, end: int, name: str) -> str:
    """What happened to the variance and the rank of the embedding and of the features from one step to another."""
    parts = []
    for where in ("embedding", "features"):
        v0, v1 = (at(course, step, f"variance {where}") for step in (start, end))
        r0, r1 = (at(course, step, f"rank {where}") for step in (start, end))
        parts.append(
            f"variance of the {where} {v0:.3f} to {v1:.3f} ({_state(v1)}), effective rank {r0:.1f} to {r1:.1f}"
        )
    return f"**{name}**, steps {start} to {end}: " + "; ".join(parts) + "."


def fell(course: Trained, name: str, end: int) -> str:
    """Whether a loss fell, in words."""
    values = [v for when, v in zip(course.steps, course.losses[name], strict=True) if when <= end and not math.isnan(v)]
    word = "fell" if values[-1] < values[0] else "did not fall"
    return f"{NAMES[name]} {word}: {values[0]:.3f} to {values[-1]:.3f}."


def recovered(course: Trained, joined: int, name: str) -> str:
    """Whether the embedding came back after Eq. 2 joined, in words."""
    before, after = at(course, joined, "variance embedding"), at(course, course.steps[-1], "variance embedding")
    if before >= COLLAPSED:
        return f"**{name}**: there was no collapse to undo (variance {before:.3f} when Eq. 2 joined)."
    word = "came back" if after >= COLLAPSED else "stayed collapsed"
    return f"**{name}**: the embedding {word} (variance {before:.3f} when Eq. 2 joined, {after:.3f} at the end)."
