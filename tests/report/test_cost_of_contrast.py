"""Eq. 6 against Eq. 7: allocations are counted to the byte, exponents recovered, and nothing runs over the budget."""

import pandas as pd
import pytest

from marsnb import paths
from marsnb.bench import contrast as measure_contrast
from marsnb.report import cost_of_contrast as cost
from marsnb.report.figures import figure


def made_up(sides: tuple[int, ...] = (16, 32, 64), memory: float = 16 * measure_contrast.GIB) -> pd.DataFrame:
    """Numbers of a machine on which Eq. 6 takes 20 N^2 bytes and an image more adds half of that."""
    lines = []
    for side in measure_contrast.SIDES:
        lines.append(["Eq. 7", 1, side, side**2, 4 * side**2, 1e-6 * side**2, 1600 * side**2])
    for side in sides:
        lines.append(["Eq. 6", 1, side, side**2, side**4, 1e-8 * side**4, 20 * side**4])
    lines.append(["Eq. 6", 4, 32, 32**2, 4 * 32**4, 1e-2, 50 * 32**4])
    frame = pd.DataFrame(lines, columns=measure_contrast.COLUMNS)
    return frame.assign(
        budget=measure_contrast.GIB,
        memory=memory,
        stopped_side=96,
        stopped_need=20 * 96**4,
        device="cpu",
        data=cost.DATA,
    )


def test_growth_need_and_limit_are_recovered() -> None:
    frame = made_up()
    assert cost.slope(frame, "Eq. 6", "peak") == pytest.approx(2) and cost.slope(
        frame, "Eq. 7", "peak"
    ) == pytest.approx(1)
    assert cost.need_of_eq6(frame, 128) == pytest.approx(20 * 128**4)
    assert cost.need_of_eq6(frame, 128, 16) == pytest.approx(20 * 128**4 * (1 + 15 / 2))
    text = cost.what_we_see(frame)
    assert "268,435,456 similarities" in text and "is right" in text
    side = int((16 * measure_contrast.GIB / 20) ** 0.25)
    assert f"a map of {side} × {side}" in text
    assert "5.00 GiB, which fits here" in text and "needs 42 GiB, which does not fit here: every image" in text
    assert "does not fit" in cost.what_we_see(made_up(memory=measure_contrast.GIB))
    table = cost.table(frame)
    assert "| 128 × 128 | 268,435,456 | not run |" in table and "5,120 foretold" in table


def test_figure_is_drawn_from_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "measured", lambda budget: made_up().drop(columns="data").assign(budget=budget * 2**30))
    png = figure("cost", "smoke")
    frame = pd.read_csv(png.with_suffix(".csv"))
    assert png == paths.figures("smoke") / "fig_cost.png" and set(frame["budget"]) == {cost.BUDGET * 2**30}
    svg = png.with_suffix(".svg").read_text()
    assert "SYNTHETIC" not in svg and "memory of this machine" in svg
