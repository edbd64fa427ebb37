import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from marsnb.report import ranking as module
from marsnb.report import ranking_picture as picture
from marsnb.report.figures import figure
from marsnb.report.measured import lines
from marsnb.report.ranking import correlations, ranking, ranking_text

IN_ORDER = {"a": 0.50, "b": 0.60, "c": 0.68, "d": 0.76, "e": 0.84, "ours": 0.92}


@pytest.fixture
def invented(fake_ledger: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    fake_ledger.invent(monkeypatch, tmp_path)
    return fake_ledger


def fill(fake: ModuleType, values: dict[str, float] = IN_ORDER, profile: str = "lite", **more) -> None:
    fake.fill(profile, number=3, top1=values | {"twin": values["e"]}, **more)


def test_correlations_are_scipys_with_and_without_ties() -> None:
    rng = np.random.default_rng(0)
    for high in (3, 1000):
        x, y = rng.integers(high, size=(2, 40, 7)).astype(float)
        rho, tau = correlations(x, y)
        for i in range(len(x)):
            if np.ptp(x[i]) and np.ptp(y[i]):
                assert rho[i] == pytest.approx(stats.spearmanr(x[i], y[i]).statistic)
                assert tau[i] == pytest.approx(stats.kendalltau(x[i], y[i]).statistic)
    assert all(np.isnan(value).all() for value in correlations(np.ones((2, 4)), x[:2, :4]))


def test_the_papers_order_reproduces(invented: ModuleType) -> None:
    fill(invented)
    found = ranking(3, "lite")
    assert found.tested and found.reproduces and (found.rho, found.tau) == (pytest.approx(1), pytest.approx(1))
    assert found.rho_interval is not None and 0 < found.rho_interval[0] <= found.rho_interval[1] <= 1
    assert found.rows == ("A | a", "B", "C", "D", "E", "Ours")
    text = ranking_text(3, "lite")
    assert "the paper's ranking reproduces**" in text and "Over 6 rows" in text and "10,000 draws" in text


def test_rows_that_share_a_run_count_once_and_the_text_says_how_many(invented: ModuleType) -> None:
    fill(invented, leave_out=("b",))
    found = ranking(3, "lite")
    assert (found.shared, found.missing) == (("Twin of E",), ("B",)) and "A control" not in found.rows
    assert "Left out: 1 sharing a run with a row above (Twin of E), and 1 not run (B)." in ranking_text(3, "lite")


def test_an_order_turned_around_does_not_reproduce(invented: ModuleType) -> None:
    fill(invented, dict(zip(IN_ORDER, reversed(IN_ORDER.values()), strict=True)))
    assert ranking(3, "lite").reproduces is False
    assert "rather reversed" in ranking_text(3, "lite")


def test_numbers_within_their_uncertainty_leave_it_open(invented: ModuleType) -> None:
    fill(invented, {name: 0.8 + 0.001 * i for i, name in enumerate(IN_ORDER)})
    found = ranking(3, "lite")
    assert found.rho == pytest.approx(1)
    assert found.reproduces is False and "is open**: an interval includes 0" in ranking_text(3, "lite")


def test_too_few_rows_equal_ones_and_generated_images_are_not_tested(invented: ModuleType) -> None:
    assert ranking(3, "lite").why_not.startswith("0 of 7 rows")
    assert ranking_text(3, "lite").endswith("Left out: 7 not run.")
    fill(invented, leave_out=("b", "c", "d"))
    few = ranking(3, "lite")
    assert few.why_not.startswith("3 of 7 rows") and few.reproduces is None and few.rho is None
    assert "not tested**, because 3 of 7" in ranking_text(3, "lite")
    fill(invented, dict.fromkeys(IN_ORDER, 0.5), "paper", leave_out=("twin",))
    assert ranking(3, "paper").why_not == "all rows have the same number"
    fill(invented, profile="smoke", data="synthetic")
    assert "not tested**, because the images are generated" in ranking_text(3, "smoke")


def test_draws_are_seeded(invented: ModuleType) -> None:
    fill(invented, {name: 0.8 + 0.01 * i for i, name in enumerate(IN_ORDER)})
    assert ranking(3, "lite", draws=500) == ranking(3, "lite", draws=500)
    assert ranking(3, "lite", draws=500) != ranking(3, "lite", draws=500, seed=1)


def test_means_are_redrawn_from_their_own_uncertainty(invented: ModuleType) -> None:
    fill(invented)
    fill(invented, profile="paper", seeds=3)
    rng = np.random.default_rng(0)
    one = [line for line in lines(3, "lite") if line.row.id in ("a", "b")]
    three = [line for line in lines(3, "paper") if line.row.id in ("a", "b")]
    paper = module.redraw_paper(one, 20_000, rng).std(axis=0)
    assert paper == pytest.approx([0, 1 / np.sqrt(3)], rel=0.05)
    images = sum(invented.CLASSES.values())
    single = module.redraw_measured(one, 20_000, rng).std(axis=0)
    assert single == pytest.approx([100 * np.sqrt(p * (1 - p) / images) for p in (0.5, 0.6)], rel=0.05)
    several = module.redraw_measured(three, 20_000, rng)
    assert several.std(axis=0) == pytest.approx([0.2 / np.sqrt(3)] * 2, rel=0.05)
    assert several.mean(axis=0) == pytest.approx([50.2, 60.2], abs=0.02)


def test_ten_thousand_draws_of_a_long_table_take_no_time(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite", number=5)
    start = time.process_time()
    assert len(ranking(5, "lite").rows) == 16
    assert time.process_time() - start < 4


def test_figure_has_the_correlation_in_its_title_and_its_numbers_beside_it(invented: ModuleType) -> None:
    fill(invented, leave_out=("b",))
    png = figure("ranking", "lite")
    frame = pd.read_csv(png.with_suffix(".csv"))
    assert frame["number"].tolist() == list(range(1, 8)) and frame.loc[~frame["counted"], "row"].tolist() == [
        "B",
        "Twin of E",
    ]
    assert picture._title(frame).startswith("Table 3: Spearman's ρ = 1.00 [") and "5 methods" in picture._title(frame)
    assert "Not run: B." in picture._notes(frame, frame[frame["measured_mean"].isna()])


def test_figure_of_too_few_says_that_it_is_not_tested(invented: ModuleType) -> None:
    fill(invented, leave_out=("b", "c", "d"))
    frame = pd.read_csv(figure("ranking", "lite").with_suffix(".csv"))
    assert picture._title(frame) == "Table 3: order of the methods not tested" and frame["rho"].isna().all()
    assert "Not tested: 3 of 7" in picture._notes(frame, frame[:0])


def test_a_network_of_its_own_does_not_decide_the_order(fake_ledger: ModuleType) -> None:
    far = {row: 0.7 for row in ("resnet50", "focal", "center", "triplet", "mixup")} | {"alexnet": 0.2, "ours": 0.69}
    fake_ledger.fill("lite", number=3, top1=far)
    assert "alexnet" not in [label.lower() for label in ranking(3, "lite", networks=False).rows]
    assert "Without AlexNet, which is another network and no other method: ρ " in ranking_text(3, "lite")
