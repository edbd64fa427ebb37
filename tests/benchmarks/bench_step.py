"""What a frozen trunk and its bank save, and what data costs: steps of Table 4's final row, in one run.

``make bench`` runs it, on MSL where its images are, else on synthetic Mars: the step from the bank with its data, the
same step on a batch that is there already, and the step of the whole network on images of the same size, taken in
turns. ``MARSNB_BENCH_STEPS`` sets the number of steps of each kind.
"""

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from marsnb import paths
from marsnb.memory import keep_freed_memory
from marsnb.recipes import load_profile, load_table
from marsnb.training.classification import open_data, prepare
from marsnb.training.run import pick_device, resolve
from marsnb.training.work import Work
from tests.conftest import REAL_DATA

STEPS = int(os.environ.get("MARSNB_BENCH_STEPS", "8"))
WARM_UP = 2
RUNS = paths.runs()  # before the fixtures point it elsewhere: the bank is there, or will be of use there
REAL = all((REAL_DATA / name).is_dir() for name in ("msl-images", "pds-browse"))
LEAST_GAIN, MOST_DATA = 8.0, 1.10


def stepper(work: Work, device: torch.device) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """What gathers the next batch, and what takes a training step on one."""
    method = work.method.to(device).train()
    work.batches.steps = WARM_UP + STEPS
    optimizer, source = method.configure_optimizers(), iter(work.batches.train_dataloader())

    def gather() -> Any:
        raw = work.batches.transfer_batch_to_device(next(source), device, 0)
        return work.batches.on_after_batch_transfer(raw, 0)

    def step(batch: Any) -> None:
        loss = method.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return gather, step


@pytest.mark.slow
def bench_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row ``final`` of Table 4 in the profile lite: 16 labelled images, 24 pairs of classes, 16 pairs of views."""
    spec = resolve(load_table(4).row("final"), load_profile("lite"))
    if REAL:
        monkeypatch.setenv("MARSNB_DATA", str(REAL_DATA))
        monkeypatch.setenv("MARSNB_RUNS", str(RUNS))
    else:
        spec = spec.model_copy(update={"dataset": "synthetic", "views": 2})
    keep_freed_memory()
    torch.set_num_threads(spec.threads or torch.get_num_threads())
    device, data = pick_device("auto"), open_data(spec)
    gather, step = stepper(prepare(spec, data, device), device)
    gather_whole, step_whole = stepper(prepare(spec.model_copy(update={"trunk": None}), data, device), device)
    seconds: dict[str, list[float]] = {"bank": [], "bare": [], "whole": []}
    for _ in range(WARM_UP + STEPS):
        start = time.perf_counter()
        batch = gather()
        step(batch)
        seconds["bank"].append(time.perf_counter() - start)
        start = time.perf_counter()
        step(batch)
        seconds["bare"].append(time.perf_counter() - start)
        start = time.perf_counter()
        step_whole(gather_whole())
        seconds["whole"].append(time.perf_counter() - start)
    median = {name: statistics.median(times[WARM_UP:]) for name, times in seconds.items()}
    images = sum(len(item.labels) * (2 if hasattr(item, "view2") else 1) for item in batch.values())
    gain, cost = median["whole"] / median["bank"], median["bank"] / median["bare"]
    print(
        f"\nstep of final, {images} images of {spec.image_size} px, {data.name}, {torch.get_num_threads()} thread, "
        f"medians of {STEPS}, in turns:"
        f"\n  from the bank, with data  {1 / median['bank']:7.2f} steps/s  {images / median['bank']:7.1f} images/s"
        f"\n  from the bank, bare       {1 / median['bare']:7.2f} steps/s  (with data {cost:.3f} of that time, "
        f"bound {MOST_DATA})"
        f"\n  whole network, with data  {1 / median['whole']:7.2f} steps/s  (the bank is {gain:.1f} times as fast, "
        f"bound {LEAST_GAIN})"
    )
    assert gain >= LEAST_GAIN and cost <= MOST_DATA
