from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from marsnb.errors import RecipeError
from marsnb.report import forest
from marsnb.report.style import styled


def drawn(profile: str, number: int):
    with styled():
        fig = forest._draw(forest.numbers(number, profile), number)
    fig.canvas.draw()
    return fig, fig.axes[0]


def boxes(fig, texts) -> list:
    return [text.get_window_extent() for text in texts if text.get_text()]


def overlaps(found: list) -> bool:
    return any(a.overlaps(b) for i, a in enumerate(found) for b in found[i + 1 :])


@pytest.mark.parametrize("number", [3, 4, 5, 6, 7])
def test_every_row_is_named_once_from_top_to_bottom_and_no_names_overlap(
    number: int, fake_ledger: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if number == 3:
        fake_ledger.invent(monkeypatch, tmp_path)
    fake_ledger.fill("lite", number=number)
    frame = forest.numbers(number, "lite")
    fig, ax = drawn("lite", number)
    labels = ax.get_yticklabels()
    assert not overlaps(boxes(fig, [*labels, *ax.texts]))
    ticks = dict(zip(ax.get_yticks(), (label.get_text() for label in labels), strict=True))
    names = [ticks[y].removesuffix(" †") for y in sorted(ticks)]
    grouped = frame["group"].fillna("").astype(str).str.len().any()
    if not grouped:
        assert names == frame["row"].tolist()
    elif number == 5:
        columns = list(dict.fromkeys(frame["group"]))
        assert names == [name for column in columns for name in (column, "Baseline", "Ours")]
    else:
        assert names == ["First", "A | a", "B", "Second kind", "C", "D", "E", "Ours", "Twin of E", "Ours", "A control"]
    plt.close(fig)


def test_a_row_that_was_not_run_says_so_beside_the_axes(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite", number=6, leave_out=("ls-2",))
    fig, ax = drawn("lite", 6)
    said = [text for text in ax.texts if text.get_text() == "not run"]
    assert len(said) == 1 and said[0].get_position() == (1.01, 3.0)
    assert said[0].get_window_extent().x0 > ax.bbox.x1
    plt.close(fig)


def test_intervals_are_the_bootstraps_for_one_seed_and_the_spread_for_several(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite", number=7, leave_out=("lu-1",))
    one = forest.numbers(7, "lite")
    assert np.allclose(forest.errors(one)[:, :4], 2) and not forest.errors(one)[:, 4].any()
    assert forest.spread(one["n"]) == "95 % bootstrap interval over test images"
    fake_ledger.fill("paper", number=7, seeds=3)
    three = forest.numbers(7, "paper")
    assert np.allclose(forest.errors(three), 0.2) and forest.spread(three["n"]).startswith("± standard deviation")
    assert "; for one seed, " in forest.spread(pd.Series([1, 3, None]))


def test_series_only_where_a_table_has_several_headings(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite", number=5)
    fake_ledger.fill("lite", number=6)
    assert set(forest.numbers(5, "lite")["series"]) == {"Baseline", "Ours"}
    sweep = forest.numbers(6, "lite")
    assert set(sweep["series"]) == set(sweep["group"]) == {""}
    assert sweep["variable"].tolist() == ["0.3", "0.5", "1.0", "2.0", "5.0"]


def test_captions_count_what_they_cannot_name(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite", number=5)
    assert "16 of 18 rows ran with" in forest.notes(forest.numbers(5, "lite"))
    fake_ledger.fill("lite")
    four = forest.numbers(4, "lite")
    assert "Run as: tf_efficientnet_lite0 from imagenet-lite;" in forest.notes(four) and "†" in forest.notes(four)
    assert "†" not in forest.notes(four, dagger=False)


def test_an_empty_table_is_refused_unless_asked_for() -> None:
    with pytest.raises(RecipeError, match="marsnb run --table 7 --profile lite"):
        forest.numbers(7, "lite")
    assert forest.numbers(7, "lite", empty=True)["measured_mean"].isna().all()


def test_numbers_of_points_that_lie_on_each_other_do_not_overlap() -> None:
    with styled():
        fig, ax = plt.subplots()
    at = np.repeat([1.0, 1.01, 5.0], 6)
    ax.plot(at, at, "o")
    fig.canvas.draw()
    forest.number_points(ax, pd.DataFrame({"number": range(1, 19), "x": at, "y": at}))
    assert len(ax.texts) == 18
    places = [text.get_position() for text in ax.texts]  # points from their mark
    pixels = ax.transData.transform(np.stack([at, at], axis=1)) + np.array(places) * fig.dpi / 72
    gaps = np.abs(pixels[:, None] - pixels[None])[np.triu_indices(18, k=1)]
    assert ((gaps[:, 0] > 5) | (gaps[:, 1] > 8)).all()
    plt.close(fig)
