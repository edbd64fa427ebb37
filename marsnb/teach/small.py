"""Tiny trainings of the paper's classifier by Eq. 1, 2 or 3: a minute on a laptop, to watch what each loss does.

There is no classification here: cross entropy would hide what the contrastive losses do on their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from marsnb.data.augment import strong
from marsnb.data.base import ClassificationData
from marsnb.data.streams import class_pairs, shuffled
from marsnb.losses.info_nce import info_nce
from marsnb.losses.inter_class import inter_class
from marsnb.losses.similarity import similarity
from marsnb.models.backbones import build_backbone
from marsnb.models.classifier import Classifier
from marsnb.models.diagnostics import effective_rank
from marsnb.teach.threads import one_thread
from marsnb.teach.views import tensor_of

LOSSES = ("eq1", "eq2", "eq3", "simsiam")
SIZE, WIDTH = 32, 32
"""Edge of an image in pixels, numbers of an embedding (128 in the paper)."""
BATCH = {"eq1": 24, "eq3": 16, "simsiam": 16}
"""Images of a batch; Eq. 2 takes two of each class."""
RATE = 2e-3
PROBE = 160
"""Test images on which collapse is measured."""


@dataclass
class Trained:
    """A network and its course.

    Attributes:
        model: the network, whose batch normalisation always takes the statistics of the batch at hand.
        steps: steps at which was measured.
        losses: each loss then, by name; ``nan`` while it was not yet on.
        measures: ``variance`` and ``rank`` of the test images' embedding (``embedding``, by the head of Eq. 3) and of
            the backbone's features (``features``), as ``"rank embedding"``.
    """

    model: Classifier
    steps: list[int] = field(default_factory=list)
    losses: dict[str, list[float]] = field(default_factory=dict)
    measures: dict[str, list[float]] = field(default_factory=dict)

    def until(self, step: int) -> "Trained":
        """The course up to a step; the network is still the one of the end."""
        n = sum(when <= step for when in self.steps)
        losses = {name: values[:n] for name, values in self.losses.items()}
        return Trained(self.model, self.steps[:n], losses, {name: v[:n] for name, v in self.measures.items()})


def network(classes: int, seed: int = 0) -> Classifier:
    """The smoke profile's network from random weights, under the paper's three heads."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = Classifier(build_backbone("test_resnet", "random", seed=seed), classes, embedding_dim=WIDTH)
    for part in model.modules():
        if isinstance(part, _BatchNorm):  # so that a network of a few steps is measured as it was trained
            part.track_running_stats, part.running_mean, part.running_var = False, None, None
    return model


def train(
    data: ClassificationData,
    weights: Mapping[str, float],
    steps: int = 100,
    seed: int = 0,
    since: Mapping[str, int] | None = None,
    one_head: bool = False,
) -> Trained:
    """Train on a weighted sum of losses, Eq. 1 and 2 through H_s, Eq. 3 and SimSiam through H_u.

    Args:
        data: labelled images for Eq. 1 and 2; unlabelled ones for Eq. 3 and SimSiam, labelled where there are none.
        weights: weight of each of ``LOSSES`` that takes part; the paper has 1 for Eq. 2 and 0.2 for Eq. 3.
        steps: gradient steps of Adam.
        seed: of weights, batches and views.
        since: step from which on a loss takes part; 0 by default.
        one_head: send all losses through H_u, which the paper does not do.

    Raises:
        ValueError: a loss is unknown.
    """
    if unknown := set(weights) - set(LOSSES):
        raise ValueError(f"unknown loss {min(unknown)!r}; known: {', '.join(LOSSES)}")
    feed = _Feed(data, seed)
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.default_generator.manual_seed(seed)
        course = Trained(network(len(data.class_names), seed))
        model, predictor = course.model, nn.Sequential(nn.Linear(WIDTH, 16), nn.ReLU(), nn.Linear(16, WIDTH))
        if one_head:
            model.project_s = model.project_u
        if "simsiam" in weights:  # its projection ends in a batch normalisation without scale and shift
            model.project_u.append(nn.BatchNorm1d(WIDTH, affine=False, track_running_stats=False))
        optimizer = torch.optim.Adam([*model.parameters(), *predictor.parameters()], lr=RATE)
        for step in range(steps + 1):
            on = [name for name in weights if step >= (since or {}).get(name, 0)]
            losses = {name: _loss(name, model, predictor, *feed.views(name, step)) for name in on}
            if step % 10 == 0 or step == steps:
                _note(course, step, {name: losses.get(name) for name in weights}, feed.probe)
            if step < steps:
                optimizer.zero_grad()
                torch.stack([weights[name] * value for name, value in losses.items()]).sum().backward()
                optimizer.step()
    return course


