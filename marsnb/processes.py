"""Processes that end with the command that started them: by itself, by Ctrl-C, by SIGTERM or by a kill."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import parent_process
from pathlib import Path

import psutil

from marsnb.files import clear_left_behind

DAY = 86400.0  # seconds
STOPPED = 130  # exit code of a process that Ctrl-C ended


def kill(pid: int) -> None:
    """Kill a process and all that it started, those in sessions of their own included."""
    with contextlib.suppress(psutil.NoSuchProcess):
        first = psutil.Process(pid)
        for one in (*first.children(recursive=True), first):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()


def end_with_parent(parent: int | None = None) -> None:
    """End this process, and all that it started, soon after the process that started it was killed.

    That one's number is ``parent``, where it may have been killed before this call.
    """
    forked = None if parent else parent_process()  # a fork's parent is the server of forks
    parent = parent or os.getppid()

    def watch() -> None:
        if forked is not None:
            forked.join()
        else:
            while os.getppid() == parent:
                time.sleep(0.5)
        kill(os.getpid())

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM ends what runs inside as Ctrl-C does, with exit code 143; while it is ending, neither is heard again.

    What has to be undone inside is undone at once, and so cannot be cut short by an impatient second Ctrl-C.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: object) -> None:
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        if number == signal.SIGTERM:
            raise SystemExit(128 + number)
        raise KeyboardInterrupt

    try:
        for number in before:
            signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is gone afterwards, even where a process that was killed had just written into it.

    Those that killed commands left a day ago go too.
    """
    clear_left_behind(Path(tempfile.gettempdir()), ["marsnb-*.partial"], age=DAY)
    folder = Path(tempfile.mkdtemp(prefix="marsnb-", suffix=f".{os.getpid()}.partial"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Processes:
    """Processes that run now, by name, in one environment and folder; leaving the context kills those that still do."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self.environment, self.folder = dict(environment), folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str], errors: Path) -> None:
        """Begin one, in a session of its own: a terminal's Ctrl-C reaches the command that started it alone.

        Its standard error goes to the file ``errors``.
        """
        with errors.open("wb") as file:
            self.running[name] = subprocess.Popen(
                command, env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=file, start_new_session=True,
            )  # fmt: skip

    def ended(self) -> dict[str, int]:
        """Exit codes of those that ended since it was asked last."""
        codes = {name: process.poll() for name, process in self.running.items()}
        found = {name: code for name, code in codes.items() if code is not None}
        for name in found:
            del self.running[name]
        return found

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.running.values():
            kill(process.pid)
            process.wait()
