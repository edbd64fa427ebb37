"""Our own drawing of the segmentation framework that the paper shows in Fig. 7."""

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from marsnb.report.style import BLACK, BLUE, GREEN, GREY, ORANGE, caption, styled

STEPS = {"1: contrast alone": ORANGE, "2: cross entropy joins": BLUE, "3: pseudo labels join": GREEN}
"""Colour of what each step adds; what comes in once stays, but for the losses' weights."""
ONE, TWO, THREE = STEPS.values()
WIDTH, HEIGHT, GAP = 1.9, 0.75, 0.06
# name: text, centre, colour
BOXES = {
    "image": ("image x", (1.0, 3.0), GREY),
    "backbone": ("backbone B", (3.5, 3.0), ONE),
    "head": ("head H", (6.0, 4.4), TWO),
    "logits": ("class logits", (8.5, 4.4), TWO),
    "ce": ("L_ce, Eq. 8", (11.2, 4.4), TWO),
    "label": ("label y", (11.2, 5.8), GREY),
    "head_s": ("head H_s", (6.0, 1.6), ONE),
    "embeddings": ("embeddings f\n128 numbers each", (8.5, 1.6), ONE),
    "contrast": ("L_s, Eq. 7", (11.2, 1.6), ONE),
    "bank": ("memory bank M\n32 means per class", (8.5, 0.1), ONE),
    "merged": ("merged label\ny and pseudo labels", (11.2, 3.0), THREE),
}
STRAIGHT, RIGHT_ANGLE, UP, AROUND = "arc3", "angle,angleA=-90,angleB=180", "angle,angleA=0,angleB=90", "arc3,rad={}"
# from, its side, to, its side, colour, way
ARROWS = (
    ("image", "r", "backbone", "l", ONE, STRAIGHT),
    ("backbone", "r", "head", "l", TWO, STRAIGHT),
    ("head", "r", "logits", "l", TWO, STRAIGHT),
    ("logits", "r", "ce", "l", TWO, STRAIGHT),
    ("label", "b", "ce", "t", TWO, STRAIGHT),
    ("backbone", "r", "head_s", "l", ONE, STRAIGHT),
    ("head_s", "r", "embeddings", "l", ONE, STRAIGHT),
    ("embeddings", "r", "contrast", "l", ONE, STRAIGHT),
    ("embeddings", "b", "bank", "t", ONE, STRAIGHT),
    ("bank", "r", "contrast", "b", ONE, UP),
    ("logits", "b", "merged", "l", THREE, RIGHT_ANGLE),
    ("merged", "b", "contrast", "t", THREE, STRAIGHT),
    ("label", "r", "merged", "r", THREE, AROUND.format(-0.55)),
    ("label", "r", "contrast", "r", ONE, AROUND.format(-0.75)),
)
TEXTS = {
    "enqueue": ((7.85, 0.85), ONE),
    "prototypes": ((10.4, 0.3), ONE),
    "where surer than the\nthreshold: pseudo labels": ((7.2, 3.3), THREE),
    "step 3": ((11.65, 2.3), THREE),
    "steps 1, 2": ((14.35, 3.7), ONE),
}
"""Beside arrows: place and colour."""


def _box(ax: Axes, text: str, at: tuple[float, float], colour: str) -> None:
    corner = (at[0] - WIDTH / 2, at[1] - HEIGHT / 2)
    ax.add_patch(
        FancyBboxPatch(
            corner, WIDTH, HEIGHT, boxstyle="round,pad=0.04", edgecolor=colour, facecolor="white", linewidth=1.8
        )
    )
    ax.text(*at, text, ha="center", va="center", fontsize=8.5, color=BLACK)


def _side(name: str, side: str) -> tuple[float, float]:
    """Where an arrow leaves or meets a box, a little off its edge: ``l``, ``r``, ``t`` or ``b``."""
    x, y = BOXES[name][1]
    across, up = {"l": (-1, 0), "r": (1, 0), "t": (0, 1), "b": (0, -1)}[side]
    return x + across * (WIDTH / 2 + GAP), y + up * (HEIGHT / 2 + GAP)


def framework() -> Figure:
    """Backbone, two heads, memory bank, label and pseudo labels; coloured by the step that brings each in."""
    with styled():
        fig, ax = plt.subplots(figsize=(10, 5))
        for text, at, colour in BOXES.values():
            _box(ax, text, at, colour)
        for start, leaves, end, meets, colour, way in ARROWS:
            ends = _side(start, leaves), _side(end, meets)
            ax.add_patch(
                FancyArrowPatch(
                    *ends, arrowstyle="-|>", mutation_scale=11, color=colour, connectionstyle=way, shrinkA=0, shrinkB=0
                )
            )
        for text, ((x, y), colour) in TEXTS.items():
            ax.text(x, y, text, fontsize=7.5, color=colour, ha="center", va="center")
        for k, (text, colour) in enumerate(STEPS.items()):
            ax.text(0.05, 6.0 - 0.45 * k, f"step {text}", fontsize=9, color=colour, weight="bold")
        ax.set(xlim=(-0.1, 15), ylim=(-0.5, 6.4), aspect="equal")
        ax.set_axis_off()
        caption(fig, "Our drawing of the framework of Fig. 7. Both heads are whole DeepLabv3+ heads.", width=120)
        plt.close(fig)
        return fig
