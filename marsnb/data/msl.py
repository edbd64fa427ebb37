"""MSL surface data set v1: 6,691 labelled browse images of Curiosity's Mastcam and MAHLI, 24 classes."""

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import yaml

from marsnb import paths
from marsnb.data import DATASETS
from marsnb.data._images import digest, image_files, named_files
from marsnb.data._tree import folders_within, last_part, left_out, read_lines
from marsnb.data.base import ClassificationData, LabelledList, number_groups
from marsnb.data.pds import Product, open_folder, parse_name, product_files, published_name
from marsnb.errors import DataError, NoDataError, RecipeError

__all__ = ["MSL", "Product", "Tree", "find_tree", "open_msl", "parse_name", "read_split", "read_tree"]

DEFAULT_UNLABELLED = "pds-browse"
_HOME = "run `marsnb data fetch msl`, or set MARSNB_DATA to the folder that holds it"
_FIX = "`marsnb data verify msl` names every problem; move the tree away and run `marsnb data fetch msl`"


class MSL:
    """What is known about the published data set."""

    title = "Mars surface image (Curiosity rover) labeled data set, version 1.0.0"
    home = "https://zenodo.org"
    address = "https://zenodo.org/records/1049137"
    record = "api/records/1049137"  # under home: what the archive says of its files
    file = "msl-images.zip"
    size = 60_635_475  # bytes of the file
    doi = "10.5281/zenodo.1049137"
    licence = "CC BY-SA 4.0"
    citation = (
        'Kiri L. Wagstaff, You Lu, Alice Stanboli, Kevin Grimes, Thamme Gowda, and Jordan Padams. "Deep Mars: CNN '
        'Classification of Mars Imagery for the PDS Imaging Atlas." Proceedings of the Thirtieth Annual Conference on '
        "Innovative Applications of Artificial Intelligence, 2018."
    )
    folder = "msl-images"
    images = "calibrated"
    id_names = "msl_synset_words-indexed.txt"
    lists = ("train", "val", "test")
    published_names = (
        *("apxs", "apxs cal target", "chemcam cal target", "chemin inlet open", "drill", "drill holes", "drt front"),
        *("drt side", "ground", "horizon", "inlet", "mahli", "mahli cal target", "mastcam", "mastcam cal target"),
        *("observation tray", "portion box", "portion tube", "portion tube opening", "rems uv sensor"),
        *("rover rear deck", "scoop", "sun", "turret", "wheel"),
    )  # in the order of the published ids 0 .. 24
    unused_id = 22  # "sun" has no image
    class_names = tuple(name for name in published_names if name != "sun")  # in the order of the labels 0 .. 23
    files = 6737  # in calibrated/, of which 46 are in no list
    protocols = ("by_frame", "paper", "chronological")
    last_sol = 564  # of the official train and val lists; test begins at 565

    @classmethod
    def label(cls, published_id: int) -> int | None:
        """Label 0 .. 23 of a published id; ``None`` where no class has that id or no image that class."""
        if published_id == cls.unused_id or not 0 <= published_id < len(cls.published_names):
            return None
        return published_id - (published_id > cls.unused_id)


@dataclass(frozen=True)
class Tree:
    """The published tree as it lies on disk, images not opened."""

    folder: Path  # with calibrated/ in it
    lists: dict[str, dict[str, int]]  # for train, val and test the official list, file name to label
    unlabelled: tuple[str, ...]  # files of calibrated/ that are in no list
    files: dict[str, Path]  # where each of those is; a file's own name may differ in case
    left_out: str = ""  # a few words on images of calibrated/ that are none of the data set

    @property
    def labels(self) -> dict[str, int]:
        """All labelled file names to their labels."""
        return {name: label for labels in self.lists.values() for name, label in labels.items()}


