"""Exported models: the same probabilities in onnxruntime, and all that their users need to know inside."""

import json

import numpy as np
import pytest
import torch

from marsnb.errors import DataError
from marsnb.export import export
from marsnb.training import classification, segmentation
from marsnb.training.load import Model
from marsnb.training.spec import make_spec

COMMON = {"image_size": 64, "backbone": "test_resnet", "start": "random", "epochs": 1, "method": "cross_entropy"}


def model(task):
    if task == "segmentation":
        spec = make_spec(
            task=task, dataset="synthetic_terrain", decoder_channels=16, trunk="layer2", crop=False, **COMMON
        )
        return Model("a-b-s0", spec, ("soil", "bedrock", "sand", "big rock"), segmentation.build_method(spec, 4).model)
    spec = make_spec(dataset="synthetic", milestones=[], trunk="layer2", **COMMON)
    return Model("a-b-s0", spec, ("one", "two", "three"), classification.build_method(spec, [1, 1, 1]).model)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_onnx_gives_the_same_probabilities(task, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra `export`: pip install 'marsnb[export]'")
    pytest.importorskip("onnxscript", reason="needs the extra `export`: pip install 'marsnb[export]'")
    mine = model(task)
    mine.module.eval()
    session = runtime.InferenceSession(str(export(mine, tmp_path / "m.onnx", "onnx")))
    for batch in (1, 3):  # the batch size is free
        images = torch.rand(batch, 3, 64, 64)
        (theirs,) = session.run(None, {"images": images.numpy()})
        with torch.no_grad():
            assert np.abs(theirs - mine.module(images).softmax(dim=1).numpy()).max() < 1e-4
    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said["class_names"]) == list(mine.class_names) and said["image_size"] == "64"
    assert len(json.loads(said["mean"])) == len(json.loads(said["std"])) == 3
    assert [f.name for f in tmp_path.iterdir()] == ["m.onnx"]


def test_safetensors_hold_every_weight(tmp_path):
    open_file = pytest.importorskip("safetensors", reason="needs the extra `export`").safe_open
    mine = model("classification")
    with open_file(str(export(mine, tmp_path / "m.safetensors", "safetensors")), "pt") as file:
        assert json.loads(file.metadata()["class_names"]) == ["one", "two", "three"]
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert weights.keys() == mine.module.state_dict().keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in mine.module.state_dict().items())


def test_an_unknown_format_is_one_line(tmp_path):
    with pytest.raises(DataError, match="unknown format 'pickle'; known: onnx, safetensors"):
        export(model("classification"), tmp_path / "m", "pickle")
