"""Seconds and peak memory of a training step of every method of Table 8: one batch, one network, one machine.

As a program, ``python -m marsnb.bench.steps PROFILE PAIRS``, it prints them as JSON.
"""

import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from marsnb import recipes
from marsnb.bench.contrast import clock, peak_bytes, run_apart
from marsnb.methods.segmentation._parts import MaskBatch
from marsnb.training.cost import fake_masks
from marsnb.training.provenance import device_name
from marsnb.training.segmentation import build_method
from marsnb.training.spec import SegmentationSpec, resolve

TABLE, BASELINE = 8, 9
"""The table whose methods are measured, and the one whose first row, cross entropy alone, they are compared with."""
CLASSES = 4
PAIRS = 4  # steps of each method, each beside one of the baseline
COLUMNS = [
    "row", "label", "method", "settings", "step", "epochs", "ms", "base_ms", "state", "peak", "backbone", "trunk",
    "image_size", "batch", "device", "threads",
]  # fmt: skip


@dataclass(frozen=True)
class Runner:
    """One step of a training, to be repeated: ``seconds()`` takes it; ``state`` and ``peak()`` are bytes."""

    seconds: Callable[[], float]
    peak: Callable[[], int]
    state: int


def chosen(profile: str) -> list[tuple[recipes.Row, SegmentationSpec]]:
    """The baseline, and the first row of Table 8 of each method with its settings: start weights do not cost."""
    scale = recipes.load_profile(profile)
    found: dict[str, tuple[recipes.Row, SegmentationSpec]] = {}
    rows = [recipes.load_table(BASELINE).rows[0], *recipes.load_table(TABLE).rows]
    for row in rows:
        spec = resolve(row, scale, task="segmentation").model_copy(update={"start": "random"})
        found.setdefault(spec.key, (row, spec))
    return list(found.values())


def _bytes(tensors: Any) -> int:
    return sum(t.numel() * t.element_size() for t in tensors if isinstance(t, Tensor))


def runner(spec: SegmentationSpec, stage: int, device: torch.device) -> Runner:
    """A stage of a method, ready to step on a random batch a quarter of whose pixels have no label.

    With a trunk, a stream that training draws from the bank is already through it.
    """
    method = build_method(spec, CLASSES).to(device).train()
    lengths = method.stage_epochs()
    optimizer = method.configure_optimizers()
    for earlier in range(stage + 1):  # what a stage begins with, an earlier one may have to leave
        method.begin_epoch(sum(lengths[:earlier]))
    batches = {}
    for name, batch in fake_masks(method, spec, spec.image_size).items():
        images = batch.images.to(device)
        banked = spec.trunk and name not in method.pixels
        batches[name] = MaskBatch(method.model.trunk(images) if banked else images, batch.labels.to(device))

    def work() -> None:
        losses = method.step(**batches)
        losses["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()

    def seconds() -> float:
        start = clock(device)
        work()
        return clock(device) - start

    work()  # momentum is there from now on
    state = _bytes(method.state_dict().values())
    state += sum(_bytes(values.values()) for values in optimizer.state.values())
    return Runner(seconds, lambda: peak_bytes(work, device), state)


def measure_all(profile: str, pairs: int) -> list[dict[str, object]]:
    """A line of ``COLUMNS`` for each step of each method, in this process."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found: list[dict[str, object]] = []
    rows = chosen(profile)
    baseline = runner(rows[0][1], 0, device)
    for row, spec in rows:
        method = build_method(spec, CLASSES)
        for step in dict.fromkeys(method.steps):
            stage = method.steps.index(step)
            one = runner(spec, stage, device)
            taken = [(one.seconds(), baseline.seconds()) for _ in range(pairs)]
            mine, base = (1000 * statistics.median(column) for column in zip(*taken, strict=True))
            epochs = sum(n for name, n in zip(method.steps, method.stage_epochs(), strict=True) if name == step)
            values = [
                row.id, row.label, spec.method, json.dumps(spec.settings, sort_keys=True), step, epochs, mine, base,
                one.state, one.state + one.peak(), spec.backbone, spec.trunk or "", spec.image_size,
                spec.batch_labelled, device_name(device), torch.get_num_threads(),
            ]  # fmt: skip
            found.append(dict(zip(COLUMNS, values, strict=True)))
    return found


def measured(profile: str, pairs: int = PAIRS) -> pd.DataFrame:
    """`measure_all` in a process of its own.

    Args:
        profile: name of the profile, whose network and batch are measured.
        pairs: steps of each method.

    Returns:
        ``COLUMNS``: the row of the table, a step of its training with its epochs, the median milliseconds of one step
        and of the baseline's steps beside it, the bytes of what a training keeps between steps (weights, buffers, a
        teacher, momentum), and the most bytes it holds during one.

    Raises:
        TrainingError: the process ended early, most likely for want of memory.
    """
    what = f"the steps of Table {TABLE}"
    found = run_apart("marsnb.bench.steps", profile, pairs, what=what, fix="free some memory")
    return pd.DataFrame(found, columns=COLUMNS)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(measure_all(sys.argv[1], int(sys.argv[2]))))