def _loss(name: str, model: Classifier, predictor: nn.Module, view1: Tensor, view2: Tensor) -> Tensor:
    project = model.project_s if name in ("eq1", "eq2") else model.project_u
    z1, z2 = project(model.features(torch.cat([view1, view2]))).chunk(2)  # (B, WIDTH) each
    if name == "eq3":
        return similarity(z1, z2)
    if name == "simsiam":  # Chen and He, arXiv 2011.10566: a predictor on one side, no gradient on the other
        return (similarity(predictor(z1), z2.detach()) + similarity(predictor(z2), z1.detach())) / 2
    return info_nce(z1, z2) if name == "eq1" else inter_class(z1, z2)


class _Feed:
    """Two views of what a loss is fed at a step."""

    def __init__(self, data: ClassificationData, seed: int) -> None:
        self.labels, self.seed = data.train.labels, seed
        self.train = tensor_of(data.source, data.train.indices, SIZE)
        found = data.unlabelled
        self.unlabelled = self.train if found is None else tensor_of(found, np.arange(len(found.names)), SIZE)
        at = np.linspace(0, len(data.test) - 1, min(PROBE, len(data.test))).astype(int)
        self.probe = tensor_of(data.source, data.test.indices[at], SIZE)
        self.augment = strong(SIZE)

    def views(self, name: str, step: int) -> tuple[Tensor, Tensor]:
        """Strong views of two images of each class for Eq. 2, and of one image for all others."""
        if name == "eq2":
            first, second = class_pairs(self.labels, step, self.seed)
            both = torch.cat([self.train[first], self.train[second]])
        else:
            images = self.train if name == "eq1" else self.unlabelled
            chosen = images[shuffled(len(images), BATCH[name], step, self.seed)]
            both = torch.cat([chosen, chosen])
        view1, view2 = self.augment(both).chunk(2)
        return view1, view2


@torch.no_grad()
def _note(course: Trained, step: int, losses: Mapping[str, Tensor | None], probe: Tensor) -> None:
    course.steps.append(step)
    for name, value in losses.items():
        course.losses.setdefault(name, []).append(float("nan") if value is None else value.item())
    features = course.model.features(probe)
    for name, z in (("embedding", course.model.project_u(features)), ("features", features)):
        course.measures.setdefault(f"variance {name}", []).append(variance(z))
        course.measures.setdefault(f"rank {name}", []).append(effective_rank(F.normalize(z, dim=1)).item())


def variance(z: Tensor) -> float:
    """Variance of unit embeddings, added over all directions: 0 where all are equal, 1 where they cancel out."""
    return 1 - F.normalize(z, dim=1).mean(dim=0).square().sum().item()


@torch.no_grad()
def embed(model: Classifier, data: ClassificationData, indices: NDArray[np.int64], head: str = "s") -> Tensor:
    """Embeddings of labelled images by H_s, by H_u (``"u"``) or before any head (``"features"``), ``(N, D)``."""
    with one_thread():
        features = model.features(tensor_of(data.source, indices, SIZE))
        return {"s": model.project_s, "u": model.project_u, "features": nn.Identity()}[head](features)
