"""A trained model comes back from its checkpoint as it was; where that is missing or damaged, the fix is named."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from marsnb import paths
from marsnb.errors import DataError
from marsnb.training import classification, segmentation
from marsnb.training.load import load_model, trained_classifier, trained_segmenter
from marsnb.training.recorder import read_checkpoint
from marsnb.training.run import run_id_of
from marsnb.training.spec import row_runs

SPECS = {row.id: spec for row, _, spec in row_runs(9, "smoke")}


def _comes_back(method: Any, run_id: str, load: Callable[[], torch.nn.Module]) -> tuple[torch.nn.Module, torch.Tensor]:
    """Keep a method's weights as a run does and load them; returns the model and the images that it was tried on."""
    folder = paths.runs() / run_id
    folder.mkdir(parents=True)
    torch.save({"state_dict": method.state_dict(), "epoch": 1}, folder / "last.ckpt")
    state = torch.random.get_rng_state()
    model = load()
    assert torch.equal(state, torch.random.get_rng_state()) and not model.training
    images = torch.from_numpy(np.random.default_rng(0).random((2, 3, 64, 64), dtype=np.float32))
    with torch.inference_mode():
        assert torch.equal(model(images), method.model.eval()(images))
    return model, images


@pytest.mark.parametrize("row", ["baseline", "final"])
def test_weights_come_back_and_the_random_state_stays(row: str) -> None:
    spec = SPECS[row]
    data = segmentation.open_data(spec)
    run_id, _ = run_id_of(spec, data)
    method = segmentation.build_method(spec.model_copy(update={"seed": 7}), 4)
    _comes_back(method, run_id, lambda: trained_segmenter(spec, data))


def test_a_missing_or_damaged_checkpoint_names_the_fix() -> None:
    spec = SPECS["baseline"]
    data = segmentation.open_data(spec)
    run_id, _ = run_id_of(spec, data)
    anew = "an empty folder and train it anew: marsnb run --table 9 --profile smoke --row baseline --seed 0$"
    with pytest.raises(DataError, match=f"{run_id} is not on this machine: point MARSNB_RUNS at .* {anew}"):
        trained_segmenter(spec, data)
    with pytest.raises(DataError, match=f"{run_id}-a1 is not on this machine.* {anew}"):
        load_model(f"{run_id}-a1")
    with pytest.raises(DataError, match=r"an empty folder and train it anew$"):
        load_model("0123456789-012345-s0")
    path = paths.runs() / run_id / "last.ckpt"
    path.parent.mkdir(parents=True)
    for content in (b"half a file", None):
        if content is None:  # of another model
            torch.save({"state_dict": {"model.nothing": torch.zeros(1)}}, path)
        else:
            path.write_bytes(content)
        with pytest.raises(DataError, match=r"cannot be loaded .*: delete the folder and train the run anew") as caught:
            trained_segmenter(spec, data)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("trunk", [None, "layer3"])
def test_a_classifiers_weights_come_back(trunk: str | None) -> None:
    spec = {row.id: spec for row, _, spec in row_runs(4, "smoke")}["final"].model_copy(update={"trunk": trunk})
    data = classification.open_data(spec)
    run_id, _ = run_id_of(spec, data)
    with pytest.raises(DataError, match=f"{run_id} is not on this machine: point MARSNB_RUNS at"):
        trained_classifier(spec, data)
    method = classification.build_method(spec.model_copy(update={"seed": 7}), [1] * len(data.class_names))
    model, images = _comes_back(method, run_id, lambda: trained_classifier(spec, data))
    if trunk is None:  # a run of a recipe needs no card
        known = load_model(run_id)
        assert known.spec == spec and known.class_names == data.class_names and known.run_id == run_id
        with torch.inference_mode():
            assert torch.equal(known.module(images), model(images))
    (paths.runs() / run_id / "last.ckpt").write_bytes(b"half a file")
    with pytest.raises(DataError, match=r"cannot be loaded .*: delete the folder and train the run anew"):
        trained_classifier(spec, data)


class Payload:
    """A pickle that makes a folder when it is read."""

    def __init__(self, at: Path) -> None:
        self.at = at

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.at),)


@pytest.mark.parametrize("kind", ["archive", "pickle", "tensor", "list", "other keys", "empty", "text"])
def test_a_checkpoint_with_code_or_of_something_else_is_refused(kind: str, tmp_path: Path) -> None:
    path, payload = tmp_path / "last.ckpt", Payload(tmp_path / "pwned")
    if kind in ("empty", "text", "pickle"):
        path.write_bytes({"empty": b"", "text": b"weights", "pickle": pickle.dumps(payload)}[kind])
    else:
        parts = {"archive": {"state_dict": payload}, "tensor": torch.zeros(2), "list": [1], "other keys": {"a": 1}}
        torch.save(parts[kind], path)
    with pytest.raises(DataError, match=r"last\.ckpt cannot be loaded \(it is .*delete the folder and train") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value) and not (tmp_path / "pwned").exists()
