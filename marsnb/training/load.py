"""Trained models, from the checkpoints that their runs left behind."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch

from marsnb import paths
from marsnb.data.base import ClassificationData
from marsnb.data.segmentation import SegmentationData
from marsnb.errors import DataError, RecipeError
from marsnb.models.classifier import Classifier
from marsnb.models.segmenter import Segmenter
from marsnb.recipes import load_profile, load_table, profiles, trainable
from marsnb.training import classification, measurement, segmentation
from marsnb.training.recorder import CHECKPOINT, read_checkpoint, unusable
from marsnb.training.run import CARD, run_id_of, work_of
from marsnb.training.spec import ClassificationSpec, RunSpec, SegmentationSpec, make_spec, row_runs


def trained_segmenter(spec: SegmentationSpec, data: SegmentationData) -> Segmenter:
    """The model that a run trained on its data, after the last epoch: in evaluation mode, on the CPU.

    Raises:
        DataError: the checkpoint is not on this machine, is damaged, or is of another model.
    """
    return _trained(spec, data)


def trained_classifier(spec: ClassificationSpec, data: ClassificationData) -> Classifier:
    """The classifier that a run trained; see `trained_segmenter`."""
    return _trained(spec, data)


def _trained(spec: RunSpec, data: Any) -> Any:
    run_id, _ = run_id_of(spec, data)
    path = paths.runs() / run_id / CHECKPOINT
    if not path.is_file():
        raise _missing(run_id)
    return _module(spec, len(data.class_names), path)


def _missing(run_id: str) -> DataError:
    """What to do where a run's checkpoint is not here; with the command where a recipe has the run."""
    known = next((found for found in _recipe_rows() if found[2] == run_id.partition("-")[0]), None)
    if known is None:
        anew = "train it anew"
    else:
        table, profile, _, row, _ = known
        seed = run_id.rpartition("-s")[2].partition("-")[0]
        anew = f"train it anew: marsnb run --table {table} --profile {profile} --row {row} --seed {seed}"
    return DataError(
        f"the trained model of {run_id} is not on this machine: point MARSNB_RUNS at the folder that has "
        f"{run_id}/{CHECKPOINT}, or set MARSNB_FIGURES to an empty folder and {anew}"
    )


def _recipe_rows() -> Iterator[tuple[int | str, str, str, str, Any]]:
    """Table, profile, key of the run, id of the row and spec of every row of the recipes."""
    for key, profile in product(trainable(), profiles()):
        table = load_table(key).table
        for row, run, spec in row_runs(table, profile):
            yield table, profile, run, row.id, spec


def _module(spec: Any, num_classes: int, path: Path) -> Any:
    """The model in evaluation mode; the checkpoint has all weights, so what the run started from is not needed."""
    with torch.random.fork_rng(devices=[]):  # building it draws weights
        if spec.task == "segmentation":
            method = segmentation.build_method(spec.model_copy(update={"start": "random"}), num_classes)
        else:
            method = classification.build_method(spec, [1] * num_classes, "random")
    try:
        method.load_state_dict(read_checkpoint(path, {"state_dict"})["state_dict"])
    except (RuntimeError, TypeError, AttributeError) as error:
        raise unusable(path, error) from error
    return method.model.eval()


@dataclass(frozen=True)
class Model:
    """A trained model, ready to predict."""

    run_id: str
    spec: Any  # what the run trained
    class_names: tuple[str, ...]  # of the data set, in the order of the outputs
    module: Any  # ``Classifier`` or ``Segmenter`` in evaluation mode, from images in [0, 1] to logits


def load_model(name: str, profile: str = "lite") -> Model:
    """A trained model of this machine.

    Its name is a run id; the path of a checkpoint; or ``best:TABLE``, the row of a table with the highest mean in the
    profile's ledger, among runs on the same data, of the seed with the lowest number (``best`` alone: of Table 4).

    Raises:
        DataError: the model is not on this machine, is damaged, or does not say what it is of.
        RecipeError: ``best`` of a table of which nothing was measured, or that has only controls.
    """
    if name == "best" or name.startswith("best:"):
        name = _best(name.partition(":")[2] or "4", profile)
    path = Path(name).expanduser()
    folder = path.parent if path.is_file() else paths.runs() / name
    checkpoint = path if path.is_file() else folder / CHECKPOINT
    if not checkpoint.is_file():
        raise _missing(name)
    run_id, spec, names = _card(folder)
    return Model(run_id, spec, names, _module(spec, len(names), checkpoint))


def _card(folder: Path) -> tuple[str, Any, tuple[str, ...]]:
    """Run id, spec and class names of a run's folder: from its card, else from the recipes and the data."""
    try:
        card = json.loads((folder / CARD).read_text("utf-8"))
        return str(card["run_id"]), make_spec(**card["spec"]), tuple(card["class_names"])
    except FileNotFoundError:
        key = folder.name.partition("-")[0]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / CARD} is damaged ({error}): train the run anew") from error
    for *_, known, _, spec in _recipe_rows():
        if known == key:
            return folder.name, spec, tuple(work_of(spec).open_data(spec).class_names)
    raise DataError(f"{folder} has no {CARD}, which says what the model is of: train the run anew")


def _best(table: str, profile: str) -> str:
    """Run id of the best row of a table that the ledger has, of its first seed."""
    head, book = load_table(table), measurement.read(load_profile(profile).name)
    keys = {key for row, key, _ in row_runs(table, profile) if not row.control}
    if not keys:
        raise RecipeError(f"{head.key} has only controls, of which none is the best: give the id of a run")
    runs = measurement.chosen(book, list(keys), head.split)["run_id"]
    mine = book[book["run_id"].isin(runs) & (book["metric"] == head.metrics[-1]) & (book["split"] == head.split)]
    if mine.empty:
        raise RecipeError(
            f"nothing of {head.key} was measured at {profile}: marsnb run --table {table} --profile {profile}"
        )
    best = mine.groupby("key")["value"].mean().idxmax()
    return str(mine[mine["key"] == best].sort_values("seed")["run_id"].iloc[0])
