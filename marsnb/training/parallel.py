"""One run on several devices: a process each, which share the steps of training."""

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.multiprocessing.spawn import ProcessExitedException
from torch.multiprocessing.spawn import spawn as start

from marsnb.data.streams import STREAMS
from marsnb.errors import MarsnbError, TrainingError
from marsnb.methods import methods_of
from marsnb.processes import STOPPED, end_with_parent, kill, temporary_folder

LEAST = 2  # images of a batch that a process needs at least, for batch normalisation
RESULT = "result.json"  # what rank 0 returned
PATIENCE = 5.0  # seconds that processes have to end after one of them failed


def refuse(spec: Any, device: torch.device, devices: int) -> None:
    """Raise ``TrainingError`` where a run cannot be shared among so many devices."""
    methods = methods_of(spec.task)
    method = methods[spec.method]
    sources = {STREAMS[name].batch for name in method.streams} if spec.task == "classification" else {"labelled"}
    sizes = {f"batch_{name}": getattr(spec, f"batch_{name}") for name in sorted(sources - {"classes"})}
    reasons = [
        f"{name} {size} is not {devices} equal parts of at least {LEAST}: choose another number of devices"
        for name, size in sizes.items()
        if size % devices or size // devices < LEAST
    ]
    if not method.divisible:
        known = ", ".join(name for name in methods if methods[name].divisible)
        reasons.insert(0, f"method {spec.method!r} trains on one device only; on several: {known}")
    if spec.compile:
        reasons.append("a compiled run takes one device: set compile to false")
    if device.type not in ("cpu", "cuda") or device.index is not None:
        reasons.append(f"device {str(device)!r} is one device: choose cpu or cuda")
    elif device.type == "cuda" and torch.cuda.device_count() < devices:
        reasons.append(f"{devices} devices were asked for, but this machine has {torch.cuda.device_count()}")
    if reasons:
        raise TrainingError(reasons[0])


def spread(devices: int, work: Callable[..., Any], *arguments: Any) -> Any:
    """Run ``work(rank, *arguments)`` in ``devices`` processes, wait for all, and return what rank 0 returns.

    ``work`` is a function of a module, in whose processes ``pytorch_lightning`` finds the others; its arguments can be
    pickled, and what rank 0 returns comes back through JSON.

    Raises:
        MarsnbError: of the first process that raised one; or a process was killed (``TrainingError``).
        KeyboardInterrupt: a process was stopped by it.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # else each process warns that all parameters are used
    with temporary_folder() as folder:
        started = start(_begin, (devices, port, folder, work, arguments), nprocs=devices, join=False)
        try:
            while not started.join(grace_period=PATIENCE):
                pass
            return json.loads((folder / RESULT).read_text(encoding="utf-8"))
        except ProcessExitedException as error:
            said = sorted(folder.glob("*.error"))
            if said:
                raise TrainingError(said[0].read_text(encoding="utf-8")) from None
            if error.exit_code == STOPPED:
                raise KeyboardInterrupt from None
            raise TrainingError(
                f"process {error.error_index} of {devices} was killed, most likely for want of memory; "
                f"the same command goes on from the last epoch"
            ) from None
        finally:
            for process in started.processes:
                if process.is_alive():
                    kill(process.pid)


def _begin(
    rank: int, devices: int, port: int, folder: Path, work: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    end_with_parent()
    os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(max(1, torch.get_num_threads() // devices))
    try:
        result = work(rank, *arguments)
        if rank == 0:
            (folder / RESULT).write_text(json.dumps(result, default=lambda x: x.item()), encoding="utf-8")
    except MarsnbError as error:
        (folder / f"{rank}.error").write_text(str(error), encoding="utf-8")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(STOPPED)
