"""What is measured and what is missing, per table and profile."""

import pandas as pd
from rich.markup import escape
from rich.table import Table

from marsnb.recipes import load_profile, load_table, profiles, trainable
from marsnb.times import duration
from marsnb.training import measurement
from marsnb.training.running import running_runs
from marsnb.training.spec import RunSpec, row_runs


def done_runs(profile: str) -> pd.DataFrame:
    """The ledger's runs, a line each, with the ``key`` of the spec."""
    return measurement.read(profile).drop_duplicates("run_id")


def seconds_of(spec: RunSpec, done: pd.DataFrame) -> float:
    """What a run will take: the median of its other seeds, else of runs of its method, else of any; NaN of none.

    Runs of another task or with another network say nothing about it.

    Args:
        spec: the run.
        done: what `done_runs` gives.
    """
    like = done[(done["task"] == spec.task) & (done["backbone"] == spec.backbone)]
    for some in (like[like["key"] == spec.key], like[like["method"] == spec.method], like):
        if len(some):
            return float(some["seconds"].astype(float).median())
    return float("nan")


def state(table: str, profile: str) -> dict[str, float]:
    """Runs wanted and done of one table, their seconds so far, and an estimate of those to go; see `seconds_of`."""
    done, seeds = done_runs(profile), range(load_profile(profile).seeds)
    specs = {key: spec for row, key, spec in row_runs(table, profile) if profile not in row.not_at}
    have = done[done["key"].isin(specs)]
    found = set(zip(have["key"], have["seed"].astype(int), strict=True))
    missing = [specs[key] for key in specs for seed in seeds if (key, seed) not in found]
    to_go, wanted = sum(seconds_of(spec, done) for spec in missing), len(specs) * len(seeds)
    return {"runs": wanted, "done": wanted - len(missing), "seconds": float(have["seconds"].sum()), "to_go": to_go}


def status_table(profile: str | None = None) -> Table:
    """The state of every table in one profile, or in all, to print."""
    view = Table(title="Runs in the ledger")
    for name in ("profile", "table", "done", "missing", "time so far", "time to go"):
        view.add_column(name, justify="left" if name in ("profile", "table") else "right")
    for scale in [profile] if profile else profiles():
        for table in trainable():
            if load_table(table).profile not in (None, scale):
                continue
            s = state(table, scale)
            missing = int(s["runs"] - s["done"])
            to_go = duration(s["to_go"]) if missing else ""
            view.add_row(scale, table, f"{s['done']:.0f}", str(missing), duration(s["seconds"]), to_go)
    return view


def running_table(profile: str | None = None) -> Table:
    """The runs that are being trained now, in one profile or in all, and those that were killed, to print."""
    view = Table(title="Runs that are being trained")
    for name in ("profile", "run", "epoch", "where", "since (UTC)", ""):
        view.add_column(name, justify="right" if name == "epoch" else "left")
    for run in running_runs(profile):
        epoch = f"{run['epoch']}/{run['epochs']}" if run["epochs"] else "preparing"
        state = "stopped: the same command goes on from there" if run["stopped"] else ""
        where = f"{run['host']}, process {run['pid']}"
        since = run["since"].strip("Z").replace("T", " ")
        view.add_row(run["profile"], escape(run["label"]), epoch, where, since, state)
    return view
