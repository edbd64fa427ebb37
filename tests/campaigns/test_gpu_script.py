"""``tests/benchmarks/gpu.sh`` runs to its end at a tiny size, also without a GPU; a minute or two."""

import json
import os
import subprocess
import sys

import pytest
import torch

from marsnb.models.backbones import build_backbone
from marsnb.models.classifier import Classifier
from marsnb.training.trainer import compile_model
from tests.conftest import ROOT

SCRIPT = ROOT / "tests" / "benchmarks" / "gpu.sh"


def call(*words, **environment):
    env = os.environ | {"PYTHON": sys.executable} | environment
    return subprocess.run([SCRIPT, *words], env=env, capture_output=True, text=True)


def test_it_runs_to_its_end_and_writes_every_part(tmp_path):
    done = call("--tiny", OUT=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["tiny"] and found["tests"]["holds"] and found["tests"]["files"] >= 4
    assert found["ours"]["images"] == 96 and found["ours"]["ratio"] > 0
    assert 0 < found["eq7"]["share"] < 1 and found["compiled"]["gain"] > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_how_to_try_it(tmp_path):
    done = call(OUT=str(tmp_path))
    assert done.returncode == 2 and "there is no CUDA device: add --tiny" in done.stderr


def test_a_compiled_model_saves_and_answers_as_before():
    model, x = Classifier(build_backbone("test_resnet", "random", seed=0), 3).eval(), torch.rand(2, 3, 32, 32)
    before, names = model(x), list(model.state_dict())
    compile_model(model, backend="eager")
    assert model.backbone._compiled_call_impl is not None
    torch.testing.assert_close(model(x), before)
    assert list(model.state_dict()) == names
