"""What a training step of each method costs, against its own count of forward passes times the baseline's step.

``make bench`` runs it, at the profile lite, on random images. ``MARSNB_BENCH_STEPS`` sets the steps of each kind.
"""

import os
import statistics
import time

import pytest
import torch

from marsnb.memory import keep_freed_memory
from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import ClassificationMethod
from marsnb.recipes import load_profile
from marsnb.training.classification import build_method
from marsnb.training.cost import CLASS_COUNTS, fake_batches, step_costs
from marsnb.training.run import pick_device
from marsnb.training.spec import ClassificationSpec, make_spec

BOUND = 1.3
STEPS = int(os.environ.get("MARSNB_BENCH_STEPS", "4"))
WARM_UP = 1


def _stepper(spec: ClassificationSpec, stage: int, device: torch.device):
    """A function that takes one step of a stage, on a batch that is there already."""
    method: ClassificationMethod = build_method(spec, CLASS_COUNTS).to(device).train()
    lengths = method.stage_epochs()
    optimizer = method.configure_optimizers()
    method.begin_epoch(sum(lengths[:stage]))
    batches = {
        name: type(b)(**{k: v.to(device) for k, v in vars(b).items()})
        for name, b in fake_batches(method, spec, spec.image_size).items()
    }

    def step() -> float:
        start = time.perf_counter()
        loss = method.training_step(batches, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    return step


@pytest.mark.slow
def bench_methods() -> None:
    """Median step of every stage of every method, interleaved with the baseline's, beside its count of passes."""
    keep_freed_memory()
    device = pick_device("auto")
    fields = load_profile("lite").classification | {"backbone": "tf_efficientnet_lite0", "start": "random"}
    specs = {name: make_spec(**fields, method=name) for name in METHODS if not METHODS[name].precompute}
    baseline = _stepper(specs["cross_entropy"], 0, device)
    print(
        f"\nsteps at {fields['image_size']} px, {device.type} with {torch.get_num_threads()} threads, {STEPS} of each"
    )
    print("method (stage)                  passes   ms/step   baseline   step / (passes x baseline)")
    ratios = {}
    for name, spec in specs.items():
        for stage, cost in enumerate(step_costs(spec)):
            step = _stepper(spec, stage, device)
            pairs = [(step(), baseline()) for _ in range(WARM_UP + STEPS)][WARM_UP:]
            mine, base = (statistics.median(column) for column in zip(*pairs, strict=True))
            passes = cost.images / spec.batch_labelled
            ratio = ratios[name, stage] = mine / (passes * base)
            print(f"{name:26} ({stage}) {passes:8.2f} {1000 * mine:9.1f} {1000 * base:10.1f} {ratio:12.2f}")
    worst = max(ratios, key=lambda key: ratios[key])
    print(f"  worst: {worst[0]}, {ratios[worst]:.2f} (bound {BOUND})")
    assert ratios[worst] <= BOUND
