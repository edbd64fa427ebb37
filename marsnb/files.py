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

from filelock import FileLock, Timeout

from marsnb.errors import DataError, MarsnbError

LEFT_ALONE = 3600.0
"""Seconds: what was written to more recently may still be in the making, maybe on another machine."""


def write_whole(path: Path, content: str | bytes, *, sync: bool = True) -> Path:
    """Write a file under a temporary name and rename it, so that no reader ever sees half of it.

    Args:
        path: the file; its folder is made if need be.
        content: text (UTF-8, line ends as given) or bytes.
        sync: whether to wait for the disk, so that not even a power cut leaves half of it; slow for thousands of files.

    Returns:
        ``path``.
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
    """A CSV file that was written whole, as a data frame.

    Args:
        path: the file.
        columns: that it must have.
        options: of ``pandas.read_csv``.

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

    Args:
        path: the file; it is made where there is none.
        notice: said on standard error, once, if another process holds it.

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
    """Remove what killed processes left of the files that they were writing.

    A file is left alone while its last change is no hour ago, or if the process that its name ends with before the
    ending (``<name>.<number>.partial``) runs on this machine.

    Args:
        folder: where to look, not into its subfolders; it may be missing.
        patterns: names of such files, or folders.
        age: seconds since the last change; less where no other machine writes into the folder.

    Returns:
        What was removed.
    """
    cleared = []
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        try:
            if time.time() - path.stat().st_mtime < age or _is_running(path):
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError:
            continue  # another process was quicker, or it is not ours: it does no harm
        cleared.append(path)
    return cleared


def _is_running(path: Path) -> bool:
    """Whether the process in a file's name runs here; on Windows that cannot be asked without harm."""
    number = re.search(r"\.(\d+)\.\w+$", path.name)
    if number is None or os.name != "posix":
        return False
    try:
        os.kill(int(number[1]), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
