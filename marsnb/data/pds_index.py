"""Which Mastcam and MAHLI products to take as unlabelled images: index tables of the PDS, and a list made from them."""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from marsnb import paths
from marsnb.data._tree import read_lines
from marsnb.data.msl import MSL, read_tree
from marsnb.data.pds import FRAME_LENGTH, Product, parse_name
from marsnb.errors import DataError
from marsnb.files import write_whole

CAMERAS = {"MSLMST": "Mastcam", "MSLMHL": "MAHLI"}  # first part of the volumes' names
RELEASES = 32  # volumes of each; one holds some 90 to 125 sols
PROCESSING = "DRCL"  # 8 bit, colour corrected, linearised: what MSL v1 is made of
COLOUR_TYPES = "CFE"  # lossless, JPEG 4:4:4, JPEG 4:2:2; of one exposure the first of these is taken
THUMBNAIL_TYPES = "GHI"
COUNT = 34_000  # of the paper, section 6.1

_COLUMN = re.compile(r"(?<!END_)OBJECT\s*=\s*COLUMN\b(.*?)END_OBJECT", re.DOTALL)
_FIELD = re.compile(r"^\s*(NAME|START_BYTE|BYTES)\s*=\s*\"?([\w:.]+)", re.MULTILINE)
_GEOLOGY = re.compile(r"(?:^|_)[LR]?[1-7](?:_|$)")  # MASTCAM_L1_..., R3 or 3; L0, R0 and 0 are the broad ones


@dataclass(frozen=True)
class Entry:
    """A product in the archive."""

    volume: str  # MSLMST_0003
    name: str  # 0161ML0001940020101833E01_DRCL, without an ending

    @property
    def product(self) -> Product:
        """What its name says."""
        return parse_name(f"{self.name}.JPG")

    def path(self, size: str) -> str:
        """Address of its JPEG below the archive's, ``size`` as ``browse`` or ``full``."""
        return f"{self.volume}/EXTRAS/RDR/SURFACE/{size.upper()}/{self.name[:4]}/{self.name}.JPG"


@dataclass(frozen=True)
class Index:
    """What was kept of a volume's index table."""

    last_sol: int  # that it has a product of; -1 for a volume that is not there
    entries: tuple[Entry, ...]  # its colour corrected and linearised products
    filters: bool  # whether the table tells filters; if not, images through geology filters are among the entries


def read_columns(label: str) -> dict[str, slice]:
    """Where each column of an index table lies in its rows, from the label beside it."""
    columns: dict[str, slice] = {}
    for block in _COLUMN.findall(label):
        fields = dict(_FIELD.findall(block))
        if fields.keys() >= {"NAME", "START_BYTE", "BYTES"}:
            start = int(fields["START_BYTE"]) - 1
            columns[fields["NAME"].rpartition(":")[2]] = slice(start, start + int(fields["BYTES"]))
    if "PRODUCT_ID" not in columns:
        raise DataError("the label of an index table describes no column PRODUCT_ID: the archive's layout has changed")
    return columns


def read_index(volume: str, label: str, table: BinaryIO) -> Index:
    """Read a volume's index table, ``RDRINDEX.TAB``, row by row, as the text of its ``RDRINDEX.LBL`` says.

    Rows have one length, with padded columns, and end with CR and LF or with LF. ``DataError`` where the label has no
    column ``PRODUCT_ID``, or the table no row with a product's name.
    """
    columns = read_columns(label)
    of_filter = next((name for name in columns if re.search(r"FILTER_(NAME|NUMBER)$", name)), "")
    last, rows, entries = -1, 0, []
    for line in table:

        def cell(name: str, row: bytes = line) -> str:
            return row[columns[name]].decode("ascii", "replace").strip(' "\r\n') if name in columns else ""

        name, place = cell("PRODUCT_ID"), cell("PATH_NAME")
        try:
            product = parse_name(f"{name}.JPG")
        except DataError:
            continue  # of another camera, or from the flight to Mars
        if place and "/SURFACE/" not in f"/{place}/".upper():
            continue
        rows += 1
        last = max(last, product.sol)
        if product.processing == PROCESSING and not _GEOLOGY.search(cell(of_filter)):
            entries.append(Entry(volume, name))
    if not rows:
        raise DataError(f"the index table of {volume} has no product in it: the archive's layout has changed")
    return Index(last, tuple(entries), bool(of_filter))


