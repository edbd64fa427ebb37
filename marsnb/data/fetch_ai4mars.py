"""Download of AI4Mars's Navcam: only its members of one large remote archive, each checked, resumed within one."""

import hashlib
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import requests
from rich.progress import track

from marsnb import paths
from marsnb.data._http import AGAIN, leaves, open_session, space, swells
from marsnb.data._images import SUFFIXES
from marsnb.data._transfer import RemoteFile, byte_bar, read_range, remote_file
from marsnb.data.ai4mars import AI4Mars, cover_name
from marsnb.errors import DataError
from marsnb.files import write_whole

TAIL = 2**16  # bytes at the archive's end, asked for first: they hold the records that say where its directory is
BRIDGE = 2**20  # bytes between two members; fewer are read and dropped, as another request would take longer
DIRECTORY = "navcam-members.json"

_GOLDS = tuple(AI4Mars.gold_labels.format(gold) for gold in AI4Mars.golds)
_LABELS = (AI4Mars.labels, *_GOLDS)
_COVERS = tuple(folder for folder, _ in AI4Mars.covers)
_SUFFIXES = {AI4Mars.images: SUFFIXES, **dict.fromkeys((*_LABELS, *_COVERS), frozenset({".png"}))}
_WANTED = re.compile(
    rf"(?:[^/]+/)?(?P<layout>{'|'.join(AI4Mars.layouts)})/"
    rf"(?P<folder>{'|'.join(map(re.escape, _SUFFIXES))})/(?P<name>[^/.][^/]*)"
)


@dataclass(frozen=True)
class Member:
    """A file in the archive."""

    layout: str  # parts of its path: msl/ncam, images/edr, NLA_397681339EDR_F0020000AUT_04096M1.JPG
    folder: str
    name: str
    start: int  # bytes of the archive, from its header to the next one's
    end: int
    size: int  # of its content, bytes
    crc: int
    method: int  # 0 as it is, 8 deflated

    @property
    def path(self) -> str:
        """Where it goes, below the folder of the data set."""
        return f"{self.layout}/{self.folder}/{self.name}"

    @property
    def image(self) -> str:
        """Stem of the image it belongs to."""
        return cover_name(Path(self.name).stem.removesuffix("_merged" if self.folder in _GOLDS else ""), "EDR")

    def is_content(self, content: bytes) -> bool:
        """Whether those bytes are what it holds."""
        return len(content) == self.size and zlib.crc32(content) == self.crc

    def intact(self, tree: Path) -> bool:
        """Whether the tree has it, whole."""
        path = tree / self.path
        return path.is_file() and path.stat().st_size == self.size and self.is_content(path.read_bytes())

    def unpacked(self, packed: bytes) -> bytes | None:
        """Its content from its bytes of the archive; ``None`` if that is not what it should be."""
        try:
            signature, name, extra = struct.unpack_from("<4s22xHH", packed)
            content = packed[30 + name + extra :]
            if self.method == zipfile.ZIP_DEFLATED:
                content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, self.size + 1)
            else:
                content = content[: self.size]
        except (struct.error, zlib.error):
            return None
        return content if signature == b"PK\3\4" and self.is_content(content) else None


def fetch_ai4mars(
    root: Path | None = None,
    *,
    limit: int | None = None,
    masks: bool = False,
    base_url: str | None = None,
    progress: bool = True,
) -> Path:
    """Download the Navcam images that have a label, with their labels; what is there and whole is not asked for again.

    Args:
        root: folder of data sets; ``paths.data()`` by default.
        limit: pairs to take, spread over all sols; a higher limit takes the same and more. All if ``None``.
        masks: whether to take the rover and 30 m range masks too.
        base_url: address of the archive; Zenodo's by default.
        progress: whether to show progress bars.

    Returns:
        The folder with ``images/`` and ``labels/`` in it.

    Raises:
        DataError: network, archive, checksum or disk; the message names the fix.
    """
    root = paths.data() if root is None else root
    if limit is not None and limit < 1:
        raise DataError(f"cannot fetch {limit} pairs: give a limit of 1 or more, or none")
    tree = root / Path(AI4Mars.file).stem

    def missing(members: Iterable[Member]) -> list[Member]:
        chosen = choose(members, limit, masks)
        return [m for m in track(chosen, "checking", transient=True, disable=not progress) if not m.intact(tree)]

    checksum, members = read_directory(tree)
    wanted = missing(members) if members else []
    if wanted or not members:
        with open_session() as session:
            url = f"{base_url or AI4Mars.host}/{AI4Mars.record}"
            remote = remote_file(session, url, AI4Mars.file, AI4Mars.address)
            if not members or remote.checksum != checksum:
                members = _list(session, remote)
                wanted = missing(members)
            with space(root, sum(member.size for member in wanted)):
                kept = {"checksum": remote.checksum, "members": [astuple(member) for member in members]}
                write_whole(tree / DIRECTORY, json.dumps(kept))
                _download(session, remote, wanted, tree, progress=progress)
    return tree / members[0].layout


def read_directory(tree: Path) -> tuple[str, list[Member]]:
    """Checksum of the archive a tree comes from, and all the archive has of the Navcam; neither if not fetched here."""
    try:
        kept = json.loads((tree / DIRECTORY).read_text("utf-8"))
        return kept["checksum"], [Member(*row) for row in kept["members"]]
    except (OSError, ValueError, KeyError, TypeError):
        return "", []