def find_tree(root: Path | None = None) -> Path:
    """Folder with ``calibrated/`` in it: ``<root>/msl-images`` or ``root`` itself, or one near it.

    Where a program that unpacks has doubled a folder, or ``root`` (``paths.data()`` by default) is one too high or too
    low, the tree is found too; ``NoDataError`` where there is none.
    """
    root = paths.data() if root is None else root
    places = [root / MSL.folder, root]
    above = [root.parent] if root.name == MSL.images else []
    for folder in chain(places, above, folders_within(root)):
        if (folder / MSL.images).is_dir() and (folder in places or list_file(folder, "train").is_file()):
            return folder
    raise NoDataError(f"no MSL v1 images in {root / MSL.folder}{_what_else(root)}: {_HOME}")


def paper_table1() -> dict[str, tuple[int, int]]:
    """The counts of the paper's Table 1, "mascam" folded into mastcam: class to (train and validation, test)."""
    rows = yaml.safe_load((paths.recipes() / "table01.yaml").read_text("utf-8"))["rows"]
    return {name: (train_val, test) for name, (train_val, test) in rows.items()}


def _what_else(root: Path) -> str:
    """What there is in place of the data set, in brackets; empty if nothing that is known."""
    for folder in (root, *folders_within(root)):
        if version2 := sorted(folder.glob("*-set-v2*.txt")):
            return f" ({version2[0]} is of MSL v2, which has other images and 19 classes: only v1 is read)"
        if (folder / MSL.file).is_file():
            return f" ({folder / MSL.file} is not unpacked)"
        if (folder / MSL.images).is_dir():
            return f" ({folder / MSL.images} has no {list_file(folder, 'train').name} beside it)"
    return ""


def list_file(folder: Path, split: str) -> Path:
    """The published list of a split."""
    return folder / f"{split}-calibrated-shuffled.txt"


def read_list(folder: Path, split: str) -> list[tuple[str, int]]:
    """A published list as it stands, file names and published ids: of a path in any style its last part."""
    path = list_file(folder, split)
    try:
        lines = [line.rsplit(maxsplit=1) for line in read_lines(path)]
        return [(published_name(last_part(name)), int(number)) for name, number in lines]
    except FileNotFoundError:
        raise DataError(
            f"{path} is missing: the tree is not MSL v1 as published, move it away and run `marsnb data fetch msl`"
        ) from None
    except ValueError:
        raise DataError(
            f"{path} has a line that is not `<file> <class id>`: move the tree away and run `marsnb data fetch msl`"
        ) from None


def read_tree(root: Path | None = None) -> Tree:
    """Read the official lists and the names of the files; ``DataError`` if one is missing or an id is unknown."""
    folder = find_tree(root)
    present, ignored = product_files(folder / MSL.images)
    lists: dict[str, dict[str, int]] = {}
    for split in MSL.lists:
        lists[split] = {}
        for name, number in read_list(folder, split):
            label = MSL.label(number)
            if label is None:
                raise DataError(f"{list_file(folder, split)} gives {name} the unknown class id {number}: {_FIX}")
            lists[split][name] = label
    labelled = {name for labels in lists.values() for name in labels}
    missing = sorted(labelled - present.keys())
    if missing:
        raise DataError(
            f"{len(missing)} of {len(labelled)} images are missing in {folder / MSL.images}, e.g. {missing[0]}: {_FIX}"
        )
    return Tree(folder, lists, tuple(sorted(present.keys() - labelled)), present, left_out(ignored))


def read_split(protocol: str, tree: Tree) -> dict[str, list[str]]:
    """File names of ``train``, ``val`` and ``test`` under a protocol; the test list is always the tree's own.

    Raises:
        RecipeError: there is no such protocol.
        DataError: the committed list and the tree disagree.
    """
    if protocol not in MSL.protocols:
        raise RecipeError(f"unknown split protocol {protocol!r} of msl: choose one of {', '.join(MSL.protocols)}")
    official = {split: sorted(labels) for split, labels in tree.lists.items()}
    if protocol == "chronological":
        return official
    path = paths.splits() / f"msl_v1_{protocol}.txt"
    if not path.is_file():
        raise DataError(f"split list {path} is missing: restore it from the repository")
    lines = [line.split() for line in read_lines(path) if not line.startswith("#")]
    chosen: dict[str, list[str]] = {"train": [], "val": []}
    for line in lines:
        if len(line) != 2 or line[1] not in chosen:
            raise DataError(f"{path} has the line {' '.join(line)!r}, not `<file> <train|val>`: restore the list")
        chosen[line[1]].append(line[0])
    if sorted(chosen["train"] + chosen["val"]) != sorted(tree.lists["train"] | tree.lists["val"]):
        raise DataError(f"{path.name} and the lists in {tree.folder} name different images: {_FIX}")
    return {split: sorted(names) for split, names in chosen.items()} | {"test": official["test"]}


