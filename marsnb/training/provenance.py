"""Where a number comes from: the code's commit, the libraries' versions, the device."""

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

from marsnb import paths

ONLY_REPORT = (
    "results", "plots.py", "bench", "teach", "reproduce.py", "processes.py", "times.py", "readme.py", "pages.py",
    "site.py", "cli.py", "predict.py", "export.py", "forked.py", "preloaded.py",
)  # fmt: skip
"""Parts of the package that no number depends on."""
LIBRARIES = ("torch", "torchvision", "timm", "pytorch-lightning", "kornia")


@cache
def commit() -> str:
    """The commit the code runs at; ``unknown`` outside a checkout.

    A ``+`` follows where files of the package differ from it, but for those that only report. Asked once a process:
    what it had loaded by then is what runs.
    """

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=paths.ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        head = git("rev-parse", "--short=12", "HEAD")
        changed = git("status", "--porcelain", "--", "marsnb", *(f":!marsnb/{name}" for name in ONLY_REPORT))
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")


def versions() -> str:
    """Python and the libraries that decide numbers, ``name=version`` separated by spaces."""
    return " ".join([f"python={platform.python_version()}", *(f"{name}={version(name)}" for name in LIBRARIES)])


def device_name(device: torch.device) -> str:
    """Accelerator's name, or ``cpu`` with the number of threads and the processor's model."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if device.type == "cpu" and cpuinfo.exists():
        lines = (line for line in cpuinfo.read_text(encoding="utf-8").splitlines() if line.startswith("model name"))
        model = next(lines, f": {model}").split(":", 1)[1].strip()
    return f"{device.type} x{torch.get_num_threads()} ({model})" if device.type == "cpu" else device.type
