"""A memory bank that can be watched filling: features are the numbers of the steps, so its entries tell their age."""

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from marsnb.models.memory_bank import MemoryBank
from marsnb.report.style import BLUE, GREY, PALE, RED, caption, styled

NAMES = ("soil", "bedrock", "sand", "big rock")
OFTEN = (1.0, 0.7, 0.5, 0.2)
"""How often an image shows each class: the last is rare."""
LENGTH, SIDE = 4, 8
"""Entries of a queue (32 in the paper), edge of the maps."""
SHOWN = (1, 3, 6, 12)


@dataclass(frozen=True)
class Snapshot:
    """The bank after a step.

    Attributes:
        step: how many images it has seen.
        entries: of each class the step that each entry is from, oldest first.
        prototypes: their averages; ``None`` for a class without entries, which is no candidate yet.
    """

    step: int
    entries: tuple[tuple[int, ...], ...]
    prototypes: tuple[float | None, ...]


def watch(seed: int = 0) -> list[Snapshot]:
    """Feed a bank one map a step, whose every feature is the number of the step, and look at it after each.

    Args:
        seed: of which classes an image shows.
    """
    rng, bank, seen = np.random.default_rng(seed), MemoryBank(len(NAMES), dim=1, length=LENGTH), []
    for step in range(1, SHOWN[-1] + 1):
        classes = np.flatnonzero(rng.random(len(NAMES)) < OFTEN)
        labels = rng.permutation(np.resize(classes, SIDE * SIDE)).reshape(1, SIDE, SIDE)
        bank.enqueue(torch.full((1, 1, SIDE, SIDE), float(step)), torch.from_numpy(labels))
        entries = tuple(tuple(bank.entries(c)[:, 0].int().tolist()) for c in range(len(NAMES)))
        means = zip(bank.prototypes[:, 0].tolist(), bank.valid.tolist(), strict=True)
        seen.append(Snapshot(step, entries, tuple(mean if valid else None for mean, valid in means)))
    return seen


def picture(course: list[Snapshot]) -> Figure:
    """The queues after a few steps: a box is an entry, its number the step that it is from."""
    chosen = [snapshot for snapshot in course if snapshot.step in SHOWN]
    with styled():
        fig, axes = plt.subplots(1, len(chosen), figsize=(2.5 * len(chosen) + 0.6, 2.4), sharey=True, squeeze=False)
        for ax, snapshot in zip(axes[0], chosen, strict=True):
            _queues(ax, snapshot)
        axes[0, 0].set_yticks(range(len(NAMES)), NAMES)
        caption(fig, "A box is the average feature of one image, its number the step of that image; left the oldest. "
                     "Dark: of the last image. Right of a queue: its prototype.")  # fmt: skip
        plt.close(fig)
        return fig


def _queues(ax: Axes, snapshot: Snapshot) -> None:
    for c, (entries, mean) in enumerate(zip(snapshot.entries, snapshot.prototypes, strict=True)):
        for slot in range(LENGTH):
            there = slot < len(entries)
            now = there and entries[slot] == snapshot.step
            face = BLUE if now else PALE if there else "none"
            ax.add_patch(Rectangle((slot - 0.46, c - 0.4), 0.92, 0.8, facecolor=face, edgecolor=GREY, linewidth=0.6))
            if there:
                ax.text(slot, c, str(entries[slot]), ha="center", va="center", color="white" if now else "black")
        text, colour = ("none", RED) if mean is None else (f"{mean:.4g}", GREY)
        ax.text(LENGTH - 0.4, c, text, va="center", color=colour, fontsize=8)
    ax.set(title=f"after step {snapshot.step}", xlim=(-0.6, LENGTH + 0.5), ylim=(len(NAMES) - 0.5, -0.5), xticks=[])
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)


def sentences(course: list[Snapshot]) -> str:
    """What the last snapshot shows, as Markdown."""
    last = course[-1]
    text = []
    for name, entries, mean in zip(NAMES, last.entries, last.prototypes, strict=True):
        if mean is None:
            text.append(f"- *{name}* was in none of the {last.step} images: it has no prototype and is no candidate.")
            continue
        full = "full" if len(entries) == LENGTH else f"{len(entries)} of {LENGTH} entries"
        text.append(f"- *{name}*: {full}, its oldest entry {last.step - entries[0]} steps old, prototype {mean:.4g}.")
    return "\n".join(text)
