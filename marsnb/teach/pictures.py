"""The small figures of notebook 02: pairs, matrices, temperature and the circle."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from marsnb.report.style import BLUE, CYCLE, GREEN, GREY, ORANGE, PALE, RED, caption, stamp, styled
from marsnb.teach.circle import Course

NEGATIVES = np.array([0.8, 0.6, 0.4, 0.2, 0.0, -0.2, -0.4])
POSITIVE = 0.7
"""One anchor's cosines in the pictures of the temperature: the first negative is nearer than the positive."""


def _done(fig: Figure, synthetic: bool = False) -> Figure:
    if synthetic:
        stamp(fig)
    plt.close(fig)  # the cell shows it as its value, once
    return fig


def _thumb(ax: Axes, image: Tensor) -> None:
    ax.imshow(image.permute(1, 2, 0).numpy())
    ax.set(xticks=[], yticks=[])
    ax.grid(False)


def pairs(images: Tensor, view1: Tensor, view2: Tensor, synthetic: bool) -> Figure:
    """Images above their two views."""
    with styled():
        fig, axes = plt.subplots(3, len(images), figsize=(1.15 * len(images) + 0.6, 3.7), squeeze=False)
        for row, (name, batch) in enumerate((("image", images), ("view 1", view1), ("view 2", view2))):
            for ax, image in zip(axes[row], batch, strict=True):
                _thumb(ax, image)
            axes[row, 0].set_ylabel(name)
        for number, ax in enumerate(axes[0], start=1):
            ax.set_title(str(number), loc="center")
        return _done(fig, synthetic)


def matrix(similarity: Tensor, view1: Tensor, view2: Tensor, synthetic: bool) -> Figure:
    """Cosines of all first views (rows) with all second views (columns), the views beside them."""
    n = len(similarity)
    with styled():
        fig = plt.figure(figsize=(6.6, 5.6))
        grid = fig.add_gridspec(n + 1, n + 2, width_ratios=[1] * (n + 1) + [0.35])
        for i in range(n):
            _thumb(fig.add_subplot(grid[i + 1, 0]), view1[i])
            _thumb(fig.add_subplot(grid[0, i + 1]), view2[i])
        ax = fig.add_subplot(grid[1:, 1:-1])
        drawn = _heat(ax, similarity)
        for i in range(n):
            ax.add_patch(Rectangle((i - 0.5, i - 0.5), 1, 1, fill=False, edgecolor="black", linewidth=2))
        ax.set(xticks=[], yticks=[], xlabel="second views: candidates (above)")
        fig.colorbar(drawn, cax=fig.add_subplot(grid[1:, -1]), label="cosine")
        ax.set_title("first views: anchors (left)")
        return _done(fig, synthetic)


def _heat(ax: Axes, values: Tensor, vmin: float = -1, vmax: float = 1) -> AxesImage:
    drawn = ax.imshow(values.numpy(), cmap="PuOr", vmin=vmin, vmax=vmax, aspect="auto")
    ax.grid(False)
    for (i, j), value in np.ndenumerate(values.numpy()):
        dark = abs(value) > 0.7 * vmax
        ax.text(
            j,
            i,
            f"{value:.2f}".replace("-0.00", "0.00"),
            ha="center",
            va="center",
            fontsize=8,
            color="white" if dark else "black",
        )
    return drawn


def by_hand(cosines: Tensor, temperature: float) -> Figure:
    """The three steps of the loss on a small example: cosines, exponentials, probabilities of each row."""
    scaled = (cosines / temperature).exp()
    steps = ((cosines, "1. cosine", 1.0), (scaled, "2. exp(cosine / τ)", float(scaled.max())))
    share = scaled / scaled.sum(dim=1, keepdim=True)
    with styled():
        fig, axes = plt.subplots(1, 3, figsize=(9.6, 3.0))
        for ax, (values, title, top) in zip(axes, (*steps, (share, "3. divided by the row's sum", 1.0)), strict=True):
            _heat(ax, values, -top, top)
            ticks, names = range(len(values)), [str(i + 1) for i in range(len(values))]
            ax.set(title=title, xlabel="candidate", xticks=ticks, xticklabels=names, yticks=ticks, yticklabels=names)
        axes[0].set_ylabel("anchor")
        return _done(fig)


def push(temperature: float) -> NDArray[np.float64]:
    """How much of the push each of ``NEGATIVES`` gets: its share of the negatives' exponentials."""
    weights = np.exp((NEGATIVES - NEGATIVES.max()) / temperature)
    return weights / weights.sum()


def temperatures(values: Sequence[float]) -> Figure:
    """Small multiples: the share of the push that each negative gets, one panel for each temperature."""
    with styled():
        width = 2.1 * len(values) + 0.7 if len(values) > 1 else 4.6
        fig, axes = plt.subplots(1, len(values), figsize=(width, 2.7), sharey=True, squeeze=False)
        for ax, temperature in zip(axes[0], values, strict=True):
            hard = [RED if cosine > POSITIVE else BLUE for cosine in NEGATIVES]
            ax.bar(NEGATIVES, 100 * push(temperature), width=0.15, color=hard)
            ax.axvline(POSITIVE, color=GREEN, linestyle="--", linewidth=1.2)
            ax.set(title=f"τ = {temperature:g}", xlabel="cosine with the anchor", ylim=(0, 105), xlim=(-0.55, 0.95))
        axes[0, 0].set_ylabel("share of the push, %")
        caption(fig, "Bars: negatives; red: nearer to the anchor than the positive is (dashed).", 30 * len(values) + 40)
        return _done(fig)


def _circle(ax: Axes, course: Course, step: int, title: str) -> None:
    turn = torch.linspace(0, 2 * torch.pi, 200)
    ax.plot(turn.cos(), turn.sin(), color=PALE, linewidth=1, zorder=1)
    places = course.places[step]
    for kind in np.unique(course.kinds):
        mine = places[course.kinds == kind]
        # a step outwards for each kind, or things at one place would hide one another
        out = 1 + 0.055 * int(kind)
        ax.scatter(out * mine[:, 0], out * mine[:, 1], s=13, color=CYCLE[kind], alpha=0.75, linewidths=0, zorder=2)
    ax.set(title=title, xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set_visible(False)


def circle(course: Course) -> Figure:
    """The circle before, during and after a training."""
    with styled():
        fig, axes = plt.subplots(1, len(course.places), figsize=(2.5 * len(course.places), 2.9))
        for ax, step in zip(axes, course.places, strict=True):
            _circle(ax, course, step, "before" if step == 0 else f"after {step} steps")
        caption(fig, "A colour is a kind, which the training never sees; each kind is drawn on a ring of its own.")
        return _done(fig)


def circles(courses: dict[str, Course]) -> Figure:
    """Where several trainings ended, side by side."""
    with styled():
        fig, axes = plt.subplots(1, len(courses), figsize=(2.5 * len(courses), 2.9), squeeze=False)
        for ax, (title, course) in zip(axes[0], courses.items(), strict=True):
            _circle(ax, course, max(course.places), title)
        return _done(fig)


def measures(course: Course) -> Figure:
    """Loss, alignment and uniformity over the steps of a training on the circle."""
    with styled():
        fig, axes = plt.subplots(1, 3, figsize=(9.6, 2.5))
        lines = (("loss", course.loss, GREY), ("alignment", course.alignment, BLUE))
        for ax, (name, values, colour) in zip(axes, (*lines, ("uniformity", course.uniformity, ORANGE)), strict=True):
            ax.plot(course.steps, values, color=colour)
            ax.set(title=name, xlabel="step")
        return _done(fig)
