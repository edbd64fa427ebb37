"""What is measured and what is missing, per table and profile."""

from typing import Any

import pandas as pd
from rich.markup import escape
from rich.table import Table

from marsnb.data.streams import STREAMS
from marsnb.methods import methods_of
from marsnb.recipes import load_profile, load_table, profiles, trainable
from marsnb.times import duration
from marsnb.training import ledger
from marsnb.training.cost import CLASSES, costs
from marsnb.training.fairness import BASELINE
from marsnb.training.running import running_runs
from marsnb.training.spec import RunSpec, row_runs

TRAINING_IMAGES = {"classification": 5386, "segmentation": 9831}
"""Of MSL v1, and about 60 % of the Navcam pairs of AI4Mars, for the length of an epoch that is one pass.

A machine with fewer pairs takes less: the estimate is of the whole data.
"""


def steps_per_epoch(spec: RunSpec) -> int:
    """Steps of one epoch."""
    return spec.steps_per_epoch or TRAINING_IMAGES[spec.task] // spec.batch_labelled


def streamed_per_run(spec: Any) -> int:
    """Images that a run is fed while training: what the ledger's ``images_per_s`` counts."""
    if spec.task == "segmentation":
        fed = len(methods_of(spec.task)[spec.method].streams)
        return fed * spec.batch_labelled * sum(cost.epochs for cost in costs(spec)) * steps_per_epoch(spec)
    sizes = {"labelled": spec.batch_labelled, "classes": CLASSES, "unlabelled": spec.batch_unlabelled}
    method, images = methods_of(spec.task)[spec.method], 0
    for stage, share in enumerate(method.stages):
        streams = [STREAMS[name] for name in method.streams_of(stage)]
        per_step = sum(sizes[stream.batch] * stream.views for stream in streams)
        images += per_step * max(1, round(share * spec.epochs)) * steps_per_epoch(spec)
    return images


def images_per_run(spec: Any) -> float:
    """Images that a run pushes through the network while training, counted; those it is fed where none goes through."""
    passed = sum(cost.images * cost.epochs for cost in costs(spec)) * steps_per_epoch(spec)
    return passed or streamed_per_run(spec)


def state(table: str, profile: str) -> dict[str, float]:
    """Runs done and missing of one table, seconds so far, and an estimate of the seconds to go.

    The estimate takes the speed of the profile's own runs with the same backbone; NaN where there is none yet.
    """
    done = ledger.read(profile).drop_duplicates("run_id")
    done = done.assign(key=done["run_id"].str.split("-").str[0])
    seeds = range(load_profile(profile).seeds)
    specs = {key: spec for row, key, spec in row_runs(table, profile) if profile not in row.not_at}
    have = done[done["key"].isin(specs)]
    found = set(zip(have["key"], have["seed"].astype(int), strict=True))
    missing = [specs[key] for key in specs for seed in seeds if (key, seed) not in found]
    speeds = speeds_of(profile) if missing else []
    to_go = sum(seconds_of(spec, speeds) for spec in missing)
    wanted = len(specs) * len(seeds)
    return {"runs": wanted, "done": wanted - len(missing), "seconds": float(have["seconds"].sum()), "to_go": to_go}


def speeds_of(profile: str) -> list[tuple[RunSpec, float]]:
    """The runs in the ledger that a table of the recipes knows, and the images they were fed per second."""
    done = ledger.read(profile).drop_duplicates("run_id")
    keys = done["run_id"].str.split("-").str[0]
    known = {key: spec for table in trainable() for _, key, spec in row_runs(table, profile)}
    pairs = zip(keys, done["images_per_s"].astype(float), strict=True)
    return [(known[key], speed) for key, speed in pairs if key in known]


def _trains_backbone(spec: RunSpec) -> bool:
    return not getattr(methods_of(spec.task)[spec.method], "precompute", False)


def seconds_of(spec: RunSpec, speeds: list[tuple[RunSpec, float]]) -> float:
    """From the speed of the runs that are most like it: of its method, else of the baseline, else of any.

    The ledger's speed counts what a run was fed; a method that makes four images of each pushes four times as many
    through the network.
    """
    like = [
        (other, speed)
        for other, speed in speeds
        if (other.task, other.backbone, other.trunk) == (spec.task, spec.backbone, spec.trunk)
        and _trains_backbone(other) == _trains_backbone(spec)
    ]
    for method, size in ((spec.method, True), (BASELINE, True), (None, True), (spec.method, False), (None, False)):
        some = [
            speed * images_per_run(other) / streamed_per_run(other)
            for other, speed in like
            if method in (None, other.method) and (not size or other.image_size == spec.image_size)
        ]
        if some:
            return images_per_run(spec) / float(pd.Series(some).median())
    return float("nan")


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
