"""What differs between the rows of a table besides their method, what their steps cost, and how a loss grows."""

from math import inf
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from marsnb.data.streams import STREAMS
from marsnb.methods import methods_of
from marsnb.methods._base import method_settings
from marsnb.recipes import load_table
from marsnb.results.intervals import COVERAGE, Value
from marsnb.training.cost import costs
from marsnb.training.spec import row_runs

BASELINE = "cross_entropy"
_METHOD = {"method", "settings", "seed"}
SETTLED = 32  # edge of the map from which growth is fitted: below, what every call costs hides it


def growth(frame: pd.DataFrame, equation: str, what: str) -> Value:
    """Exponent p of ``what`` = a N^p over N elements of one image, fitted on a log-log scale, with 95 % of the fit.

    Of ``bench.contrast``'s lines those of one equation (``"Eq. 6"``, ``"Eq. 7"``) count, in ``seconds`` or ``peak``.
    NaN for fewer than two sizes; of two sizes nothing is known of its interval.
    """
    mine = frame[(frame["equation"] == equation) & (frame["images"] == 1) & (frame["side"] >= SETTLED)]
    if len(mine) < 2:
        return Value(np.nan, -inf, inf)
    fit = stats.linregress(np.log(mine["elements"].astype(float)), np.log(mine[what].astype(float)))
    arm = float(stats.t.ppf((1 + COVERAGE) / 2, len(mine) - 2) * fit.stderr) if len(mine) > 2 else inf
    return Value(float(fit.slope), float(fit.slope) - arm, float(fit.slope) + arm)


def other_settings(frame: pd.DataFrame, profile: str) -> str:
    """What of a profile's settings differs from those that ``bench.steps`` measured at; empty where nothing does."""
    now, then = row_runs(9, profile)[0][2], frame.iloc[0]
    asked = {
        "backbone": now.backbone, "trunk": now.trunk or "", "image_size": now.image_size, "batch": now.batch_labelled,
    }  # fmt: skip
    found = {name: "" if pd.isna(then.get(name)) else then[name] for name in asked}
    return ", ".join(f"{name} {found[name] or 'none'}" for name, value in asked.items() if found[name] != value)


def method_costs(frame: pd.DataFrame) -> pd.DataFrame:
    """What each method costs, from what ``bench.steps`` gives: steps that were each taken beside one of the baseline.

    Returns:
        By ``row``: ``label``, ``step`` (time of a step in those of the baseline, mean over all epochs), ``whole`` (of
        the whole training, in epochs of the baseline), ``peak`` and ``state`` (bytes: held at most, and kept between
        steps).
    """
    by_row = frame.assign(whole=frame["ms"] / frame["base_ms"] * frame["epochs"]).groupby("row", sort=False)
    found = by_row.agg({"label": "first", "epochs": "sum", "whole": "sum", "peak": "max", "state": "max"})
    found.insert(1, "step", found["whole"] / found.pop("epochs"))
    return found


def cost_ratios(frame: pd.DataFrame, one: str, other: str) -> dict[str, Value]:
    """Cost of one row's method as a multiple of another's: ``step``, ``whole``, ``peak`` and ``state``.

    Times are uncertain by how far the baseline's steps beside the two were apart; memory is counted.
    """
    spent, frame = method_costs(frame), frame[frame["row"].isin([one, other])]
    apart = float(frame["base_ms"].max() / frame["base_ms"].min())
    found = {}
    for what, off in (("step", apart), ("whole", apart), ("peak", 1.0), ("state", 1.0)):
        ratio = float(spent.loc[one, what]) / float(spent.loc[other, what])  # type: ignore[arg-type]
        found[what] = Value(ratio, ratio / off, ratio * off)
    return found


def fairness(number: int | str, profile: str) -> pd.DataFrame:
    """Whether the rows of a table differ in their method alone; what is not named is the same in every row.

    Returns:
        One line per row: ``row, label, method, fed`` (streams besides the labelled one), ``settings`` (of the method),
        ``other`` (data, schedule and network where they are not the baseline's), ``epochs`` of each stage, and images
        through the backbone in a step, in batches of the baseline, the most of its stages: ``trained``, ``passed``
        (without a gradient), ``decoded`` (through a decoder), and ``whole`` (of the whole training, the baseline's
        being 1); counted by running a step of each.
    """
    head, found = load_table(number), []
    rows = row_runs(head.table, profile)
    base = next((spec for row, _, spec in rows if spec.method == BASELINE and not row.own_backbone), rows[0][2])
    unit, theirs = float(base.batch_labelled), base.model_dump()
    for row, _, spec in rows:
        mine, stages = spec.model_dump(), costs(spec)
        other = {name: mine[name] for name in mine if name not in _METHOD and mine[name] != theirs[name]}
        method = methods_of(head.task)[spec.method]
        settings = method_settings(method, spec.settings)
        found.append({
            "row": row.id, "label": row.label, "method": spec.method, "fed": _fed(method), "settings": _text(settings),
            "other": _text(other), "epochs": " + ".join(f"{stage.step} {stage.epochs}".strip() for stage in stages),
            "trained": max(stage.trained for stage in stages) / unit,
            "passed": max(stage.passed for stage in stages) / unit,
            "decoded": max(stage.decoded for stage in stages) / unit,
            "whole": sum(stage.images * stage.epochs for stage in stages),
        })  # fmt: skip
    frame = pd.DataFrame(found)
    return frame.assign(whole=frame["whole"] / sum(stage.images * stage.epochs for stage in costs(base)))


def _fed(method: Any) -> str:
    names = [name for name in getattr(method, "streams", ()) if name != "labelled"]
    bare = {name for name in names if name in STREAMS and STREAMS[name].source == "unlabelled"}
    return ", ".join(f"{name} (no labels)" if name in bare else name for name in names)


def _text(values: dict[str, Any]) -> str:
    return ", ".join(f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items())
