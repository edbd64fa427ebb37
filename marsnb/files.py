"""Writing a file whole or not at all, by one process at a time, and clearing what a killed one left of it."""

import errno
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from marsnb.errors import DataError, MarsnbError

LEFT_ALONE = 3600.0  # seconds: what was written to more recently may still be in the making, maybe on another machine


def write_whole(path: Path, content: str | bytes, *, sync: bool = True) -> Path:
    """Write text (UTF-8, line ends as given) or bytes under a temporary name and rename it: nobody ever reads half.

    The folder is made if need be, and the path returned. To ``sync`` is to wait for the disk, so that not even a power
    cut leaves half of it; slow for thousands of files.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # named after the process, so that what it leaves behind when it is killed can be told from what is being written
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=f".{os.getpid()}.partial", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def read_table(path: Path, columns: Iterable[str] = (), **options: Any) -> Any:
    """A CSV file that was written whole, as a data frame; it must have ``columns``.

    Raises:
        DataError: it was cut off, or is something else.
    """
    import pandas as pd

    content = path.read_bytes()
    try:
        table = pd.read_csv(BytesIO(content), **options)
        if not content.endswith(b"\n") or not set(columns) <= set(table):
            raise ValueError("a line or a column is cut off")
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}): take it from a copy or from git, or remove it") from None
    return table


@contextmanager
def locked(path: Path, notice: str = "") -> Iterator[None]:
    """Hold a lock file, waiting for it if need be; the system lets it go when the process ends, however it ends.

    Where another process holds it, ``notice`` is said on standard error, once.

    Raises:
        MarsnbError: the folder's disk has no locks, as some network disks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, is_singleton=False)
    try:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            if notice:
                sys.stderr.write(f"{notice}\n")
            lock.acquire()
    except OSError as error:
        if error.errno != errno.ENOLCK:
            raise
        raise MarsnbError(f"{path.parent} is on a disk without locks: set MARSNB_RUNS to a folder on another") from None
    try:
        yield
    finally:
        lock.release()


def clear_left_behind(
    folder: Path, patterns: Iterable[str] = ("*.partial", ".*.partial"), *, age: float = LEFT_ALONE
) -> list[Path]:
    """Remove what killed processes left of the files, or folders, that they were writing, and return it.

    A file is left alone while its last change is less than ``age`` seconds ago (less than an hour where other machines
    may write into the folder), or if the process that its name ends with before the ending
    (``<name>.<number>.partial``) runs on this machine.
    """
    cleared = []
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        try:
            writer = re.search(r"\.(\d{1,9})\.\w+$", path.name)
            if time.time() - path.stat().st_mtime < age or (writer and psutil.pid_exists(int(writer[1]))):
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError:
            continue  # another process was quicker, or it is not ours: it does no harm
        cleared.append(path)
    return cleared
