"""Do the rows of a table come out in the paper's order? Rank correlation with an interval."""

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from marsnb.results.intervals import COVERAGE
from marsnb.results.tidy import on_common_seeds, summary

FEWEST = 4  # rows below which an order is not tested: of 3 there are only 6 orders
PAPER_RUNS = 3  # runs behind the paper's means (section 6.2)
DRAWS = 10_000
WIDTH = 2 * float(stats.norm.ppf((1 + COVERAGE) / 2))  # of a 95 % interval, in standard deviations of a normal


def rank_correlation(frame: pd.DataFrame, draws: int = DRAWS, seed: int = 0) -> pd.Series:
    """Spearman's rho between the paper's means and the measured ones, on the seeds that all measured rows have.

    Controls are left out, and of rows that share a run all but the first: the others would only be ties. The interval
    redraws the rows (``draws`` times), and each side's means within their standard errors; the test images of a single
    seed are redrawn for each row apart, although all saw the same, so that the interval comes out rather too wide. The
    ``frame`` is what `table` gives, of one metric, or some of its rows.

    Returns:
        ``rows`` (how many), ``rho, low, high`` (95 %), ``shared`` and ``missing`` (rows that share a run with one
        above, and that were not run), ``why`` (nothing was tested, where nothing was).
    """
    shared = on_common_seeds(frame[~frame["control"]])
    whole = summary(shared).dropna(subset="paper").drop_duplicates("row")
    done = whole[whole["seeds"] > 0]
    kept = done.drop_duplicates("run")
    found: dict[str, Any] = {"rows": len(kept), "rho": np.nan, "low": np.nan, "high": np.nan}
    found |= {"shared": len(done) - len(kept), "missing": len(whole) - len(done), "why": _why_not(kept)}
    if found["why"]:
        return pd.Series(found)
    rng = np.random.default_rng(seed)
    theirs, ours = _redraw_paper(kept, draws, rng), _redraw_measured(kept, draws, rng)
    # the means first, so that a row drawn twice is a tie and not two near neighbours
    which = rng.integers(len(kept), size=theirs.shape)
    drawn = spearman(np.take_along_axis(theirs, which, 1), np.take_along_axis(ours, which, 1))
    low, high = np.nanquantile(drawn, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    rho = float(stats.spearmanr(kept["paper"], kept["mean"]).statistic)
    return pd.Series(found | {"rho": rho, "low": float(low), "high": float(high)})


def _why_not(kept: pd.DataFrame) -> str:
    if kept["data"].str.contains("synthetic", case=False).any():
        return "the images are generated"
    if len(kept) < FEWEST:
        return f"fewer than {FEWEST} rows have a run of their own"
    if np.ptp(kept["paper"]) == 0 or np.ptp(kept["mean"]) == 0:
        return "all rows have the same number"
    return ""


def _redraw_paper(kept: pd.DataFrame, draws: int, rng: np.random.Generator) -> np.ndarray:
    """The paper's means redrawn from a normal with its standard error, as they are where it gives no spread."""
    error = kept["paper_std"].fillna(0).to_numpy(float) / np.sqrt(PAPER_RUNS)
    return rng.normal(kept["paper"].to_numpy(float), error, size=(draws, len(kept)))


def _redraw_measured(kept: pd.DataFrame, draws: int, rng: np.random.Generator) -> np.ndarray:
    """The measured means redrawn from a normal: over seeds, or, of one seed, as wide as its interval over images."""
    over = kept["sd"] / np.sqrt(kept["seeds"])
    error = over.where(kept["seeds"] > 1, (kept["high"] - kept["low"]) / WIDTH).fillna(0).to_numpy(float)
    return rng.normal(kept["mean"].to_numpy(float), error, size=(draws, len(kept)))


def spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's rho of each line of two arrays, ``(draws, n)`` to ``(draws,)``; NaN where a line is constant."""
    a, b = (stats.rankdata(values, axis=1) for values in (x, y))
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho: np.ndarray = (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return rho
