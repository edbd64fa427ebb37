"""The rule of intervals, in closed form."""

import pytest

from marsnb.results.intervals import Value, over_seeds, share


def test_over_seeds_is_students_t() -> None:
    value = over_seeds([80.0, 80.2, 80.4])
    assert (value.n, value.value, value.high - value.value) == (3, pytest.approx(80.2), pytest.approx(0.4969, abs=1e-3))
    assert value.value - value.low == pytest.approx(value.high - value.value)
    two = over_seeds([1.0, 3.0])
    assert two.high == pytest.approx(2 + 12.706, abs=1e-2)


def test_one_seed_has_an_interval_without_ends() -> None:
    value = over_seeds([80.0])
    assert (value.value, value.n, value.known, value.excludes_zero) == (80.0, 1, False, False)


def test_a_share_has_wilsons_interval() -> None:
    value = share(150, 300)
    assert (value.value, value.low, value.high) == pytest.approx((50, 44.37, 55.63), abs=0.01)
    assert share(10, 10).high == 100 and share(10, 10).low > 60 and share(0, 10).low == 0


def test_a_difference_of_independent_values_adds_arms_in_quadrature() -> None:
    gain = Value(80, 77, 82, 1) - Value(70, 66, 74, 3)
    assert (gain.value, gain.low, gain.high, gain.n) == pytest.approx((10, 5, 10 + 20**0.5, 1))
    assert gain.excludes_zero and not (Value(1, -1, 3) - Value(0, 0, 0)).excludes_zero
