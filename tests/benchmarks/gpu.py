"""What a GPU has to show, in ten minutes: its tests, a step of Ours at paper, Eq. 7's share, what compiling gains.

``tests/benchmarks/gpu.sh`` runs it. Each part is a process of its own with a limit of time; what it measured, or why it
did not, is in one JSON, which is written anew after each part.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from marsnb.bench.contrast import clock
from marsnb.models.backbones import build_backbone
from marsnb.recipes import load_profile, load_table
from marsnb.training import classification, segmentation
from marsnb.training.cost import TERRAINS, fake_masks
from marsnb.training.provenance import device_name, versions
from marsnb.training.spec import resolve
from marsnb.training.trainer import compile_model, make_trainer, precision_on

ROOT = Path(__file__).resolve().parents[2]
LEAST_SPEED, MOST_SHARE = 0.7, 0.10
"""Of Ours against a bare backbone, and of Eq. 7 in the joint step of segmentation."""
TRAINING_IMAGES = 5386
"""Of MSL v1: an epoch is one pass."""
WARM_UP, STEPS = 10, 40
LIMITS = {"tests": 150, "ours": 150, "eq7": 90, "compiled": 180}
"""Seconds of each part; together less than ten minutes."""


class Clock(pl.Callback):
    """Seconds of the steps after the first ``warm``, and of those."""

    def __init__(self, warm: int, device: torch.device) -> None:
        self.warm, self.device, self.images = warm, device, 0
        self.times = [clock(device)]

    def on_train_batch_end(self, trainer: pl.Trainer, method: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.images = sum(len(item.labels) * (2 if hasattr(item, "view2") else 1) for item in batch.values())
        if batch_idx + 1 in (self.warm, trainer.num_training_batches):
            self.times.append(clock(self.device))


def trained(device: torch.device, tiny: bool, compiled: bool) -> dict[str, float]:
    """Ours of Table 4, trained as a run trains it, on synthetic images: seconds and images of a step."""
    warm, steps = (2, 2) if tiny else (WARM_UP, STEPS)
    few = {"train": 144, "test": 48, "unlabelled": 32}
    changes = {
        "dataset": "synthetic", "protocol": "by_frame", "data_options": few, "start": "random", "epochs": 1,
        "steps_per_epoch": warm + steps, "milestones": (),
    }  # fmt: skip
    row, profile = load_table(4).row("final"), load_profile("smoke" if tiny else "paper")
    spec = resolve(row, profile).model_copy(update=changes | ({"image_size": 32} if tiny else {}))
    work = classification.prepare(spec, classification.open_data(spec), device)
    if compiled:
        compile_model(work.method.model, "eager" if tiny else "inductor")
    watch = Clock(warm, device)
    with tempfile.TemporaryDirectory() as folder:
        make_trainer(device, spec.precision, 1, [watch], Path(folder)).fit(work.method, work.batches)
    begin, warmed, end = watch.times
    return {"seconds": (end - warmed) / steps, "warm_up": warmed - begin, "images": watch.images}


def bare(device: torch.device, images: int, tiny: bool) -> float:
    """Seconds of a forward and backward pass of the backbone alone, in the precision of the profile."""
    spec = resolve(load_table(4).row("final"), load_profile("smoke" if tiny else "paper"))
    size, passes = (32, 2) if tiny else (spec.image_size, STEPS // 2)
    network = build_backbone(spec.backbone, "random", seed=0).to(device, memory_format=torch.channels_last).train()
    x = torch.rand(images, 3, size, size, device=device).contiguous(memory_format=torch.channels_last)
    half = precision_on(device, spec.precision) == "bf16-mixed"

    def work() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = network(x).float().square().mean()
        loss.backward()
        network.zero_grad()

    torch.backends.cudnn.benchmark = device.type == "cuda"
    for _ in range(max(2, passes // 4)):
        work()
    start = clock(device)
    for _ in range(passes):
        work()
    return (clock(device) - start) / passes


def ours(device: torch.device, tiny: bool) -> dict[str, Any]:
    """Images per second of Ours' training step against the bare backbone's, and minutes of the paper's epochs."""
    step = trained(device, tiny, compiled=False)
    alone = bare(device, int(step["images"]), tiny)
    spec = resolve(load_table(4).row("final"), load_profile("paper"))
    steps = TRAINING_IMAGES // spec.batch_labelled * spec.epochs
    return {
        "images": step["images"],
        "step_ms": 1000 * step["seconds"],
        "bare_ms": 1000 * alone,
        "images_per_s": step["images"] / step["seconds"],
        "bare_images_per_s": step["images"] / alone,
        "ratio": alone / step["seconds"],
        "bound": LEAST_SPEED,
        "holds": alone / step["seconds"] >= LEAST_SPEED,
        "epochs": spec.epochs,
        "minutes": None if tiny else step["seconds"] * steps / 60,
    }


