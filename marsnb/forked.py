"""Python commands as forks of a server that has imported what they need: its ten seconds are spent once.

A notebook's kernel is a fork of the process that executes the notebook, where that is itself such a fork.
"""

import os
import runpy
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from multiprocessing import Pipe, forkserver, get_context, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from marsnb.processes import Processes

AVAILABLE = sys.platform == "linux"  # whether libraries bear it: those of macOS's own do not
_SERVER, _HERE = get_context("forkserver"), get_context("fork")
_SERVER.set_forkserver_preload(["marsnb.preloaded"])
KERNEL = "marsnb-fork"


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
    """`Processes` whose commands are ``python -m MODULE ...`` or ``python -c CODE ...``, each a fork of one server."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        super().__init__(environment, folder)
        before = dict(os.environ)
        try:
            _become_environment(environment)  # threads and warnings are read when Python starts
            forkserver.ensure_running()
        finally:
            _become_environment(before)

    def start(self, name: str, command: Sequence[str], errors: Path) -> None:
        """Begin one; see `Processes`."""
        given = (list(command[1:]), self.environment, self.folder, errors)
        process = ServedFork(target=become, args=given)
        process.start()
        self.running[name] = process  # type: ignore[assignment]


def become(words: Sequence[str], environment: Mapping[str, str], folder: Path, errors: Path) -> None:
    """Make of this fork what Python would have begun, in a session of its own and environment.

    Its words are ``-m`` and the name of a module, or ``-c`` and code; then the arguments. Standard error goes to the
    file ``errors``; standard output is thrown away.
    """
    import torch

    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    file = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number, target in enumerate((nothing, nothing, file)):
        os.dup2(target, number)
    _become_environment(environment)
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


def _become_environment(given: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(given)


_held: list[tuple[Connection, OwnFork]] = []


def hold(errors: Path) -> None:
    """Fork this process now, while nothing runs in it, into what `HeldKernel` will make a kernel of.

    The kernel's standard error goes to the file ``errors``. In a process that is no fork itself nothing is done.
    """
    if parent_process() is None:
        return
    ours, theirs = Pipe()
    process = OwnFork(target=_wait, args=(theirs, ours, errors))
    process.start()
    theirs.close()
    _held.append((ours, process))
    entry = EntryPoint(KERNEL, f"{__name__}:{HeldKernel.__name__}", KernelProvisionerFactory.GROUP_NAME)
    KernelProvisionerFactory.provisioners[KERNEL] = entry


def release() -> None:
    """End the fork that is held, where it was not needed."""
    while _held:
        _held.pop()[0].close()


def _wait(told: Connection, other: Connection, errors: Path) -> None:
    """What the fork does until it is told its command; it ends with the process that holds it."""
    other.close()
    try:
        words, environment, folder = told.recv()
    except EOFError:
        return
    become(words, environment, folder, errors)


class HeldKernel(LocalProvisioner):  # type: ignore[misc]
    """Launches Jupyter's kernel in the fork that is held; see jupyter_client's provisioners."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Tell the fork its command."""
        folder = Path(kwargs.get("cwd") or Path.cwd())
        # the class took the parent's number from the environment when it was imported
        words = [*cmd[1:], f"--IPKernelApp.parent_handle={os.getpid()}"]
        told, self.process = _held.pop()
        told.send((words, dict(kwargs["env"]), folder))
        self.pid, self.cwd = self.process.pid, folder
        return self.connection_info
