"""A ``RunSpec`` in, a result out: train, resume, score, enter in the ledger."""

import ctypes
import hashlib
import logging
import platform
import resource
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from marsnb import paths
from marsnb.data import DATASETS
from marsnb.data.base import ClassificationData
from marsnb.data.streams import STREAMS
from marsnb.errors import TrainingError
from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Task
from marsnb.models.backbones import build_backbone
from marsnb.models.classifier import Classifier
from marsnb.recipes import load_profile, load_table
from marsnb.training import ledger
from marsnb.training.batches import Arrays, Batches, open_arrays, training_list
from marsnb.training.evaluate import Scores, forward_all, score, write_predictions
from marsnb.training.pretrain import PretrainSpec, moco_mars_weights, start_before
from marsnb.training.provenance import commit, device_name, versions
from marsnb.training.recorder import CHECKPOINT, Recorder
from marsnb.training.spec import RunSpec, make_spec, resolve, row_runs
from marsnb.training.trainer import make_trainer

__all__ = ["Result", "RunSpec", "make_spec", "resolve", "row_runs", "run", "run_table"]


@dataclass(frozen=True)
class Result:
    """What a run left behind.

    Attributes:
        run_id: ``<key>-<data>-s<seed>``.
        metrics: the ledger's lines of this run.
        curves: ``epoch, metric, value``.
        folder: checkpoint and predictions, under ``MARSNB_RUNS``.
        fresh: whether it was trained now; ``False`` where the ledger had it.
    """

    run_id: str
    metrics: pd.DataFrame
    curves: pd.DataFrame
    folder: Path
    fresh: bool

    def value(self, metric: str = "top1", split: str = "test") -> float:
        """One number of the run."""
        m = self.metrics
        return float(m[(m["metric"] == metric) & (m["split"] == split)]["value"].iloc[0])


def keep_freed_memory() -> None:
    """Have glibc keep freed memory instead of giving it back at every step.

    A large activation is otherwise mapped and zeroed anew each time: on EfficientNet-Lite0 at 160 px with 96 images on
    two cores, that halves the training speed (26 against 57 images/s). Elsewhere than on Linux this does nothing.
    """
    if platform.system() == "Linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
            mallopt(-1, 0x7FFFFFFF)  # M_TRIM_THRESHOLD
            mallopt(-4, 0)  # M_MMAP_MAX