def choose(members: Iterable[Member], limit: int | None = None, masks: bool = False) -> list[Member]:
    """Members of the pairs: images that have a label, their labels, and their masks if asked for."""
    of_image: dict[str, list[Member]] = {}
    for member in members:
        if masks or member.folder not in _COVERS:
            of_image.setdefault(member.image, []).append(member)
    folders = {stem: {member.folder for member in group} for stem, group in of_image.items()}
    stems = [stem for stem, found in folders.items() if AI4Mars.images in found and found.intersection(_LABELS)]
    # any order but that of time, of the archive or of a random generator: those are early sols, or differ next time
    stems.sort(key=lambda stem: hashlib.sha256(stem.encode()).digest())
    return [member for stem in stems[:limit] for member in of_image[stem]]


def _list(session: requests.Session, remote: RemoteFile) -> list[Member]:
    """What the archive has of the Navcam, from the directory at its end."""
    file = _RemoteArchive(lambda start, end: b"".join(read_range(session, remote, start, end)), remote.size)
    try:
        with zipfile.ZipFile(file) as opened:
            infos, stop = sorted(opened.infolist(), key=lambda info: info.header_offset), opened.start_dir
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise DataError(f"{remote.url} is no archive that can be read ({error}): {remote.by_hand}") from None
    members, wanted = [], []
    for info, end in zip(infos, [*(info.header_offset for info in infos[1:]), stop], strict=True):
        match = _WANTED.fullmatch(info.filename)
        if match and Path(match["name"]).suffix.lower() in _SUFFIXES[match["folder"]]:
            if leaves(info):
                raise DataError(
                    f"{AI4Mars.file} has the unsafe member {info.filename!r}: do not unpack it; {remote.by_hand}"
                )
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise DataError(f"{info.filename} is encrypted or packed in an unknown way: {remote.by_hand}")
            where = match["layout"], match["folder"], match["name"]
            members.append(Member(*where, info.header_offset, end, info.file_size, info.CRC, info.compress_type))
            wanted.append(info)
    if swells(wanted, remote.size):
        raise DataError(f"{AI4Mars.file} unpacks to far more than its images: do not unpack it; {remote.by_hand}")
    for layout in AI4Mars.layouts:
        if choose(found := [member for member in members if member.layout == layout]):
            return found
    raise DataError(f"{AI4Mars.file} has no Navcam image with a label: {remote.by_hand}, and unpack it")


class _RemoteArchive:
    """A remote file that ``zipfile`` can read the directory of; the stretch asked for last is kept."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read, self._size = read, size
        self._at, self._kept_at, self._kept = 0, 0, b""

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        at = offset + (0, self._at, self._size)[whence]
        if at < 0:
            raise OSError("before the file's first byte")
        self._at = at
        return at

    def read(self, count: int = -1) -> bytes:
        start, end = self._at, self._size if count < 0 else min(self._at + count, self._size)
        if end <= start:
            return b""
        if not self._kept_at <= start <= end <= self._kept_at + len(self._kept):
            self._kept_at = min(start, max(0, self._size - TAIL))
            self._kept = self._read(self._kept_at, max(end, min(self._kept_at + TAIL, self._size)))
        self._at = end
        return self._kept[start - self._kept_at : end - self._kept_at]


def _download(
    session: requests.Session, remote: RemoteFile, members: Sequence[Member], tree: Path, *, progress: bool
) -> None:
    """Bring the members, with one request for those that lie near each other."""
    with byte_bar(progress) as bar:
        begun = sum(_begun(member, tree) for member in members)
        task = bar.add_task("ai4mars", total=sum(m.end - m.start for m in members), completed=begun)
        for run in _runs(members, tree):
            at = run[0].start + _begun(run[0], tree)
            source = _Source(read_range(session, remote, at, run[-1].end))
            for member in run:
                for _ in source.take(member.start - at):
                    pass  # of no use, and nearer than a request
                part = _part(member, tree)
                part.parent.mkdir(parents=True, exist_ok=True)
                with part.open("ab") as file:
                    for piece in source.take(member.end - max(at, member.start)):
                        file.write(piece)
                        bar.advance(task, len(piece))
                at = member.end
                _finish(member, part, remote)


def _finish(member: Member, part: Path, remote: RemoteFile) -> None:
    """Unpack a member that came whole, or remove it."""
    content = member.unpacked(part.read_bytes())
    if content is None:
        part.unlink()
        raise DataError(f"{member.name} came damaged and was removed: {AGAIN}, or {remote.by_hand} and unpack it")
    unpacked = part.with_suffix(".new")
    unpacked.write_bytes(content)
    unpacked.replace(part.with_suffix(""))
    part.unlink()


def _part(member: Member, tree: Path) -> Path:
    return tree / f"{member.path}.part"


def _begun(member: Member, tree: Path) -> int:
    """How many bytes of a member came so far; a file that cannot be its beginning is removed."""
    part = _part(member, tree)
    size = part.stat().st_size if part.exists() else 0
    if size > member.end - member.start:
        part.unlink()
        return 0
    return size


def _runs(members: Iterable[Member], tree: Path) -> Iterator[list[Member]]:
    """Members that one request brings; one that came in part begins a run."""
    run: list[Member] = []
    for member in sorted(members, key=lambda member: member.start):
        if run and (member.start - run[-1].end > BRIDGE or _begun(member, tree)):
            yield run
            run = []
        run.append(member)
    if run:
        yield run


class _Source:
    """Pieces of a transfer, cut where members begin and end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._left = pieces, b""

    def take(self, count: int) -> Iterator[bytes]:
        """The next ``count`` bytes, in pieces."""
        while count > 0:
            piece = self._left or next(self._pieces)
            piece, self._left = piece[:count], piece[count:]
            count -= len(piece)
            yield piece
