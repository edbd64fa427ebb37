"""Trained models, from the checkpoints that their runs left behind."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from marsnb import paths
from marsnb.data.base import ClassificationData
from marsnb.data.segmentation import SegmentationData
from marsnb.errors import DataError
from marsnb.models.classifier import Classifier
from marsnb.models.segmenter import Segmenter
from marsnb.training import classification, segmentation
from marsnb.training.batches import training_list
from marsnb.training.recorder import CHECKPOINT
from marsnb.training.run import run_id_of
from marsnb.training.spec import ClassificationSpec, RunSpec, SegmentationSpec


def trained_segmenter(spec: SegmentationSpec, data: SegmentationData) -> Segmenter:
    """The model that a run trained, as it was after its last epoch.

    Args:
        spec: the run.
        data: the data set that it was trained on; its content is part of the run's id.

    Returns:
        The model in evaluation mode, on the CPU. The global random state is left as it was.

    Raises:
        DataError: the checkpoint is not on this machine, is damaged, or is of another model.
    """
    return load_segmenter(_checkpoint(spec, data), spec, len(data.class_names))


def trained_classifier(spec: ClassificationSpec, data: ClassificationData) -> Classifier:
    """The classifier that a run trained; see `trained_segmenter`."""
    path = _checkpoint(spec, data)
    counts = np.bincount(training_list(data, spec.train_on).labels, minlength=len(data.class_names))
    with torch.random.fork_rng(devices=[]):  # building it draws weights
        # the checkpoint has all weights, those of the frozen trunk too: what the run started from is not needed
        method = classification.build_method(spec, counts.tolist(), "random")
    model: Classifier = _load(method, path).model
    return model.eval()


def load_segmenter(path: Path, spec: SegmentationSpec, num_classes: int) -> Segmenter:
    """The model of a run's checkpoint, in evaluation mode, on the CPU. The global random state is left as it was.

    Raises:
        DataError: the checkpoint is damaged, or is of another model.
    """
    with torch.random.fork_rng(devices=[]):  # building it draws weights
        method = segmentation.build_method(spec, num_classes)
    model: Segmenter = _load(method, path).model
    return model.eval()


def _checkpoint(spec: RunSpec, data: Any) -> Path:
    run_id, _ = run_id_of(spec, data)
    path = paths.runs() / run_id / CHECKPOINT
    if not path.is_file():
        raise DataError(
            f"the trained model of {run_id} is not on this machine: point MARSNB_RUNS at the folder that has "
            f"{run_id}/{CHECKPOINT}, or set MARSNB_FIGURES to an empty folder and train it anew"
        )
    return path


def _load(method: Any, path: Path) -> Any:
    try:
        method.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["state_dict"])
    except (RuntimeError, OSError, KeyError, EOFError, pickle.UnpicklingError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path} cannot be loaded ({first}): delete the folder and train the run anew") from error
    return method
