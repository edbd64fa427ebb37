"""On a CUDA device: a step is that of the CPU, and a run at the profile paper's precision goes from spec to ledger."""

import math

import pytest
import torch

from marsnb.training import classification, segmentation
from marsnb.training.cost import CLASSES, TERRAINS, fake_batches, fake_masks
from marsnb.training.run import make_spec, run
from tests.training.test_run import TINY
from tests.training.test_segmentation_run import TINY as TERRAIN

pytestmark = pytest.mark.accelerator


def moved(batch, device):
    return type(batch)(**{name: value.to(device) for name, value in vars(batch).items()})


def steps(fields):
    """Losses of two steps in single precision, on the CPU and on the accelerator."""
    spec, found = make_spec(**fields), []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        if spec.task == "classification":
            method = classification.build_method(spec, [1] * CLASSES)
            batches = fake_batches(method, spec, 32)
        else:
            method = segmentation.build_method(spec, TERRAINS)
            batches = fake_masks(method, spec, 32)
        method.to(device).train()
        batches = {name: moved(batch, device) for name, batch in batches.items()}
        found.append([{k: float(v.detach()) for k, v in method.step(**batches).items()} for _ in range(2)])
    return found


@pytest.mark.parametrize("fields", [TINY, TERRAIN | {"dropout": 0.0}], ids=["classification", "segmentation"])
def test_a_step_is_that_of_the_cpu(fields):
    for here, there in zip(*steps(fields), strict=True):
        assert there == pytest.approx(here, rel=1e-2, abs=1e-3)


@pytest.mark.parametrize("fields", [TINY, TERRAIN], ids=["classification", "segmentation"])
def test_ours_trains_in_bfloat16(fields):
    result = run(make_spec(**fields, precision="auto"), "smoke", device="cuda")
    losses = result.curves[result.curves["metric"] == "loss"]["value"]
    assert len(losses) and all(map(math.isfinite, losses))
    assert 0 <= result.metrics["value"].iloc[0] <= 1 and not result.metrics["device"].iloc[0].startswith("cpu")
