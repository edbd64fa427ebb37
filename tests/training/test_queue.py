"""The queue: in order, each run once, one by one or side by side with equal numbers, through failures and kills."""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml

from marsnb import cli, paths, results
from marsnb.errors import RecipeError, TrainingError
from marsnb.forked import Forked
from marsnb.recipes import load_table
from marsnb.training import ledger, queue
from marsnb.training.queue import RETRIES, Ended, How, Workers, run_queue
from marsnb.training.run import run_table
from marsnb.training.running import in_epoch, running, running_runs
from marsnb.training.spec import jobs_of
from marsnb.training.status import running_table
from tests.forked import in_a_process, start

ROWS = ["baseline", "final"]
TINY = {
    "data_options": {"train": 144, "test": 48, "unlabelled": 32},
    "image_size": 32,
    "epochs": 2,
    "steps_per_epoch": 2,
}
HOW = How("smoke", "cpu")
MACHINE = ["device", "seconds", "images_per_s", "peak_memory", "date"]


def content():
    """What is measured, whatever the order in which runs ended."""
    book, curves = ledger.read("smoke"), ledger.read_curves("smoke")
    by = ["run_id", "split", "metric"]
    return (
        book.drop(columns=MACHINE).sort_values(by, ignore_index=True),
        curves.sort_values(["run_id", "epoch", "metric"], ignore_index=True),
    )


def run_lines(job, value=0.5):
    """A run's lines, as training would return them."""
    run = dict.fromkeys(ledger.COLUMNS, "x") | {"run_id": job.run_id, "recipe": job.recipe, "seed": job.seed, "n": 9}
    run |= {"value": value, "images_per_s": 1.0, "seconds": 1.0, "split": "test", "date": "2026-01-01"}
    return [run | {"metric": name} for name in ("top1", "miou", "acc")], []


class Scripted(Workers):
    """Ends each run as it is told: ``None`` with its lines, ``KILLED`` by its death, a text with an error."""

    def __init__(self, script, slots=2):
        super().__init__(HOW, slots)
        self.script = {name: list(ends) for name, ends in script.items()}
        self.started = []

    def start(self, job):
        assert len(self.running) < self.slots
        self.started.append(job.label)
        self.running[job.run_id] = job

    def ended(self):
        _, job = self.running.popitem()
        end = (self.script.get(job.label) or [None]).pop(0)
        lines = run_lines(job) if end is None else None
        return [Ended(job, end or "", died=end == KILLED, lines=lines)]


STOPPED = "marsnb: stopped; what was measured is kept, and the same command goes on from there\n"
KILLED = "its process was killed (9)"


def tiny_recipes():
    """Take the recipes from the folder that the test made."""
    folder = Path(os.environ["TINY_RECIPES"])
    paths.recipes = lambda: folder


class Tiny(Forked):
    """The commands of a queue as forks on one thread, with the recipes that the test made."""

    def __init__(self, environment, folder):
        super().__init__(environment | {"OMP_NUM_THREADS": "1"}, folder)

    def start(self, name, command, errors):
        python, flag, code, *words = command
        code = f"from tests.training.test_queue import tiny_recipes; tiny_recipes(); {code}"
        super().start(name, [python, flag, code, *words], errors)


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory):
    """Two rows at tiny settings, one after the other, in folders of their own."""
    folder = tmp_path_factory.mktemp("one")
    shutil.copytree(paths.recipes(), folder / "recipes")
    file = folder / "recipes" / "profiles" / "smoke.yaml"
    smoke = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**smoke, "classification": smoke["classification"] | TINY}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINY_RECIPES", str(folder / "recipes"))
        patch.setattr(paths, "recipes", paths.recipes)  # back to this when the module is done
        tiny_recipes()
        patch.setenv("MARSNB_FIGURES", str(folder / "figures"))
        patch.setenv("MARSNB_RUNS", str(folder / "runs"))
        said = []
        lines = run_queue(jobs_of([4], "smoke", ROWS, [0]), HOW, say=said.append)
        yield lines, said, content(), dict(os.environ)


def use(monkeypatch, environment):
    for name in ("MARSNB_FIGURES", "MARSNB_RUNS"):
        monkeypatch.setenv(name, environment[name])


def test_seed_0_of_every_row_comes_first_and_each_run_once():
    jobs = jobs_of([3, 4], "smoke", None, [0, 1])
    assert [job.seed for job in jobs] == sorted(job.seed for job in jobs)
    rows = [f"{load_table(t).key}/{row.id}" for t in (3, 4) for row in load_table(t).rows if "smoke" not in row.not_at]
    places = [rows.index(job.recipe) for job in jobs if job.seed == 0]
    assert places == sorted(places)
    keys = [(job.spec.key, job.seed) for job in jobs]
    assert len(keys) == len(set(keys)) < 2 * len(rows)  # the baseline is in both tables
    assert len(jobs_of(["all"], "paper", None, [0, 1, 2])) > 200


