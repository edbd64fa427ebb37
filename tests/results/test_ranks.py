"""Rank correlation with the paper: its numbers, its intervals, and when nothing is said."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from marsnb import results
from marsnb.results import ranks
from tests.fake import ledger as fake

IN_ORDER = {"a": 0.50, "b": 0.60, "c": 0.68, "d": 0.76, "e": 0.84, "ours": 0.92}


@pytest.fixture(autouse=True)
def invented(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake.invent(monkeypatch, tmp_path)


def found(
    values: dict[str, float] = IN_ORDER, profile: str = "lite", draws: int = 2000, seed: int = 0, **more
) -> pd.Series:
    if values:
        fake.fill(profile, number=3, top1=values | {"twin": values["e"]}, **more)
    return results.rank_correlation(results.table(3, profile), draws, seed)


def test_correlations_are_scipys_with_and_without_ties() -> None:
    rng = np.random.default_rng(0)
    for high in (3, 1000):
        x, y = rng.integers(high, size=(2, 40, 7)).astype(float)
        rho = ranks.spearman(x, y)
        for i in range(len(x)):
            if np.ptp(x[i]) and np.ptp(y[i]):
                assert rho[i] == pytest.approx(stats.spearmanr(x[i], y[i]).statistic)
    assert np.isnan(ranks.spearman(np.ones((2, 4)), x[:2, :4])).all()


def test_the_papers_order_reproduces_and_controls_are_no_part_of_it() -> None:
    one = found(draws=10_000)
    assert (one["rows"], one["rho"], one["why"]) == (6, pytest.approx(1), "")
    assert 0 < one["low"] <= one["high"] <= 1


def test_rows_that_share_a_run_count_once_and_those_not_run_are_counted() -> None:
    one = found(leave_out=("b",))
    assert (one["rows"], one["shared"], one["missing"]) == (5, 1, 1)


def test_an_order_turned_around_is_below_zero() -> None:
    one = found(dict(zip(IN_ORDER, reversed(IN_ORDER.values()), strict=True)))
    assert one["rho"] == pytest.approx(-1) and one["high"] < 0


def test_numbers_within_their_uncertainty_leave_it_open() -> None:
    one = found({name: 0.8 + 0.001 * i for i, name in enumerate(IN_ORDER)})
    assert one["rho"] == pytest.approx(1) and one["low"] < 0


def test_too_few_rows_equal_ones_and_generated_images_are_not_tested() -> None:
    assert found({})["why"] == "fewer than 4 rows have a run of their own" and found({})["missing"] == 7
    few = found(leave_out=("b", "c", "d"))
    assert few["rows"] == 3 and "fewer than 4" in few["why"] and np.isnan(few["rho"])
    assert found(dict.fromkeys(IN_ORDER, 0.5), "paper", leave_out=("twin",))["why"] == "all rows have the same number"
    assert found(profile="smoke", data="synthetic")["why"] == "the images are generated"


def test_a_seed_that_one_row_alone_has_does_not_count() -> None:
    one = found()
    frame = results.table(3, "lite")
    more = frame[frame["row"] == "a"].assign(seed=1, value=99.0)
    assert results.rank_correlation(pd.concat([frame, more]), 2000).equals(one)


def test_draws_are_seeded() -> None:
    values = {name: 0.8 + 0.005 * i for i, name in enumerate(IN_ORDER)}
    assert found(values, draws=500).equals(found(values, draws=500))
    assert not found(values, draws=500).equals(found(values, draws=500, seed=1))


def test_means_are_redrawn_from_their_own_uncertainty() -> None:
    fake.fill("lite", number=3, top1=IN_ORDER)
    fake.fill("paper", number=3, top1=IN_ORDER, seeds=3)
    rng = np.random.default_rng(0)
    one, three = (
        results.summary(results.table(3, profile)).query("row in ('a', 'b')") for profile in ("lite", "paper")
    )
    assert ranks._redraw_paper(one, 20_000, rng).std(axis=0) == pytest.approx([0, 1 / np.sqrt(3)], rel=0.05)
    single = ranks._redraw_measured(one, 20_000, rng).std(axis=0)
    assert single == pytest.approx([4 / 3.92] * 2, rel=0.05)  # as wide as its interval of 4 points
    several = ranks._redraw_measured(three, 20_000, rng)
    assert several.std(axis=0) == pytest.approx([0.2 / np.sqrt(3)] * 2, rel=0.05)
    assert several.mean(axis=0) == pytest.approx([50.2, 60.2], abs=0.02)


def test_ten_thousand_draws_take_no_time() -> None:
    fake.fill("lite", number=3, top1=IN_ORDER)
    frame = results.table(3, "lite")
    start = time.process_time()
    results.rank_correlation(frame)
    assert time.process_time() - start < 4
