"""How runs of classification are opened, prepared and scored."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from marsnb.data import DATASETS
from marsnb.data.bank import Bank, BankSpec, FirstView, open_bank
from marsnb.data.base import ClassificationData
from marsnb.data.streams import STREAMS
from marsnb.methods._base import Task
from marsnb.methods.classification import METHODS
from marsnb.models._weights import file_digest
from marsnb.models.backbones import build_backbone
from marsnb.models.classifier import Classifier
from marsnb.training.batches import Arrays, Batches, open_arrays, training_list
from marsnb.training.evaluate import Scores, diagnostics, forward_all, score, strong_views, write_predictions
from marsnb.training.pretrain import PretrainSpec, moco_mars_weights, start_before
from marsnb.training.spec import ClassificationSpec
from marsnb.training.work import Work


def open_data(spec: ClassificationSpec) -> ClassificationData:
    """The data set that a spec names."""
    return DATASETS[spec.dataset](spec.protocol, **spec.data_options)


def sees_unlabelled(spec: ClassificationSpec) -> bool:
    """Whether the method is fed unlabelled images."""
    return any(STREAMS[name].source == "unlabelled" for name in METHODS[spec.method].streams)


def fingerprint_of(spec: ClassificationSpec, data: ClassificationData) -> str:
    """Digest of the data, the unlabelled images among them where the method or its start saw them, and of a start file.

    A checkpoint at one path may be another one tomorrow.
    """
    parts = [data.fingerprint, *file_digest(start_before(spec.start) or spec.start)]
    if (sees_unlabelled(spec) or start_before(spec.start) is not None) and data.unlabelled:
        parts.append(data.unlabelled.fingerprint)
    return hashlib.sha256(":".join(parts).encode()).hexdigest()[:16]


def build_method(
    spec: ClassificationSpec, class_counts: Sequence[int], start: str | None = None, steps: int = 1
) -> Any:
    """The method with its model, weights drawn from the spec's seed; ``start`` takes the place of the spec's.

    It is told the training images of each class and the steps of an epoch.
    """
    torch.manual_seed(spec.seed)
    backbone = build_backbone(spec.backbone, start or spec.start, seed=spec.seed)
    if spec.trunk is not None:
        backbone.cut_at(spec.trunk)
    model = Classifier(backbone, len(class_counts), batchnorm=spec.batchnorm)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    method = METHODS[spec.method](model, spec, **spec.settings)
    method.prepare(Task(tuple(int(n) for n in class_counts), spec.epochs, steps))
    return method


def _with_banks(arrays: Arrays, method: Any, data: ClassificationData, spec: ClassificationSpec) -> Arrays:
    """The arrays with views through the method's trunk for every stream whose pixels the method leaves alone.

    A bank has no test image but plain ones, and holds the official train and validation images whatever the protocol,
    so that all runs share it.
    """
    trunk = method.model.backbone  # whose trunk is in evaluation mode always
    labelled = np.sort(np.concatenate([data.train.indices, data.val.indices]))

    def bank(source: Any, indices: NDArray[np.int64], augmentation: str, views: int) -> Bank:
        return open_bank(BankSpec(source, spec.image_size, indices, augmentation, views, trunk, str(spec.trunk)))

    banks = {}
    for name in method.streams if not method.precompute else ():
        stream = STREAMS[name]
        source = data.source if stream.source == "train" else data.unlabelled
        if name in method.pixels or source is None:
            continue
        indices = labelled if stream.source == "train" else np.arange(len(source.names))
        banks[name] = bank(source, indices, stream.augmentation, spec.views)
    scored = FirstView(bank(data.source, np.arange(len(data.source.names)), "plain", 1))
    shown = None if method.precompute or spec.views < 2 else bank(data.source, labelled, "strong", spec.views)
    return replace(arrays, banks=banks, scored=scored, shown=shown)


def prepare(spec: ClassificationSpec, data: ClassificationData, device: torch.device) -> Work:
    """The run, ready to train."""
    counts = np.bincount(training_list(data, spec.train_on).labels, minlength=len(data.class_names))
    start = spec.start
    if start_before(start) is not None:
        start = str(moco_mars_weights(spec, data, device, PretrainSpec(steps=spec.pretrain_steps)))
    steps = spec.steps_per_epoch or int(counts.sum()) // spec.batch_labelled
    method = build_method(spec, counts.tolist(), start, steps)
    arrays = open_arrays(data, spec.image_size, unlabelled=sees_unlabelled(spec), train_on=spec.train_on)
    if spec.trunk is not None:
        arrays = _with_banks(arrays, method, data, spec)
    if method.precompute:
        images = arrays.images if arrays.scored is None else arrays.scored
        features = forward_all(method.model.to(device).backbone, images, np.arange(len(arrays.images)), device)
        arrays = Arrays(features.numpy(), None, arrays.splits)
    batches = Batches(arrays, method.streams, spec, lambda epoch: method.streams_of(method.stage_at(epoch)[0]))
    views_on = cache(partial(strong_views, arrays, arrays.splits["val"], spec.image_size))
    latest: dict[str, Scores] = {}  # of the epoch that was assessed last: the splits are whole, so they are the scores

    def scores_of(method: Any, device: torch.device) -> dict[str, Scores]:
        latest.update({s: score(method.model, arrays, arrays.splits[s], device) for s in spec.evaluate})
        return latest

    def assess(method: Any, device: torch.device) -> dict[str, float]:
        values = {f"{split}/top1": s.top1 for split, s in scores_of(method, device).items()}
        return values | diagnostics(method.model, method.embedding, views_on(device))

    def last(method: Any, device: torch.device) -> dict[str, Scores]:
        return latest or scores_of(method, device)  # none where it was stopped between its last epoch and the ledger

    def keep(scores: dict[str, Scores], folder: Path) -> None:
        write_predictions(scores, data, folder / "predictions.csv")

    return Work(method, batches, assess, last, keep, data.class_names, "top1")
