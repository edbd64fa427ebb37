"""Folders and lists as people have them: unpacked twice, saved by another system, with files that are no images."""

import codecs
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from marsnb.errors import DataError

DEPTH = 3  # folders below the one of data sets that are looked into
MOST = 2_000  # folders looked into; a home folder may have any number
SHOWN = 3  # names given of files left out


def hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or the folder of macOS's resource forks."""
    return name[0] == "." or name == "__MACOSX"


def folders_within(root: Path, depth: int = DEPTH) -> Iterator[Path]:
    """The folders below ``root``, the nearest first and those of one level backwards by name; none that is hidden."""
    level, seen = [root], 0
    for _ in range(depth):
        below: list[Path] = []
        for folder in level:
            try:
                with os.scandir(folder) as entries:  # which need not ask for each of thousands of images what it is
                    below += [Path(e.path) for e in entries if not hidden(e.name) and e.is_dir()]
            except OSError:
                continue
            seen += 1
            if seen > MOST:
                return
        level = sorted(below, reverse=True)
        yield from level


def read_lines(path: Path) -> list[str]:
    """Lines of a text file in UTF-8, or marked as UTF-16, that are not blank, whatever its line ends."""
    content = path.read_bytes()
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return [line for line in content.decode("utf-16" if marked else "utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise DataError(f"{path} is no text in UTF-8: save it as UTF-8") from None


def last_part(path: str) -> str:
    """File name of a path that was written on any system: with slashes, backslashes or neither."""
    return path.replace("\\", "/").rpartition("/")[2]


def left_out(reasons: dict[str, list[str]]) -> str:
    """A few words on files that are not used: how many for each reason, and the first of them; empty without any."""
    return "; ".join(f"{len(names):,} {why} ({first_of(names)})" for why, names in sorted(reasons.items()))


def first_of(names: Sequence[str], count: int = SHOWN) -> str:
    """The first of some names, and whether there are more."""
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")


def endings(folder: Path) -> str:
    """How many files of each ending a folder and its subfolders have, the most frequent first: ``3 .IMG, 3 .LBL``."""
    found = Counter(sorted(path.suffix for path in folder.rglob("*") if path.name[0] != "." and path.is_file()))
    return ", ".join(f"{count:,} {suffix or 'without an ending'}" for suffix, count in found.most_common(SHOWN))


def _shown(folder: Path) -> list[Path]:
    """What lies in a folder and is not hidden; a missing one is empty."""
    return sorted(path for path in folder.iterdir() if path.name[0] != ".") if folder.is_dir() else []


def files_by_stem(folder: Path, suffixes: frozenset[str], ending: str = "") -> dict[str, Path]:
    """Files of a folder by their stem without ``ending``."""
    return {path.stem.removesuffix(ending): path for path in _shown(folder) if path.suffix.lower() in suffixes}


def other_files(folder: Path, suffixes: frozenset[str]) -> list[str]:
    """Names of the files of a folder with another ending."""
    return [path.name for path in _shown(folder) if path.suffix.lower() not in suffixes and path.is_file()]


def almost(images: Mapping[str, Path], labels: Mapping[str, Path]) -> str:
    """Names of an image and a label, each without the other, of one clock: they differ in case or ending."""
    clocks = {stem.lower()[:13]: stem for stem in sorted(images.keys() - labels.keys(), reverse=True)}
    for stem in sorted(labels.keys() - images.keys()):
        if stem.lower()[:13] in clocks:
            return f"{images[clocks[stem.lower()[:13]]].name} and {labels[stem].name}"
    return ""
