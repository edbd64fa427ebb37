"""Writing a file whole or not at all, and one process at a time."""

import fcntl
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write a file under a temporary name and rename it, so that no reader ever sees half of it.

    Args:
        path: the file; its folder is made if need be.
        content: text (UTF-8, line ends as given) or bytes.

    Returns:
        ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


@contextmanager
def locked(path: Path, notice: str = "") -> Iterator[None]:
    """Hold a lock file, waiting for it if need be; the system lets it go when the process ends, however it ends.

    Args:
        path: the file; it is made where there is none.
        notice: said on standard error, once, if another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if notice:
                sys.stderr.write(f"{notice}\n")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
