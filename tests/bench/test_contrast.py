"""Time and memory of Eq. 6 against Eq. 7: allocations are counted to the byte, and nothing runs over the budget."""

import subprocess
import sys

import pytest
import torch

from marsnb.bench import contrast
from marsnb.errors import TrainingError

CPU = torch.device("cpu")


def test_a_peak_is_counted_to_the_byte() -> None:
    def work() -> None:
        first = torch.ones(1000)
        second = first + 1
        del first, second
        torch.ones(500)

    assert contrast.peak_bytes(work, CPU) == pytest.approx(2 * 4000, abs=100)  # and a scalar or two


def test_memory_grows_as_the_equations_say() -> None:
    six = [contrast.measure("Eq. 6", 1, side, CPU) for side in (16, 32)]
    seven = [contrast.measure("Eq. 7", 1, side, CPU) for side in (16, 32)]
    assert 12 < six[1]["peak"] / six[0]["peak"] < 16 and 3.8 < seven[1]["peak"] / seven[0]["peak"] < 4.1
    assert six[1]["similarities"] == 32**4 and seven[1]["similarities"] == 4 * 32**2
    assert six[1]["peak"] > 4 * 32**4 and six[1]["seconds"] > 0


def test_eq_6_stops_before_the_size_that_exceeds_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    def fake(equation: str, images: int, side: int, device: torch.device) -> dict[str, object]:
        ran.append((equation, images, side))
        return {"equation": equation, "images": images, "side": side, "peak": 20 * side**4}

    monkeypatch.setattr(contrast, "measure", fake)
    found = contrast.measure_all(20 * 48**4)
    assert max(side for equation, _, side in ran if equation == "Eq. 6") == 48
    assert ("Eq. 7", 1, 128) in ran and ("Eq. 6", 4, 32) in ran
    assert found["stopped"] == {"side": 64, "need": 20 * 64**4}


def test_a_process_that_dies_names_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = subprocess.CompletedProcess([sys.executable], -9, "", "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: dead)
    with pytest.raises(TrainingError, match="lower the memory budget of 3 GiB"):
        contrast.measured(3.0)
