"""Status: runs counted once, seeds told apart, and an estimate that is the work left over the speed seen."""

import io
import math

import pytest
from rich.console import Console

from marsnb.methods.classification import METHODS
from marsnb.recipes import load_profile, load_table, profiles, trainable
from marsnb.training import ledger
from marsnb.training.spec import row_runs
from marsnb.training.status import (
    images_per_run,
    seconds_of,
    speeds_of,
    state,
    status_table,
    steps_per_epoch,
    streamed_per_run,
)  # fmt: skip


def enter(profile, key, spec, seed=0, speed=50.0, seconds=60.0):
    """A run's lines, as training would write them, with two metrics."""
    run = dict.fromkeys(ledger.COLUMNS, "x") | {
        "run_id": f"{key}-abc123-s{seed}", "method": spec.method, "backbone": spec.backbone, "seed": seed,
        "value": 0.5, "n": 9, "epochs": 1, "steps": 1, "seconds": seconds, "images_per_s": speed, "peak_memory": 1,
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


def test_time_to_go_is_the_images_left_over_the_speed_seen():
    todo = runs("lite")
    trained = {key: spec for key, spec in todo.items() if not METHODS[spec.method].precompute}
    probes = {key: spec for key, spec in todo.items() if METHODS[spec.method].precompute}
    *first, last = trained
    for seed in range(load_profile("lite").seeds):
        for key in (*first, last)[: None if seed else -1]:
            enter("lite", key, trained[key], seed, speed=25.0)
        for key in probes:
            enter("lite", key, probes[key], seed, speed=5000.0)  # a frozen backbone's speed says nothing about others
    assert state("table04", "lite")["to_go"] == pytest.approx(images_per_run(trained[last]) / 25)


def test_the_estimate_counts_what_goes_through_the_network(monkeypatch):
    rows = {row.id: (key, spec) for row, key, spec in row_runs(3, "lite")}
    monkeypatch.setattr("marsnb.training.status.row_runs", lambda table, profile: [
        (row, key, spec) for row, key, spec in row_runs(3, "lite") if row.id in ("resnet50", "s4l-rotation")
    ])  # fmt: skip
    for seed in range(load_profile("lite").seeds):
        enter("lite", *rows["resnet50"], seed, speed=40.0)
    seeds = load_profile("lite").seeds
    assert images_per_run(rows["s4l-rotation"][1]) > 1.5 * streamed_per_run(rows["s4l-rotation"][1])
    assert state("table03", "lite")["to_go"] == pytest.approx(seeds * images_per_run(rows["s4l-rotation"][1]) / 40)


def test_segmentation_is_estimated_from_its_own_runs(monkeypatch):
    rows = {row.id: (key, spec) for row, key, spec in row_runs(9, "lite") if not row.control}
    monkeypatch.setattr("marsnb.training.status.row_runs", lambda table, profile: [
        (row, key, spec) for row, key, spec in row_runs(table, profile) if not row.control
    ])  # fmt: skip
    baseline, seeds = rows["baseline"][1], load_profile("lite").seeds
    assert images_per_run(baseline) == 2 * baseline.epochs * steps_per_epoch(baseline) * 16
    assert images_per_run(baseline) == streamed_per_run(baseline)
    enter("lite", *{row.id: (key, spec) for row, key, spec in row_runs(4, "lite")}["baseline"], speed=1.0)
    assert math.isnan(state("table09", "lite")["to_go"])  # the same network, but another task
    for seed in range(seeds):
        enter("lite", *rows["baseline"], seed, speed=10.0)
    left = seeds * sum(images_per_run(spec) for row, (_, spec) in rows.items() if row != "baseline")
    assert left == pytest.approx(seeds * (3 + 2 + 3 + 3) / 2 * images_per_run(baseline))
    assert state("table09", "lite")["to_go"] == pytest.approx(left / 10)


def test_the_speed_of_a_cut_network_says_nothing_of_a_whole_one():
    specs = {row.id: (key, spec) for row, key, spec in row_runs(4, "lite")}
    enter("lite", *specs["baseline"], speed=100.0)
    known = speeds_of("lite")
    assert seconds_of(specs["moco-ls"][1], known) == pytest.approx(images_per_run(specs["moco-ls"][1]) / 100)
    assert math.isnan(seconds_of(specs["whole-ls"][1], known)) and math.isnan(seconds_of(specs["cut-4-ls"][1], known))


def test_images_per_run():
    specs = {row.id: spec for row, _, spec in row_runs(4, "lite")}
    steps = specs["final"].epochs * (5386 // 16)
    assert images_per_run(specs["baseline"]) == 16 * steps
    assert images_per_run(specs["final"]) == (16 + 2 * 24 + 2 * 16) * steps
    paper = {row.id: spec for row, _, spec in row_runs(4, "paper")}["moco-lu"]
    assert images_per_run(paper) == (16 + 2 * 16) * 30 * (5386 // 16)


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