@pytest.mark.parametrize(
    ("table", "rows", "profile", "said"),
    [
        (3, ["alexnet"], "lite", r"table03 has no row 'alexnet' at lite \(ImageNet weights need a download\)"),
        ("choice", None, "smoke", "choice is of profile lite: give --profile lite"),
    ],
)
def test_what_a_profile_does_not_run_is_named(table, rows, profile, said):
    for call in (lambda: jobs_of([table], profile, rows, [0]), lambda: run_table(table, profile, rows=rows)):
        with pytest.raises(RecipeError, match=said):
            call()
    assert ledger.read(profile).empty


def test_one_by_one_says_each_run_and_skips_what_is_measured(one_by_one, monkeypatch):
    lines, said, (book, _), environment = one_by_one
    assert said[0].startswith("2 runs: 0 in the ledger, 2 to go")
    value = book.set_index(["recipe", "split", "metric"])["value"]
    for row, line in zip(ROWS, lines, strict=True):
        assert line.startswith(f"table04/{row} seed 0")
        assert f"test Top-1 {100 * value[f'table04/{row}', 'test', 'top1']:6.2f} %" in line
        assert line.endswith("(measured)")
    assert said[1].startswith("[1/2] table04/baseline seed 0  test Top-1 ") and len(said) == 2
    use(monkeypatch, environment)
    monkeypatch.setattr(queue, "run", None)  # nothing is trained
    again = run_queue(jobs_of([4], "smoke", ROWS, [0]), HOW, say=said.append)
    assert again == [line.replace("(measured)", "(in the ledger)") for line in lines] and len(said) == 2


def test_side_by_side_is_equal_and_a_failing_run_is_named(one_by_one, monkeypatch):
    monkeypatch.setattr(queue, "Processes", Tiny)
    _, _, expected, _ = one_by_one
    jobs = jobs_of([4], "smoke", ROWS, [0])
    wrong = queue.replace(jobs[0], row="nothing", spec=jobs[0].spec.model_copy(update={"epochs": 9}))
    said = []
    paths.cache().parent.mkdir(parents=True)
    paths.cache().symlink_to(Path(one_by_one[3]["MARSNB_RUNS"]) / "cache")
    with pytest.raises(TrainingError, match=r"^1 of 3 runs failed: table04/nothing seed 0 \(table04 has no row"):
        run_queue([wrong, *jobs], HOW, side_by_side=2, say=said.append)
    for frame, other in zip(content(), expected, strict=True):
        pd.testing.assert_frame_equal(frame, other, check_exact=True)
    assert sum("failed: table04 has no row" in line for line in said) == 1
    assert not running_runs()


def test_one_by_one_a_failing_run_is_named_and_the_rest_goes_on(monkeypatch):
    trained = []

    def run(spec, *_, recipe, **__):
        trained.append(recipe)
        if recipe.endswith("baseline"):
            raise TrainingError("loss is nan")
        job = next(job for job in queue._opened(jobs, HOW) if job.recipe == recipe)
        ledger.append("smoke", *run_lines(job))

    jobs = jobs_of([4], "smoke", ROWS, [0])
    monkeypatch.setattr(queue, "run", run)
    with pytest.raises(TrainingError, match=r"^1 of 2 runs failed: table04/baseline seed 0 \(loss is nan\)$"):
        run_queue(jobs, HOW, say=lambda _: None)
    assert trained == ["table04/baseline", "table04/final"]
    with pytest.raises(TrainingError, match=r"^loss is nan$"):
        run_queue(jobs, HOW)


def test_a_run_whose_process_dies_is_taken_up_again_three_times():
    jobs, said = jobs_of([4], "smoke", ["baseline", "moco-ls", "final"], [0]), []
    first, second, third = (job.label for job in jobs)
    workers = Scripted({first: [KILLED] * RETRIES, second: [KILLED] * (RETRIES + 1), third: ["no such image"]})
    with pytest.raises(TrainingError) as caught:
        run_queue(jobs, HOW, workers=workers, say=said.append)
    assert str(caught.value).startswith("2 of 3 runs failed: ")
    assert f"{second} ({KILLED})" in str(caught.value) and f"{third} (no such image)" in str(caught.value)
    assert {name: workers.started.count(name) for name in (first, second, third)} == {first: 4, second: 4, third: 1}
    assert sum("taken up again" in line for line in said) == 2 * RETRIES
    assert set(ledger.read("smoke")["recipe"]) == {jobs[0].recipe}  # what came back was entered here


def test_a_run_that_is_killed_after_its_last_line_is_measured():
    class Late(Scripted):
        def start(self, job):
            super().start(job)
            ledger.append("smoke", *run_lines(job))

    jobs = jobs_of([4], "smoke", ROWS, [0])
    workers = Late({jobs[0].label: [KILLED]})
    assert all("(measured)" in line for line in run_queue(jobs, HOW, workers=workers, say=lambda _: None))
    assert len(workers.started) == 2 and len(ledger.read("smoke")) == 2 * 3


