"""The queue's runs on many machines, by Ray (extra ``cluster``): tasks whose numbers come back to who asked."""

import logging
import os
import uuid
from collections.abc import Sequence
from typing import Any, Self

import torch

from marsnb import paths
from marsnb.errors import MarsnbError, TrainingError
from marsnb.training.provenance import commit
from marsnb.training.queue import PAUSE, Ended, Workers
from marsnb.training.run import How, Lines, held, measure, run_id_of, threads, work_of
from marsnb.training.spec import Job
from marsnb.training.status import done_runs, seconds_of

STARTS = 3  # tries to start a Ray of this machine alone, which gives up after half a minute if the machine is busy
STORE = 128 * 1024**2  # bytes of shared memory for a Ray of this machine alone: only a run's numbers pass through it


class OnRay(Workers):
    """Trains runs as tasks of Ray, each on one GPU or a share of it, without GPUs on as many cores as it has threads.

    Checkpoints, banks and decoded images are in ``MARSNB_RUNS``, which all machines have to share: a run whose machine
    dies is taken up again on another. The workers write no ledger; they return what belongs into it. There are at most
    ``at_once`` runs at a time, ``per_gpu`` of which share a GPU. Without an ``address`` a Ray is started on this
    machine, which ends with this process.

    Raises:
        TrainingError: Ray is not installed, or it cannot be reached, or it has no such device, or a machine has other
            data, other code or another folder of runs than this one.
    """

    def __init__(self, how: How, at_once: int | None = None, address: str | None = None, per_gpu: int = 1) -> None:
        super().__init__(how)
        self.at_once, self.address, self.per_gpu = at_once, address, per_gpu
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
        try:
            import ray
        except ImportError:
            raise TrainingError("--on ray needs Ray, which is not installed: pip install -e '.[cluster]'") from None
        self.ray: Any = ray
        if how.device not in ("auto", "cpu", "cuda"):
            raise TrainingError(f"--device {how.device} with Ray, which picks the device: give auto, cpu or cuda")

    def __enter__(self) -> Self:
        quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        own = {} if self.address else {"include_dashboard": False, "object_store_memory": STORE}
        for tries_left in range(0 if self.address else STARTS - 1, -1, -1):
            try:
                self.ray.init(self.address or "local", **own, **quiet)
                break
            except Exception as error:  # Ray raises bare ones too
                self.ray.shutdown()
                if not tries_left:
                    where, why = self.address or "this machine", " ".join(str(error).split())
                    raise TrainingError(f"Ray at {where} does not answer: {why}") from error
        try:
            self._look()
        except BaseException:
            self.ray.shutdown()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.ray.shutdown()

    def _look(self) -> None:
        """What the cluster has."""
        self.nodes = [node for node in self.ray.nodes() if node["Alive"]]
        count = {name: [int(node["Resources"].get(name, 0)) for node in self.nodes] for name in ("CPU", "GPU")}
        self.cores, self.on_gpu = max(count["CPU"]), self.how.device != "cpu" and any(count["GPU"])
        if self.how.device == "cuda" and not self.on_gpu:
            raise TrainingError("no machine of Ray has a GPU: give --device cpu or --device auto")
        self.slots = sum(count["GPU"]) * self.per_gpu if self.on_gpu else sum(count["CPU"])
        self.slots = min(self.slots, self.at_once or self.slots) or 1

    def order(self, left: list[Job]) -> list[Job]:
        """The longest of the first seed first, unknown ones before them; each machine has to know them alike."""
        self._check(left)
        done, seeds = done_runs(self.how.profile), list(dict.fromkeys(job.seed for job in left))

        def place(job: Job) -> tuple[float, float]:
            seconds = seconds_of(job.spec, done)
            return seeds.index(job.seed), -seconds if seconds == seconds else -float("inf")

        return sorted(left, key=place)

    def _check(self, left: Sequence[Job]) -> None:
        """Ask each machine once whether it has the runs' folder, the code and the data of this one."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        kinds = {(job.spec.dataset, job.spec.protocol, repr(job.spec.data_options)): job for job in left}
        wanted = [(job.spec, job.run_id) for job in kinds.values()]
        token = paths.runs() / f".{uuid.uuid4().hex}.token"
        token.parent.mkdir(parents=True, exist_ok=True)
        token.touch()
        task = self.ray.remote(num_cpus=0, max_calls=1)(check)
        try:
            for node in self.nodes:
                there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                ask = task.options(scheduling_strategy=there).remote(_folders(), token.name, commit(), wanted)
                try:
                    wrong = self.ray.get(ask)
                except self.ray.exceptions.RayError as error:
                    wrong = _told(error)
                if wrong:
                    raise TrainingError(f"machine {node['NodeManagerHostname']} of Ray: {wrong}")
        finally:
            token.unlink()

    def free(self) -> bool:
        """Always but for the limit that was asked for: Ray keeps what has no room yet, also for machines to come."""
        return self.at_once is None or len(self.running) < self.at_once

    def start(self, job: Job) -> None:
        """Hand one to Ray; a process trains one run."""
        threads_of = job.spec.threads or torch.get_num_threads()
        need = {"num_gpus": 1 / self.per_gpu} if self.on_gpu else {"num_cpus": min(threads_of, self.cores)}
        task = self.ray.remote(max_calls=1, max_retries=0, **need)(train)
        threads_of = None if self.on_gpu else threads_of
        self.running[task.remote(_folders(), job.spec, job.run_id, job.recipe, job.label, self.how, threads_of)] = job

    def ended(self) -> list[Ended]:
        """Those that came back, or died."""
        done, _ = self.ray.wait(list(self.running), timeout=PAUSE)
        return [self._result(one, self.running.pop(one)) for one in done]

    def _result(self, task: Any, job: Job) -> Ended:
        try:
            return Ended(job, lines=self.ray.get(task))
        except self.ray.exceptions.RayTaskError as error:
            return Ended(job, _told(error))
        except self.ray.exceptions.RayError as error:
            return Ended(job, f"its process or machine died ({type(error).__name__})", died=True)


def _told(error: Any) -> str:
    """An error of a worker in one line."""
    cause = getattr(error, "cause", None) or error
    text = " ".join(str(cause).split())
    return text if isinstance(cause, MarsnbError) else f"{type(cause).__name__}: {text}"


def _folders() -> dict[str, str]:
    """Where this machine has its data and its runs, which others have there too."""
    return {"MARSNB_DATA": str(paths.data()), "MARSNB_RUNS": str(paths.runs())}


def check(folders: dict[str, str], token: str, code: str, wanted: Sequence[tuple[Any, str]]) -> str:
    """On a machine of the cluster: what keeps it from training some runs; empty if nothing does.

    The one that asks gives its environment, the name of a file that it has just made in its folder of runs, its commit,
    and a spec of each data set with the id that its run has there.
    """
    os.environ.update(folders)
    if not (paths.runs() / token).exists():
        return f"{paths.runs()} is a folder of its own there: put MARSNB_RUNS on storage that all machines share"
    if commit() != code:
        return f"marsnb is at commit {commit()} there: bring it to {code}"
    for spec, run_id in wanted:
        wrong = _other_data(spec, work_of(spec).open_data(spec), run_id)
        if wrong:
            return wrong
    return ""


def _other_data(spec: Any, data: Any, run_id: str) -> str:
    found = run_id_of(spec, data)[0]
    there = f"{paths.data()} has other images of {data.name} than on the machine that started the runs"
    return "" if run_id == found or run_id.startswith(f"{found}-a") else f"{there}: make them equal"


def train(
    folders: dict[str, str], spec: Any, run_id: str, recipe: str, label: str, how: How, count: int | None
) -> Lines:
    """On a machine of the cluster: train a run, from its checkpoint if there is one, and return what the ledger gets.

    The arguments are ``measure``'s, with the environment of the one that asks and the number of threads.

    Raises:
        TrainingError: the data is not the same here.
    """
    os.environ.update(folders)
    data = work_of(spec).open_data(spec)
    wrong = _other_data(spec, data, run_id)
    if wrong:
        raise TrainingError(wrong)
    with held(run_id), threads(count):
        return measure(spec, data, run_id, how, recipe, label)
