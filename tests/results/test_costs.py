"""Growth with the map and cost of methods, on made-up numbers."""

import numpy as np
import pandas as pd
import pytest

from marsnb.results import cost_ratios, method_costs
from marsnb.results.costs import growth


def maps(power: float, sides: tuple[int, ...] = (16, 32, 64, 128), noise: float = 0.0) -> pd.DataFrame:
    lines = [
        (1, side, side * side, 3.0 * (side * side) ** power * (1 + noise * (i % 2))) for i, side in enumerate(sides)
    ]
    frame = pd.DataFrame(lines, columns=["images", "side", "elements", "peak"]).assign(equation="Eq. 6")
    return pd.concat([frame, frame.assign(images=4, peak=1.0)])


def test_the_exponent_is_recovered_from_one_image_and_large_maps() -> None:
    value = growth(maps(2.0), "Eq. 6", "peak")
    assert value.value == pytest.approx(2) and value.high - value.low < 1e-6
    assert growth(maps(2.0, noise=0.3), "Eq. 6", "peak").high - growth(maps(2.0, noise=0.3), "Eq. 6", "peak").low > 0.1
    assert np.isnan(growth(maps(2.0, sides=(8, 16, 32)), "Eq. 6", "peak").value)
    assert not growth(maps(2.0, sides=(32, 64)), "Eq. 6", "peak").known


def steps(noise: float = 1.0) -> pd.DataFrame:
    """The baseline, ReCo and ours, whose steps take 2, 6 and 3 or 4 times a baseline's millisecond."""
    rows = [("baseline", "joint", 8, 2.0, 10, 100), ("reco", "joint", 8, 6.0, 40, 400)]
    rows += [("ours", step, 4, ms, 20, peak) for step, ms, peak in (("a", 3.0, 150), ("b", 4.0, 200), ("c", 4.0, 200))]
    frame = pd.DataFrame(rows, columns=["row", "step", "epochs", "ms", "state", "peak"])
    return frame.assign(label=frame["row"].str.title(), base_ms=[2.0, 2.0 * noise, 2.0, 2.0, 2.0])


def test_costs_are_means_over_the_training_and_ratios_are_of_them() -> None:
    costs = method_costs(steps())
    assert costs.loc["reco", ["step", "whole", "peak", "state"]].tolist() == [3.0, 24.0, 400, 40]
    assert costs.loc["ours", "step"] == pytest.approx((1.5 + 2 + 2) / 3) and costs.loc["ours", "whole"] == 22.0
    found = cost_ratios(steps(), "reco", "ours")
    values = {what: value.value for what, value in found.items()}
    assert values == pytest.approx({"step": 3 / (5.5 / 3), "whole": 24 / 22, "peak": 2.0, "state": 2.0})


def test_times_are_as_uncertain_as_the_baselines_own_steps() -> None:
    found = cost_ratios(steps(noise=1.2), "reco", "ours")
    whole = found["whole"]
    assert whole.high / whole.value == pytest.approx(1.2) and whole.low < 1 < whole.high
    assert found["peak"].low == found["peak"].high == 2.0
    alone = cost_ratios(steps(noise=1.2), "baseline", "ours")["whole"]  # ReCo's step is none of theirs
    assert alone.low == alone.high