def two():
    run_queue(jobs_of([4], "smoke", ROWS, [0]), HOW, side_by_side=2, say=lambda _: None)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_ended_from_outside_it_takes_its_runs_along(number):
    whole = start(two)
    assert whole.pid
    children, deadline = [], time.monotonic() + 60
    # each watches for its parent in a second thread
    while sum(child.num_threads() > 1 for child in children) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
        children = psutil.Process(whole.pid).children(recursive=True)
    assert len(children) == 2
    os.kill(whole.pid, number)
    whole.join(30)
    assert whole.exitcode == (143 if number == signal.SIGTERM else -signal.SIGKILL)
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert len(gone) == 2 and not alive


@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGTERM, 143, ""), (signal.SIGINT, 130, STOPPED)], ids=["SIGTERM", "SIGINT"]
)
def test_ended_while_it_trains_it_says_so_and_goes_on_from_there(number, code, said, one_by_one, tmp_path):
    shutil.copytree(Path(one_by_one[3]["MARSNB_RUNS"]) / "cache", paths.cache())
    whole, deadline = start(one, tmp_path / "said"), time.monotonic() + 60
    while not any(told["epoch"] for told in running_runs()) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(whole.pid, number)
    whole.join(30)
    assert (whole.exitcode, (tmp_path / "said").read_text()) == (code, said)
    assert ledger.read("smoke").empty and not running_runs()
    assert in_a_process(one, tmp_path / "said") == 0
    ours, expected = (
        frame.set_index(["run_id", "split", "metric"])["value"] for frame in (content()[0], one_by_one[2][0])
    )
    assert ours.equals(expected[expected.index.isin(ours.index)]) and len(ours)


def one(errors):
    """The command for one run."""
    tiny_recipes()
    sys.argv = ["marsnb", "run", "--table", "4", "--row", "final", "--seed", "0", "--device", "cpu"]
    sys.stderr = errors.open("w", buffering=1)
    cli.main()


def test_again_stands_beside_the_first_measurement(one_by_one, monkeypatch, tmp_path):
    _, _, (book, _), environment = one_by_one
    figures = tmp_path / "figures" / "smoke"
    figures.mkdir(parents=True)
    for path in Path(environment["MARSNB_FIGURES"], "smoke").iterdir():
        (figures / path.name).write_bytes(path.read_bytes())
    monkeypatch.setenv("MARSNB_FIGURES", str(figures.parent))
    before = results.table(4, "smoke")
    [line] = run_queue(jobs_of([4], "smoke", ["baseline"], [0]), How("smoke", "cpu", again=True))
    first = book[book["recipe"] == "table04/baseline"]["run_id"].iloc[0]
    assert f"{first}-a1  (measured again; test Top-1" in line and line.endswith(f"in {first})")
    after = ledger.read("smoke")
    same = ["split", "metric", "value", "n"]
    once, twice = (after[after["run_id"] == name].reset_index(drop=True) for name in (first, f"{first}-a1"))
    pd.testing.assert_frame_equal(once[same], twice[same], check_exact=True)
    pd.testing.assert_frame_equal(results.table(4, "smoke"), before)  # the committed one is shown as before
    mine = results.table(4, "smoke", data="mine").dropna(subset="value")
    assert set(mine[mine["row"] == "baseline"]["run_id"]) == {f"{first}-a1"}
    both = results.table(4, "smoke", data="both").dropna(subset="value")
    assert set(both[both["row"] == "baseline"]["whose"]) == {"committed", "mine"}


def test_status_tells_what_runs_where_and_what_was_killed(monkeypatch):
    folder = paths.runs() / "abc-def-s0"
    folder.mkdir(parents=True)
    with running(folder, "smoke", "table04/final seed 0"):
        [one] = running_runs("smoke")
        assert (one["run_id"], one["pid"], one["stopped"]) == ("abc-def-s0", os.getpid(), False)
        assert running_runs("lite") == []
        assert list(running_table("smoke").columns[2].cells) == ["preparing"]
        in_epoch(folder, 2, 3)
        assert list(running_table("smoke").columns[2].cells) == ["2/3"]
        left = (folder / "running.json").read_text()
    assert running_runs() == []
    file = folder / "running.json"
    file.write_text(left.replace(f'"pid": {os.getpid()}', '"pid": 1'))  # another process has the number now
    assert running_runs()[0]["stopped"] and "stopped" in next(iter(running_table().columns[5].cells))
    file.write_text(left.replace('"host": "', '"host": "other-'))
    assert not running_runs()[0]["stopped"]
    os.utime(file, (1, 1))
    assert running_runs()[0]["stopped"]


@pytest.mark.parametrize(("seconds", "said"), [([10, 30, 20], "about 2 min to go"), ([], "not known yet")])
def test_time_to_go_is_the_median_of_runs_like_it_shared_by_those_side_by_side(seconds, said):
    jobs = jobs_of([4], "smoke", None, [0])[:12]
    for seed, taken in enumerate(seconds):
        spec = jobs[0].spec
        run = {"run_id": f"other-x-s{seed}", "task": spec.task, "backbone": spec.backbone, "method": "x"}
        ledger.append("smoke", [run | {"seed": seed, "split": "test", "metric": "top1", "seconds": taken, "n": 1}], [])
    assert said in queue._hours(jobs, "smoke", 2)
