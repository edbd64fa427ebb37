"""A large file: what a Zenodo record says of it, and its bytes, which go on where a connection was cut."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import sleep

import requests
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from marsnb.data._http import AGAIN, LARGEST, LONGEST_WAIT, TRIES, get, stays, up_to, whole
from marsnb.errors import DataError


@dataclass(frozen=True)
class RemoteFile:
    """A file of a Zenodo record: size in bytes, checksum as ``<algorithm>:<hex digest>``, and how else to get it."""

    url: str
    size: int
    checksum: str
    by_hand: str


def remote_file(session: requests.Session, url: str, name: str, address: str) -> RemoteFile:
    """Ask the record at ``url`` for one of its files; ``address`` is the record's page for people."""
    by_hand = f"get {name} from {address}"
    with get(session, url, by_hand=by_hand) as response:
        try:
            entry = next(entry for entry in json.loads(whole(response))["files"] if entry["key"] == name)
            found = RemoteFile(entry["links"]["self"], int(entry["size"]), entry["checksum"], by_hand)
            hashlib.new(found.checksum.partition(":")[0], usedforsecurity=False)
        except (StopIteration, KeyError, TypeError, ValueError):
            raise DataError(
                f"{url} does not describe {name}: download it from {address} and unpack it by hand"
            ) from None
        except requests.RequestException as error:
            raise DataError(f"{url} stopped in its answer ({type(error).__name__}): {AGAIN}") from None
    stays(url, found.url)
    return found


def _pieces(
    ask_from: Callable[[int], requests.Response], url: str, start: int, end: int | None
) -> Iterator[tuple[int, bytes, int | None]]:
    """A file from byte ``start`` on, in pieces: where each begins, and where the file ends, if that is known.

    It goes on where a connection was cut. A server that sends whole files only begins again at byte 0.
    """
    tries = 0
    while start != end:
        if tries:
            sleep(min(2.0 ** (tries - 1), LONGEST_WAIT))
        before, reason = start, "the connection was cut"
        try:
            with ask_from(start) as response:
                if response.status_code == 416 and end is None:  # nothing after that byte: it had come whole
                    return
                if not response.ok:
                    raise DataError(f"{url} answered HTTP {response.status_code}: {AGAIN} later")
                if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                    start = 0
                length = response.headers.get("Content-Length")
                end = start + int(length) if end is None and length else end
                for piece in up_to(response, (end or LARGEST) - start):
                    yield start, piece, end
                    start += len(piece)
            if end is None:
                return
        except requests.RequestException as error:
            reason = type(error).__name__
        tries = 0 if start > before else tries + 1
        if tries >= TRIES:
            raise DataError(f"{url} stopped at byte {start:,} ({reason}): {AGAIN} to go on")


def read_range(session: requests.Session, remote: RemoteFile, start: int, end: int) -> Iterator[bytes]:
    """Bytes ``start`` to ``end`` (not among them) of a file, in pieces."""
    ask_from = partial(get, session, remote.url, end=end, by_hand=remote.by_hand)
    for at, piece, _ in _pieces(ask_from, remote.url, start, end):
        if at != start:
            raise DataError(
                f"{remote.url} does not send parts of a file: {AGAIN} later, or {remote.by_hand} and unpack it"
            )
        start += len(piece)
        yield piece


def byte_bar(progress: bool) -> Progress:
    """A progress bar of bytes, shown if ``progress``."""
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    return Progress(*columns, disable=not progress)


def complete(
    part: Path,
    url: str,
    ask_from: Callable[[int], requests.Response],
    *,
    size: int | None = None,
    magic: bytes = b"",
    by_hand: str = "get it by hand",
    progress: bool = True,
) -> None:
    """Bring a file, from the byte on that ``part`` ends at; what cannot be its beginning is dropped.

    ``ask_from`` gives the answer that begins at a byte, ``size`` is of the whole, bytes (its server says if ``None``),
    ``magic`` its first bytes; ``by_hand`` ends an error's message: where else to get it.
    """
    with byte_bar(progress) as bar, part.open("a+b") as file:
        task, came = bar.add_task(part.stem, total=size), file.tell()
        file.seek(0)
        if came > (size or LARGEST) or not magic.startswith(file.read(len(magic))):
            came = file.truncate(0)
        for at, piece, total in _pieces(ask_from, url, came, size):
            if at == 0:
                file.truncate(0)
                if not magic.startswith(piece[: len(magic)]):
                    raise DataError(
                        f"{url} sent something else than {part.stem}, which begins with {piece[:15]!r}: a page of a "
                        f"proxy, a login or an error? {AGAIN} later, or {by_hand}"
                    )
            file.write(piece)
            bar.update(task, completed=at + len(piece), total=total)
