"""What a training step costs, counted: images through the backbone, in a small network that stands for any."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from marsnb.data.streams import STREAMS
from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Batch, ClassificationMethod, PairBatch, Task
from marsnb.models.backbones import Backbone, build_backbone
from marsnb.models.classifier import Classifier
from marsnb.training.spec import ClassificationSpec

SIZE = 96
"""Edge of the images that are counted with: a third of it is the smallest patch that no method enlarges."""
CLASSES = 24
CLASS_COUNTS = tuple(range(10, 10 + CLASSES))


@dataclass(frozen=True)
class StepCost:
    """Images that one step of a stage passes through the backbone; an image of half the pixels counts half.

    Attributes:
        epochs: length of the stage, in epochs of the run.
        trained: images with a gradient.
        passed: images without one (a momentum network, a frozen backbone).
    """

    epochs: int
    trained: float
    passed: float

    @property
    def images(self) -> float:
        """All of them."""
        return self.trained + self.passed


def fake_batches(method: ClassificationMethod, spec: ClassificationSpec, size: int) -> dict[str, Batch | PairBatch]:
    """Random images in the shapes that the streams of the method's stage bring.

    Args:
        method: at the stage that is asked about.
        spec: sizes of the batches.
        size: edge of the images, pixels.
    """
    sizes = {"labelled": spec.batch_labelled, "classes": CLASSES, "unlabelled": spec.batch_unlabelled}
    batches: dict[str, Batch | PairBatch] = {}
    for name in method.streams_of(method.stage):
        stream = STREAMS[name]
        n = sizes[stream.batch]
        labels = torch.arange(n) % CLASSES if stream.source == "train" else torch.full((n,), -1)
        views = [torch.rand(n, 3, size, size) for _ in range(stream.views)]
        if method.precompute:
            batches[name] = Batch(torch.rand(n, method.model.backbone.num_features), labels)
        else:
            first, *second = views
            batches[name] = PairBatch(first, second[0], labels) if second else Batch(first, labels)
    return batches


def step_costs(spec: ClassificationSpec) -> list[StepCost]:
    """The cost of one step, for each stage of the spec's method.

    The step is run, on random images and a tiny network, and what enters a backbone (also a copy of it) is counted, so
    that no method has to say what it costs.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Classifier(build_backbone("test_resnet", "random", seed=0), CLASSES)
        method = METHODS[spec.method](model, spec.schedule, **spec.settings)
        method.prepare(Task(CLASS_COUNTS, spec.epochs, 1))
        method.train()
        lengths, found = method.stage_epochs(), []
        for stage, epochs in enumerate(lengths):
            method.begin_epoch(sum(lengths[:stage]))
            found.append(_count(method, fake_batches(method, spec, SIZE), epochs))
    return found


def _count(method: ClassificationMethod, batches: dict[str, Any], epochs: int) -> StepCost:
    seen = {True: 0.0, False: 0.0}

    def count(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0]
        learns = torch.is_grad_enabled() and any(p.requires_grad for p in module.parameters())
        seen[learns] += x.shape[0] * x.shape[2] * x.shape[3] / SIZE**2

    hooks = [m.register_forward_pre_hook(count) for m in method.modules() if isinstance(m, Backbone)]
    try:
        method.step(**batches)
    finally:
        for hook in hooks:
            hook.remove()
    return StepCost(epochs, seen[True], seen[False])
