"""Download of MSL v1 from Zenodo: resumed where it stopped, checked, unpacked whole or not at all."""

import hashlib
import tempfile
import zipfile
import zlib
from functools import partial
from pathlib import Path

from marsnb import paths
from marsnb.data._http import AGAIN, get, leaves, open_session, space, swells
from marsnb.data._transfer import RemoteFile, complete, remote_file
from marsnb.data.msl import MSL, find_tree
from marsnb.data.verify import check_tree
from marsnb.errors import DataError
from marsnb.files import clear_left_behind

MAGIC = b"PK\3\4"
"""First bytes of a zip file."""


def fetch_msl(root: Path | None = None, *, base_url: str | None = None, progress: bool = True) -> Path:
    """Download and unpack MSL v1, unless it is there.

    A download that stopped goes on from its last byte. The folder with ``calibrated/`` in it appears whole, once
    checksum and counts agree.

    Args:
        root: folder of data sets; ``paths.data()`` by default.
        base_url: address of the archive; Zenodo's by default.
        progress: whether to show a progress bar.

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
    with open_session() as session:
        remote = remote_file(session, f"{base_url or MSL.home}/{MSL.record}", MSL.file, MSL.address)
        with space(root, remote.size):
            root.mkdir(parents=True, exist_ok=True)
            ask_from = partial(get, session, remote.url, by_hand=remote.by_hand)
            complete(
                archive, remote.url, ask_from, size=remote.size, magic=MAGIC, by_hand=remote.by_hand, progress=progress
            )
    _check(archive, remote)
    folder = unpack(archive, root)
    archive.unlink()
    return folder


def unpack(archive: Path, root: Path) -> Path:
    """Unpack the published archive, of either layout, to ``<root>/msl-images``: whole or not at all.

    An archive that is damaged, is not MSL v1, or would leave its folder is removed; where the disk is full it is kept.
    """
    target = root / MSL.folder
    clear_left_behind(root, [".unpack-*"])
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
            if unsafe := [member.filename for member in members if leaves(member)]:
                raise _refused(archive, f"has the unsafe member {unsafe[0]!r}")
            if swells(members, archive.stat().st_size):
                raise _refused(archive, "unpacks to far more than its images")
            needed = sum(member.file_size for member in members)
            with space(root, needed), tempfile.TemporaryDirectory(dir=root, prefix=".unpack-") as temporary:
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


def _check(archive: Path, remote: RemoteFile) -> None:
    """Compare the checksum; a file that fails is removed."""
    algorithm, _, expected = remote.checksum.partition(":")
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    if found != expected.lower():
        archive.unlink()
        raise DataError(f"{archive.name} has the {algorithm} {found}, not {expected}, and was removed: {AGAIN}")
