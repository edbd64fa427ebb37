"""What runs answered to each test image, kept beside the ledger: names, labels and answers, no image."""

from pathlib import Path

import numpy as np

from marsnb import paths
from marsnb.errors import DataError
from marsnb.files import read_table, write_whole
from marsnb.training import ledger
from marsnb.training.pixels import read_matrices

SPLIT = "test"
DIGITS = 3
"""Of a confidence."""
OFF = 1e-6
"""Most that the accuracy of the answers may be off the ledger's, which keeps eight digits."""


def keep_answers(run_id: str, profile: str) -> Path:
    """Copy a run's answers to the test images to ``figures/<profile>/answers/<run_id>.csv``.

    Args:
        run_id: of classification (``split, name, label, prediction, confidence``) or of segmentation (``split, name``
            and a column for each cell of the image's confusion matrix, pixels).
        profile: in whose ledger the run is.

    Returns:
        Path of the copy; where the run left nothing on this machine, of the one that was kept before.

    Raises:
        DataError: the ledger does not have the run, or this machine does not have its answers, or they are those of
            another training than the one whose scores the ledger has.
    """
    path = paths.figures(profile) / "answers" / f"{run_id}.csv"
    book = ledger.read(profile)
    scores = book[(book["run_id"] == run_id) & (book["split"] == SPLIT)].set_index("metric")["value"]
    if scores.empty:
        raise DataError(f"the ledger of profile {profile} has no scores of {run_id} on {SPLIT}: look up its run ids")
    left = {name: paths.runs() / run_id / f"{name}.csv" for name in ("predictions", "matrices")}
    if left["predictions"].is_file():
        frame = read_table(left["predictions"], ("split", "label", "prediction", "confidence"))
        frame = frame[frame["split"] == SPLIT]
        known, here = scores["top1"], float((frame["prediction"] == frame["label"]).mean())
        frame["confidence"] = frame["confidence"].round(DIGITS)
    elif left["matrices"].is_file():
        frame = read_table(left["matrices"], ("split", "name"), dtype={"name": str})
        frame = frame[frame["split"] == SPLIT]
        known, here = scores["acc"], read_matrices(left["matrices"], SPLIT)[1].value("acc")
    elif path.is_file():
        return path
    else:
        raise DataError(
            f"the answers of {run_id} are not on this machine: point MARSNB_RUNS at the folder that has {run_id}"
        )
    if not np.isclose(known, here, rtol=0, atol=OFF):
        raise DataError(
            f"the answers of {run_id} in {paths.runs()} are right on {100 * here:.2f} %, its scores in the ledger on "
            f"{100 * known:.2f} %: it was trained anew since, so point MARSNB_RUNS at the folder of the first training"
        )
    return write_whole(path, frame.to_csv(index=False, lineterminator="\n"))
