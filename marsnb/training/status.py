"""What is measured and what is missing, per table and profile."""

import pandas as pd
from rich.table import Table

from marsnb.data.streams import STREAMS
from marsnb.methods.classification import METHODS
from marsnb.recipes import load_profile, load_table, profiles, trainable
from marsnb.training import ledger
from marsnb.training.spec import ClassificationSpec, row_runs

CLASSES = 24
LABELLED_IMAGES = 5386
"""Training images of MSL v1, for the length of an epoch that is one pass."""


def images_per_run(spec: ClassificationSpec) -> int:
    """Images that a run pushes through the network while training."""
    sizes = {"labelled": spec.batch_labelled, "classes": CLASSES, "unlabelled": spec.batch_unlabelled}
    method = METHODS[spec.method]
    steps = spec.steps_per_epoch or LABELLED_IMAGES // spec.batch_labelled
    images = 0
    for stage, share in enumerate(method.stages):
        streams = [STREAMS[name] for name in method.streams_of(stage)]
        per_step = sum(sizes[stream.batch] * stream.views for stream in streams)
        images += per_step * max(1, round(share * spec.epochs)) * steps
    return images


def state(table: str, profile: str) -> dict[str, float]:
    """Runs done and missing of one table, seconds so far, and an estimate of the seconds to go.

    The estimate takes the speed of the profile's own runs with the same backbone; NaN where there is none yet.
    """
    done = ledger.read(profile).drop_duplicates("run_id")
    done = done.assign(key=done["run_id"].str.split("-").str[0])
    seeds = range(load_profile(profile).seeds)
    specs = {key: spec for _, key, spec in row_runs(table, profile)}
    have = done[done["key"].isin(specs)]
    found = set(zip(have["key"], have["seed"].astype(int), strict=True))
    missing = [specs[key] for key in specs for seed in seeds if (key, seed) not in found]
    to_go = sum(_seconds(spec, done) for spec in missing)
    wanted = len(specs) * len(seeds)
    return {"runs": wanted, "done": wanted - len(missing), "seconds": float(have["seconds"].sum()), "to_go": to_go}


def _seconds(spec: ClassificationSpec, done: pd.DataFrame) -> float:
    probe = METHODS[spec.method].precompute
    like = done[(done["backbone"] == spec.backbone) & ((done["method"] == spec.method) | (not probe))]
    if not probe:
        like = like[~like["method"].isin([name for name in METHODS if METHODS[name].precompute])]
    return images_per_run(spec) / float(like["images_per_s"].median()) if len(like) else float("nan")


def clock(seconds: float) -> str:
    """Hours and minutes, or ``?`` where unknown."""
    if seconds != seconds:
        return "?"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


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
            to_go = clock(s["to_go"]) if missing else ""
            view.add_row(scale, table, f"{s['done']:.0f}", str(missing), clock(s["seconds"]), to_go)
    return view
