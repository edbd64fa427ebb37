"""A notebook's kernel as a fork of the process that executes the notebook, where that is itself a fork."""

import os
from importlib.metadata import EntryPoint
from multiprocessing import Pipe, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from marsnb.forked import OwnFork, become

NAME = "marsnb-fork"
_held: list[tuple[Connection, OwnFork]] = []


def hold(errors: Path) -> None:
    """Fork this process now, while nothing runs in it, into what `HeldKernel` will make a kernel of.

    Nothing is done in a process that is no fork itself.

    Args:
        errors: file that gets the kernel's standard error.
    """
    if parent_process() is None:
        return
    ours, theirs = Pipe()
    process = OwnFork(target=_wait, args=(theirs, ours, errors))
    process.start()
    theirs.close()
    _held.append((ours, process))
    entry = EntryPoint(NAME, f"{__name__}:{HeldKernel.__name__}", KernelProvisionerFactory.GROUP_NAME)
    KernelProvisionerFactory.provisioners[NAME] = entry


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
