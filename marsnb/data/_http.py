"""What the fetchers share: a server asked politely, and what may be written where."""

import errno
import re
import shutil
import stat
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path, PurePosixPath
from time import monotonic, sleep
from urllib.parse import urljoin, urlsplit

import requests

from marsnb import __version__
from marsnb.errors import DataError

INTERVAL = 0.2  # seconds between two requests for small files
TRIES = 5  # in a row without a new byte
LONGEST_WAIT = 120.0  # seconds; a server that asks for more is left alone
TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two pieces
PIECE = 2**14  # bytes; what of a piece came before a cut is asked for again
MOST = 2**24  # bytes of an answer that is kept in memory
LARGEST = 2**31  # bytes of a file whose size no record tells
MEMBERS, SWELLING = 200_000, 50  # members of an archive, and times its own size that it may unpack to
AGAIN = "run the same command again"
_BUSY = frozenset({429, 500, 502, 503, 504})


class _Session(requests.Session):
    """A session that is led to no other server, nor to one that anybody between could play."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target is not None:
            stays(resp.url, urljoin(resp.url, target))
        return target


def stays(asked: str, led: str) -> None:
    """Raise ``DataError`` where an address leads away from the server that was asked."""
    old, new = urlsplit(asked), urlsplit(led)
    if new.hostname != old.hostname or (new.scheme != "https" and (new.scheme, new.netloc) != (old.scheme, old.netloc)):
        raise DataError(f"{asked} leads to another server, {led}: {AGAIN} later, or get the file by hand")


def open_session() -> requests.Session:
    """A session that says who asks and stays with the server that was asked."""
    session = _Session()
    # A transfer that the server compressed could not be resumed at a byte of the file.
    session.headers.update({"User-Agent": f"marsnb/{__version__} (python-requests)", "Accept-Encoding": "identity"})
    return session


def up_to(response: requests.Response, count: int) -> Iterator[bytes]:
    """An answer in pieces, of ``count`` bytes at most, however much a server goes on to send."""
    for received in response.iter_content(PIECE):
        yield received[:count]
        count -= len(received)
        if count <= 0:
            return


def whole(response: requests.Response, most: int = MOST) -> bytes:
    """The content of an answer; ``DataError`` where it has more than ``most`` bytes, or never ends."""
    content = b"".join(up_to(response, most + 1))
    if len(content) > most:
        raise DataError(f"{response.url} sends more than {most:,} bytes where fewer belong: {AGAIN} later")
    return content


def ask(
    session: requests.Session,
    url: str,
    start: int = 0,
    end: int | None = None,
    *,
    pause: Callable[[float], None],
    ready: Callable[[], None] = lambda: None,
) -> requests.Response:
    """Any answer that is not that of a busy server, as a stream, from byte ``start`` to before ``end``.

    Before the next try ``pause`` waits so many seconds; ``ready`` waits until a request may begin.

    Raises:
        BusyError: the server is busy, or has a fault, again and again.
        DataError: there is no answer, or the server asks to wait too long.
    """
    headers = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if start or end is not None else {}
    for tried in range(TRIES):
        ready()
        busy, wait = False, 2.0**tried
        try:
            response = session.get(url, headers=headers, stream=True, timeout=TIMEOUT)
        except requests.RequestException as error:
            reason = type(error).__name__
        else:
            if response.status_code not in _BUSY:
                return response
            response.close()
            busy, reason, wait = True, f"HTTP {response.status_code}", max(wait, _asked_wait(response))
            if wait > LONGEST_WAIT:
                raise DataError(f"{url} answered {reason} and asks to wait {wait:.0f} s: {AGAIN} after that")
        if tried + 1 < TRIES:
            pause(wait)
    if busy:
        raise BusyError(url, reason)
    raise DataError(f"no answer from {url} ({reason}): check the network and {AGAIN}")


def get(
    session: requests.Session, url: str, start: int = 0, end: int | None = None, *, by_hand: str
) -> requests.Response:
    """A response without error, see ``ask``; where there is none, ``by_hand`` ends the message: how else to get it."""
    response = ask(session, url, start, end, pause=sleep)
    if not response.ok:
        response.close()
        raise DataError(f"{url} answered HTTP {response.status_code}: try again later, or {by_hand}")
    return response


class Polite:
    """Requests of several threads to one server, ``interval`` s apart; all wait where it asks one of them to."""

    def __init__(self, interval: float = INTERVAL) -> None:
        self.interval = interval
        self._next = 0.0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._local = threading.local()

    def get(self, url: str, start: int = 0) -> requests.Response:
        """An answer, maybe an error; see ``ask``."""
        if not hasattr(self._local, "session"):
            self._local.session = open_session()
        return ask(self._local.session, url, start, pause=self._pause, ready=self._wait)

    def stop(self) -> None:
        """Let no further request begin: those that wait raise ``DataError``."""
        self._stopped.set()

    def _pause(self, seconds: float) -> None:
        with self._lock:
            self._next = max(self._next, monotonic() + seconds)

    def _wait(self) -> None:
        while not self._stopped.is_set():
            with self._lock:
                left = self._next - monotonic()
                if left <= 0:
                    self._next = monotonic() + self.interval
                    return
            self._stopped.wait(left)
        raise DataError(f"the download was stopped: {AGAIN} to go on")


class BusyError(DataError):
    """A server was busy each time it was asked; ``reason`` is its answer."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url} answered {reason} again and again: {AGAIN} later")
        self.reason = reason


def _asked_wait(response: requests.Response) -> float:
    """Seconds the server asks to wait: ``Retry-After``, in seconds or as a date; 0 if it does not say."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return 0.0


def leaves(member: zipfile.ZipInfo) -> bool:
    """Whether a member of an archive could be written outside its folder or is no file: absolute, climbing, a link."""
    path = PurePosixPath(member.filename.replace("\\", "/"))
    drive = re.match(r"[A-Za-z]:", member.filename) is not None
    plain = stat.S_IFMT(member.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR)
    return path.is_absolute() or drive or ".." in path.parts or not plain


def swells(members: Sequence[zipfile.ZipInfo], size: int) -> bool:
    """Whether an archive of ``size`` bytes holds more members, or unpacks to more, than images do."""
    return len(members) > MEMBERS or sum(member.file_size for member in members) > SWELLING * size


@contextmanager
def space(folder: Path, needed: int) -> Iterator[None]:
    """Say in one line how much a full disk lacks of ``needed`` bytes, or what else the system refuses."""
    try:
        yield
    except requests.RequestException:
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"cannot write to {folder} ({error.strerror or error}): mend that, or set MARSNB_DATA"
            ) from None
        free = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free
        raise DataError(
            f"the disk of {folder} is full: {needed / 2**20:,.1f} MiB are needed and {free / 2**20:,.1f} MiB are free; "
            "free some, or set MARSNB_DATA to another disk"
        ) from None
