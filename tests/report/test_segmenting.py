"""Notebook 13's figures and sentences, from a tiny run."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt

from marsnb.data.arrays import to_images as to_colour
from marsnb.data.arrays import to_unit
from marsnb.errors import DataError
from marsnb.report import schematic, segmenting
from marsnb.report.predicted import chosen, masks_of, predictions
from marsnb.report.steps import JOINT, PSEUDO
from marsnb.training.pairs import open_pair_arrays
from marsnb.training.run import Result, make_spec, run
from marsnb.training.segmentation import open_data
from marsnb.training.spec import SegmentationSpec

FIELDS = {
    "task": "segmentation", "dataset": "synthetic_terrain", "data_options": {"train": 12, "test": 8}, "image_size": 32,
    "backbone": "resnet18", "start": "random", "method": "semi_supervised", "settings": {"threshold": 0.3}, "epochs": 1,
    "steps_per_epoch": 1, "batch_labelled": 4, "decoder_channels": 16,
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, SegmentationSpec]:
    """A run of one step in each of the three steps."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("MARSNB_RUNS", "MARSNB_FIGURES", "MARSNB_DATA"):
            patch.setenv(variable, str(tmp_path_factory.mktemp(variable)))
        spec = make_spec(**FIELDS)
        return run(spec, "smoke", device="cpu"), spec


def test_curves_have_an_arrow_per_change_and_say_that_images_are_generated(
    trained: tuple[Result, SegmentationSpec],
) -> None:
    fig = segmenting.curves_of(*trained)
    for ax in fig.axes:
        assert [text.get_text() for text in ax.texts] == [JOINT, PSEUDO]
    assert "SYNTHETIC" in [text.get_text() for text in fig.texts]
    assert plt.get_fignums() == []


def test_the_confusion_matrix_is_that_of_the_ledger(trained: tuple[Result, SegmentationSpec]) -> None:
    result, _ = trained
    matrix = segmenting.confusion(segmenting.matrices_of(result))
    assert list(matrix.index) == list(matrix.columns) == list(open_data(trained[1]).class_names)
    assert np.trace(matrix) / matrix.to_numpy().sum() == pytest.approx(result.value("acc"), abs=1e-6)
    drawn = segmenting.confusion_of(result).axes[0]
    cell = 100 * matrix.iloc[1, 0] / matrix.iloc[1].sum()  # row: label, column: prediction
    assert drawn.texts[len(matrix)].get_text() == f"{cell:.1f}"


def test_sentences_have_the_scores_and_the_changes(trained: tuple[Result, SegmentationSpec]) -> None:
    result, spec = trained
    text = segmenting.sentences(result, spec, "smoke")
    assert "SYNTHETIC" in text and result.run_id in text
    assert f"mIoU {100 * result.value('miou'):.2f} [" in text
    assert f"epoch 2 begins *{JOINT}*" in text and f"epoch 3 begins *{PSEUDO}*" in text
    assert f"*{PSEUDO}* fill" in text


def test_a_run_of_another_machine_has_no_pictures(trained: tuple[Result, SegmentationSpec], tmp_path: Path) -> None:
    result, spec = trained
    away = replace(result, folder=tmp_path / "away")
    with pytest.raises(DataError, match="not on this machine"):
        segmenting.confusion_of(away)
    away.folder.mkdir()
    shutil.copy(result.folder / "matrices.csv", away.folder)
    with pytest.raises(DataError, match=r"the checkpoint of .* is not on this machine"):
        masks_of(away, spec)


def test_images_are_chosen_from_the_worst_to_the_best() -> None:
    right = [10, 90, 50, 70, 30, 100]
    matrices = pd.DataFrame({"a>a": right, "a>b": [100 - r for r in right], "b>a": 0, "b>b": 0}, index=list("uvwxyz"))
    matrices.loc["z"] = [2, 0, 0, 0]  # perfect, but hardly labelled
    assert chosen(matrices, pixels=200, count=3).to_dict() == {"u": 10, "w": 50, "v": 90}
    assert list(chosen(matrices, pixels=200, count=9).index) == ["u", "y", "w", "x", "v"]
    assert chosen(matrices, pixels=10_000).empty


def test_masks_are_those_of_the_last_checkpoint(trained: tuple[Result, SegmentationSpec]) -> None:
    result, spec = trained
    data = open_data(spec)
    arrays = open_pair_arrays(data, spec)
    images = to_unit(to_colour(arrays.images[data.test]))
    answers = predictions(spec, result, data, images).argmax(dim=1)
    labels = torch.from_numpy(np.asarray(arrays.masks[data.test]))
    known = labels != 255
    assert float((answers == labels)[known].float().mean()) == pytest.approx(result.value("acc"), abs=1e-3)
    fig = masks_of(result, spec, count=2)
    shown = [ax for ax in fig.axes if ax.images]
    assert len(shown) == 4 * 2
    assert [shown[2 * k].get_ylabel().split("\n")[0] for k in range(4)] == [
        "image",
        "label",
        "prediction",
        "label, filled",
    ]
    titles = [float(ax.get_title(loc="left").split()[1]) for ax in shown[:2]]
    assert titles == sorted(titles)


def test_every_arrow_of_the_framework_joins_two_boxes() -> None:
    names = {name for arrow in schematic.ARROWS for name in (arrow[0], arrow[2])}
    assert names == set(schematic.BOXES)
    texts = {text.get_text() for text in schematic.framework().axes[0].texts}
    assert {text for text, _, _ in schematic.BOXES.values()} <= texts
    assert plt.get_fignums() == []
