"""The bank of views: some augmented views of each image, through the frozen trunk, computed once and kept.

A view is stored as the trunk's output in half precision. Chunks of images are made by worker processes of one thread
each, from a seed of their own, so that the bank is the same whatever the number of cores.
"""

import errno
import hashlib
import io
import os
import pickle
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from numpy.lib import format as npy
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from marsnb import paths
from marsnb.data.arrays import to_images, to_unit
from marsnb.data.augment import view_maker
from marsnb.data.base import ImageSource, Indices
from marsnb.data.cache import open_cached
from marsnb.errors import DataError
from marsnb.files import clear_left_behind, locked, write_whole
from marsnb.memory import keep_freed_memory
from marsnb.processes import end_with_parent

VERSION = 1
"""Of how a bank is made; another number makes all banks anew."""
CHUNK = 32
"""Images between two writes."""
FEW = 64
"""Chunks up to which no worker process is worth its start."""


@dataclass(frozen=True)
class Bank:
    """Views of some images of a source, each as the trunk's output."""

    maps: tuple[np.ndarray, ...]  # one per map of the trunk, (views, n, C, h, w) float16, read-only
    rows: Indices  # row of each image of the source, -1 for one that is not in the bank

    @property
    def views(self) -> int:
        """Views of each image."""
        return len(self.maps[0])

    def gather(self, indices: Indices, views: Indices) -> tuple[np.ndarray, ...]:
        """View ``views[i]`` of image ``indices[i]`` of the source, for each map ``(B, C, h, w)`` float16."""
        rows = self.rows[indices]
        return tuple(
            np.stack([array[v, r] for v, r in zip(views, rows, strict=True)]) if len(rows) else array[0, :0]
            for array in self.maps
        )


@dataclass(frozen=True)
class FirstView:
    """The first view of each image, indexed like an array of the source's images; of a trunk with one map."""

    bank: Bank
    ndim = 4

    def __len__(self) -> int:
        return len(self.bank.rows)

    def __getitem__(self, indices: Indices) -> np.ndarray:
        return self.bank.gather(indices, np.zeros(len(indices), np.int64))[0]


@dataclass(frozen=True)
class BankSpec:
    """All that decides a bank."""

    source: ImageSource
    size: int  # edge of the square images, pixels
    indices: Indices  # positions in source of the images that are in the bank
    augmentation: str  # see view_maker
    views: int  # of each image
    trunk: nn.Module = field(compare=False)  # its method trunk makes (B, 3, H, W) in [0, 1] to one map or several
    cut: str  # name of the trunk's last module

    @cached_property
    def key(self) -> str:
        """Digest of data, weights, cut, augmentation, size, number of views and type; 16 hex digits."""
        parts = [VERSION, CHUNK, self.source.fingerprint, self.size, self.augmentation, self.views, self.cut, "float16"]
        parts += [repr(view_maker(self.augmentation, self.size)), _digest(self.trunk)]
        text = "\n".join(map(str, parts)).encode() + np.ascontiguousarray(self.indices, dtype=np.int64).tobytes()
        return hashlib.sha256(text).hexdigest()[:16]

    @property
    def chunks(self) -> list[tuple[int, int]]:
        """(view, first row) of each chunk, in the order of the file."""
        return [(view, start) for view in range(self.views) for start in range(0, len(self.indices), CHUNK)]


def _digest(module: nn.Module) -> str:
    """Digest of all weights and buffers that belong to the trunk and to what comes before it."""
    parts = [*getattr(module, "low_parts", []), *module.trunk_parts]  # type: ignore[misc]
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        bare = name.removeprefix("network.").removeprefix("encoder.").removeprefix("model.")
        if name.startswith("input_") or any(bare.startswith(f"{part}.") for part in parts):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def open_bank(spec: BankSpec, *, workers: int | None = None, quiet: bool = False) -> Bank:
    """The bank of a spec, built the first time and memory-mapped from then on.

    A build that was stopped goes on from its last whole chunk; one that another process is at is waited for. It takes
    as many processes as there are cores if ``workers`` is ``None``.

    Raises:
        DataError: an image cannot be decoded, or there is not enough disk; nothing half-written stays then.
    """
    folder = paths.runs() / "bank"
    if not any((folder / spec.key).glob("*.npy")):
        with locked(folder / f"{spec.key}.lock", f"another process is building the bank {spec.key}: waiting for it"):
            if not any((folder / spec.key).glob("*.npy")):
                _build(spec, folder, workers or os.cpu_count() or 1, quiet)
    maps = tuple(np.load(file, mmap_mode="r") for file in sorted((folder / spec.key).glob("*.npy")))
    if not maps:
        raise DataError(f"the bank {folder / spec.key} cannot be read: delete it and run the same command again")
    rows = np.full(len(spec.source.names), -1, np.int64)
    rows[spec.indices] = np.arange(len(spec.indices))
    return Bank(maps, rows)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@lru_cache(maxsize=2)
def _loaded(job: Path) -> tuple[nn.Module, ImageSource, int, str, str]:
    return pickle.loads(job.read_bytes())  # which this process's parent wrote


