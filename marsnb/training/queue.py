"""A queue of runs that needs no watching: every row's seed 0 before any row's seed 1, resumed after any end."""

import contextlib
import os
import re
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pandas as pd
from rich.console import Console

from marsnb.errors import MarsnbError, TrainingError
from marsnb.processes import Processes, stoppable, temporary_folder
from marsnb.times import duration
from marsnb.training import ledger
from marsnb.training.run import How, Lines, id_again, run, run_id_of, work_of
from marsnb.training.spec import Job
from marsnb.training.status import done_runs, seconds_of

PAUSE = 0.2  # seconds between two looks at the running ones
RETRIES = 3  # times that a run is taken up again whose process died


@dataclass(frozen=True)
class Ended:
    """How one try of a run ended."""

    job: Job
    error: str = ""  # what went wrong; empty where it was measured
    died: bool = False  # whether its process was ended from outside, so that another try may end well
    lines: Lines | None = None  # for the ledger, and for its curves; ``None`` where the run entered them itself


class Workers:
    """What trains runs, ``slots`` at a time; leaving it as a context ends those that still do."""

    def __init__(self, how: How, slots: int = 1) -> None:
        self.how, self.slots = how, slots
        self.running: dict[Any, Job] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def order(self, left: list[Job]) -> list[Job]:
        """The runs in the order in which they are to start."""
        return left

    def free(self) -> bool:
        """Whether one more may be started."""
        return len(self.running) < self.slots

    def start(self, job: Job) -> None:
        """Begin one."""
        raise NotImplementedError

    def ended(self) -> list[Ended]:
        """Those that ended since it was asked last; it may wait a moment for one."""
        raise NotImplementedError


def run_queue(
    jobs: Sequence[Job],
    how: How,
    *,
    side_by_side: int = 1,
    workers: Workers | None = None,
    say: Callable[[str], None] | None = None,
) -> list[str]:
    """Train what the ledger lacks; numbers are the same whatever ``side_by_side`` is and whoever trains.

    A run that fails is named at the end, and the others go on; one whose process died is taken up again from its last
    epoch, at most three times. What was stopped goes on from there with the same call.

    Args:
        jobs: see ``jobs_of``.
        how: whose ledger is filled, and how they train.
        side_by_side: runs at a time, each a process of its own where there are several.
        workers: train in the place of this machine's processes.
        say: takes each line of progress, of which there are none for a single run; prints it if ``None``.

    Returns:
        A line for each job: its numbers, its run, and whether it was trained now.

    Raises:
        TrainingError: one or more of several runs failed; a single one raises its own error.
    """
    console = Console(stderr=True)
    say = say or (lambda line: console.print(line, highlight=False))
    jobs = _opened(jobs, how)
    have = ledger.measured(how.profile)
    left = [job for job in jobs if job.run_id not in have]
    if workers is None:
        workers = Here(how) if side_by_side == 1 or len(left) < 2 else SideBySide(how, side_by_side, left)
    failed: list[str] = []
    with stoppable(), workers if left else contextlib.nullcontext():
        if len(left) > 1:
            rest = _hours(left, how.profile, workers.slots)
            say(f"{len(jobs)} runs: {len(jobs) - len(left)} in the ledger, {len(left)} to go, {rest}")
        waiting = set(left)
        for end in _ends(workers.order(left), workers, how.profile, say):
            if end.error and len(left) == 1:
                raise TrainingError(end.error)
            waiting.remove(end.job)
            failed += [f"{end.job.label} ({end.error})"] if end.error else []
            if waiting:
                text = f"failed: {end.error}" if end.error else _numbers(end.job, ledger.read(how.profile))
                rest = _hours([job for job in left if job in waiting], how.profile, workers.slots)
                say(f"[{len(left) - len(waiting)}/{len(left)}] {end.job.label}  {text}  {rest}")
    if failed:
        raise TrainingError(f"{len(failed)} of {len(left)} runs failed: {'; '.join(failed)}")
    book = ledger.read(how.profile)
    return [_line(job, book, job in left) for job in jobs]


def _opened(jobs: Sequence[Job], how: How) -> list[Job]:
    """The jobs with their data and the ids of their runs on it."""
    data: dict[tuple[str, ...], Any] = {}
    found, have = [], ledger.measured(how.profile) if how.again else set()
    for job in jobs:
        spec = job.spec
        key = (spec.task, spec.dataset, spec.protocol, repr(sorted(spec.data_options.items())))
        if key not in data:
            data[key] = work_of(spec).open_data(spec)
        run_id = run_id_of(spec, data[key])[0]
        found.append(replace(job, run_id=id_again(run_id, have) if how.again else run_id, data=data[key]))
    return found