def eq7(device: torch.device, tiny: bool) -> dict[str, Any]:
    """Eq. 7 and its bank, forward and backward, as a share of the joint step of segmentation."""
    spec = resolve(load_table(9).row("final"), load_profile("smoke" if tiny else "paper"), task="segmentation")
    spec = spec.model_copy(update={"start": "random"} | ({"batch_labelled": 2, "image_size": 32} if tiny else {}))
    method = segmentation.build_method(spec, TERRAINS).to(device).train()
    method.begin_epoch(method.steps.index("joint") * spec.epochs)
    optimizer = method.configure_optimizers()
    batches = {
        name: type(batch)(
            batch.images.to(device).contiguous(memory_format=torch.channels_last), batch.labels.to(device)
        )
        for name, batch in fake_masks(method, spec, spec.image_size).items()
    }
    half = precision_on(device, spec.precision) == "bf16-mixed"
    side = spec.image_size // 4
    shape = (spec.batch_labelled, method.model.embedding_dim, side, side)
    features = torch.randn(shape, device=device, dtype=torch.bfloat16 if half else torch.float32)
    features = features.contiguous(memory_format=torch.channels_last).requires_grad_()
    labels = next(iter(batches.values())).labels[:, ::4, ::4].contiguous()

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            losses = method.training_step(batches, 0)
        losses.backward()
        optimizer.step()
        optimizer.zero_grad()

    def alone() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = method.contrast_of(features, labels)
        loss.backward()
        features.grad = None

    torch.backends.cudnn.benchmark = device.type == "cuda"
    taken: dict[str, list[float]] = {"step": [], "alone": []}
    for _ in range(3 if tiny else 15):
        for name, work in (("step", step), ("alone", alone)):
            start = clock(device)
            work()
            taken[name].append(clock(device) - start)
    whole, part = (statistics.median(times[1 if tiny else 5 :]) for times in taken.values())
    return {
        "shape": list(shape),
        "step_ms": 1000 * whole,
        "eq7_ms": 1000 * part,
        "share": part / whole,
        "bound": MOST_SHARE,
        "holds": part / whole <= MOST_SHARE,
    }


def compiled(device: torch.device, tiny: bool) -> dict[str, Any]:
    """What ``compile: true`` gains in Ours' step, and what it costs before."""
    plain, fast = (trained(device, tiny, compiled=one) for one in (False, True))
    return {
        "step_ms": 1000 * plain["seconds"],
        "compiled_ms": 1000 * fast["seconds"],
        "gain": plain["seconds"] / fast["seconds"],
        "compiling_s": fast["warm_up"] - plain["warm_up"],
    }


def tests(limit: float) -> dict[str, Any]:
    """The tests marked ``accelerator``: pytest's last line, and whether none failed."""
    files = [str(p) for p in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.accelerator" in p.read_text()]
    words = ["-m", "pytest", "-m", "accelerator", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=limit)
    lines = done.stdout.strip().splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return {"files": len(files), "says": lines[-1] if lines else done.stderr[-500:], "failed": failed,
            "holds": done.returncode == 0}  # fmt: skip


def part(name: str, limit: float, tiny: bool) -> dict[str, Any]:
    """A part in a process of its own, or why there is none."""
    words = [sys.executable, __file__, "--part", name, *(["--tiny"] if tiny else [])]
    try:
        if name == "tests":
            return tests(limit)
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=limit)
        if done.returncode:
            return {"failed": done.stderr.strip()[-2000:], "holds": False}
        return json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {"failed": f"took more than {limit:.0f} s", "holds": False}


def main() -> int:
    """All parts, or one; 1 where a test failed or, on a GPU, a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/gpu/gpu.json"))
    parser.add_argument("--tiny", action="store_true", help="small networks and images, also on the CPU")
    parser.add_argument("--part", choices=["ours", "eq7", "compiled"])
    given = parser.parse_args()
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    if not cuda and not given.tiny:
        parser.error("there is no CUDA device: add --tiny to try it on the CPU")
    if given.part:
        measure = {"ours": ours, "eq7": eq7, "compiled": compiled}[given.part]
        print(json.dumps(measure(device, given.tiny)))
        return 0
    found: dict[str, Any] = {"device": device_name(device), "tiny": given.tiny, "versions": versions()}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"MARSNB_RUNS": f"{folder}/runs", "MARSNB_FIGURES": f"{folder}/figures"}
        for name, limit in LIMITS.items():
            start = time.monotonic()
            found[name] = part(name, limit, given.tiny) | {"took_s": round(time.monotonic() - start, 1)}
            given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            print(name, json.dumps(found[name]), flush=True)
    missed = [name for name in LIMITS if "failed" in found[name] and found[name]["failed"]]
    if cuda and not given.tiny:
        missed += [name for name in LIMITS if not found[name].get("holds", True) and name not in missed]
    print(f"{given.out}: " + (f"missed: {', '.join(missed)}" if missed else "all held"))
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
