"""Figures: what a forest plot shows and says, the stamp on generated images, and files that are the same every time."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from marsnb import paths, plots, results
from tests.fake import ledger as fake


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    plots.theme()
    yield
    plt.close("all")


def texts(fig: Figure) -> list[str]:
    """All that is written on a figure."""
    fig.canvas.draw()
    found = [text.get_text() for text in fig.findobj(plt.Text)]
    return [text for text in found if text]


def summary(number: int = 4, profile: str = "lite", **more: object) -> pd.DataFrame:
    fake.fill(profile, number=number, **more)  # type: ignore[arg-type]
    return results.summary(results.table(number, profile))


def test_every_row_is_named_and_those_not_run_say_so() -> None:
    frame = summary(seeds=3, leave_out=("moco-eq1",))
    said = texts(plots.forest(frame, "Title"))
    assert set(frame["label"]) <= set(said) and said.count("not run") == 1 and "Title" in said
    assert "Controls, not in the paper" in said and "paper, ± sd of 3 seeds" in said
    assert "measured, 95 % over seeds" in said and not any(" seed, " in text or "two seeds" in text for text in said)


def test_rows_that_a_profile_cannot_run_say_why() -> None:
    frame = summary(5, leave_out=("vgg16-ours", "vgg16-baseline"))
    said = texts(plots.forest(frame, y="cell_column", hue="cell_row"))
    assert "VGG-16" in said and any("need a download" in text for text in said)
    assert "Ours, measured, one seed, 95 % over its test images" in said


def test_categories_stand_over_their_rows() -> None:
    said = texts(plots.forest(summary(3)))
    assert {"Loss design", "Re-weighting", "Focal loss"} <= set(said)


def test_one_panel_for_each_metric_and_hollow_marks_for_few_seeds() -> None:
    frame = summary(9, seeds=2)
    fig = plots.forest(frame)
    assert [ax.get_xlabel() for ax in fig.axes] == ["ACC (%)", "MACC (%)", "FACC (%)", "mIoU (%)"]
    hollow = [line for line in fig.axes[0].lines if line.get_marker() == "D" and len(line.get_xdata())]
    assert {line.get_markerfacecolor() for line in hollow} == {"white"}
    assert np.sort(np.concatenate([line.get_xdata() for line in hollow])) == pytest.approx(
        np.sort(frame[frame["metric"] == "acc"]["mean"])
    )


def test_differences_have_a_line_at_zero_and_their_reasons() -> None:
    summary(seeds=3)
    gaps = results.differences(results.table(4, "lite"), "baseline")
    fig = plots.forest(gaps, "Gains")
    said = texts(fig)
    assert "same run" in said and "Top-1 (points)" in said and "paper" in said
    assert any(list(line.get_xdata()) == [0, 0] for line in fig.axes[0].lines)
    low, high = fig.axes[0].get_xlim()
    assert low < gaps[["mean", "paper"]].min(axis=None) and high > gaps[["mean", "paper"]].max(axis=None)


def test_a_wide_interval_does_not_squeeze_the_numbers() -> None:
    frame = summary(seeds=3)
    frame.loc[0, ["low", "high"]] = [-500.0, 700.0]
    low, high = plots.forest(frame).axes[0].get_xlim()
    points = pd.concat([frame["mean"], frame["paper"]]).dropna()
    assert high - low < 4 * (points.max() - points.min())


def test_an_interval_beyond_the_axis_ends_in_arrows_and_that_of_one_seed_is_dotted() -> None:
    frame = summary(seeds=3)
    frame.loc[0, ["low", "high", "seeds"]] = [-500.0, 700.0, 1]
    ax = plots.forest(frame).axes[0]
    arrows = {line.get_marker(): list(line.get_xdata()) for line in ax.lines if line.get_marker() in ("<", ">")}
    assert arrows == {"<": [ax.get_xlim()[0]], ">": [ax.get_xlim()[1]]}
    dotted = [bar.get_segments()[0][:, 0] for bar in ax.collections if bar.get_linestyle()[0][1] is not None]
    assert [list(ends) for ends in dotted] == [[-500.0, 700.0]]


def test_nothing_run_is_still_a_figure() -> None:
    frame = results.summary(results.table(4, "paper"))
    assert sum(text.startswith("not run") for text in texts(plots.forest(frame))) == len(frame)


def test_a_figure_is_saved_with_its_numbers_and_the_same_bytes_each_time() -> None:
    frame = summary(seeds=3)
    for _ in range(2):
        fig = plots.forest(frame, "Table 4")
        plots.save(fig, "fig_x", "lite", frame)
        files = [(paths.figures("lite") / f"fig_x.{kind}").read_bytes() for kind in ("png", "svg")]
        before = files if _ == 0 else before  # noqa: F821
    assert files == before and plt.fignum_exists(fig.number)
    kept = pd.read_csv(paths.figures("lite") / "fig_x.csv")
    assert kept["mean"].to_numpy() == pytest.approx(frame["mean"].to_numpy(), abs=1e-6, nan_ok=True)
    assert b"SYNTHETIC" not in files[1]


def test_generated_images_are_stamped_once_and_pictures_of_data_go_apart() -> None:
    frame = summary(profile="smoke", data="synthetic")
    fig = plots.forest(frame)
    plots.save(fig, "fig_x", "smoke", frame)
    plots.save(fig, "fig_y", "smoke", frame, images=True)
    assert texts(fig).count("SYNTHETIC") == 1
    assert (paths.figures("smoke") / "fig_x.png").is_file() and (paths.images("smoke") / "fig_y.png").is_file()
    assert not (paths.figures("smoke") / "fig_y.png").exists()


def test_a_grid_of_images_has_its_names_and_leaves_gaps_empty() -> None:
    grey, colour = np.zeros((8, 8), np.uint8), np.random.default_rng(0).random((8, 8, 3))
    fig = plots.grid({"first": [grey, colour, grey], "second": [colour]}, ["a", "b\nc", "d"], title="All")
    assert {"first", "second", "a", "b\nc", "d", "All"} <= set(texts(fig)) and len(fig.axes) == 6
    assert [len(ax.images) for ax in fig.axes] == [1, 1, 1, 1, 0, 0]


def test_labels_are_painted_and_what_has_none_stays_grey_under_stripes() -> None:
    image = np.full((32, 32, 1), 128, np.uint8)
    mask = np.full((32, 32), 255, np.uint8)
    mask[:8] = 0
    mask[8:16] = 3
    painted = plots.paint(image, mask)
    assert painted.shape == (32, 32, 3) and painted.min() >= 0 and painted.max() <= 1
    soil, rock, bare = painted[0, 0], painted[10, 0], painted[20:]
    assert np.ptp(soil) > 0.05 and not np.allclose(soil, rock)
    assert np.allclose(bare.std(axis=-1), 0) and len(np.unique(bare.round(6))) == 2  # grey, in two shades


def test_dark_images_are_stretched() -> None:
    image = np.linspace(10, 60, 1000).astype(np.uint8).reshape(25, 40, 1)
    stretched = plots.stretched(image)
    assert stretched.min() == 0 and stretched.max() == 1
    assert plots.stretched(np.zeros((4, 4, 3), np.uint8)).max() == 0


def test_two_orders_side_by_side_have_a_level_line_where_a_rank_was_kept() -> None:
    frame = pd.DataFrame({"label": ["a", "b", "c"], "paper": [90.0, 80.0, 70.0], "mean": [60.0, 70.0, 50.0]})
    ax = plt.figure().add_subplot()
    plots.orders(ax, frame, ["red", "blue", "green"], ("{label} {paper:.0f}", "{mean:.0f}"))
    assert [list(line.get_ydata()) for line in ax.lines] == [[1, 2], [2, 1], [3, 3]]
    assert [text.get_text() for text in ax.texts] == ["a 90", "60", "b 80", "70", "c 70", "50"]


def test_the_paper_is_in_the_legend_where_a_number_of_it_is_drawn() -> None:
    fake.fill("lite", number=6)
    frame = results.summary(results.table(6, "lite"))
    names = [
        [text.get_text() for text in plots.forest(one).legends[0].texts] for one in (frame, frame.assign(paper=np.nan))
    ]
    assert names[0][0].startswith("paper") and not any(name.startswith("paper") for name in names[1])
