"""Processes that pay no import: a server that has imported what trains forks each of them."""

import os
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from typing import Any

_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["marsnb.training.run"])


def in_a_process(function: Callable[..., object], *arguments: Any) -> int:
    """Call ``function`` in a process of its own, in the environment of now and on one thread.

    Args:
        function: one of a module's own functions; the process imports it by its name.
        arguments: what it is called with.

    Returns:
        The exit code: 0, 1 after an error, or minus the signal that ended the process.
    """
    process = start(function, *arguments)
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def start(function: Callable[..., object], *arguments: Any, environment: dict[str, str] | None = None) -> BaseProcess:
    """The process of `in_a_process`, begun.

    Args:
        function: see there.
        arguments: see there.
        environment: variables beside those of now.
    """
    process = _CONTEXT.Process(target=_run, args=(dict(os.environ) | (environment or {}), function, arguments))
    process.start()
    return process


def _run(environment: dict[str, str], function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    import torch

    os.environ.clear()  # the server's is the one it was started in
    os.environ.update(environment)
    torch.set_num_threads(1)
    function(*arguments)
