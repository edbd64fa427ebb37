"""Contrastive learning that can be watched: a tiny network that learns, in seconds, to place things on a circle."""

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from marsnb.losses.info_nce import info_nce
from marsnb.losses.similarity import similarity
from marsnb.models.diagnostics import alignment, uniformity
from marsnb.teach.threads import one_thread

KINDS, PER_KIND, WIDTH = 6, 20, 16
"""Kinds of things, things of a kind, numbers that describe a thing."""
SPREAD, NOISE = 0.45, 0.25
"""How far things of a kind lie apart, and the two views of a thing, where kinds lie at distance about 5."""
SNAPSHOTS = (0, 10, 40, 400)


@dataclass
class Course:
    """What happened in one training.

    Attributes:
        kinds: kind of each thing, ``(n,)``; nothing that trains looks at it.
        places: embeddings on the circle after so many steps, each ``(n, 2)``.
        steps: steps at which was measured.
        loss: the loss then; ``alignment`` and ``uniformity`` likewise.
    """

    kinds: NDArray[np.int64]
    places: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    steps: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    alignment: list[float] = field(default_factory=list)
    uniformity: list[float] = field(default_factory=list)


def things(seed: int = 0) -> tuple[Tensor, NDArray[np.int64]]:
    """``KINDS`` clouds of ``PER_KIND`` points: ``(n, WIDTH)`` and the kind of each."""
    rng = np.random.default_rng(seed)
    kinds = np.repeat(np.arange(KINDS), PER_KIND)
    centres = rng.normal(size=(KINDS, WIDTH))
    points = centres[kinds] + SPREAD * rng.normal(size=(len(kinds), WIDTH))
    return torch.tensor(points, dtype=torch.float32), kinds


def train(loss: str = "info_nce", temperature: float = 0.2, steps: int = 400, seed: int = 0) -> Course:
    """Train a network of two layers to place things on a circle, from two noisy views of each.

    Args:
        loss: ``"info_nce"`` (Eq. 1) or ``"similarity"`` (Eq. 3).
        temperature: tau of Eq. 1.
        steps: gradient steps, each on all things.
        seed: of the things, the weights and the noise.

    Returns:
        The course of it, with the places at ``SNAPSHOTS`` and at the last step.

    Raises:
        ValueError: the loss is unknown.
    """
    if loss not in ("info_nce", "similarity"):
        raise ValueError(f"unknown loss {loss!r}; known: info_nce, similarity")
    points, kinds = things(seed)
    course = Course(kinds)
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.default_generator.manual_seed(seed)
        network = nn.Sequential(nn.Linear(WIDTH, 64), nn.ReLU(), nn.Linear(64, 2))
        optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
        for step in range(steps + 1):
            z1, z2 = (network(points + NOISE * torch.randn_like(points)) for _ in range(2))  # (n, 2) each
            value = info_nce(z1, z2, temperature) if loss == "info_nce" else similarity(z1, z2)
            if step % 10 == 0 or step == steps or step in SNAPSHOTS:
                _note(course, step, steps, (z1, z2, value), network(points))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    return course


@torch.no_grad()
def _note(course: Course, step: int, last: int, now: tuple[Tensor, Tensor, Tensor], places: Tensor) -> None:
    z1, z2, value = now
    course.steps.append(step)
    course.loss.append(value.item())
    course.alignment.append(alignment(z1, z2).item())
    course.uniformity.append(uniformity(z1).item())
    if step in SNAPSHOTS or step == last:
        course.places[step] = F.normalize(places, dim=1).numpy()


def sentences(course: Course) -> str:
    """What the course shows, in words made from its numbers."""
    first, last = 0, -1
    words = {True: "fell", False: "did not fall"}
    return (
        f"The loss {words[course.loss[last] < course.loss[first]]}: "
        f"{course.loss[first]:.2f} to {course.loss[last]:.2f}. "
        f"Alignment went from {course.alignment[first]:.3f} to {course.alignment[last]:.3f} "
        f"(0: both views at one place). "
        f"Uniformity went from {course.uniformity[first]:.2f} to {round(course.uniformity[last], 2) + 0.0:.2f} "
        f"(0: all things at one place; {_uniform_circle():.2f}: spread evenly)."
    )


def _uniform_circle(n: int = KINDS * PER_KIND) -> float:
    angle = torch.arange(n) * (2 * torch.pi / n)
    return uniformity(torch.stack([angle.cos(), angle.sin()], dim=1)).item()
