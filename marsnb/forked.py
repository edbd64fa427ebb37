"""Python commands as forks of a server that has imported what they need: its ten seconds are spent once."""

import os
import runpy
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from multiprocessing import forkserver, get_context
from pathlib import Path
from typing import Any

from marsnb.processes import Processes

AVAILABLE = sys.platform == "linux"
"""Whether libraries bear it: those of macOS's own do not."""
_SERVER, _HERE = get_context("forkserver"), get_context("fork")
_SERVER.set_forkserver_preload(["marsnb.preloaded"])


def compiled() -> bool:
    """Whether Python has compiled what notebooks import, or keeps nothing that it compiles."""
    last = find_spec("umap")
    return sys.dont_write_bytecode or last is None or Path(last.cached or "").exists()


class _Popen:
    """What ``subprocess.Popen`` has and ``multiprocessing.Process`` calls otherwise."""

    stdin = stdout = stderr = None

    def poll(self: Any) -> int | None:
        """The exit code; ``None`` while it runs."""
        return self.exitcode

    def wait(self: Any) -> int:
        """The exit code, waited for."""
        self.join()
        return int(self.exitcode)

    def send_signal(self: Any, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)


class ServedFork(_Popen, _SERVER.Process):  # type: ignore[name-defined]
    """A fork of the server."""


class OwnFork(_Popen, _HERE.Process):  # type: ignore[name-defined]
    """A fork of this process."""


class Forked(Processes):
    """`Processes` whose commands are ``python -m MODULE ...`` or ``python -c CODE ...``, each a fork of one server.

    Args:
        environment: of all of them.
        folder: that they run in.
    """

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        super().__init__(environment, folder)
        with _environment(environment):  # threads and warnings are read when Python starts
            forkserver.ensure_running()

    def start(self, name: str, command: Sequence[str], errors: Path) -> None:
        """Begin one; see `Processes`."""
        given = (list(command[1:]), self.environment, self.folder, errors)
        process = ServedFork(target=become, args=given)
        process.start()
        self.running[name] = process  # type: ignore[assignment]


def become(words: Sequence[str], environment: Mapping[str, str], folder: Path, errors: Path) -> None:
    """Make of this fork what Python would have begun, in a session of its own.

    Args:
        words: ``-m`` and the name of a module, or ``-c`` and code; then the arguments.
        environment: in place of the server's.
        folder: to run in.
        errors: file that gets standard error; standard output is thrown away.
    """
    import torch

    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    file = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number, target in enumerate((nothing, nothing, file)):
        os.dup2(target, number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    if environment.get("OMP_NUM_THREADS", "").isdecimal():
        torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
    flag, what, *arguments = words
    sys.argv = [what if flag == "-m" else flag, *arguments]
    if flag == "-m":
        warnings.filterwarnings("ignore", ".*found in sys.modules", RuntimeWarning)
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})


@contextmanager
def _environment(given: Mapping[str, str]) -> Iterator[None]:
    """Other variables for a while."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(given)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
