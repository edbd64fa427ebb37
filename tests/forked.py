"""Functions in processes of their own that pay no import: forks of the server that marsnb's commands fork, too."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from marsnb.forked import Forked as MarsnbForked
from marsnb.forked import ServedFork


def in_a_process(function: Callable[..., object], *arguments: Any) -> int:
    """Call ``function`` in a process of its own, in the environment of now and on one thread.

    Args:
        function: one of a module's own functions; the process imports it by its name.
        arguments: what it is called with.

    Returns:
        The exit code: 0, 1 after an error, or minus the signal that ended the process.
    """
    return start(function, *arguments).wait()


def start(function: Callable[..., object], *arguments: Any, environment: dict[str, str] | None = None) -> ServedFork:
    """The process of `in_a_process`, begun.

    Args:
        function: see there.
        arguments: see there.
        environment: variables beside those of now.
    """
    process = ServedFork(target=_run, args=(dict(os.environ) | (environment or {}), function, arguments))
    process.start()
    return process


def _run(environment: dict[str, str], function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    import torch

    os.environ.clear()  # the server's is the one it was started in
    os.environ.update(environment)
    torch.set_num_threads(1)
    function(*arguments)


class Forked(MarsnbForked):
    """`Processes` of marsnb's own commands, forked.

    Args:
        given: as for `Processes`.
        before: one of a module's own functions, which each process calls first.
    """

    def __init__(self, environment: dict[str, str], folder: Path, before: Callable[[], None]) -> None:
        super().__init__(environment | {"OMP_NUM_THREADS": "1"}, folder, before)
