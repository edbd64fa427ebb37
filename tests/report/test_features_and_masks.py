"""Figs 12 and 13: the same elements for both models, images chosen by rule, words that follow the numbers."""

import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import torch

from marsnb import paths
from marsnb.errors import DataError, RecipeError
from marsnb.report import elements, features, masks
from marsnb.report.figures import figure
from marsnb.report.quality import NOT_TESTED
from marsnb.training import ledger, segmentation
from marsnb.training.pairs import open_pair_arrays
from marsnb.training.pixels import score_pixels, write_matrices
from marsnb.training.run import run_id_of
from marsnb.training.spec import row_runs


@pytest.fixture(scope="module")
def made(fake_ledger: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of what the two rows left, had they been trained: random models, their answers, lines in the ledger."""
    folder = tmp_path_factory.mktemp("pair")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARSNB_RUNS", str(folder / "runs"))
        patch.setenv("MARSNB_FIGURES", str(folder / "figures"))
        for row, key, spec in row_runs(9, "smoke"):
            if row.id not in elements.PAIR.values():
                continue
            data = segmentation.open_data(spec)
            run_id, fingerprint = run_id_of(spec, data)
            lines = fake_ledger.run_lines(key, 0, 0.5, run_id=run_id, data=data.name, fingerprint=fingerprint)
            lines = [
                {**line, "metric": line["metric"].replace("top1", "acc"), "task": "segmentation"} for line in lines
            ]
            ledger.append("smoke", lines, [])
            method = segmentation.build_method(spec.model_copy(update={"seed": len(row.id)}), 4)
            at = paths.runs() / run_id
            at.mkdir(parents=True)
            torch.save({"state_dict": method.state_dict()}, at / "last.ckpt")
            arrays = open_pair_arrays(data, spec)
            scores, _ = score_pixels(method.model, arrays, data.test, torch.device("cpu"))
            write_matrices({"test": scores}, data, at / "matrices.csv")
    return folder


@pytest.fixture
def both(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two rows as if trained, in the folders of the test."""
    monkeypatch.setattr(elements, "IMAGES", 8)
    elements._sample.cache_clear()
    shutil.copytree(made / "runs", paths.runs())
    shutil.copytree(made / "figures" / "smoke", paths.figures("smoke"))


def test_elements_have_their_class_and_are_shared(both: None) -> None:
    found = elements.sample("smoke")
    data, arrays, models = elements.trained_pair("smoke")
    edge = arrays.masks.shape[1] // 16
    assert set(found.features) == {
        ("baseline", "encoder"), ("baseline", "decoder"),
        ("ours", "encoder"), ("ours", "decoder"), ("ours", "embedding"),
    }  # fmt: skip
    assert all(len(values) == len(found.at) for values in found.features.values())
    assert set(found.at) <= set(data.test) and max(found.row.max(), found.column.max()) < edge
    for i, row, column, label in list(zip(found.at, found.row, found.column, found.classes, strict=True))[::7]:
        assert arrays.masks[i, 16 * row, 16 * column] == label
        with torch.inference_mode():
            image = torch.from_numpy(np.array(arrays.images[i : i + 1])).permute(0, 3, 1, 2).expand(-1, 3, -1, -1) / 255
            deep = models["ours"].features(image)
            embedding = models["ours"].embed(image)[0, :, 4 * row, 4 * column]
        at = np.flatnonzero((found.at == i) & (found.row == row) & (found.column == column))[0]
        assert np.allclose(found.features["ours", "encoder"][at], deep[-1][0, :, row, column], atol=1e-4)
        assert np.allclose(found.features["ours", "embedding"][at], embedding, atol=1e-4)


def test_elements_are_drawn_by_class_and_image_with_a_seed() -> None:
    rng = np.random.default_rng(0)
    grid = rng.integers(0, 3, (200, 4, 4)).astype(np.uint8)
    grid[grid == 2] = 255
    grid[5, 0, 0] = 2  # a class that one image alone shows
    candidates = np.arange(1000, 1200)
    at, row, column, classes = elements.choose(grid, candidates, 4)
    assert (grid[at - 1000, row, column] == classes).all() and (np.diff(at) >= 0).all()
    counts = pd.DataFrame({"at": at, "class": classes}).value_counts()
    assert counts.max() == elements.PER_IMAGE and (classes == 2).sum() == 1 and not (classes == 3).any()
    assert len(np.unique(at[classes == 0])) == elements.IMAGES
    again, other = (elements.choose(grid, candidates, 4, seed)[0] for seed in (0, 1))
    assert np.array_equal(at, again) and not np.array_equal(at, other)


def test_fig12_and_its_numbers(both: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "umap", lambda values: np.asarray(values[:, :2]))
    frame = pd.read_csv(figure("12", "smoke").with_suffix(".csv"))
    assert frame.groupby(["series", "layer"]).size().nunique() == 1 and len(frame.groupby(["series", "layer"])) == 5
    assert (paths.figures("smoke") / "fig12.svg").is_file()
    numbers = pd.read_csv(figure("separation", "smoke").with_suffix(".csv"))
    whole = numbers[(numbers["class"] == features.ALL) & (numbers["metric"] == "silhouette")]
    assert whole.groupby("series").size().to_dict() == {"baseline": 2, "ours": 3, "ours - baseline": 2}
    assert (whole["low"] < whole["high"]).all()
    wide = whole.pivot(index="layer", columns="series", values="value").dropna()
    assert np.allclose(wide["ours"] - wide["baseline"], wide["ours - baseline"], atol=1e-5)
    text = features.features_text("smoke", numbers)
    assert text.count(NOT_TESTED) == 9 and "SYNTHETIC" in text and "as in the paper" not in text


def test_verdicts_follow_the_intervals() -> None:
    rows = []
    for series, within in (("baseline", 0.3), ("ours", 0.2)):
        for name, more in ((features.ALL, 0), ("soil", 0.1), ("sand", 0), ("big rock", 0.2)):
            rows += [("encoder", series, name, metric, within + more, 0, 1) for metric in features.METRICS]
        rows.append(("encoder", series, "soil, sand", features.SHARE, 0.9, np.nan, np.nan))
    for metric, ends in (
        ("silhouette", (0.1, 0.3)),
        ("intra", (-0.3, -0.1)),
        ("inter", (-0.3, -0.1)),
        ("ratio", (-1, 1)),
    ):
        rows.append(("encoder", "ours - baseline", features.ALL, metric, sum(ends) / 2, *ends))
    frame = pd.DataFrame(rows, columns=["layer", "series", "class", "metric", "value", "low", "high"])
    text = features.features_text("lite", frame.assign(data="ai4mars"))
    assert '"More compact": the distance within a class is better' in text
    assert '"More separable": the distance to other classes is worse' in text
    assert "*soil, sand* (in 90 % of the resamples), as in the paper" in text
    assert "*big rock* (distance within: 0.400), as in the paper" in text and "within chance" in text


@pytest.mark.slow  # numba compiles
def test_umap_is_repeatable() -> None:
    values = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    first, second = features.umap(values), features.umap(values)
    assert first.shape == (30, 2) and np.isfinite(first).all() and np.array_equal(first, second)


def test_images_are_chosen_by_rule() -> None:
    frame = pd.DataFrame({
        "name": list("abcdefg"), "unlabelled": [90, 79, 60, 10, 10, 10, 70], "gain": [99, 5, 1, 9, -8, 2, 3.0],
    })  # fmt: skip
    chosen = masks.choose(frame)
    assert dict(zip(chosen["name"], chosen["rule"], strict=True)) == {
        "b": masks.RULES[0], "g": masks.RULES[0], "d": masks.RULES[1], "f": masks.RULES[2], "e": masks.RULES[3],
    }  # fmt: skip
    assert "a" not in set(chosen["name"])  # its largest gain rests on a tenth of the image


def test_rates_are_those_of_the_pixels() -> None:
    counts = pd.DataFrame(
        {"sand>sand": [1, 0], "bedrock>sand": [3, 0], "bedrock>bedrock": [1, 4], "big rock>sand": [2, 0]}
    )
    values = masks.rate(counts, ("bedrock", "big rock"), "sand", draws=50)
    assert values[0] == pytest.approx(50) and len(values) == 51 and {0.0, values[0]} <= set(values)


def test_fig13_shows_what_its_csv_says(both: None) -> None:
    png = figure("13", "smoke")
    assert png.parent == paths.images("smoke") and png.stat().st_size > 20_000
    chosen = pd.read_csv(png.with_suffix(".csv"))
    assert chosen["name"].is_unique and set(chosen["rule"]) == set(masks.RULES)
    frame = masks.answers("smoke").set_index("name")
    data, arrays, models = elements.trained_pair("smoke")
    for line in chosen.to_dict("records"):
        i = data.names.index(line["name"])
        scores, _ = score_pixels(models["ours"], arrays, np.array([i]), torch.device("cpu"))
        assert 100 * scores.value("acc") == pytest.approx(line["ours"], abs=1e-3)
        assert 100 * (arrays.masks[i] == 255).mean() == pytest.approx(line["unlabelled"], abs=1e-3)
    gain = frame["ours"] - frame["baseline"]
    text = masks.masks_text("smoke")
    assert f"Of {len(frame):,} test images with a label, ours is better on {(gain > 0).sum():,}" in text
    assert text.count(NOT_TESTED) == 2


def test_without_runs_the_fix_is_named(both: None) -> None:
    for path in paths.runs().glob("*/*.*"):
        path.unlink()
    elements._sample.cache_clear()
    with pytest.raises(DataError, match="MARSNB_RUNS"):
        figure("12", "smoke")
    assert "Not counted" in masks.masks_text("smoke") and "MARSNB_RUNS" in masks.masks_text("smoke")
    with pytest.raises(RecipeError, match="marsnb run --table 9 --profile lite --row baseline --row final"):
        figure("13", "lite")