def encode(trunk: nn.Module, images: np.ndarray, augmentation: str, size: int, view: int) -> tuple[Tensor, ...]:
    """View number ``view`` of some images through the trunk, drawn from torch's global generator; see ``BankSpec``.

    Shape:
        ``images``: decoded, ``(B, size, size, 3 or 1)`` uint8. Output: the trunk's maps, ``(B, C, h, w)`` float32 each.
    """
    changed = view_maker(augmentation, size)(to_unit(to_images(images)), view)
    found = trunk.trunk(changed.contiguous(memory_format=torch.channels_last))  # type: ignore[operator]
    return (found,) if isinstance(found, Tensor) else tuple(found)


def _chunk(job: Path, view: int, indices: Indices) -> list[np.ndarray]:
    """The maps of one chunk, float16; the global random state is left as it was."""
    keep_freed_memory()
    trunk, source, size, augmentation, name = _loaded(job)
    with _one_thread(), torch.random.fork_rng(devices=[]):
        seed = hashlib.sha256(f"{name}:{view}:{indices[0]}".encode()).digest()
        torch.manual_seed(int.from_bytes(seed[:7], "big"))
        maps = encode(trunk, open_cached(source, size)[indices], augmentation, size, view)
    return [found.contiguous().numpy().astype(np.float16) for found in maps]


def _build(spec: BankSpec, folder: Path, workers: int, quiet: bool) -> None:
    open_cached(spec.source, spec.size)  # decoded by all threads of one process, not by each worker
    partial = folder / f"{spec.key}.partial"
    partial.mkdir(parents=True, exist_ok=True)
    clear_left_behind(partial, age=0)  # whoever wrote it held the lock that we hold
    # What seeds a chunk names no weights: banks of two trunks hold the same views.
    name = hashlib.sha256(f"{spec.source.fingerprint}:{spec.augmentation}:{spec.size}".encode()).hexdigest()
    job = write_whole(
        partial / "job.pickle", pickle.dumps((spec.trunk, spec.source, spec.size, spec.augmentation, name))
    )
    _loaded.cache_clear()
    shapes = [(spec.views, len(spec.indices), *found.shape[1:]) for found in _chunk(job, 0, spec.indices[:1])]
    try:
        done = _whole_chunks(partial, spec, shapes)
        todo = [(view, spec.indices[start : start + CHUNK]) for view, start in spec.chunks[done:]]
        with ExitStack() as stack:
            files = [stack.enter_context((partial / f"{i}.npy").open("ab")) for i in range(len(shapes))]
            advance = stack.enter_context(_progress(spec, shapes, done, quiet))
            for maps in _computed(job, todo, workers):
                for file, array in zip(files, maps, strict=True):
                    file.write(array.tobytes())
                    file.flush()
                advance()
        job.unlink()
        partial.rename(folder / spec.key)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        shutil.rmtree(partial, ignore_errors=True)
        raise DataError(
            f"the disk is full: the bank of views needs {_bytes(shapes) / 2**30:.1f} GiB in {folder}; "
            "free some space or set MARSNB_RUNS"
        ) from error


def _computed(job: Path, todo: Sequence[tuple[int, Indices]], workers: int) -> Iterator[list[np.ndarray]]:
    """The chunks in their order; worker processes make them where there are many."""
    if workers == 1 or len(todo) <= FEW:
        yield from (_chunk(job, *part) for part in todo)
        return
    pool = Parallel(n_jobs=workers, return_as="generator", pre_dispatch="2 * n_jobs", batch_size=1)
    yield from pool(delayed(_chunk_for)(os.getpid(), job, *part) for part in todo)


_watch = cache(end_with_parent)
"""Once in a worker: else one whose results nobody takes any more waits for ever."""


def _chunk_for(parent: int, *of: Any) -> list[np.ndarray]:
    """A chunk, made in a worker of the process ``parent``."""
    _watch(parent)
    return _chunk(*of)


def _header(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    npy.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": shape})
    return file.getvalue()


def _bytes(shapes: Sequence[tuple[int, ...]]) -> int:
    return sum(2 * int(np.prod(shape)) for shape in shapes)


def _whole_chunks(partial: Path, spec: BankSpec, shapes: Sequence[tuple[int, ...]]) -> int:
    """Cut the files being written to the whole chunks that all of them hold; returns how many these are."""
    files = [(partial / f"{i}.npy", _header(shape), _bytes([shape[2:]])) for i, shape in enumerate(shapes)]
    for file, header, _ in files:
        if not file.exists():
            file.write_bytes(header)
    rows = min(max(0, file.stat().st_size - len(header)) // each for file, header, each in files)
    n = len(spec.indices)
    view, rest = divmod(rows, n)
    kept = view * n + rest // CHUNK * CHUNK
    wanted = _bytes(shapes) * (spec.views * n - kept) // (spec.views * n)
    if wanted > shutil.disk_usage(partial).free:
        raise OSError(errno.ENOSPC, "no room for the bank")
    for file, header, each in files:
        os.truncate(file, len(header) + kept * each)
    return view * -(-n // CHUNK) + rest // CHUNK


@contextmanager
def _progress(
    spec: BankSpec, shapes: Sequence[tuple[int, ...]], done: int, quiet: bool
) -> Iterator[Callable[[], None]]:
    """A bar on standard error, after a line that says what is made and how much room it takes."""
    console = Console(stderr=True, quiet=quiet)
    what = f"{spec.views} {spec.augmentation} view{'s' * (spec.views > 1)} of {len(spec.indices):,} images"
    console.print(f"bank: {what} through the frozen trunk, once; {_bytes(shapes) / 2**20:,.0f} MiB", highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("chunks", total=len(spec.chunks), completed=done)
        yield lambda: bar.advance(task)