@DATASETS.register("msl")
def open_msl(
    protocol: str = "by_frame",
    *,
    root: Path | None = None,
    unlabelled: str | None = DEFAULT_UNLABELLED,
    max_sol: int | None = MSL.last_sol,
) -> ClassificationData:
    """Open the data set under a split protocol.

    Args:
        protocol: who is in train and val; test is always the official list (sols 565-1060).
            ``by_frame``: the official train and val lists together, reshuffled by exposure, about 90/10.
            ``paper``: the same reshuffled image by image, as we read the paper; two of three val images then have their
            twin (full image or thumbnail of one exposure) in train.
            ``chronological``: the official lists, train sols 3-180, val sols 182-564.
        root: folder of data sets; ``paths.data()`` by default.
        unlabelled: folder of more unlabelled images under ``root``. The default may be missing or of no use;
            ``None`` asks for none. The files of MSL v1 that are in no list are unlabelled images always.
        max_sol: last sol of the unlabelled images. 564 ends them before the test images begin; ``None`` keeps all. The
            paper does not say, and nothing in it excludes images of the test period.

    Raises:
        DataError: the data set, or the folder of unlabelled images, is missing or damaged.
        RecipeError: there is no such protocol.

    Reference:
        Section 3 and Table 1 of the paper; 34k unlabelled images, Section 6.1.
    """
    tree = read_tree(root)
    labels = tree.labels
    source = named_files({name: tree.files[name] for name in labels}, _FIX)
    position = {name: index for index, name in enumerate(source.names)}
    parts = {
        split: LabelledList.of((position[name], labels[name]) for name in names)
        for split, names in read_split(protocol, tree).items()
    }

    # departure: the paper does not list its 34k PDS images; here no exposure of a labelled image is among them, and by
    # default none of the test period.
    frames = {parse_name(name).frame for name in labels}
    unlisted = [tree.files[name] for name in tree.unlabelled]
    extra, _ = product_files(tree.folder, unlisted, exclude_frames=frames, max_sol=max_sol)
    notes = [f"{len(extra)} of {len(unlisted)} files of MSL v1 without a label"]
    files = list(extra.values())
    if unlabelled is not None:
        folder = (paths.data() if root is None else root) / unlabelled
        default = unlabelled == DEFAULT_UNLABELLED
        if folder.is_dir() or not default:
            # the default folder may be empty: most methods use no unlabelled image, and the others say if none is left
            more, used = open_folder(folder, exclude_frames=frames, max_sol=max_sol, may_be_empty=default)
            files += more
            notes.append(used)
        else:
            notes.append(f"no folder {unlabelled}")
    pool = image_files(files, "remove it or put a good copy in its place")

    counts = ", ".join(f"{len(part):,} {split}" for split, part in parts.items())
    pooled = f"{len(pool):,} unlabelled" + ("" if max_sol is None else f" up to sol {max_sol}")
    note = f"MSL v1, {protocol}: {counts}; {pooled}: {'; '.join(notes)}; no frame of a labelled image."
    if tree.left_out:
        note += f" Left out of {MSL.images}: {tree.left_out}."
    assigned = (
        f"{split} {source.names[i]} {y}"
        for split, part in parts.items()
        for i, y in zip(part.indices, part.labels, strict=True)
    )
    return ClassificationData(
        name="msl",
        protocol=protocol,
        source=source,
        **parts,
        unlabelled=pool if len(pool) else None,
        class_names=MSL.class_names,
        fingerprint=digest([source.fingerprint, *assigned]),
        synthetic=False,
        note=note,
        groups=number_groups([parse_name(name).frame for name in source.names]),
    )
