"""Status: runs counted once, seeds told apart, and an estimate from the time that runs like those to go took."""

import io
import math

import pytest
from rich.console import Console

from marsnb.recipes import load_profile, load_table, profiles, trainable
from marsnb.training import ledger
from marsnb.training.spec import row_runs
from marsnb.training.status import done_runs, seconds_of, state, status_table


def enter(profile, key, spec, seed=0, seconds=60.0):
    """A run's lines, as training would write them, with two metrics."""
    run = dict.fromkeys(ledger.COLUMNS, "x") | {
        "run_id": f"{key}-abc123-s{seed}", "task": spec.task, "method": spec.method, "backbone": spec.backbone,
        "seed": seed, "value": 0.5, "n": 9, "epochs": 1, "steps": 1, "seconds": seconds, "images_per_s": 50.0,
        "peak_memory": 1,
    }  # fmt: skip
    ledger.append(profile, [run | {"metric": "top1"}, run | {"metric": "top1_low"}], [])


def runs(profile):
    """Key to spec of Table 4: what is to be trained."""
    return {key: spec for _, key, spec in row_runs(4, profile)}


@pytest.mark.parametrize("profile", profiles())
def test_nothing_is_measured_at_first(profile):
    wanted = state("table04", profile)
    assert wanted["runs"] == len(runs(profile)) * load_profile(profile).seeds
    assert (wanted["done"], wanted["seconds"]) == (0, 0)
    assert math.isnan(wanted["to_go"])


def test_runs_are_counted_once():
    todo = runs("lite")
    assert len(todo) < len(row_runs(4, "lite"))  # rows share runs
    seeds = load_profile("lite").seeds
    entered = [(key, spec, seed) for seed in range(seeds) for key, spec in todo.items()]
    for i, (key, spec, seed) in enumerate(entered, start=1):
        enter("lite", key, spec, seed)
        now = state("table04", "lite")
        assert (now["runs"], now["done"], now["seconds"]) == (seeds * len(todo), i, 60.0 * i)
    assert now["to_go"] == 0


def test_seeds_and_other_runs_are_told_apart():
    key, spec = next(iter(runs("paper").items()))
    assert load_profile("paper").seeds == 3
    for seed in (0, 2, 7):  # the profile wants 0, 1 and 2
        enter("paper", key, spec, seed)
    enter("paper", "0123456789", spec)  # a run of no row
    now = state("table04", "paper")
    assert now["done"] == 2
    assert now["seconds"] == 180  # the third was spent too
    assert state("table04", "lite")["done"] == 0


def test_time_to_go_is_that_of_the_other_seeds_else_of_the_method_else_of_the_network():
    todo, seeds = runs("lite"), load_profile("lite").seeds
    network = {key: spec for key, spec in todo.items() if spec.backbone == next(iter(todo.values())).backbone}
    ours = [key for key, spec in network.items() if spec.method == "semi_supervised"]
    others = [key for key, spec in network.items() if spec.method != "semi_supervised"]
    (key, *alike), spec = ours, network[ours[0]]
    for seed, seconds in enumerate((100.0, 300.0, 200.0)):
        enter("lite", key, spec, seed, seconds=seconds)
    enter("lite", others[0], network[others[0]], seconds=50.0)
    done = done_runs("lite")
    assert seconds_of(spec, done) == seconds_of(network[alike[0]], done) == 200
    assert seconds_of(network[others[0]], done) == 50
    unlike = next(key for key in others if network[key].method != network[others[0]].method)
    assert seconds_of(network[unlike], done) == pytest.approx(150)  # the median of all four
    assert state("table04", "lite")["to_go"] == pytest.approx(
        sum(seconds_of(spec, done) for spec in todo.values()) * seeds - (seeds if seeds < 3 else 3) * 200 - 50
    )


def test_another_task_and_another_network_say_nothing():
    baseline = {row.id: (key, spec) for row, key, spec in row_runs(4, "lite")}["baseline"]
    enter("lite", *baseline)
    done = done_runs("lite")
    assert seconds_of(baseline[1], done) == 60
    assert math.isnan(seconds_of(baseline[1].model_copy(update={"backbone": "other"}), done))
    assert math.isnan(state("table09", "lite")["to_go"])  # the same network, but another task


@pytest.mark.parametrize("profile", ["smoke", None])
def test_table_names_every_profile_and_table(profile):
    key, spec = next(iter(runs("smoke").items()))
    enter("smoke", key, spec)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(status_table(profile))
    rows = [line.split("│")[1:-1] for line in console.export_text().splitlines() if line.startswith("│")]
    cells = {(row[0].strip(), row[1].strip()): [cell.strip() for cell in row[2:]] for row in rows}
    shown = [profile] if profile else profiles()
    assert set(cells) == {(p, t) for p in shown for t in trainable() if load_table(t).profile in (None, p)}
    assert ("smoke", "choice") not in cells  # these runs chose the profile lite, and are of it alone
    assert cells["smoke", "table04"][:3] == ["1", str(len(runs("smoke")) - 1), "60 s"]
