"""What is wrong with a copy of MSL v1: files, class ids, counts, split lists and every JPEG."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from marsnb.data._images import decode
from marsnb.data._tree import first_of, left_out, read_lines
from marsnb.data.msl import MSL, find_tree, list_file, paper_table1, read_list, read_split, read_tree
from marsnb.data.pds import parse_name, product_files
from marsnb.errors import DataError, MarsnbError

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 5  # names given for one kind of problem


class Verified(NamedTuple):
    """What was found of a data set: its folder, a line per problem, what to say without any, and what mends them."""

    folder: Path
    problems: list[str]
    good: str
    fix: str


def table1(root: Path | None = None) -> "pd.DataFrame":
    """Images per class of the official lists, as in the paper's Table 1: ``class``, ``train_val`` and ``test``."""
    import pandas as pd

    lists = read_tree(root).lists
    count = {
        split: np.bincount(list(labels.values()), minlength=len(MSL.class_names)) for split, labels in lists.items()
    }
    return pd.DataFrame({"class": MSL.class_names, "train_val": count["train"] + count["val"], "test": count["test"]})


def check_tree(folder: Path) -> list[str]:
    """Problems that show without opening an image: missing or double files, unknown class ids, other counts."""
    problems: list[str] = []
    present, _ = product_files(folder / MSL.images)
    if len(present) != MSL.files:
        problems.append(f"{len(present):,} images in {MSL.images}/, not {MSL.files:,}")
    problems += _check_ids(folder / MSL.id_names)

    counts: dict[str, Counter[str]] = {}
    listed: Counter[str] = Counter()
    for split in MSL.lists:
        file = list_file(folder, split).name
        try:
            rows = read_list(folder, split)
        except DataError as error:
            problems.append(str(error))
            continue
        listed.update(name for name, _ in rows)
        unknown = [f"{name} ({number})" for name, number in rows if MSL.label(number) is None]
        problems += report(f"unknown class ids in {file}", unknown)
        problems += report(f"files of {file} missing", [name for name, _ in rows if name not in present])
        labels = (MSL.label(number) for _, number in rows)
        counts[split] = Counter(MSL.class_names[label] for label in labels if label is not None)
    problems += report("files named more than once in the lists", [name for name in listed if listed[name] > 1])

    if len(counts) == len(MSL.lists):
        for name, expected in paper_table1().items():
            found = counts["train"][name] + counts["val"][name], counts["test"][name]
            if found != expected:
                problems.append(f"{name}: {found} images of train+val and of test, but {expected} in Table 1")
    return problems


def check_splits(root: Path | None = None) -> list[str]:
    """Problems of the committed split lists: other images than the tree, or a frame on both sides of ``by_frame``."""
    problems: list[str] = []
    try:
        tree = read_tree(root)
    except DataError:
        return []  # check_tree has said why
    for protocol in MSL.protocols:
        try:
            parts = read_split(protocol, tree)
        except MarsnbError as error:
            problems.append(str(error))
            continue
        if protocol == "by_frame":
            frames = {split: {parse_name(name).frame for name in names} for split, names in parts.items()}
            problems += report("frames in both train and val of by_frame", sorted(frames["train"] & frames["val"]))
    return problems


def verify_msl(
    root: Path | None = None, *, watch: Callable[[list[Path]], Iterable[Path]] = lambda files: files
) -> Verified:
    """Look for everything that can be wrong with a copy of MSL v1; takes some 20 s on one core.

    Args:
        root: folder of data sets; ``paths.data()`` by default.
        watch: handed the list of image files and iterated over in its place, for a progress bar.

    Raises:
        DataError: there is no such data set.
    """
    folder = find_tree(root)
    present, ignored = product_files(folder / MSL.images)
    damaged = report("damaged images", [file.name for file in watch(list(present.values())) if not _decodes(file)])
    problems = list(dict.fromkeys([*check_tree(folder), *check_splits(root), *damaged]))
    others = f"; left out of {MSL.images}: {left_out(ignored)}" if ignored else ""
    good = f"every file is there, decodes and is counted as in Table 1{others}"
    return Verified(folder, problems, good, "move it away and run `marsnb data fetch msl`")


def _decodes(file: Path) -> bool:
    try:
        decode(file, 1)
    except DataError:
        return False
    return True


def _check_ids(path: Path) -> list[str]:
    """Problems of the file of class names."""
    if not path.is_file():
        return [f"{path.name} is missing"]
    try:
        found = [line.split(maxsplit=1) for line in read_lines(path)]
    except DataError as error:
        return [str(error)]
    expected = [[str(number), name] for number, name in enumerate(MSL.published_names)]
    if [[part.strip() for part in parts] for parts in found] != expected:
        return [f"{path.name} does not give the {len(expected)} class names of MSL v1"]
    return []


def report(what: str, names: list[str]) -> list[str]:
    """One line that counts ``names`` and gives the first of them; nothing if there are none."""
    return [f"{len(names)} {what}: {first_of(names, SHOWN)}"] if names else []
