"""Eq. 6 against Eq. 7: allocations are counted to the byte, exponents recovered, and nothing runs over the budget."""

import subprocess
import sys

import pandas as pd
import pytest
import torch

from marsnb import paths
from marsnb.errors import TrainingError
from marsnb.report import cost_of_contrast as cost
from marsnb.report import measure_contrast
from marsnb.report.figures import figure

CPU = torch.device("cpu")


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


def test_a_peak_is_counted_to_the_byte() -> None:
    def work() -> None:
        first = torch.ones(1000)
        second = first + 1
        del first, second
        torch.ones(500)

    assert measure_contrast.peak_bytes(work, CPU) == pytest.approx(2 * 4000, abs=100)  # and a scalar or two


def test_memory_grows_as_the_equations_say() -> None:
    six = [measure_contrast.measure("Eq. 6", 1, side, CPU) for side in (16, 32)]
    seven = [measure_contrast.measure("Eq. 7", 1, side, CPU) for side in (16, 32)]
    assert 12 < six[1]["peak"] / six[0]["peak"] < 16 and 3.8 < seven[1]["peak"] / seven[0]["peak"] < 4.1
    assert six[1]["similarities"] == 32**4 and seven[1]["similarities"] == 4 * 32**2
    assert six[1]["peak"] > 4 * 32**4 and six[1]["seconds"] > 0


def test_eq_6_stops_before_the_size_that_exceeds_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    def fake(equation: str, images: int, side: int, device: torch.device) -> dict[str, object]:
        ran.append((equation, images, side))
        return {"equation": equation, "images": images, "side": side, "peak": 20 * side**4}

    monkeypatch.setattr(measure_contrast, "measure", fake)
    found = measure_contrast.measure_all(20 * 48**4)
    assert max(side for equation, _, side in ran if equation == "Eq. 6") == 48
    assert ("Eq. 7", 1, 128) in ran and ("Eq. 6", 4, 32) in ran
    assert found["stopped"] == {"side": 64, "need": 20 * 64**4}


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


def test_a_process_that_dies_names_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = subprocess.CompletedProcess([sys.executable], -9, "", "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: dead)
    with pytest.raises(TrainingError, match="lower the memory budget of 3 GiB"):
        measure_contrast.measured(3.0)
