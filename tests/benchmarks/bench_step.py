"""What data costs a training step: gathering and augmentation against the bare step on a batch that is there already.

``make bench`` runs it, on MSL where its images are, decoded into ``runs/cache`` as a run would do, else on synthetic
Mars. ``MARSNB_BENCH_STEPS`` sets the number of steps of each kind.
"""

import os
import statistics
import time

import pytest
import torch

from marsnb import paths
from marsnb.memory import keep_freed_memory
from marsnb.recipes import load_profile, load_table
from marsnb.training.batches import Batches, open_arrays
from marsnb.training.classification import build_method, open_data
from marsnb.training.run import pick_device, resolve
from tests.conftest import REAL_DATA

BOUND = 1.15
STEPS = int(os.environ.get("MARSNB_BENCH_STEPS", "12"))
WARM_UP = 2
RUNS = paths.runs()  # before the fixtures point it elsewhere: the decoded images are there, or will be of use there
REAL = all((REAL_DATA / name).is_dir() for name in ("msl-images", "pds-browse"))


@pytest.mark.slow
def bench_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row ``final`` of Table 4 in the profile lite: 16 labelled images, 24 pairs of classes, 16 pairs of views."""
    spec = resolve(load_table(4).row("final"), load_profile("lite"))
    if REAL:
        monkeypatch.setenv("MARSNB_DATA", str(REAL_DATA))
        monkeypatch.setenv("MARSNB_RUNS", str(RUNS))
    else:
        spec = spec.model_copy(update={"dataset": "synthetic"})
    keep_freed_memory()
    device = pick_device("auto")
    data = open_data(spec)
    arrays = open_arrays(data, spec.image_size, unlabelled=True, train_on=spec.train_on)
    method = build_method(spec, (1,) * len(data.class_names)).to(device).train()
    batches = Batches(arrays, method.streams, spec.model_copy(update={"steps_per_epoch": WARM_UP + STEPS}))
    optimizer = method.configure_optimizers()
    torch.manual_seed(0)
    source = iter(batches.train_dataloader())

    def gathered():
        return batches.transfer_batch_to_device(next(source), device, 0)

    def step(batch):
        loss = method.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def clock():
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    resident = None
    seconds: dict[str, list[float]] = {"gathering": [], "augmentation": [], "with data": [], "bare": []}
    for _ in range(WARM_UP + STEPS):
        start = clock()
        raw = gathered()
        there = clock()
        batch = batches.on_after_batch_transfer(raw, 0)
        augmented = clock()
        step(batch)
        seconds["with data"].append(clock() - start)
        seconds["gathering"].append(there - start)
        seconds["augmentation"].append(augmented - there)
        resident = resident or batch
        start = clock()
        step(resident)
        seconds["bare"].append(clock() - start)

    median = {name: statistics.median(all_[WARM_UP:]) for name, all_ in seconds.items()}
    images = sum(len(item.labels) * (2 if hasattr(item, "view2") else 1) for item in resident.values())
    ratio = median["with data"] / median["bare"]
    print(
        f"\nstep with data, {data.name}, {spec.backbone} at {spec.image_size} px, {images} images a step, "
        f"{device.type} with {torch.get_num_threads()} threads, medians of {STEPS} steps each, interleaved:"
    )
    for name, value in median.items():
        print(f"  {name:14} {1000 * value:9.1f} ms")
    print(f"  with data      {images / median['with data']:9.1f} images/s")
    print(f"  with data / bare = {ratio:.3f} (bound {BOUND})")
    assert ratio <= BOUND
