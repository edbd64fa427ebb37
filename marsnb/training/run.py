"""A ``RunSpec`` in, a result out: train, resume, score, enter in the ledger."""

import gc
import itertools
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pandas as pd
import torch

from marsnb import paths
from marsnb.errors import TrainingError
from marsnb.files import clear_left_behind, locked, write_whole
from marsnb.memory import forget_peak, keep_freed_memory, peak_memory
from marsnb.recipes import load_profile, load_table
from marsnb.training import classification, ledger, parallel, segmentation
from marsnb.training.provenance import commit, device_name, versions
from marsnb.training.recorder import CHECKPOINT, Recorder, unusable
from marsnb.training.running import running
from marsnb.training.shared import begin, forget_others, stage_ends, trained_by
from marsnb.training.spec import RunSpec, make_spec, resolve, row_runs
from marsnb.training.trainer import compile_model, fit, make_trainer
from marsnb.training.work import Prepares, Work

__all__ = ["Result", "RunSpec", "make_spec", "resolve", "row_runs", "run", "run_table"]


Lines = tuple[list[dict[str, Any]], list[dict[str, Any]]]
"""What a run enters in the ledger and among its curves."""
CARD = "card.json"
"""What a run's folder says of its model, so that it can be used without recipes or data."""


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


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """``count`` threads of the processor inside, as many as before outside; unchanged where ``count`` is ``None``."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def pick_device(name: str) -> torch.device:
    """``auto`` is the first accelerator there is, else the CPU; an absent one raises ``TrainingError``."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    kind, _, index = name.partition(":")
    numbered = kind == "cuda" and index.isdecimal() and int(index) < torch.cuda.device_count()
    if not present.get(kind, False) or (index and not numbered):
        here = ", ".join(n for n, there in present.items() if there)
        raise TrainingError(f"device {name!r} is not on this machine: choose one from auto, {here}")
    return torch.device(name)


def work_of(spec: RunSpec) -> Prepares:
    """What knows how runs of the spec's task are opened and prepared."""
    return cast(Prepares, {"classification": classification, "segmentation": segmentation}[spec.task])


def run_id_of(spec: RunSpec, data: Any) -> tuple[str, str]:
    """A run's id and the fingerprint of all data that it sees."""
    fingerprint = work_of(spec).fingerprint_of(spec, data)
    return f"{spec.key}-{fingerprint[:6]}-s{spec.seed}", fingerprint


def id_again(run_id: str, have: set[str]) -> str:
    """A run's id, then the same with ``-a1``, ``-a2``, ... at its end: the first that is not in ``have``."""
    return next(name for n in itertools.count() if (name := f"{run_id}-a{n}" if n else run_id) not in have)


def held(run_id: str) -> AbstractContextManager[None]:
    """The right to train a run, which one process has at a time; it is waited for."""
    return locked(paths.runs() / f"{run_id}.lock", f"another process is training {run_id}: waiting for it")


def _quiet() -> None:
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")


