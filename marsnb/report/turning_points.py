"""Where a curve has converged, and what becomes of it where the losses change."""

from dataclasses import dataclass

import pandas as pd

CONVERGED = (0.05, 0.01)
"""A curve has converged where it stays this near to its last value, relative; the paper does not say how it judges."""


def settled(values: pd.Series, near: float) -> int:
    """First epoch from which on a curve stays near to its last value.

    Args:
        values: by epoch, the last above 0.
        near: largest distance, relative to the last value; 0.05 asks for 95 % of it, and for no more than 105 %.
    """
    far = values.index[(values - values.iloc[-1]).abs() > near * values.iloc[-1]]
    return int(values.index[0] if far.empty else values.index[values.index > far[-1]][0])


@dataclass(frozen=True)
class Drop:
    """What happened to a curve where the losses change.

    Attributes:
        before, after: last value before the change, first value after it, percent.
        lowest: of the new step, percent.
        end: last value, percent.
        back: epochs of the new step until the value before it is passed; ``None`` where that never happens.
    """

    before: float
    after: float
    lowest: float
    end: float
    back: int | None


def drop_at(values: pd.Series, change: float) -> Drop | None:
    """What happened to ``values``, by epoch, at a change between two epochs; ``None`` where one side has none."""
    old, new = values[values.index < change], values[values.index > change]
    if old.empty or new.empty:
        return None
    passed = new.index[new > old.iloc[-1]]
    back = int(passed[0] - change + 0.5) if len(passed) else None
    return Drop(float(old.iloc[-1]), float(new.iloc[0]), float(new.min()), float(new.iloc[-1]), back)
