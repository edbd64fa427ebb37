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
from marsnb.recipes import load_profile
from marsnb.training import classification, ledger, parallel, segmentation
from marsnb.training.provenance import commit, device_name, versions
from marsnb.training.recorder import CHECKPOINT, Recorder, unusable
from marsnb.training.running import running
from marsnb.training.shared import begin, forget_others, stage_ends, trained_by
from marsnb.training.spec import RunSpec, jobs_of, make_spec, resolve, row_runs
from marsnb.training.trainer import compile_model, fit, make_trainer
from marsnb.training.work import Work

__all__ = ["Result", "RunSpec", "make_spec", "resolve", "row_runs", "run", "run_table"]

Lines = tuple[list[dict[str, Any]], list[dict[str, Any]]]  # what a run enters in the ledger and among its curves
CARD = "card.json"  # what a run's folder says of its model, so that it can be used without recipes or data


@dataclass(frozen=True)
class How:
    """What runs have in common, however many there are: whose ledger, and how they train; see `run`."""

    profile: str
    device: str = "auto"
    score_every: int = 1
    again: bool = False
    devices: int = 1


@dataclass(frozen=True)
class Result:
    """What a run left behind."""

    run_id: str  # ``<key>-<data>-s<seed>``
    metrics: pd.DataFrame  # the ledger's lines of this run
    curves: pd.DataFrame  # ``epoch, metric, value``
    folder: Path  # of its checkpoint and predictions, under ``MARSNB_RUNS``
    fresh: bool  # whether it was trained now; ``False`` where the ledger had it

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


def work_of(spec: RunSpec) -> Any:
    """The module of the spec's task, which knows how its runs are opened, told apart and prepared."""
    return {"classification": classification, "segmentation": segmentation}[spec.task]


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
            how = How(profile, device, score_every, again, devices)
            ledger.append(profile, *measure(spec, data, run_id, how, recipe, label or recipe or spec.method))
    metrics, curves = ledger.read(profile), ledger.read_curves(profile)
    metrics, curves = (book[book["run_id"] == run_id].reset_index(drop=True) for book in (metrics, curves))
    return Result(run_id, metrics, curves.drop(columns="run_id"), paths.runs() / run_id, fresh)


def measure(spec: RunSpec, data: Any, run_id: str, how: How, recipe: str, label: str) -> Lines:
    """Train and score a run that is `held`; its lines and its curves, for the ledger. The arguments are as in `run`."""
    _quiet()
    keep_freed_memory()
    forget_peak()
    device = pick_device(how.device)
    if how.devices > 1:
        parallel.refuse(spec, device, how.devices)
    folder = paths.runs() / run_id
    folder.mkdir(parents=True, exist_ok=True)
    clear_left_behind(folder, age=0)  # whoever wrote it held the lock that we hold
    forget_others(folder / CHECKPOINT, trained_by(device), label)
    try:
        with running(folder, how.profile, label), threads(spec.threads):
            if how.devices > 1:
                return cast(Lines, parallel.spread(how.devices, _train_part, spec, run_id, how, recipe, label, device))
            return _train(spec, data, run_id, how, recipe, label, device)
    finally:
        gc.collect()  # trainer, model and images refer to each other


def _train_part(
    rank: int, spec: RunSpec, run_id: str, how: How, recipe: str, label: str, device: torch.device
) -> Lines:
    """``_train`` in one of the processes of a run."""
    _quiet()
    keep_freed_memory()
    if device.type == "cuda":
        device = torch.device("cuda", rank)
        torch.cuda.set_device(device)
    with threads(spec.threads):
        return _train(spec, work_of(spec).open_data(spec), run_id, how, recipe, label, device, rank)


def _train(
    spec: RunSpec, data: Any, run_id: str, how: How, recipe: str, label: str, device: torch.device, rank: int = 0
) -> Lines:
    measured_by = commit()  # before training: the code that runs is the code of now
    if device.type == "cuda":
        torch.cuda.init()
        torch.cuda.reset_peak_memory_stats(device)
    work, folder = work_of(spec).prepare(spec, data, device), paths.runs() / run_id
    first_id, fingerprint = run_id_of(spec, data)
    ends = stage_ends(spec, work.method, fingerprint, device, devices=how.devices, score_every=how.score_every)
    ends = ends if run_id == first_id else {}  # again means all of it
    recorder = Recorder(work, folder, label, how.score_every, ends, trained_by(device))
    _fit(work, recorder, spec, device, how.devices)
    if rank:
        return [], []  # the first process scores and enters
    work.method.to(device)
    scores = work.score(work.method, device)
    work.keep(scores, folder)
    card = {"run_id": run_id, "spec": spec.model_dump(mode="json"), "class_names": list(data.class_names)}
    write_whole(folder / CARD, json.dumps(card, indent=1) + "\n")
    constants = {
        **spec.model_dump(include={"task", "method", "backbone", "start", "seed"}),
        "run_id": run_id,
        "recipe": recipe,
        "data": data.name,
        "fingerprint": fingerprint,
        "labelled": data.fingerprint[:16],
        "epochs": work.epochs,
        "steps": work.epochs * work.batches.steps,
        "device": device_name(device) if how.devices == 1 else f"{how.devices} x {device_name(device)}",
        "seconds": round(recorder.seconds, 1),
        "images_per_s": round(recorder.images / max(recorder.seconds, 1e-9), 1),
        "peak_memory": torch.cuda.max_memory_allocated(device) if device.type == "cuda" else peak_memory(),
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


def run_table(
    table: int | str,
    profile: str,
    *,
    rows: list[str] | None = None,
    seeds: int | Sequence[int] | None = None,
    device: str = "auto",
) -> list[Result]:
    """The runs of a table, or of some of its rows, one after the other; what the ledger has is not trained again.

    ``seeds`` says how many, counted from 0, or which; the profile's number if ``None``.

    Raises:
        RecipeError: an unknown table, row or profile, or the profile does not run them.
    """
    which = range(seeds or load_profile(profile).seeds) if seeds is None or isinstance(seeds, int) else seeds
    jobs = jobs_of([table], profile, rows, which)
    return [run(job.spec, profile, recipe=job.recipe, device=device, label=job.label) for job in jobs]
