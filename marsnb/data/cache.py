"""Decode once: every image of a source as one memory-mapped uint8 array."""

import errno
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from marsnb import paths
from marsnb.data.base import ImageSource
from marsnb.errors import DataError
from marsnb.files import clear_left_behind, locked

CHUNK = 256
"""Images decoded between two writes."""


def cache_path(source: ImageSource, size: int) -> Path:
    """Where ``source`` at ``size`` x ``size`` is kept; changed images have another fingerprint, hence a new file."""
    key = hashlib.sha256(f"{source.fingerprint}:{size}".encode()).hexdigest()[:16]
    return paths.cache() / f"{key}-{size}px.npy"


def open_cached(source: ImageSource, size: int) -> np.memmap:
    """All images of ``source``, squashed to ``size`` pixels, decoded the first time and memory-mapped from then on.

    Shape:
        Output: ``(N, size, size, 3)``, uint8, read-only, in the order of ``source.names``. A source whose ``channels``
            are not 3 gives the last axis that length, or none if 0 (masks).

    Raises:
        DataError: an image cannot be decoded, or the disk is full. Nothing half-written stays behind: the array is
            written beside its final name and renamed when complete, and a file of the wrong length is built again.
    """
    path = cache_path(source, size)
    channels = getattr(source, "channels", 3)
    shape = (len(source.names), size, size, *([channels] if channels else []))
    array = _whole(path, shape)
    if array is None:
        with locked(paths.runs() / f"{path.stem}.lock", f"another process is decoding {path.name}: waiting for it"):
            array = _whole(path, shape)
            if array is None:
                _build(source, shape, path)
                array = np.load(path, mmap_mode="r")
    return array


def _whole(path: Path, shape: tuple[int, ...]) -> np.memmap | None:
    try:
        array = np.load(path, mmap_mode="r")
    except (ValueError, EOFError, OSError):
        return None
    return array if isinstance(array, np.memmap) and array.shape == shape and array.dtype == np.uint8 else None


def _decoded(source: ImageSource, size: int) -> Iterator[np.ndarray]:
    """Chunks of decoded images, in order; decoding releases the interpreter lock, so threads are enough."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for start in range(0, len(source.names), CHUNK):
            indices = range(start, min(start + CHUNK, len(source.names)))
            yield np.stack(list(pool.map(lambda i: source.decode(i, size), indices)))  # (n, size, size, channels)


def _build(source: ImageSource, shape: tuple[int, ...], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_left_behind(path.parent)
    clear_left_behind(path.parent, [f"{path.stem}.*.partial"], age=0)  # whoever wrote it held the lock that we hold
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        # Plain writes, not a writable memory map: a full disk is then an error to report, not a killed process.
        with partial.open("wb") as file:
            npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            for chunk in _decoded(source, shape[1]):
                file.write(chunk.tobytes())
        partial.replace(path)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        need = int(np.prod(shape)) / 2**20
        raise DataError(
            f"the disk is full: the decoded images need {need:.0f} MiB in {path.parent}; "
            "free some space or set MARSNB_RUNS"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
