"""Trained models, from what their runs left behind: a checkpoint, and the card beside it that says what it is of."""

import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from marsnb import paths
from marsnb.errors import DataError, RecipeError
from marsnb.recipes import load_profile, load_table
from marsnb.training import classification, ledger, segmentation
from marsnb.training.recorder import CHECKPOINT
from marsnb.training.run import CARD
from marsnb.training.spec import make_spec, row_runs


@dataclass(frozen=True)
class Model:
    """A trained model, ready to predict.

    Attributes:
        run_id: of the run that trained it.
        spec: what it trained.
        class_names: of the data set, in the order of the outputs.
        module: ``Classifier`` or ``Segmenter`` in evaluation mode, from images in [0, 1] to logits.
    """

    run_id: str
    spec: Any
    class_names: tuple[str, ...]
    module: Any


def load_model(name: str, profile: str = "lite") -> Model:
    """A trained model of this machine.

    Args:
        name: a run id; the path of a checkpoint; or ``best:TABLE``, the row of a table with the highest mean in the
            ledger, of the seed with the lowest number (``best`` alone: of Table 4).
        profile: whose ledger ``best`` looks at.

    Raises:
        DataError: the model is not on this machine, is damaged, or does not say what it is of.
        RecipeError: ``best`` of a table of which nothing was measured.
    """
    if name == "best" or name.startswith("best:"):
        name = _best(name.partition(":")[2] or "4", profile)
    path = Path(name).expanduser()
    folder = path.parent if path.is_file() else paths.runs() / name
    checkpoint = path if path.is_file() else folder / CHECKPOINT
    if not checkpoint.is_file():
        raise DataError(
            f"the trained model of {name} is not on this machine: point MARSNB_RUNS at the folder that has "
            f"{name}/{CHECKPOINT}, or train it with marsnb run"
        )
    try:
        card = json.loads((folder / CARD).read_text("utf-8"))
        spec, names, run_id = make_spec(**card["spec"]), tuple(card["class_names"]), str(card["run_id"])
    except FileNotFoundError:
        raise DataError(f"{folder} has no {CARD}, which says what the model is of: train the run anew") from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / CARD} is damaged ({error}): train the run anew") from error
    return Model(run_id, spec, names, _module(spec, len(names), checkpoint))


def _module(spec: Any, classes: int, checkpoint: Path) -> Any:
    with torch.random.fork_rng(devices=[]):  # building it draws weights
        if spec.task == "segmentation":
            method = segmentation.build_method(spec.model_copy(update={"start": "random"}), classes)
        else:
            method = classification.build_method(spec, [1] * classes, "random")
    try:
        method.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"])
    except (RuntimeError, OSError, KeyError, EOFError, pickle.UnpicklingError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{checkpoint} cannot be loaded ({first}): train the run anew") from error
    return method.model.eval()


def _best(table: str, profile: str) -> str:
    """Run id of the best row of a table that the ledger has, of its first seed."""
    head, lines = load_table(table), ledger.read(load_profile(profile).name)
    keys = {key for row, key, _ in row_runs(table, profile) if not row.control}
    lines = lines[(lines["metric"] == head.metrics[-1]) & (lines["split"] == head.split)]
    lines = lines.assign(key=lines["run_id"].str.split("-").str[0])
    mine = lines[lines["key"].isin(keys)]
    if mine.empty:
        raise RecipeError(
            f"nothing of {head.key} was measured at {profile}: marsnb run --table {table} --profile {profile}"
        )
    best = mine.groupby("key")["value"].mean().idxmax()
    return str(mine[mine["key"] == best].sort_values("seed")["run_id"].iloc[0])
