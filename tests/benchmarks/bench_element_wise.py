"""What Eq. 7 costs: memory against the features it is of, time against the training step, both against Eq. 6.

``make bench`` runs it, on an accelerator if there is one. On the CPU every measurement is a process of its own, whose
peak of resident memory is read from the system. ``MARSNB_BENCH_GIB`` sets the budget that Eq. 6 may grow into.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from marsnb.losses.element_wise import element_wise
from marsnb.losses.element_wise_naive import element_wise_naive
from marsnb.models.backbones import LITE
from marsnb.models.memory_bank import MemoryBank
from marsnb.models.segmenter import build_segmenter
from tests.conftest import ROOT

MEMORY_BOUND = 3.0
TIME_BOUND = 0.10
BUDGET = float(os.environ.get("MARSNB_BENCH_GIB", "4")) * 2**30
PAPER = (16, 128, 128)
"""Images, and the side of a feature map at 512 px and stride 4."""
CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
CLASSES, DIM = 4, 128


def plain(features: Tensor, labels: Tensor, prototypes: Tensor) -> Tensor:
    """Eq. 7 as one would write it first."""
    vectors = F.normalize(prototypes, dim=1)
    logits = torch.einsum("bdhw,cd->bchw", F.normalize(features, dim=1), vectors) / 0.07
    return F.cross_entropy(logits, labels, ignore_index=255)


LOSSES = {
    "Eq. 7": element_wise,
    "Eq. 7 plain": plain,
    "Eq. 6": lambda features, labels, _: element_wise_naive(features, labels),
}


def clock() -> float:
    if CUDA:
        torch.cuda.synchronize()
    return time.perf_counter()


def inputs(images: int, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Features that ask for a gradient, labels of every element, prototypes."""
    torch.manual_seed(0)
    features = torch.randn(images, DIM, side, side, device=DEVICE).requires_grad_()
    labels = torch.randint(0, CLASSES, (images, side, side), device=DEVICE)
    return features, labels, torch.randn(CLASSES, DIM, device=DEVICE)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak_resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure_here(name: str, images: int, side: int) -> dict[str, float]:
    """Seconds of a forward and backward pass, and its peak of bytes, the features themselves included."""
    loss = LOSSES[name]
    loss(*inputs(1, 8)).backward()  # libraries load and start their threads
    if CUDA:
        torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated() if CUDA else resident()
    features, labels, prototypes = inputs(images, side)
    if CUDA:
        torch.cuda.reset_peak_memory_stats()
    start = clock()
    loss(features, labels, prototypes).backward()
    seconds = clock() - start
    peak = (torch.cuda.max_memory_allocated() if CUDA else peak_resident()) - before
    return {"seconds": seconds, "peak": peak, "features": features.numel() * features.element_size()}


def measure(name: str, images: int, side: int) -> dict[str, float]:
    """`measure_here`, in a process of its own on the CPU: a peak of resident memory never falls again."""
    if CUDA:
        return measure_here(name, images, side)
    code = (
        "import json; from tests.benchmarks.bench_element_wise import measure_here; "
        f"print(json.dumps(measure_here({name!r}, {images}, {side})))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def bench_memory_of_eq_7() -> None:
    """At the paper's size, 16 x 128 x 128 x 128, forward and backward."""
    print(f"\nEq. 7 on {PAPER[0]} x {DIM} x {PAPER[1]} x {PAPER[2]} features in float32, {DEVICE.type}:")
    for name in ("Eq. 7", "Eq. 7 plain"):
        found = measure(name, *PAPER[:2])
        ratio = found["peak"] / found["features"]
        bound = f" (bound {MEMORY_BOUND:.0f})" if name == "Eq. 7" else ""
        print(
            f"  {name:12} {1000 * found['seconds']:8.1f} ms   peak {found['peak'] / 2**20:7.1f} MiB "
            f"= {ratio:.2f} x the features{bound}"
        )
        assert name != "Eq. 7" or ratio <= MEMORY_BOUND


@pytest.mark.slow
def bench_where_eq_6_stops_fitting() -> None:
    """One image, every element labelled, its feature map growing to the paper's 128 x 128."""
    print(f"\nEq. 6 against Eq. 7, one image, {DEVICE.type}, budget {BUDGET / 2**30:g} GiB:")
    last = None
    for side in (16, 32, 64, 96, 128):
        fused = measure("Eq. 7", 1, side)
        # Memory grows with the fourth power of the side: do not start what the last size says will not fit.
        expected = 0.0 if last is None else last[1] * (side / last[0]) ** 4
        if expected > BUDGET:
            print(f"  {side:4} x {side:<4} does not fit: about {expected / 2**30:.1f} GiB, from the last row's growth")
            return
        naive = measure("Eq. 6", 1, side)
        times = naive["seconds"] / fused["seconds"]
        print(
            f"  {side:4} x {side:<4} time {1000 * naive['seconds']:9.1f} ms = {times:7.1f} x Eq. 7   "
            f"peak {naive['peak'] / 2**20:8.1f} MiB = {naive['peak'] / naive['features']:6.1f} x the features"
        )
        last = side, naive["peak"]


@pytest.mark.slow
def bench_time_of_eq_7_in_a_step() -> None:
    """Eq. 7 and the bank against the whole joint step: the paper's size on an accelerator, lite's on the CPU."""
    name, images, size = ("resnet101", 16, 512) if CUDA else (LITE, 4, 256)
    steps = int(os.environ.get("MARSNB_BENCH_STEPS", "5"))
    model = build_segmenter(name, CLASSES, seed=0).to(DEVICE).train()
    bank = MemoryBank(CLASSES).to(DEVICE)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x = torch.rand(images, 3, size, size, device=DEVICE)
    labels = torch.randint(0, CLASSES, (images, size, size), device=DEVICE)
    small = labels[:, ::4, ::4]
    bank.enqueue(torch.randn(images, DIM, size // 4, size // 4, device=DEVICE), small)
    seconds: dict[str, list[float]] = {"step": [], "Eq. 7 and bank": []}
    for _ in range(1 + steps):
        start = clock()
        logits, features = model.both(x)
        loss = F.cross_entropy(logits, labels) + 0.001 * element_wise(features, small, bank.prototypes, bank.valid)
        bank.enqueue(features, small)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seconds["step"].append(clock() - start)
        alone = features.detach().requires_grad_()
        start = clock()
        element_wise(alone, small, bank.prototypes, bank.valid).backward()
        bank.enqueue(alone, small)
        seconds["Eq. 7 and bank"].append(clock() - start)
    step, ours = (statistics.median(values[1:]) for values in seconds.values())
    print(
        f"\n{name} at {size} px, {images} images, {DEVICE.type} with {torch.get_num_threads()} threads, "
        f"medians of {steps}: step {1000 * step:.1f} ms, "
        f"Eq. 7 and bank {1000 * ours:.1f} ms = {ours / step:.3f} (bound {TIME_BOUND})"
    )
    assert ours / step <= TIME_BOUND
