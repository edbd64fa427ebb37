"""Seconds and peak memory of Eq. 6 and Eq. 7, forward and backward, on maps that grow; as a program, in JSON."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from marsnb.errors import TrainingError
from marsnb.losses.element_wise import element_wise
from marsnb.losses.element_wise_naive import element_wise_naive
from marsnb.training.provenance import device_name

SIDES = (8, 16, 32, 48, 64, 96, 128)
"""Edge of the feature map; the last is the paper's, a quarter of an image of 512 pixels."""
BATCHED, IMAGES = 32, 4  # edge of the map, and images, at which it is measured what one more image of the batch adds
CLASSES, DIM = 4, 128  # of AI4Mars and of the paper's embedding
GIB = 2**30
LONG = 0.5  # seconds that passes of one size are repeated for
COLUMNS = ["equation", "images", "side", "elements", "similarities", "seconds", "peak"]


def run_apart(module: str, *arguments: object, what: str, fix: str) -> Any:
    """What ``python -m MODULE ARGUMENTS`` prints as JSON in its last line, in a process of its own.

    It then neither grows the caller nor takes it along. An error says ``what`` is measured, and the ``fix``.

    Raises:
        TrainingError: the process ended early, most likely for want of memory, or printed nothing.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    quiet = {**os.environ, "KINETO_LOG_LEVEL": "99"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=quiet)
    found: Any = None
    with contextlib.suppress(ValueError, IndexError):
        found = json.loads(done.stdout.splitlines()[-1])
    if done.returncode or not found:
        last = (done.stderr.splitlines() or ["no message"])[-1]
        raise TrainingError(f"measuring {what} ended early ({last}): {fix}")
    return found


def eq6(features: Tensor, labels: Tensor, prototypes: Tensor) -> Tensor:
    """Eq. 6, which has no use for the prototypes."""
    return element_wise_naive(features, labels)


EQUATIONS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"Eq. 7": element_wise, "Eq. 6": eq6}


def inputs(images: int, side: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Random features that ask for a gradient, a class for every element, random prototypes."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(images, DIM, side, side, generator=generator).to(device).requires_grad_()
    labels = torch.randint(0, CLASSES, (images, side, side), generator=generator).to(device)
    return features, labels, torch.randn(CLASSES, DIM, generator=generator).to(device)


def peak_bytes(work: Callable[[], None], device: torch.device) -> int:
    """Most bytes that torch held at once for what ``work`` allocated."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        work()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        recorded.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    held = peak = 0
    for event in sorted((e for e in events if e.get("name") == "[memory]"), key=lambda e: e["ts"]):
        held += event["args"]["Bytes"]
        peak = max(peak, held)
    return peak


def clock(device: torch.device) -> float:
    """Seconds: on an accelerator those of the clock, on the CPU those that this process computed.

    What else the machine is busy with then counts little.
    """
    if device.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def measure(equation: str, images: int, side: int, device: torch.device) -> dict[str, object]:
    """One line of ``COLUMNS``: the fastest of some passes, and the peak of one, inputs and gradient included."""
    taken: list[float] = []

    def work() -> None:
        features, labels, prototypes = inputs(images, side, device)
        start = clock(device)
        EQUATIONS[equation](features, labels, prototypes).backward()
        taken.append(clock(device) - start)

    peak = peak_bytes(work, device)
    while sum(taken) < LONG and len(taken) < 20:
        work()
    n = side * side
    values = [equation, images, side, n, images * similarities(equation, n), min(taken), peak]
    return dict(zip(COLUMNS, values, strict=True))


def similarities(equation: str, elements: int) -> int:
    """Cosines that an equation takes of one image: of every element with every one, or with every prototype."""
    return elements * (elements if equation == "Eq. 6" else CLASSES)


def measure_all(budget: float) -> dict[str, object]:
    """All sizes, in this process; Eq. 6 stops before the first whose need would exceed ``budget`` bytes.

    Memory of Eq. 6 grows with the square of the elements: the need of a size is foretold from the size before.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for equation in EQUATIONS:
        EQUATIONS[equation](*inputs(1, 8, device)).backward()  # libraries load
    found = [measure("Eq. 7", 1, side, device) for side in SIDES]
    stopped: dict[str, float] = {}
    per_pair = 0.0
    for side in SIDES:
        need = per_pair * side**4
        if need > budget:
            stopped = {"side": side, "need": need}
            break
        line = measure("Eq. 6", 1, side, device)
        per_pair = float(line["peak"]) / side**4  # type: ignore[arg-type]
        found.append(line)
        if side == BATCHED:
            found += [measure(equation, IMAGES, side, device) for equation in EQUATIONS]
    on_cuda = device.type == "cuda"
    memory = torch.cuda.get_device_properties(device).total_memory if on_cuda else psutil.virtual_memory().total
    return {"lines": found, "stopped": stopped, "device": device_name(device), "memory": memory}


def measured(budget_gib: float) -> pd.DataFrame:
    """`measure_all` in a process of its own, in which Eq. 6 may grow into so many GiB.

    Returns:
        ``COLUMNS``, and the same in all lines: ``budget``, ``memory`` (of the machine; both in bytes), ``stopped_side``
        and ``stopped_need`` (the first size that was not run, 0 if all were), ``device``.

    Raises:
        TrainingError: the process ended early, most likely for want of memory.
    """
    fix = f"lower the memory budget of {budget_gib:g} GiB"
    found = run_apart("marsnb.bench.contrast", budget_gib, what="Eq. 6", fix=fix)
    stopped = found["stopped"] or {"side": 0, "need": 0}
    frame = pd.DataFrame(found["lines"], columns=COLUMNS)
    return frame.assign(
        budget=round(budget_gib * GIB), memory=found["memory"], stopped_side=stopped["side"],
        stopped_need=round(stopped["need"]), device=found["device"],
    )  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(measure_all(float(sys.argv[1]) * GIB)))
