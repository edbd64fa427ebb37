"""Download of MSL v1 from Zenodo: resumed where it stopped, checked, unpacked whole or not at all."""

import errno
import hashlib
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path, PurePosixPath
from time import sleep

import requests
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from marsnb import __version__, paths
from marsnb.data.msl import MSL, find_tree
from marsnb.data.verify import check_tree
from marsnb.errors import DataError

TRIES = 5  # in a row without a new byte
LONGEST_WAIT = 120.0  # seconds; a server that asks for more is left alone
TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two pieces
PIECE = 2**14  # bytes; what of a piece came before a cut is asked for again
AGAIN = "run the same command again"
# A transfer that the server compressed could not be resumed at a byte of the file.
HEADERS = {"User-Agent": f"marsnb/{__version__} (python-requests)", "Accept-Encoding": "identity"}
_BUSY = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True)
class RemoteFile:
    """A file of a Zenodo record: its address, size in bytes, and checksum as ``<algorithm>:<hex digest>``."""

    url: str
    size: int
    checksum: str


def fetch_msl(root: Path | None = None, *, base_url: str | None = None, progress: bool = True) -> Path:
    """Download and unpack MSL v1, unless it is there.

    A download that stopped goes on from its last byte. The folder appears whole, once checksum and counts agree.

    Args:
        root: folder of data sets; ``paths.data()`` by default.
        base_url: address of the archive; Zenodo's by default.
        progress: whether to show a progress bar.

    Returns:
        The folder with ``calibrated/`` in it.

    Raises:
        DataError: network, checksum, archive, disk or counts; the message names the fix.
    """
    root = paths.data() if root is None else root
    try:
        present = find_tree(root)
    except DataError:
        pass
    else:
        if problems := check_tree(present):
            raise DataError(f"{present} is not MSL v1 as published ({problems[0]}): move it away and {AGAIN}")
        return present
    target = root / MSL.folder
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"{target} has no {MSL.images}/ in it: move it away and {AGAIN}")
    archive = root / f"{MSL.file}.part"
    with requests.Session() as session:
        session.headers.update(HEADERS)
        remote = _remote_file(session, f"{base_url or MSL.home}/{MSL.record}", MSL.file)
        with _space(root, remote.size):
            root.mkdir(parents=True, exist_ok=True)
            _download(session, remote, archive, progress=progress)
    _check(archive, remote)
    folder = unpack(archive, root)
    archive.unlink()
    return folder


def unpack(archive: Path, root: Path) -> Path:
    """Unpack the published archive, of either layout, to ``<root>/msl-images``: whole or not at all.

    Raises:
        DataError: the archive is damaged, is not MSL v1, or has a member that would leave its folder (it is removed
            then); or the disk is full (it is kept).
    """
    target = root / MSL.folder
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
            if unsafe := [member.filename for member in members if _leaves(member)]:
                raise _refused(archive, f"has the unsafe member {unsafe[0]!r}")
            needed = sum(member.file_size for member in members)
            with _space(root, needed), tempfile.TemporaryDirectory(dir=root, prefix=".unpack-") as temporary:
                tree = Path(temporary, "tree")
                opened.extractall(tree)
                folder = next((path for path in (tree / MSL.folder, tree) if (path / MSL.images).is_dir()), None)
                problems = check_tree(folder) if folder else [f"no {MSL.images}/ in it"]
                if folder is None or problems:
                    raise _refused(archive, f"is not MSL v1 as published ({problems[0]})")
                folder.replace(target)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise _refused(archive, f"is damaged ({' '.join(str(error).split())})") from None
    return target


def _refused(archive: Path, why: str) -> DataError:
    """Remove an archive that is of no use, and say why."""
    archive.unlink()
    return DataError(f"{archive.name} {why} and was removed: {AGAIN}")


