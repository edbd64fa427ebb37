"""Runs by a Ray that is made up: what it is asked for, what comes back, what is refused.

tests/campaigns/clusters.py has the real one.
"""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from marsnb import paths
from marsnb.errors import TrainingError
from marsnb.training import cluster, ledger
from marsnb.training.cluster import OnRay, check
from marsnb.training.queue import How, _opened, run_queue
from marsnb.training.run import run
from marsnb.training.spec import jobs_of, make_spec
from tests.training.test_run import TINY

HOW = How("smoke", "cpu")


class RayError(Exception):
    pass


class RayTaskError(RayError):
    def __init__(self, cause):
        self.cause = cause


class WorkerCrashedError(RayError):
    pass


class Ray(ModuleType):
    """What of Ray is called: a task runs when its result is asked for, after as many deaths as ``deaths`` says."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self, gpus=0, deaths=0):
        super().__init__("ray")
        self.gpus, self.deaths, self.asked, self.opened = gpus, deaths, [], []

    def init(self, *address, **options):
        self.opened.append((address, options))

    def shutdown(self):
        self.opened.append("closed")

    def nodes(self):
        return [
            {
                "NodeID": name,
                "NodeManagerHostname": name,
                "Alive": name != "gone",
                "Resources": {"CPU": 4.0, "GPU": gpu},
            }
            for name, gpu in (("one", self.gpus), ("two", self.gpus), ("gone", 9.0))
        ]

    def remote(self, **need):
        def decorate(function):
            def remote(*arguments):
                self.asked.append((function.__name__, need, arguments))
                return len(self.asked) - 1

            task = SimpleNamespace(remote=remote)
            task.options = lambda scheduling_strategy: task
            return task

        return decorate

    def wait(self, tasks, timeout):
        return tasks[-1:], tasks[:-1]

    def get(self, task):
        name, _, arguments = self.asked[task]
        if name == "train" and self.deaths:
            self.deaths -= 1
            raise WorkerCrashedError
        try:
            return getattr(cluster, name)(*arguments)
        except Exception as error:
            raise RayTaskError(error) from error


@pytest.fixture
def use(monkeypatch):
    def install(ray):
        strategies = ModuleType("ray.util.scheduling_strategies")
        strategies.NodeAffinitySchedulingStrategy = lambda node, soft: node
        for name, module in (("ray", ray), ("ray.util", ModuleType("util")), (strategies.__name__, strategies)):
            monkeypatch.setitem(sys.modules, name, module)
        return ray

    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    return install


def tiny_jobs():
    jobs = jobs_of([4], "smoke", ["baseline", "moco-ls"], [0])
    specs = [make_spec(**TINY | {"method": job.spec.method, "epochs": 1}) for job in jobs]
    return [cluster.Job(job.table, job.row, 0, spec) for job, spec in zip(jobs, specs, strict=True)]


def test_lines_come_back_to_one_writer_and_a_dead_worker_is_replaced(use, monkeypatch):
    ray, said = use(Ray(deaths=1)), []
    writers = []
    append = ledger.append
    monkeypatch.setattr(
        ledger, "append", lambda *given: (writers.append(sys._getframe(1).f_code.co_name), append(*given))
    )
    lines = run_queue(tiny_jobs(), HOW, workers=OnRay(HOW), say=said.append)
    assert [line.endswith("(measured)") for line in lines] == [True, True]
    assert set(writers) == {"_ends"} and len(writers) == 2  # the queue's own loop
    assert sum("WorkerCrashedError); taken up again, 1 of 3" in line for line in said) == 1
    (address, options), closed = ray.opened
    assert address == ("local",) and options["include_dashboard"] is False and closed == "closed"
    assert cluster.os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert [name for name, *_ in ray.asked] == ["check"] * 2 + ["train"] * 3  # each machine that is there, once
    assert all(need["num_cpus"] == 1 and need["max_retries"] == 0 for name, need, _ in ray.asked if name == "train")
    measured = ledger.read("smoke").set_index(["run_id", "split", "metric"])["value"]
    monkeypatch.setenv("MARSNB_FIGURES", str(paths.runs() / "other"))
    monkeypatch.setenv("MARSNB_RUNS", str(paths.runs() / "other-runs"))
    for job in tiny_jobs():  # as without Ray
        alone = run(job.spec, "smoke", device="cpu")
        assert alone.fresh and alone.value() == pytest.approx(measured[alone.run_id, "test", "top1"], abs=0)


def test_a_gpu_is_shared_as_asked_and_the_longest_of_a_seed_goes_first(use, monkeypatch):
    ray = use(Ray(gpus=2.0))
    how = How("smoke")
    workers = OnRay(how, at_once=None, address="host:6379", per_gpu=2)
    monkeypatch.setattr(workers, "_check", lambda left: None)
    times = {"baseline": 5.0, "final": 9.0, "moco-ls": float("nan")}
    jobs = _opened(jobs_of([4], "smoke", list(times), [0, 1]), how)
    by_key = {job.spec.key: times[job.row] for job in jobs}
    monkeypatch.setattr(cluster, "seconds_of", lambda spec, known: by_key[spec.key])
    with workers:
        assert workers.slots == 2 * 2 * 2
        order = workers.order(jobs)
        assert [(job.seed, job.row) for job in order] == [
            (seed, row) for seed in (0, 1) for row in ("moco-ls", "final", "baseline")
        ]  # one that is not known may be longer still
        workers.start(order[0])
    assert ray.opened[0][0] == ("host:6379",)
    name, need, arguments = ray.asked[0]
    assert (name, need["num_gpus"], need["max_calls"]) == ("train", 0.5, 1) and "num_cpus" not in need
    assert arguments[0] == {"MARSNB_DATA": str(paths.data()), "MARSNB_RUNS": str(paths.runs())}


def test_a_worker_error_is_told_and_not_tried_again(use, monkeypatch):
    ray = use(Ray())
    monkeypatch.setattr(cluster, "measure", lambda *_: (_ for _ in ()).throw(TrainingError("loss is nan")))
    with pytest.raises(TrainingError, match=r"^2 of 2 runs failed: .*baseline seed 0 \(loss is nan\)"):
        run_queue(tiny_jobs(), HOW, workers=OnRay(HOW), say=lambda _: None)
    assert sum(name == "train" for name, *_ in ray.asked) == 2


def test_a_machine_that_differs_is_named_before_anything_trains(use, monkeypatch, tmp_path):
    ray = use(Ray())
    job = _opened(tiny_jobs()[:1], HOW)[0]
    here = {"MARSNB_RUNS": str(tmp_path)}
    (tmp_path / "token").touch()
    code = cluster.commit()
    assert check(here, "token", code, [(job.spec, job.run_id), (job.spec, f"{job.run_id}-a1")]) == ""
    assert "put MARSNB_RUNS on storage that all machines share" in check(here, "none", code, [])
    assert f"bring it to 0123{code}" in check(here, "token", f"0123{code}", [])
    assert "has other images of" in check(here, "token", code, [(job.spec, "0-0-s0")])
    monkeypatch.setattr(cluster, "_other_data", lambda *_: "it has other images")
    with pytest.raises(TrainingError, match=r"^machine one of Ray: it has other images$"):
        run_queue([job], HOW, workers=OnRay(HOW))
    assert [name for name, *_ in ray.asked] == ["check"] and ray.opened[-1] == "closed"
    assert list(paths.runs().glob(".*.token")) == []


def test_what_ray_cannot_do_is_one_line(use, monkeypatch):
    ray = use(Ray())
    with pytest.raises(TrainingError, match="no machine of Ray has a GPU"), OnRay(How("smoke", "cuda")):
        pass
    assert ray.opened[-1] == "closed"
    with pytest.raises(TrainingError, match="--device cuda:1 with Ray"):
        OnRay(How("smoke", "cuda:1"))
    monkeypatch.setattr(ray, "init", lambda *_, **__: (_ for _ in ()).throw(ConnectionError("no\nroute")))
    with pytest.raises(TrainingError, match=r"^Ray at host:1 does not answer: no route$"), OnRay(HOW, address="host:1"):
        pass
    slow = iter([Exception("timed out"), Exception("timed out"), None])
    monkeypatch.setattr(ray, "init", lambda *_, **__: (_ for _ in ()).throw(error) if (error := next(slow)) else None)
    with OnRay(HOW) as workers:
        assert workers.slots == 8
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(TrainingError, match=r"^--on ray needs Ray, .*: pip install -e '\.\[cluster\]'$"):
        OnRay(HOW)
