"""Processes that pay no import: a server that has imported what trains forks each of them."""

import os
import sys
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from marsnb.processes import Processes

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


class Forked(Processes):
    """`Processes` of marsnb's own commands, forked.

    Args:
        given: as for `Processes`.
        before: one of a module's own functions, which each process calls first.
    """

    def __init__(self, *given: Any, before: Callable[[], None]) -> None:
        super().__init__(*given)
        self.before = before

    def start(self, name: str, command: Any, errors: Path) -> None:
        process = _CONTEXT.Process(target=_command, args=(self.environment, self.before, command[3:], str(errors)))
        process.start()
        process.poll, process.wait = lambda: process.exitcode, process.join  # type: ignore[attr-defined]
        self.running[name] = process  # type: ignore[assignment]


def _command(environment: dict[str, str], before: Callable[[], None], words: list[str], errors: str) -> None:
    from marsnb import cli

    with Path(errors).open("w", encoding="utf-8") as sys.stderr:
        sys.argv = ["marsnb", *words]
        _run(environment, before, ())
        cli.main()
