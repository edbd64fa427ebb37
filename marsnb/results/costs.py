"""What measured costs say: how a loss grows with the map, and how much more one method costs than another."""

from math import inf

import numpy as np
import pandas as pd
from scipy import stats

from marsnb.results.intervals import COVERAGE, Value
from marsnb.training.spec import row_runs

SETTLED = 32
"""Edge of the map from which growth is fitted: below, what every call costs hides it."""


def growth(frame: pd.DataFrame, equation: str, what: str) -> Value:
    """Exponent p of ``what`` = a N^p over N elements of one image, fitted on a log-log scale, with 95 % of the fit.

    Args:
        frame: what ``bench.contrast`` gives: ``equation, images, side, elements``, and what is fitted.
        equation: ``"Eq. 6"`` or ``"Eq. 7"``.
        what: ``seconds`` or ``peak``.

    Returns:
        NaN for fewer than two sizes; of two sizes nothing is known of its interval.
    """
    mine = frame[(frame["equation"] == equation) & (frame["images"] == 1) & (frame["side"] >= SETTLED)]
    if len(mine) < 2:
        return Value(np.nan, -inf, inf)
    fit = stats.linregress(np.log(mine["elements"].astype(float)), np.log(mine[what].astype(float)))
    arm = float(stats.t.ppf((1 + COVERAGE) / 2, len(mine) - 2) * fit.stderr) if len(mine) > 2 else inf
    return Value(float(fit.slope), float(fit.slope) - arm, float(fit.slope) + arm)


def other_settings(frame: pd.DataFrame, profile: str) -> str:
    """What of a profile's settings differs from those that steps were measured at; empty where nothing does.

    Args:
        frame: what ``bench.steps`` gave.
        profile: name of the profile.
    """
    now, then = row_runs(9, profile)[0][2], frame.iloc[0]
    asked = {
        "backbone": now.backbone, "trunk": now.trunk or "", "image_size": now.image_size, "batch": now.batch_labelled,
    }  # fmt: skip
    found = {name: "" if pd.isna(then.get(name)) else then[name] for name in asked}
    return ", ".join(f"{name} {found[name] or 'none'}" for name, value in asked.items() if found[name] != value)


def method_costs(frame: pd.DataFrame) -> pd.DataFrame:
    """What each method costs, from steps that were each taken beside one of the baseline.

    Args:
        frame: what ``bench.steps`` gives: ``row, label, step, epochs, ms, base_ms, state, peak``.

    Returns:
        By ``row``: ``label``, ``step`` (time of a step in those of the baseline, mean over all epochs), ``whole`` (of
        the whole training, in epochs of the baseline), ``peak`` and ``state`` (bytes: held at most, and kept between
        steps).
    """
    found = {}
    for row, mine in frame.groupby("row", sort=False):
        whole = float((mine["ms"] / mine["base_ms"] * mine["epochs"]).sum())
        found[row] = {
            "label": mine["label"].iloc[0], "step": whole / float(mine["epochs"].sum()),
            "whole": whole, "peak": int(mine["peak"].max()), "state": int(mine["state"].max()),
        }  # fmt: skip
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("row")


def cost_ratios(frame: pd.DataFrame, one: str, other: str) -> dict[str, Value]:
    """Cost of one row's method as a multiple of another's: ``step``, ``whole``, ``peak`` and ``state``.

    Times are uncertain by how far the baseline's steps beside the two were apart; memory is counted.
    """
    costs, frame = method_costs(frame), frame[frame["row"].isin([one, other])]
    apart = float(frame["base_ms"].max() / frame["base_ms"].min())
    found = {}
    for what, off in (("step", apart), ("whole", apart), ("peak", 1.0), ("state", 1.0)):
        ratio = float(costs.loc[one, what]) / float(costs.loc[other, what])  # type: ignore[arg-type]
        found[what] = Value(ratio, ratio / off, ratio * off)
    return found
