"""Table 2, Figs 2b and 5: shares, not areas, are compared; what has no label shows; colours stay apart for all eyes."""

from collections.abc import Iterator
from functools import cache, partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from marsnb import paths
from marsnb.data.synthetic_terrain import open_synthetic_terrain
from marsnb.errors import DataError
from marsnb.report import areas, terrain
from marsnb.report.figures import figure
from marsnb.report.tables import COLUMNS, markdown, table, write_table
from tests.fake.ai4mars import FakeAI4Mars, make_ai4mars

# what dichromats see of linear RGB (Machado, Oliveira and Fernandes 2009, severity 1)
EYES = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


@pytest.fixture
def fake() -> Iterator[FakeAI4Mars]:
    areas.open_terrain.cache_clear()
    areas.pixel_areas.cache_clear()
    yield make_ai4mars(paths.data(), size=64)
    areas.open_terrain.cache_clear()
    areas.pixel_areas.cache_clear()


def lab(colour: str, eye: str) -> np.ndarray:
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    x = TO_XYZ @ np.clip(np.array(EYES[eye]) @ linear, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_table_2_compares_shares(fake: FakeAI4Mars) -> None:
    long = table(2, "lite")
    assert list(long.columns) == COLUMNS and len(long) == 19
    shares = long[long["metric"] == "share"]
    assert shares.groupby("column")["measured_mean"].sum().tolist() == pytest.approx([100, 100])
    assert shares["measured_mean"].tolist() == pytest.approx([25] * 8)  # four equal bands in every fake mask
    assert (shares["difference"] - shares["measured_mean"] + shares["paper_mean"]).abs().max() < 1e-9
    areas_only = long[long["metric"] == "area"]
    assert areas_only["difference"].isna().all()
    assert areas_only["paper_mean"].sum() == pytest.approx(9.4803e9)
    bare = long[long["row"] == areas.BARE].set_index("metric")
    assert bare["measured_mean"].tolist() == pytest.approx([50] * 3) and set(bare["n"]) == {12}  # one stop
    assert bare.loc["unlabelled", "difference"] == pytest.approx(50 - 44.83)
    text = markdown(2, "lite")
    assert "| big rock | 6.35e7 | 1.09 | 25.00 | +23.91 | 2.28e7 | 0.62 | 25.00 | +24.38 |" in text
    assert "Of all pixels, 50.00 % have no label (paper: 44.83)" in text
    assert [path.name for path in write_table(2, "lite")] == ["table02.csv", "table02.md"]


def test_what_we_see_is_computed(fake: FakeAI4Mars) -> None:
    text = areas.what_we_see("lite")
    assert "16,388 images" in text and "66.7 % of the 12 pairs" in text
    assert "50.0 % of the pixels" in text and "0 of 12 masks have no label" in text


def test_without_the_data_there_is_a_sentence(tmp_path: Path) -> None:
    areas.open_terrain.cache_clear()
    assert areas.missing("lite").startswith("> **Not shown.**") and "\n" not in areas.missing("lite")
    assert areas.missing("smoke") == ""  # generated
    with pytest.raises(DataError):
        figure("02b", "lite")


def test_figures(fake: FakeAI4Mars) -> None:
    assert areas.missing("lite") == ""
    chart = figure("02b", "lite")
    frame = pd.read_csv(chart.with_suffix(".csv"))
    assert frame["train_val_share"].sum() == pytest.approx(100) and frame["test_images"].tolist() == [4] * 4
    pictures = figure("05", "lite")
    assert pictures.parent == paths.images("lite")
    chosen = pd.read_csv(pictures.with_suffix(".csv"))
    assert (chosen["rule"] == terrain.MIXED).sum() == 4 and chosen["name"].is_unique


def test_smoke_looks_at_generated_terrain_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    small = partial(open_synthetic_terrain, seed=2, train=24, test=12)
    monkeypatch.setattr(areas, "open_terrain", cache(lambda profile, protocol="sol": small(protocol)))
    monkeypatch.setattr(terrain, "open_terrain", areas.open_terrain)
    areas.pixel_areas.cache_clear()
    assert "**SYNTHETIC DATA" in markdown(2, "smoke")
    for number in ("02b", "05"):
        frame = pd.read_csv(figure(number, "smoke").with_suffix(".csv"))
        assert set(frame["data"]) == {"synthetic_terrain"}
    assert set(frame["rule"]) == {terrain.MIXED, terrain.TWINS} and (frame["rule"] == terrain.MIXED).sum() == 4
    assert "of the 36 pairs" in areas.what_we_see("smoke")
    assert "show one view" in terrain.agreement("smoke")
    areas.pixel_areas.cache_clear()


def test_one_view_twice_is_found(fake: FakeAI4Mars) -> None:
    first, second = list(fake.sols)[:2]
    fake.image(second).write_bytes(fake.image(first).read_bytes())
    data = areas.open_terrain("lite")
    pairs = terrain.twins(data)  # all fake names are of one stop; noise makes the other images different
    assert len(pairs) == 1
    assert [data.names[i] for i in pairs.loc[0, ["first", "second"]].astype(int)] == [f"{first}.JPG", f"{second}.JPG"]
    assert pairs.loc[0, "disagreement"] == 0
    assert "1 pairs" in terrain.agreement("lite")


def test_what_has_no_label_stays_grey_and_striped() -> None:
    image = np.full((32, 32, 1), 120, np.uint8)
    mask = np.repeat(np.array([[0, 1, 2, 3, 255, 255, 255, 255]], np.uint8), 32, axis=0).repeat(4, axis=1)
    painted = terrain.paint(image, mask)
    assert painted.shape == (32, 32, 3) and painted.min() >= 0 and painted.max() <= 1
    bare = painted[:, 16:]
    assert np.allclose(bare, bare.mean(axis=-1, keepdims=True))  # no hue
    assert bare.max() - bare.min() > 0.3  # stripes
    assert all(np.ptp(painted[:, 4 * k, :].mean(axis=0)) > 0.15 for k in range(4))


@pytest.mark.parametrize("eye", EYES)
def test_colours_stay_apart(eye: str) -> None:
    assert min(np.linalg.norm(lab(a, eye) - lab(b, eye)) for a, b in combinations(terrain.COLOURS, 2)) > 20