def pick_device(name: str) -> torch.device:
    """``auto`` is the first accelerator there is, else the CPU; an absent one raises ``TrainingError``."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present.get(name.split(":")[0], False):
        here = ", ".join(n for n, there in present.items() if there)
        raise TrainingError(f"device {name!r} is not on this machine: choose from auto, {here}")
    return torch.device(name)


def open_data(spec: RunSpec) -> ClassificationData:
    """The data set that a spec names."""
    return DATASETS[spec.dataset](spec.protocol, **spec.data_options)


def sees_unlabelled(spec: RunSpec) -> bool:
    """Whether the method is fed unlabelled images."""
    return any(STREAMS[name].source == "unlabelled" for name in METHODS[spec.method].streams)


def run_id_of(spec: RunSpec, data: ClassificationData) -> tuple[str, str]:
    """A run's id and its data's fingerprint (covering the unlabelled images where the method or its start saw them)."""
    parts = [data.fingerprint]
    if (sees_unlabelled(spec) or start_before(spec.start) is not None) and data.unlabelled:
        parts.append(data.unlabelled.fingerprint)
    fingerprint = hashlib.sha256(":".join(parts).encode()).hexdigest()[:16]
    return f"{spec.key}-{fingerprint[:6]}-s{spec.seed}", fingerprint


def start_weights(spec: RunSpec, data: ClassificationData, device: torch.device) -> str:
    """What the backbone starts from: the spec's own start, or the file that pretraining on the data's images left."""
    if start_before(spec.start) is None:
        return spec.start
    return str(moco_mars_weights(spec, data, device, PretrainSpec(steps=spec.pretrain_steps)))


def build_method(spec: RunSpec, class_counts: Sequence[int], start: str | None = None, steps: int = 1) -> Any:
    """The method with its model, weights drawn from the spec's seed.

    Args:
        spec: the run.
        class_counts: training images of each class.
        start: takes the place of the spec's.
        steps: per epoch.
    """
    torch.manual_seed(spec.seed)
    backbone = build_backbone(spec.backbone, start or spec.start, seed=spec.seed)
    model = Classifier(backbone, len(class_counts), batchnorm=spec.batchnorm)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    method = METHODS[spec.method](model, spec.schedule, **spec.settings)
    method.prepare(Task(tuple(int(n) for n in class_counts), spec.epochs, steps))
    return method


def _with_features(arrays: Arrays, model: Classifier, device: torch.device) -> Arrays:
    model.to(device)
    features = forward_all(model.backbone, arrays.images, np.arange(len(arrays.images)), device)
    return Arrays(features.numpy(), None, arrays.splits)


def _quiet() -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")


def _fit(method: Any, batches: Batches, recorder: Recorder, spec: RunSpec, device: torch.device) -> None:
    trainer = make_trainer(device, spec.precision, sum(method.stage_epochs()), [recorder], recorder.folder)
    last = recorder.folder / CHECKPOINT
    try:
        trainer.fit(method, batches, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    except TrainingError as error:
        kept = f"; the last good checkpoint is {last}" if last.exists() else "; no epoch had ended yet"
        raise TrainingError(f"{error}{kept}") from None
    finally:
        recorder.close()
    if trainer.interrupted:
        raise KeyboardInterrupt


def run(
    spec: RunSpec,
    profile: str,
    *,
    recipe: str = "",
    device: str = "auto",
    label: str | None = None,
    score_every: int = 1,
) -> Result:
    """Train what ``spec`` says, or find it in the ledger.

    Args:
        spec: the run.
        profile: whose ledger it is entered in.
        recipe: the row it was started for, e.g. ``table04/final``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        label: what the display calls it.
        score_every: epochs from one scoring to the next, for the curves; it changes nothing else.

    Raises:
        DataError: the images are missing or damaged.
        RecipeError: an unknown data set, backbone or start.
        TrainingError: the loss is not finite (no ledger line is written), or another process is at the same run.
    """
    _quiet()
    keep_freed_memory()
    data = open_data(spec)
    run_id, fingerprint = run_id_of(spec, data)
    folder = paths.runs() / run_id
    with ledger.locked(paths.runs() / f"{run_id}.lock", wait=False) as ours:
        if not ours:
            raise TrainingError(f"another process is training {run_id}: wait for it, or stop it")
        fresh = run_id not in ledger.measured(profile)
        if fresh:
            folder.mkdir(parents=True, exist_ok=True)
            name = label or recipe or spec.method
            _train(spec, data, run_id, fingerprint, profile, recipe, pick_device(device), name, score_every)
    metrics, curves = ledger.read(profile), ledger.read_curves(profile)
    mine = curves[curves["run_id"] == run_id].drop(columns="run_id").reset_index(drop=True)
    return Result(run_id, metrics[metrics["run_id"] == run_id].reset_index(drop=True), mine, folder, fresh)


def _train(
    spec: RunSpec,
    data: ClassificationData,
    run_id: str,
    fingerprint: str,
    profile: str,
    recipe: str,
    device: torch.device,
    label: str,
    score_every: int,
) -> None:
    folder = paths.runs() / run_id
    measured_by = commit()  # before training: the code that runs is the code of now
    counts = np.bincount(training_list(data, spec.train_on).labels, minlength=len(data.class_names))
    start = start_weights(spec, data, device)
    method = build_method(
        spec, counts.tolist(), start, spec.steps_per_epoch or int(counts.sum()) // spec.batch_labelled
    )
    arrays = open_arrays(data, spec.image_size, unlabelled=sees_unlabelled(spec), train_on=spec.train_on)
    if method.precompute:
        arrays = _with_features(arrays, method.model, device)
    batches = Batches(arrays, method.streams, spec, lambda epoch: method.streams_of(method.stage_at(epoch)[0]))
    recorder = Recorder(spec, batches, folder, label, score_every)
    _fit(method, batches, recorder, spec, device)
    scores: dict[str, Scores] = recorder.scores
    if not scores:  # stopped between its last epoch and the ledger
        method.to(device)
        scores = {s: score(method.model, arrays, arrays.splits[s], device) for s in spec.evaluate}
    write_predictions(scores, data, folder / "predictions.csv")
    constants = {
        "run_id": run_id,
        "recipe": recipe,
        "task": spec.task,
        "method": spec.method,
        "backbone": spec.backbone,
        "start": spec.start,
        "data": data.name,
        "fingerprint": fingerprint,
        "seed": spec.seed,
        "epochs": sum(method.stage_epochs()),
        "steps": sum(method.stage_epochs()) * batches.steps,
        "device": device_name(device),
        "seconds": round(recorder.seconds, 1),
        "images_per_s": round(recorder.images / max(recorder.seconds, 1e-9), 1),
        "peak_memory": _peak_memory(device),
        "versions": versions(),
        "commit": measured_by,
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    rows = [
        {**constants, "split": split, "metric": metric, "value": value, "n": n}
        for split, s in scores.items()
        for metric, (value, n) in s.metrics(data.class_names).items()
    ]
    ledger.append(profile, rows, [{"run_id": run_id, **point} for point in recorder.curves])


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)  # bytes there, kilobytes here


def run_table(
    table: int | str,
    profile: str,
    *,
    rows: list[str] | None = None,
    seeds: int | None = None,
    device: str = "auto",
    score_every: int = 1,
) -> list[Result]:
    """Every row of a table, ``seeds`` times each; what the ledger has is not trained again.

    Args:
        table: number, or key such as ``choice``.
        profile: ``smoke``, ``lite`` or ``paper``.
        rows: only these rows.
        seeds: how many; the profile's number if ``None``. Seeds count from 0.
        device: see ``run``.
        score_every: see ``run``.
    """
    scale, recipes = load_profile(profile), load_table(table)
    chosen = [recipes.row(r) for r in rows] if rows else list(recipes.rows)
    specs = [(row, resolve(row, scale, seed)) for seed in range(seeds or scale.seeds) for row in chosen]
    results = []
    for row, spec in specs:
        label = f"{recipes.key}/{row.id}" + (f" seed {spec.seed}" if spec.seed else "")
        recipe = f"{recipes.key}/{row.id}"
        results.append(run(spec, profile, recipe=recipe, device=device, label=label, score_every=score_every))
    return results