def _ends(left: list[Job], workers: Workers, profile: str, say: Callable[[str], None]) -> Iterator[Ended]:
    """Each run as it ends for good, with its lines in the ledger."""
    waiting, tries = deque(left), Counter[Job]()
    while waiting or workers.running:
        while waiting and workers.free():
            workers.start(waiting.popleft())
        for end in workers.ended():
            if end.lines is not None:
                ledger.append(profile, *end.lines)
            measured = end.job.run_id in ledger.measured(profile)
            if end.died and measured:
                end = Ended(end.job)  # it was killed after its last line
            elif not end.error and not measured:
                end = Ended(end.job, "its process ended without its numbers", died=True)
            if end.died and tries[end.job] < RETRIES:
                tries[end.job] += 1
                say(f"{end.job.label}: {end.error}; taken up again, {tries[end.job]} of {RETRIES}")
                waiting.appendleft(end.job)
            else:
                yield end


class Here(Workers):
    """Trains in this process, one run after the other."""

    def start(self, job: Job) -> None:
        """Train it; what is no user's mistake is raised."""
        how = self.how
        self.running[job] = job
        self._error = ""
        try:
            run(
                job.spec, how.profile, recipe=job.recipe, device=how.device, label=job.label,
                devices=how.devices, score_every=how.score_every, data=job.data, again=how.again,
            )  # fmt: skip
        except MarsnbError as caught:
            self._error = str(caught)

    def ended(self) -> list[Ended]:
        """The one that was trained."""
        return [Ended(self.running.popitem()[1], self._error)]


class SideBySide(Workers):
    """Trains some runs at a time, each in a process of its own on this machine, which all end with this one."""

    def __init__(self, how: How, slots: int, left: Sequence[Job]) -> None:
        super().__init__(how, slots)
        self._stack = contextlib.ExitStack()
        fixed = [job.spec.threads for job in left if job.spec.threads]
        self._environment = os.environ | ({"OMP_NUM_THREADS": str(max(fixed))} if len(fixed) == len(left) else {})

    def __enter__(self) -> Self:
        self._folder = self._stack.enter_context(temporary_folder())
        self._processes = self._stack.enter_context(Processes(self._environment, Path.cwd()))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, job: Job) -> None:
        """Begin one with the command for it alone, which enters it in the ledger."""
        how = self.how
        words = ["run", "--table", job.table, "--row", job.row, "--seed", str(job.seed), "--profile", how.profile]
        words += ["--device", how.device, "--score-every", str(how.score_every), *(["--again"] if how.again else [])]
        code = "from marsnb import cli, processes; processes.end_with_parent(); cli.main()"
        self._processes.start(job.run_id, [sys.executable, "-c", code, *words], self._folder / job.run_id)
        self.running[job.run_id] = job

    def ended(self) -> list[Ended]:
        """Those whose process has ended."""
        codes = self._processes.ended()
        if not codes:
            time.sleep(PAUSE)
        return [_result(self.running.pop(name), code, self._folder / name) for name, code in codes.items()]


def _result(job: Job, code: int, errors: Path) -> Ended:
    lines = [line.strip() for line in errors.read_text("utf-8", "replace").splitlines() if line.strip()]
    if code in (0, 1):  # the second is an error that was caught and named
        return Ended(job, (lines[-1].removeprefix("marsnb: ") if lines else "it failed") if code else "")
    return Ended(job, f"its process was killed ({-code if code < 0 else code})", died=True)


def _line(job: Job, book: pd.DataFrame, fresh: bool) -> str:
    """A job's numbers, its run, and whether it was trained now."""
    first = re.sub(ledger.AGAIN, "", job.run_id)
    state = "measured" if fresh else "in the ledger"
    if first != job.run_id:
        state = f"measured again; {_numbers(replace(job, run_id=first), book)} in {first}"
    return f"{job.label:42} {_numbers(job, book)}  {job.run_id}  ({state})"


def _numbers(job: Job, book: pd.DataFrame) -> str:
    """What the ledger says of a job's run."""
    mine = book[book["run_id"] == job.run_id]
    split = "test" if "test" in set(mine["split"]) else "val"
    names = {"miou": "mIoU", "acc": "ACC"} if job.spec.task == "segmentation" else {"top1": "Top-1"}
    found = mine[mine["split"] == split].set_index("metric")["value"]
    return f"{split} " + "  ".join(f"{name} {100 * float(found[metric]):6.2f} %" for metric, name in names.items())


def _hours(left: Sequence[Job], profile: str, side_by_side: int) -> str:
    done = done_runs(profile)
    seconds = sum(seconds_of(job.spec, done) for job in left) / side_by_side
    return f"about {duration(seconds)} to go" if seconds == seconds else "for how long is not known yet"
