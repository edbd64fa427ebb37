"""How runs of segmentation are opened, prepared and scored."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from marsnb.data import SEGMENTATION_DATASETS
from marsnb.data.bank import BankSpec, open_bank
from marsnb.data.segmentation import SegmentationData
from marsnb.methods._base import Task
from marsnb.methods.segmentation import METHODS
from marsnb.models._weights import file_digest
from marsnb.models.segmenter import build_segmenter
from marsnb.training.pairs import PairBatches, open_pair_arrays
from marsnb.training.pixels import curve_values, evenly, score_pixels, write_matrices
from marsnb.training.segmentation_metrics import SegmentationScores
from marsnb.training.spec import SegmentationSpec
from marsnb.training.work import Work


def open_data(spec: SegmentationSpec) -> SegmentationData:
    """The data set that a spec names."""
    return SEGMENTATION_DATASETS[spec.dataset](spec.protocol, **spec.data_options)


def fingerprint_of(spec: SegmentationSpec, data: SegmentationData) -> str:
    """Digest of the pairs and the splits, and of a start file."""
    start = file_digest(spec.start)
    if not start:
        return data.fingerprint[:16]
    return hashlib.sha256(":".join([data.fingerprint, *start]).encode()).hexdigest()[:16]


def build_method(spec: SegmentationSpec, num_classes: int, steps: int = 1) -> Any:
    """The method with its model, weights drawn from the spec's seed; it is told the steps of an epoch."""
    torch.manual_seed(spec.seed)
    shape = {"decoder_channels": spec.decoder_channels, "dropout": spec.dropout, "batchnorm": spec.batchnorm}
    model = build_segmenter(spec.backbone, num_classes, spec.start, seed=spec.seed, **shape)
    if spec.trunk is not None:
        model.cut_at(spec.trunk)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    method = METHODS[spec.method](model, spec, **spec.settings)
    method.prepare(Task((), spec.epochs, steps))
    return method


def prepare(spec: SegmentationSpec, data: SegmentationData, device: torch.device) -> Work:
    """The run, ready to train."""
    arrays = open_pair_arrays(data, spec)
    steps = spec.steps_per_epoch or len(arrays.splits["train"]) // spec.batch_labelled
    method = build_method(spec, len(data.class_names), steps)
    if spec.trunk is not None:  # all pairs whatever the protocol, so that all runs share one bank
        every, trunk = np.arange(len(data.source.names)), method.model
        bank = open_bank(BankSpec(data.source, spec.image_size, every, "mirror", 2, trunk, spec.trunk))
        arrays = replace(arrays, bank=bank, pixels=method.pixels)
    batches = PairBatches(arrays, method.streams, spec)

    native = data.source.mask(int(arrays.splits["train"][0]), None).shape == arrays.masks.shape[1:]
    own = None if native else data.source

    def assess(method: Any, device: torch.device) -> dict[str, float]:
        values: dict[str, float] = {}
        for split in spec.evaluate:
            chosen = evenly(arrays.splits[split], spec.curve_images)
            found = curve_values(*score_pixels(method.model, arrays, chosen, device), data.class_names)
            values |= {f"{split}/{name}": value for name, value in found.items()}
        return values

    def score(method: Any, device: torch.device) -> dict[str, SegmentationScores]:
        return {s: score_pixels(method.model, arrays, arrays.splits[s], device, own)[0] for s in spec.evaluate}

    def keep(scores: dict[str, SegmentationScores], folder: Path) -> None:
        write_matrices(scores, data, folder / "matrices.csv")

    return Work(method, batches, assess, score, keep, data.class_names, "miou")
