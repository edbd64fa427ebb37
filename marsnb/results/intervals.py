"""The one rule of intervals: Student's t over seeds; of one seed, what its test images tell; of counts, Wilson's."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, inf, isfinite, sqrt

import numpy as np
from scipy import stats

PERCENT = 100.0
COVERAGE = 0.95
ENOUGH = 3  # seeds below which nothing is said about a method
OVER_SEEDS = "t over seeds"
PAIRED = "test images, one seed"
APART = "test images, one seed, unpaired"
"""What an interval is drawn from; the last is of two rows whose answers to single images are not on this machine."""


@dataclass(frozen=True)
class Value:
    """A number with its 95 % interval, infinite where nothing is known of it."""

    value: float
    low: float
    high: float
    n: int = 0  # how many seeds, 0 where nothing was trained

    def __sub__(self, other: "Value") -> "Value":
        """Difference of two independent values: their intervals' arms added in quadrature (MOVER)."""
        centre = self.value - other.value
        down = hypot(self.value - self.low, other.high - other.value)
        up = hypot(self.high - self.value, other.value - other.low)
        return Value(centre, centre - down, centre + up, min(self.n, other.n))

    @property
    def known(self) -> bool:
        """Whether both ends of the interval are."""
        return isfinite(self.low) and isfinite(self.high)

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0 or self.high < 0


def over_seeds(values: Sequence[float]) -> Value:
    """Mean and Student's t interval of one value per seed; of a single one, an interval without ends."""
    mean, n = float(np.mean(values)), len(values)
    arm = float(stats.t.ppf((1 + COVERAGE) / 2, n - 1) * np.std(values, ddof=1) / sqrt(n)) if n > 1 else inf
    return Value(mean, mean - arm, mean + arm, n)


def share(right: float, total: int) -> Value:
    """A share of counted things in percent, with Wilson's interval."""
    z, p = float(stats.norm.ppf((1 + COVERAGE) / 2)), right / total
    middle, arm = p + z * z / (2 * total), z * sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    low, high = ((middle + sign * arm) / (1 + z * z / total) for sign in (-1, 1))
    return Value(PERCENT * p, PERCENT * min(low, p), PERCENT * max(high, p), 1)
