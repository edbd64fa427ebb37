"""A queue of runs that needs no watching: every row's seed 0 before any row's seed 1, resumed after any end."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from rich.console import Console

from marsnb.errors import TrainingError
from marsnb.recipes import load_profile, load_table, trainable
from marsnb.training import ledger
from marsnb.training.run import run, run_id_of, work_of
from marsnb.training.spec import resolve
from marsnb.training.status import clock, seconds_of, speeds_of

ALL = "all"
PAUSE = 0.5
"""Seconds between two looks at the running ones."""


@dataclass(frozen=True)
class Job:
    """One run that is wanted: the first row that asks for it, and its seed."""

    table: str
    row: str
    seed: int
    spec: Any = field(hash=False)

    @property
    def recipe(self) -> str:
        """``table04/final``."""
        return f"{self.table}/{self.row}"


def jobs_of(tables: Sequence[int | str], profile: str, rows: Sequence[str] | None, seeds: Sequence[int]) -> list[Job]:
    """The runs of some tables, each once: all rows with the first seed, then with the next.

    Args:
        tables: numbers or keys; ``all`` is every table of the paper.
        profile: the scale.
        rows: only these rows of one table.
        seeds: in their order.
    """
    scale = load_profile(profile)
    keys = [k for t in tables for k in ([k for k in trainable() if k.startswith("table")] if t == ALL else [t])]
    found: dict[tuple[str, int], Job] = {}
    for seed in seeds:
        for table in keys:
            head = load_table(table)
            for row in [head.row(r) for r in rows] if rows else head.rows:
                if profile in row.not_at:
                    continue
                spec = resolve(row, scale, seed, head.task)
                found.setdefault((spec.key, seed), Job(head.key, row.id, seed, spec))
    return list(found.values())


def missing(jobs: Sequence[Job], profile: str) -> list[Job]:
    """Those that the ledger has not, on the data as they are on this machine."""
    have = ledger.measured(profile)
    opened: dict[tuple[str, ...], Any] = {}
    left = []
    for job in jobs:
        spec = job.spec
        key = (spec.task, spec.dataset, spec.protocol, repr(sorted(spec.data_options.items())))
        if key not in opened:
            opened[key] = work_of(spec).open_data(spec)
        if run_id_of(spec, opened[key])[0] not in have:
            left.append(job)
    return left


def run_queue(
    jobs: Sequence[Job],
    profile: str,
    *,
    side_by_side: int = 1,
    device: str = "auto",
    devices: int = 1,
    score_every: int = 1,
    say: Callable[[str], None] | None = None,
) -> list[Job]:
    """Train what the ledger lacks; numbers are the same whatever ``side_by_side`` is.

    Each run is a process of its own where there are several, on the threads that its spec fixes. A run that fails is
    named at the end, and the others go on. What was stopped goes on from its last epoch with the same call.

    Args:
        jobs: see ``jobs_of``.
        profile: whose ledger is filled.
        side_by_side: runs at a time.
        device: see ``run``.
        devices: see ``run``; more than one go with one run at a time.
        score_every: see ``run``.
        say: takes each line of progress, of which there are none for a single run; prints it if ``None``.

    Returns:
        What was trained now.

    Raises:
        TrainingError: one or more runs failed.
    """
    console = Console(stderr=True)
    say = say or (lambda line: console.print(line, highlight=False))
    left = missing(jobs, profile)
    if len(left) > 1:
        rest = _hours(left, profile, side_by_side)
        say(f"{len(jobs)} runs: {len(jobs) - len(left)} in the ledger, {len(left)} to go, {rest}")
    if side_by_side == 1 or len(left) < 2:
        for at, job in enumerate(left):
            result = run(
                job.spec, profile, recipe=job.recipe, device=device, devices=devices, score_every=score_every,
                label=_label(job),
            )  # fmt: skip
            if at + 1 < len(left):
                rest = _hours(left[at + 1 :], profile, 1)
                say(f"[{at + 1}/{len(left)}] {_label(job)}  {_headline(job, result.metrics)}  {rest}")
        return left
    failed: list[str] = []
    with _killed_with_us() as running:
        for at, (job, error) in enumerate(_side_by_side(left, profile, side_by_side, device, score_every, running)):
            lines = ledger.read(profile)
            mine = lines[(lines["recipe"] == job.recipe) & (lines["seed"].astype(int) == job.seed)]
            text = f"failed: {error}" if error else _headline(job, mine)
            going = ", ".join(_label(j) for j in running)
            rest = _hours(left[at + 1 :], profile, side_by_side)
            say(f"[{at + 1}/{len(left)}] {_label(job)}  {text}  {rest}" + (f"; running: {going}" if going else ""))
            failed += [f"{_label(job)} ({error})"] if error else []
    if failed:
        raise TrainingError(f"{len(failed)} of {len(left)} runs failed: {'; '.join(failed)}")
    return left


def measured_lines(jobs: Sequence[Job], profile: str, fresh: Sequence[Job]) -> list[str]:
    """One line for each job that the ledger has: its numbers, its run, and whether it was trained now."""
    book, lines = ledger.read(profile), []
    for job in jobs:
        key = book["run_id"].astype(str).str.startswith(f"{job.spec.key}-")
        mine = book[key & (book["seed"] == job.seed)]
        if mine.empty:
            continue
        split = "test" if "test" in set(mine["split"]) else "val"
        shown = {"miou": "mIoU", "acc": "ACC"} if job.spec.task == "segmentation" else {"top1": "Top-1"}
        found = mine[mine["split"] == split].drop_duplicates("metric", keep="last").set_index("metric")["value"]
        values = "  ".join(f"{name} {100 * float(found[metric]):6.2f} %" for metric, name in shown.items())
        state = "measured" if job in fresh else "in the ledger"
        lines.append(f"{_label(job):42} {split} {values}  {mine['run_id'].iloc[-1]}  ({state})")
    return lines


def _side_by_side(
    left: Sequence[Job], profile: str, count: int, device: str, score_every: int, running: dict[Job, Any]
) -> Iterator[tuple[Job, str]]:
    """Each job as it ends, with its last line on standard error if it failed."""
    waiting, logs = list(left), {}
    while waiting or running:
        while waiting and len(running) < count:
            job = waiting.pop(0)
            logs[job] = tempfile.TemporaryFile("w+")  # noqa: SIM115
            running[job] = _start(job, profile, device, score_every, logs[job])
        for job, process in list(running.items()):
            if process.poll() is not None:
                del running[job]
                yield job, _last_line(logs.pop(job)) if process.returncode else ""
        time.sleep(PAUSE)


def _start(job: Job, profile: str, device: str, score_every: int, log: IO[str]) -> "subprocess.Popen[str]":
    words = ["run", "--table", job.table, "--row", job.row, "--seed", str(job.seed), "--profile", profile]
    words += ["--device", device, "--score-every", str(score_every)]
    environment = os.environ | ({"OMP_NUM_THREADS": str(job.spec.threads)} if job.spec.threads else {})
    # A session of its own, so that Ctrl-C reaches it through us alone.
    return subprocess.Popen(
        [sys.executable, "-m", "marsnb", *words],
        stdout=log,
        stderr=log,
        text=True,
        env=environment,
        start_new_session=True,
    )


def _last_line(log: IO[str]) -> str:
    log.seek(0)
    lines = [line.strip() for line in log.read().splitlines() if line.strip()]
    log.close()
    return lines[-1].removeprefix("marsnb: ") if lines else "it was killed"


@contextlib.contextmanager
def _killed_with_us() -> Iterator[dict[Job, Any]]:
    """The running processes, ended with this one; SIGTERM counts as Ctrl-C."""
    running: dict[Job, Any] = {}
    before = signal.getsignal(signal.SIGTERM)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with contextlib.suppress(ValueError):  # not in the main thread: then nobody sends it to us
        signal.signal(signal.SIGTERM, stop)
    try:
        yield running
    finally:
        for process in running.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # a run may be killed at any moment
            process.wait()
        with contextlib.suppress(ValueError):
            signal.signal(signal.SIGTERM, before)


def _label(job: Job) -> str:
    return f"{job.recipe} seed {job.seed}"


def _headline(job: Job, metrics: Any) -> str:
    name = "miou" if job.spec.task == "segmentation" else "top1"
    found = metrics[metrics["metric"] == name]["value"]
    return f"{name} {100 * float(found.iloc[-1]):.2f} %" if len(found) else "not in the ledger"


def _hours(left: Sequence[Job], profile: str, side_by_side: int) -> str:
    known = speeds_of(profile) if left else []
    return f"about {clock(sum(seconds_of(job.spec, known) for job in left) / side_by_side)} to go"
