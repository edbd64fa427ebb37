"""Folders of unlabelled Mastcam and MAHLI images under their names in the Planetary Data System (PDS)."""

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from marsnb.data._images import SUFFIXES
from marsnb.data._tree import endings, hidden
from marsnb.errors import DataError

FRAME_LENGTH = 22
"""Leading characters of a name that two products of one exposure share (full image and thumbnail)."""

# sol, instrument, sequence, line in the sequence, two counters, product type, GOP and version, processing code
_NAME = re.compile(r"(\d{4})(ML|MR|MH)(\d{6})(\d{3})(\d{2})(\d{5})([A-Z])(\d{2})_(\w{4})", re.ASCII)


class Product(NamedTuple):
    """What the name of a Mastcam or MAHLI product says."""

    sol: int  # Martian day of the mission, from 0
    instrument: str  # ML or MR (Mastcam left, right) or MH (MAHLI)
    sequence: str  # number of the command sequence, six digits
    product_type: str  # a letter: C lossless, D greyscale, E and F colour, I thumbnail, ...
    frame: str  # the first 22 characters, the same for all products of one exposure
    processing: str  # e.g. DRCL: 8-bit, colour corrected, linearised


def parse_name(name: str) -> Product:
    """Read a file name such as ``0830MR0036510000500684E01_DRCL.JPG`` in any case; ``DataError`` for any other.

    Reference:
        Mars Science Laboratory MMM camera software interface specification, file names.
    """
    stem, _, suffix = name.upper().rpartition(".")
    found = _NAME.fullmatch(stem)
    if found is None or f".{suffix.lower()}" not in SUFFIXES:
        raise DataError(
            f"{name!r} is no Mastcam or MAHLI product name: expected one like 0830MR0036510000500684E01_DRCL.JPG"
        )
    sol, instrument, sequence, _, _, _, product_type, _, processing = found.groups()
    return Product(int(sol), instrument, sequence, product_type, stem[:FRAME_LENGTH], processing)


def published_name(name: str) -> str:
    """A product's file name as the archive writes it: ``...DRCL.JPG``, not ``...drcl.jpg`` or ``...DRCL.jpeg``."""
    stem, _, suffix = name.rpartition(".")
    return f"{stem.upper()}.JPG" if f".{suffix.lower()}" in SUFFIXES else name.upper()


def product_files(
    folder: Path,
    files: Iterable[Path] | None = None,
    *,
    exclude_frames: Collection[str] = (),
    max_sol: int | None = None,
) -> tuple[dict[str, Path], dict[str, list[str]]]:
    """The images of a folder that have a product's name, among some ``files`` below it or, without, in itself.

    Labelled images and their twins are left out by their frames (first 22 characters), and those after ``max_sol`` if
    one is given (the paper gives none; test images of MSL v1 begin at 565).

    Returns:
        Published name to file, sorted; of two files with one name the first. And what was left out: reason to names.
    """
    kept: dict[str, Path] = {}
    ignored: dict[str, list[str]] = {}
    for path in sorted(folder.iterdir() if files is None else files):
        if path.suffix.lower() not in SUFFIXES:
            continue
        name = published_name(path.name)
        if any(map(hidden, path.relative_to(folder).parts)):
            reason = "hidden"  # macOS puts ._NAME.JPG beside NAME.JPG on disks of another system: no image
        else:
            reason = _why_not(path.name, exclude_frames, max_sol) or ("second copy" if name in kept else "")
        if reason:
            ignored.setdefault(reason, []).append(path.name)
        else:
            kept[name] = path
    return dict(sorted(kept.items())), ignored


def open_folder(
    folder: Path, *, exclude_frames: Collection[str] = (), max_sol: int | None = None, may_be_empty: bool = False
) -> tuple[list[Path], str]:
    """List the images of a folder and of its subfolders, see ``product_files``, and say what was left out and why.

    ``DataError`` where the folder is missing, or nothing in it may be used and it may not be empty.
    """
    if not folder.is_dir():
        raise DataError(f"no folder {folder}: put the unlabelled images there, or name another folder")
    files = (file for file in folder.rglob("*") if file.is_file())
    kept, ignored = product_files(folder, files, exclude_frames=exclude_frames, max_sol=max_sol)
    found = len(kept) + sum(map(len, ignored.values()))
    note = f"{len(kept):,} of {found:,} images in {folder.name}"
    if ignored:
        note += f" (left out: {', '.join(f'{len(names):,} {why}' for why, names in sorted(ignored.items()))})"
    if not found and (others := endings(folder)):
        note += f", which has {others}: only JPEGs are read"
    if not kept and not may_be_empty:
        raise DataError(
            f"{note}: add JPEGs in the PDS naming to {folder} (`marsnb data fetch pds`), or change what is left out"
        )
    return list(kept.values()), note


def _why_not(name: str, excluded: Collection[str], max_sol: int | None) -> str:
    """Why an image may not be used; empty if it may."""
    try:
        product = parse_name(name)
    except DataError:
        return "not in the PDS naming"  # neither its frame nor its sol is known, so it cannot be told from a test image
    if product.frame in excluded:
        return "of labelled frames"
    return f"after sol {max_sol}" if max_sol is not None and product.sol > max_sol else ""
