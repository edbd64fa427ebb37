"""What a training step costs, counted: images through the backbone, in a small network that stands for any."""

import json
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from marsnb.data.streams import STREAMS
from marsnb.losses._elements import IGNORE_INDEX
from marsnb.methods import methods_of
from marsnb.methods._base import Method, Task
from marsnb.methods.classification._parts import Batch, ClassificationMethod, PairBatch
from marsnb.methods.segmentation._parts import MaskBatch, SegmentationMethod
from marsnb.models.backbones import Backbone, build_backbone
from marsnb.models.classifier import Classifier
from marsnb.models.segmenter import OUTPUT_STRIDE, Segmenter, build_segmenter
from marsnb.training.spec import ClassificationSpec, RunSpec, make_spec

SIZE = 96  # edge of the images that are counted with: a third of it is the smallest patch that no method enlarges
CLASSES = 24
CLASS_COUNTS = tuple(range(10, 10 + CLASSES))
TERRAINS = 4
COUNTED = 60  # epochs of the run that is counted; those of another are in proportion


@dataclass(frozen=True)
class StepCost:
    """Images that one step of a stage passes through the backbone; an image of half the pixels counts half."""

    epochs: int  # length of the stage, in epochs of the run
    trained: float  # images with a gradient
    passed: float  # images without one (a momentum network, a frozen backbone)
    decoded: float = 0.0  # images through a decoder, of which a segmenter has one per head
    step: str = ""  # name of the stage, where the method's stages have names

    @property
    def images(self) -> float:
        """All of them."""
        return self.trained + self.passed


def fake_batches(method: ClassificationMethod, spec: ClassificationSpec, size: int) -> dict[str, Batch | PairBatch]:
    """Random images, ``size`` pixels wide, in the shapes that the streams of the method's stage bring."""
    sizes = {"labelled": spec.batch_labelled, "classes": CLASSES, "unlabelled": spec.batch_unlabelled}
    batches: dict[str, Batch | PairBatch] = {}
    for name in method.streams_of(method.stage):
        stream = STREAMS[name]
        n = sizes[stream.batch]
        labels = torch.arange(n) % CLASSES if stream.source == "train" else torch.full((n,), -1)
        views = [torch.rand(n, 3, size, size) for _ in range(stream.views)]
        if method.precompute:
            views = [torch.rand(n, method.model.backbone.num_features)]
        first, *second = views
        batches[name] = PairBatch(first, second[0], labels) if second else Batch(first, labels)
    return batches


def fake_masks(method: SegmentationMethod, spec: RunSpec, size: int) -> dict[str, MaskBatch]:
    """Random images with masks, a quarter of whose pixels have no label, for the streams of the method's stage."""
    n = spec.batch_labelled
    labels = torch.arange(size).remainder(TERRAINS).expand(n, size, size).clone()  # (B, H, W)
    labels[:, : size // 4] = IGNORE_INDEX
    return {name: MaskBatch(torch.rand(n, 3, size, size), labels) for name in method.streams_of(method.stage)}


def _small(spec: Any) -> Any:
    """The spec's method on a tiny network."""
    if spec.task == "segmentation":
        model: nn.Module = build_segmenter("test_resnet", TERRAINS, seed=0, decoder_channels=16)
    else:
        model = Classifier(build_backbone("test_resnet", "random", seed=0), CLASSES)
    method = methods_of(spec.task)[spec.method](model, spec, **spec.settings)
    method.prepare(Task(() if spec.task == "segmentation" else CLASS_COUNTS, spec.epochs, 1))
    return method.train()


def step_costs(spec: RunSpec) -> list[StepCost]:
    """The cost of one step, for each stage of the spec's method.

    The step is run, on random images and a tiny network, and what enters a backbone (also a copy of it) is counted, so
    that no method has to say what it costs.
    """
    fake: Any = fake_masks if spec.task == "segmentation" else fake_batches
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        method = _small(spec)
        lengths, found = method.stage_epochs(), []
        for stage, epochs in enumerate(lengths):
            method.begin_epoch(sum(lengths[:stage]))
            found.append(_count(method, fake(method, spec, SIZE), epochs))
    return found


@cache
def _costs(fields: tuple[tuple[str, Any], ...], settings: str) -> tuple[StepCost, ...]:
    tiny = {"dataset": "none", "image_size": SIZE, "backbone": "test_resnet", "start": "random"}
    return tuple(step_costs(make_spec(**tiny, **dict(fields), epochs=COUNTED, settings=json.loads(settings))))


def costs(spec: RunSpec) -> tuple[StepCost, ...]:
    """``step_costs``, counted once per method: neither length nor settings that are weights or thresholds matter."""
    names = ("task", "method", "batch_labelled", "batch_unlabelled")
    fields = tuple((name, getattr(spec, name)) for name in names if hasattr(spec, name))
    settings = {name: value for name, value in spec.settings.items() if not isinstance(value, float)}
    counted = _costs(fields, json.dumps(settings, sort_keys=True))
    return tuple(replace(cost, epochs=max(1, round(cost.epochs * spec.epochs / COUNTED))) for cost in counted)


def _count(method: Method, batches: dict[str, Any], epochs: int) -> StepCost:
    seen = {"trained": 0.0, "passed": 0.0, "decoded": 0.0}

    def count(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0]
        learns = torch.is_grad_enabled() and any(p.requires_grad for p in module.parameters())
        seen["trained" if learns else "passed"] += x.shape[0] * x.shape[2] * x.shape[3] / SIZE**2

    def decode(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0]  # the backbone's last features
        seen["decoded"] += x.shape[0] * x.shape[2] * x.shape[3] / (SIZE / OUTPUT_STRIDE) ** 2

    hooks = []
    for module in method.modules():
        if isinstance(module, Segmenter):
            hooks.append(module.encoder.register_forward_pre_hook(count))
            decoders: list[Any] = [decoder for decoder in (module.decoder, module.decoder_s) if decoder is not None]
            hooks += [decoder.aspp.register_forward_pre_hook(decode) for decoder in decoders]
        elif isinstance(module, Backbone):
            hooks.append(module.register_forward_pre_hook(count))
    try:
        method.step(**batches)
    finally:
        for hook in hooks:
            hook.remove()
    return StepCost(epochs, **seen, step=getattr(method, "step_name", ""))