def _leaves(member: zipfile.ZipInfo) -> bool:
    """Whether a member could be written outside its folder: absolute, climbing, or a link."""
    path = PurePosixPath(member.filename.replace("\\", "/"))
    drive = re.match(r"[A-Za-z]:", member.filename) is not None
    return path.is_absolute() or drive or ".." in path.parts or stat.S_ISLNK(member.external_attr >> 16)


def _remote_file(session: requests.Session, url: str, name: str) -> RemoteFile:
    """Ask the record for one of its files."""
    with _get(session, url) as response:
        try:
            entry = next(entry for entry in response.json()["files"] if entry["key"] == name)
            found = RemoteFile(entry["links"]["self"], int(entry["size"]), entry["checksum"])
            hashlib.new(found.checksum.partition(":")[0], usedforsecurity=False)
        except (StopIteration, KeyError, TypeError, ValueError):
            raise DataError(
                f"{url} does not describe {name}: download it from {MSL.address} and unpack it by hand"
            ) from None
    return found


def _download(session: requests.Session, remote: RemoteFile, part: Path, *, progress: bool) -> None:
    """Complete ``part``, from the byte it ends at."""
    if part.exists() and part.stat().st_size > remote.size:
        part.unlink()
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not progress) as bar:
        task = bar.add_task(MSL.file, total=remote.size)
        tries = 0
        while (start := part.stat().st_size if part.exists() else 0) < remote.size:
            if tries:
                sleep(min(2.0 ** (tries - 1), LONGEST_WAIT))
            reason = "the connection was cut"
            try:
                with _get(session, remote.url, start) as response, part.open("ab") as file:
                    if not _goes_on(response, start):
                        file.truncate(0)
                    for piece in response.iter_content(PIECE):
                        file.write(piece)
                        bar.update(task, completed=file.tell())
            except requests.RequestException as error:
                reason = type(error).__name__
            done = part.stat().st_size
            tries = 0 if done > start else tries + 1
            if tries >= TRIES:
                raise DataError(f"download stopped at {done:,} of {remote.size:,} bytes ({reason}): {AGAIN} to go on")


def _goes_on(response: requests.Response, start: int) -> bool:
    """Whether a response begins at byte ``start``; a server may ignore the range and send the whole file."""
    return response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _get(session: requests.Session, url: str, start: int = 0) -> requests.Response:
    """A response without error, after waiting for a busy server as long as it asks."""
    headers = {"Range": f"bytes={start}-"} if start else {}
    for tried in range(TRIES):
        wait = 2.0**tried
        try:
            response = session.get(url, headers=headers, stream=True, timeout=TIMEOUT)
        except requests.RequestException as error:
            reason = type(error).__name__
        else:
            if response.ok:
                return response
            response.close()
            reason = f"HTTP {response.status_code}"
            if response.status_code not in _BUSY:
                raise DataError(f"{url} answered {reason}: try again later, or get {MSL.file} from {MSL.address}")
            wait = max(wait, _asked_wait(response))
            if wait > LONGEST_WAIT:
                raise DataError(f"{url} answered {reason} and asks to wait {wait:.0f} s: {AGAIN} after that")
        if tried + 1 < TRIES:
            sleep(wait)
    raise DataError(f"no answer from {url} ({reason}): check the network and {AGAIN}")


def _asked_wait(response: requests.Response) -> float:
    """Seconds the server asks to wait: ``Retry-After``, in seconds or as a date; 0 if it does not say."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return 0.0


def _check(archive: Path, remote: RemoteFile) -> None:
    """Compare the checksum; a file that fails is removed."""
    algorithm, _, expected = remote.checksum.partition(":")
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    if found != expected.lower():
        archive.unlink()
        raise DataError(f"{archive.name} has the {algorithm} {found}, not {expected}, and was removed: {AGAIN}")


@contextmanager
def _space(folder: Path, needed: int) -> Iterator[None]:
    """Say in one line how much a full disk lacks, or what else the system refuses."""
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
