from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from marsnb import paths
from marsnb.errors import DataError, RecipeError
from marsnb.report import images, sentences, style
from marsnb.report.figures import figure

FROM_LEDGER = {
    "08": 4, "table03": 3, "table04": 4, "table05": 5, "table06": 6, "table07": 7, "sweeps": 6, "ranking": 3,
    "curves": 4, "losses": 4, "diagnostics": 4, "table09": 9, "table10": 10, "table11": 11, "sweeps_segmentation": 10,
}  # fmt: skip
"""Figures that are drawn from the ledger, and the table whose runs each needs first."""
LEFT_OUT = {3: "b", 4: "moco-lu", 5: "vgg16-ours", 6: "ls-2", 7: "lu-1", 9: "final", 10: "t-05", 11: "w-01"}
"""A row of each that was not run."""


@pytest.fixture(autouse=True)
def _invented(fake_ledger: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_ledger.invent(monkeypatch, tmp_path)  # a small Table 3, whatever methods there are


def stem(name: str) -> str:
    return f"fig{name}" if name[0].isdigit() else f"fig_{name}"


@pytest.mark.parametrize("name", FROM_LEDGER)
def test_figure_is_written_with_its_numbers_and_rebuilds_to_the_byte(name: str, fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite", leave_out=(LEFT_OUT[FROM_LEDGER[name]],), number=FROM_LEDGER[name])
    png = figure(name, "lite")
    files = [png.with_suffix(kind) for kind in (".csv", ".svg", ".png")]
    assert png == paths.figures("lite") / f"{stem(name)}.png"
    first = [path.read_bytes() for path in files]
    figure(name, "lite")
    assert first == [path.read_bytes() for path in files]
    assert b"SYNTHETIC" not in first[1]
    assert plt.get_fignums() == []


@pytest.mark.parametrize("name", FROM_LEDGER)
def test_figure_of_an_empty_ledger_says_what_to_run(name: str) -> None:
    with pytest.raises(RecipeError, match=f"marsnb run --table {FROM_LEDGER[name]} --profile lite"):
        figure(name, "lite")


def test_unknown_figure_names_the_known() -> None:
    with pytest.raises(RecipeError, match="known: 02a, 02b, 03"):
        figure("99", "smoke")


def test_sweeps_are_in_the_order_of_the_weights_and_keep_a_table_that_was_not_run(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite", number=6)
    frame = pd.read_csv(figure("sweeps", "lite").with_suffix(".csv"))
    assert frame["table"].tolist() == [6] * 5 + [7] * 5
    assert frame["variable"].tolist() == [0.3, 0.5, 1, 2, 5, 0, 0.1, 0.2, 0.5, 1]
    six, seven = (part["measured_mean"] for _, part in frame.groupby("table"))
    assert six.notna().all() and seven.notna().sum() == 1  # λ_u = 0 is Table 6's λ_s = 1


def test_fig08_leaves_out_classes_without_test_images(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite")
    frame = pd.read_csv(figure("08", "lite").with_suffix(".csv"))
    assert frame.loc[frame["n"] == 0, "class"].unique().tolist() == [fake_ledger.ONLY_VAL]
    shown = frame[frame["n"] > 0]
    assert set(shown["class"]) == set(fake_ledger.CLASSES) and set(shown["series"]) == {"baseline", "ours"}
    assert "*inlet*" in sentences.per_class("lite", frame)


def test_figures_of_generated_images_are_stamped() -> None:
    drawn, ax = plt.subplots()
    ax.plot([0, 1])
    style.save(drawn, "figx", "smoke", pd.DataFrame({"x": [1], "data": ["synthetic"]}))
    assert [text.get_text() for text in drawn.texts] == ["SYNTHETIC", "SYNTHETIC DATA"]


def test_fig02a_counts_and_marks_the_synthetic_set() -> None:
    frame = pd.read_csv(figure("02a", "smoke").with_suffix(".csv"))
    assert len(frame) == 24 and frame["test_share"].sum() == pytest.approx(100, abs=1e-3)
    assert set(frame["data"]) == {"synthetic"}


def test_fig02a_is_drawn_from_its_csv_where_the_images_are_missing() -> None:
    with pytest.raises(DataError):
        figure("02a", "lite")
    frame = pd.read_csv(figure("02a", "smoke").with_suffix(".csv")).assign(data="msl")
    style.write_csv(paths.figures("lite") / "fig02a.csv", frame)
    assert figure("02a", "lite").is_file()


@pytest.mark.parametrize("name", ["03", "04"])
def test_figures_that_show_images_go_where_git_ignores_them(name: str) -> None:
    png = figure(name, "smoke")
    assert png.parent == paths.images("smoke")
    assert pd.read_csv(png.with_suffix(".csv"))["name"].str.endswith(".JPG").all()


def test_rules_of_fig04_find_the_damage_they_are_for() -> None:
    rng = np.random.default_rng(0)
    sound = rng.integers(60, 180, (64, 64, 3), dtype=np.uint8)
    grey = sound.astype(np.float32).mean(axis=-1)
    white = np.full_like(sound, 255)
    assert images.saturated(white, grey) == 100 and images.saturated(sound, grey) == 0
    red = sound.copy()
    red[..., 1:] = 0
    assert images.channel_gap(red, grey) > 50 > images.channel_gap(sound, grey)
    ramp = np.tile(np.linspace(0, 255, 64, dtype=np.float32), (64, 1))
    assert images.sharpness(sound, ramp) < images.sharpness(sound, grey)