def _fit(work: Work, recorder: Recorder, spec: RunSpec, device: torch.device, devices: int) -> None:
    trainer = make_trainer(device, spec.precision, work.epochs, [recorder], recorder.folder, devices)
    if spec.compile:
        compile_model(work.method.model)
    last = recorder.folder / CHECKPOINT
    begin(recorder.ends, last)
    try:
        fit(trainer, work.method, work.batches, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    except TrainingError as error:
        kept = f"; the last good checkpoint is {last}" if last.exists() else "; no epoch had ended yet"
        raise TrainingError(f"{error}{kept}") from None
    except RuntimeError as error:
        if "loading state_dict" in str(error):
            raise unusable(last, error) from None
        raise
    finally:
        recorder.close()


def run(
    spec: RunSpec,
    profile: str,
    *,
    recipe: str = "",
    device: str = "auto",
    devices: int = 1,
    label: str | None = None,
    score_every: int = 1,
    data: Any = None,
    again: bool = False,
) -> Result:
    """Train what ``spec`` says, or find it in the ledger; a run that another process is at is waited for.

    Args:
        spec: the run.
        profile: whose ledger it is entered in.
        recipe: the row it was started for, e.g. ``table04/final``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        devices: that share each step, a process for each, which has its part of the batch.
        label: what the display calls it.
        score_every: epochs from one scoring to the next, for the curves; it changes nothing else.
        data: the data set of the spec, where it is open already.
        again: train it also where the ledger has it, and enter it beside that as ``<run_id>-a1``.

    Raises:
        DataError: the images are missing or damaged.
        RecipeError: an unknown data set, backbone or start.
        TrainingError: the loss is not finite (no ledger line is written), or the run cannot be shared among devices.
    """
    data = work_of(spec).open_data(spec) if data is None else data
    run_id = run_id_of(spec, data)[0]
    run_id = id_again(run_id, ledger.measured(profile)) if again else run_id
    with held(run_id):
        fresh = run_id not in ledger.measured(profile)
        if fresh:
            ledger.check_writable(profile)
            name = label or recipe or spec.method
            lines = measure(spec, data, run_id, profile, recipe, device, name, score_every, devices)
            ledger.append(profile, *lines)
    folder, metrics, curves = paths.runs() / run_id, ledger.read(profile), ledger.read_curves(profile)
    mine = curves[curves["run_id"] == run_id].drop(columns="run_id").reset_index(drop=True)
    return Result(run_id, metrics[metrics["run_id"] == run_id].reset_index(drop=True), mine, folder, fresh)


def measure(
    spec: RunSpec,
    data: Any,
    run_id: str,
    profile: str,
    recipe: str,
    device: str,
    label: str,
    score_every: int,
    devices: int = 1,
) -> Lines:
    """Train and score a run that is `held`; its lines and its curves, for the ledger. The arguments are as in `run`."""
    _quiet()
    keep_freed_memory()
    forget_peak()
    where = pick_device(device)
    if devices > 1:
        parallel.refuse(spec, where, devices)
    folder = paths.runs() / run_id
    folder.mkdir(parents=True, exist_ok=True)
    clear_left_behind(folder, age=0)  # whoever wrote it held the lock that we hold
    forget_others(folder / CHECKPOINT, trained_by(where), label)
    try:
        with running(folder, profile, label), threads(spec.threads):
            if devices > 1:
                rest = run_id, folder, recipe, where, label, score_every, devices
                return cast(Lines, parallel.spread(devices, _train_part, spec, *rest))
            return _train(spec, data, run_id, folder, recipe, where, label, score_every)
    finally:
        gc.collect()  # trainer, model and images refer to each other


def _train(
    spec: RunSpec,
    data: Any,
    run_id: str,
    folder: Path,
    recipe: str,
    device: torch.device,
    label: str,
    score_every: int,
    devices: int = 1,
    rank: int = 0,
) -> Lines:
    measured_by = commit()  # before training: the code that runs is the code of now
    if device.type == "cuda":
        torch.cuda.init()
        torch.cuda.reset_peak_memory_stats(device)
    work = work_of(spec).prepare(spec, data, device)
    first_id, fingerprint = run_id_of(spec, data)
    ends = stage_ends(spec, work.method, fingerprint, device, devices=devices, score_every=score_every)
    ends = ends if run_id == first_id else {}  # again means all of it
    recorder = Recorder(work, folder, label, score_every, ends, trained_by(device))
    _fit(work, recorder, spec, device, devices)
    if rank:
        return [], []  # the first process scores and enters
    work.method.to(device)
    scores = work.score(work.method, device)
    work.keep(scores, folder)
    card = {"run_id": run_id, "spec": spec.model_dump(mode="json"), "class_names": list(data.class_names)}
    write_whole(folder / CARD, json.dumps(card, indent=1) + "\n")
    constants = {
        "run_id": run_id,
        "recipe": recipe,
        "task": spec.task,
        "method": spec.method,
        "backbone": spec.backbone,
        "start": spec.start,
        "data": data.name,
        "fingerprint": fingerprint,
        "labelled": data.fingerprint[:16],
        "seed": spec.seed,
        "epochs": work.epochs,
        "steps": work.epochs * work.batches.steps,
        "device": device_name(device) if devices == 1 else f"{devices} x {device_name(device)}",
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
        for metric, (value, n) in s.metrics(work.class_names).items()
    ]
    return rows, [{"run_id": run_id, **point} for point in recorder.curves]


def _train_part(
    rank: int,
    spec: RunSpec,
    run_id: str,
    folder: Path,
    recipe: str,
    device: torch.device,
    label: str,
    score_every: int,
    devices: int,
) -> Lines:
    """``_train`` in one of the processes of a run."""
    _quiet()
    keep_freed_memory()
    if device.type == "cuda":
        device = torch.device("cuda", rank)
        torch.cuda.set_device(device)
    with threads(spec.threads):
        data = work_of(spec).open_data(spec)
        return _train(spec, data, run_id, folder, recipe, device, label, score_every, devices, rank)


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return peak_memory()


def run_table(
    table: int | str,
    profile: str,
    *,
    rows: list[str] | None = None,
    seeds: int | Sequence[int] | None = None,
    device: str = "auto",
) -> list[Result]:
    """Every row of a table, ``seeds`` times each; what the ledger has is not trained again.

    Args:
        table: number, or key such as ``choice``.
        profile: ``smoke``, ``lite`` or ``paper``.
        rows: only these rows.
        seeds: how many, counted from 0, or which; the profile's number if ``None``.
        device: see ``run``.

    Raises:
        RecipeError: an unknown table, row or profile, or the profile does not run them.
    """
    scale, recipes = load_profile(profile), load_table(table)
    which = range(seeds or scale.seeds) if seeds is None or isinstance(seeds, int) else seeds
    specs = [(row, resolve(row, scale, s, recipes.task)) for s in which for row in recipes.rows_at(profile, rows)]
    results = []
    for row, spec in specs:
        label = f"{recipes.key}/{row.id}" + (f" seed {spec.seed}" if spec.seed else "")
        recipe = f"{recipes.key}/{row.id}"
        results.append(run(spec, profile, recipe=recipe, device=device, label=label))
    return results