def keep_index(path: Path, index: Index) -> None:
    """Write what was kept of a volume's table, so that it is not asked for again."""
    head = f"# last_sol {index.last_sol}, filters {index.filters}"
    write_whole(path, "\n".join([head, *(entry.name for entry in index.entries)]) + "\n")


def kept_index(path: Path) -> Index | None:
    """What ``keep_index`` wrote; ``None`` if it is not there."""
    if not path.is_file():
        return None
    head, *names = read_lines(path)
    found = re.fullmatch(r"# last_sol (-?\d+), filters (True|False)", head)
    if found is None:
        raise DataError(f"{path} is not what was kept there: remove it and run the same command again")
    return Index(int(found[1]), tuple(Entry(path.stem, name) for name in names), found[2] == "True")


def choose(
    entries: Iterable[Entry], *, exclude_frames: Collection[str], max_sol: int, thumbnails: bool = False
) -> list[Entry]:
    """Colour products, one of each exposure, in an order of which any beginning is spread over sols and cameras.

    A camera's exposures of a sol stand in a random but fixed order; first comes one of each camera and sol, then the
    second of each, and so on. None is later than ``max_sol`` or of ``exclude_frames`` (first 22 characters); one of
    which there is a thumbnail alone is taken where ``thumbnails`` are.
    """
    letters = COLOUR_TYPES + (THUMBNAIL_TYPES if thumbnails else "")

    def rank(entry: Entry) -> tuple[int, str]:
        """The best type is the highest, and of two versions the later one, which the end of a name counts."""
        return -letters.index(entry.product.product_type), entry.name[FRAME_LENGTH + 1 :]

    of_frame: dict[str, Entry] = {}
    for entry in sorted((e for e in entries if e.product.product_type in letters), key=rank, reverse=True):
        if entry.product.sol <= max_sol and entry.product.frame not in exclude_frames:
            of_frame.setdefault(entry.product.frame, entry)
    # any order but that of time or of a random generator: the latter differs from library to library
    frames = sorted(of_frame, key=lambda frame: hashlib.sha256(frame.encode()).digest())
    taken: Counter[str] = Counter()
    rounds: dict[str, int] = {}
    for frame in frames:
        group = frame[:6]  # sol and instrument
        rounds[frame] = taken[group]
        taken[group] += 1
    return [of_frame[frame] for frame in sorted(frames, key=rounds.__getitem__)]  # sorting keeps the order of equals


def labelled_frames(root: Path | None, max_sol: int) -> frozenset[str]:
    """Exposures that MSL v1 labels, up to a sol.

    Those of its train and validation lists are known from the committed splits, those of the test list, which begins
    after sol 564, from the data set; ``DataError`` where that is needed and not there.
    """
    lines = read_lines(paths.splits() / "msl_v1_by_frame.txt")
    names = [line.split()[0] for line in lines if not line.startswith("#")]
    try:
        names += read_tree(root).lists["test"]
    except DataError:
        if max_sol > MSL.last_sol:
            raise DataError(
                f"products after sol {MSL.last_sol} may be test images of MSL v1, whose list is not there: run "
                f"`marsnb data fetch msl` first, or take none after sol {MSL.last_sol}"
            ) from None
    return frozenset(parse_name(name).frame for name in names)


def write_list(path: Path, entries: Sequence[Entry], about: str) -> Path:
    """Write a list of products, in the order in which they are taken; ``about`` says what it is."""
    lines = [f"# {about}", *(f"{entry.volume} {entry.name}" for entry in entries)]
    return write_whole(path, "\n".join(lines) + "\n")


def read_list(path: Path) -> list[Entry]:
    """Read a list of products, a line ``<volume> <product>`` each; ``DataError`` if it is missing or something else."""
    if not path.is_file():
        raise DataError(f"no list of products {path}: name one that `marsnb data fetch pds --write-list` wrote")
    entries = []
    for line in read_lines(path):
        volume, _, name = line.strip().partition(" ")
        if line.startswith("#"):
            continue
        if not re.fullmatch(r"[A-Z]{6}_\d{4}", volume):
            raise DataError(f"{path} has the line {line!r}, not `<volume> <product>` like `MSLMST_0003 0161ML...`")
        parse_name(f"{name}.JPG")
        entries.append(Entry(volume, name))
    return entries
