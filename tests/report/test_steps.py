"""The step of training that each epoch is in, from the losses that it left."""

import pandas as pd
import pytest
from matplotlib import pyplot as plt

from marsnb.errors import RecipeError
from marsnb.recipes import load_profile
from marsnb.report.steps import CE, JOINT, PRETRAIN, PSEUDO, changes, course, mark, staged
from tests.fake import segmentation_ledger

EPOCHS = load_profile("lite").segmentation["epochs"]


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ("final", [PRETRAIN, JOINT, PSEUDO]),
        ("baseline", [CE, CE]),
        ("without-joint", [PRETRAIN, CE, CE]),
        ("without-pretraining", [JOINT, PSEUDO]),
        ("without-pseudo-labels", [PRETRAIN, JOINT, JOINT]),
    ],
)
def test_steps_are_told_by_their_losses(row: str, names: list[str]) -> None:
    segmentation_ledger.fill("lite", 9)
    frame = course(9, "lite", (row,))
    first = frame.drop_duplicates("stage")
    assert first["step"].tolist() == names
    assert first["epoch"].tolist() == [1 + EPOCHS * i for i in range(len(names))]
    assert changes(frame) == {EPOCHS * i + 0.5: names[i] for i in range(1, len(names))}


def test_every_row_that_was_run_is_there_with_its_seeds() -> None:
    segmentation_ledger.fill("lite", 9, leave_out=("final",), seeds=2)
    frame = course(9, "lite")
    assert frame["row"].unique().tolist() == [
        "baseline",
        "without-joint",
        "without-pretraining",
        "without-pseudo-labels",
    ]
    assert frame.groupby("row")["seed"].nunique().tolist() == [2] * 4


def test_what_was_not_run_is_named_with_the_command() -> None:
    with pytest.raises(RecipeError, match="Table 9 has no curves at profile lite: run `marsnb run --table 9 --prof"):
        course(9, "lite")
    segmentation_ledger.fill("lite", 9, leave_out=("final",))
    with pytest.raises(RecipeError, match="row 'final' of Table 9"):
        course(9, "lite", ("baseline", "final"))


def test_an_arrow_per_change() -> None:
    curves = pd.DataFrame({"epoch": [1, 2, 2], "metric": ["element_wise", "element_wise", "ce"], "value": 1.0})
    frame = staged(curves, 1)
    _, ax = plt.subplots()
    mark(ax, changes(frame))
    assert [text.get_text() for text in ax.texts] == [JOINT]
    plt.close()
