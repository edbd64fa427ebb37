"""Images of one's own: a folder per class, in one folder."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from marsnb.data import DATASETS
from marsnb.data._images import ANY, ImageFiles, digest, named_files
from marsnb.data._tree import hidden
from marsnb.data.base import ClassificationData, LabelledList
from marsnb.errors import DataError

SPLITS = ("train", "val", "test")
TENTHS = {"train": 6, "val": 2, "test": 2}
"""Of all images, by their names."""
LEAST = 2
"""Training images of a class; Eq. 2 wants two different ones."""
FIX = "put a good copy in its place, or take it out of the folder"


def split_of(name: str) -> str:
    """``train``, ``val`` or ``test`` of an image, by its file's name alone.

    The first eight hex digits of the name's SHA-256, as a number modulo ten: 0 to 5 train, 6 and 7 validate, 8 and 9
    test. So an image stays where it is when others are added, and two files of one name are on one side.
    """
    tenth = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % 10
    return "train" if tenth < TENTHS["train"] else "val" if tenth < TENTHS["train"] + TENTHS["val"] else "test"


def _folders(root: Path) -> list[Path]:
    """Folders in a folder, by name, without hidden ones."""
    return sorted(path for path in root.iterdir() if path.is_dir() and not hidden(path.name))


def _images(folder: Path) -> list[Path]:
    """Pictures in a folder and those below it, without hidden ones."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in ANY and path.is_file())
    return sorted(path for path in found if not any(map(hidden, path.relative_to(folder).parts)))


def _files(root: Path, images: Iterable[Path]) -> ImageFiles:
    """Pictures under their names in the folder, told apart by content: two of one's own may have one name and size."""
    named = {"/".join(image.relative_to(root).parts): image for image in images}
    return named_files(named, FIX, lambda path: hashlib.sha256(path.read_bytes()).hexdigest())


def _folder(path: str | Path, what: str) -> Path:
    root = Path(path).expanduser()
    if not path or not root.is_dir():
        raise DataError(f"there is no folder {str(path)!r} of {what}: check the path in data_options")
    return root


@DATASETS.register("folder")
def open_folder(
    protocol: str = "by_name", *, path: str | Path = "", unlabelled: str | Path | None = None
) -> ClassificationData:
    """Open a folder of folders of JPEG, PNG or TIFF, each named as its class; nothing is decoded yet.

    Args:
        protocol: ``by_name`` (see `split_of`); ``by_frame``, which a run says by default, is the same here. Neither is
            asked where the folder holds ``train``, ``val`` and ``test``, each with a folder per class.
        path: the folder.
        unlabelled: a folder of images without labels, for methods that train on such.

    Raises:
        DataError: there is no such folder, it has fewer than two classes, or a class has fewer than two training images
            or a split no image.
    """
    if protocol not in ("by_name", "by_frame"):
        raise DataError(f"a folder of classes has no protocol {protocol!r}: use by_name")
    root = _folder(path, "classes")
    inside = _folders(root)
    split = "train" in {folder.name for folder in inside}
    if split and (others := {folder.name for folder in inside} - set(SPLITS)):
        raise DataError(f"{root} has a folder {min(others)!r} beside train: name its folders train, val and test")
    rows = {  # split and class
        image: (parts[0], parts[1]) if split else (split_of(image.name), parts[0])
        for folder in inside
        for image in _images(folder)
        if len(parts := image.relative_to(root).parts) > 1 + split
    }
    classes = tuple(sorted({label for _, label in rows.values()}))
    if len(classes) < 2:
        raise DataError(f"{root} has {len(classes)} folders with images, not two or more: make one for each class")
    source = _files(root, rows)
    placed = [rows[file] for file in source.files]
    lists = {
        name: LabelledList.of((i, classes.index(label)) for i, (side, label) in enumerate(placed) if side == name)
        for name in SPLITS
    }
    counts = np.bincount(lists["train"].labels, minlength=len(classes))
    few = [f"{name!r} has {n}" for name, n in zip(classes, counts, strict=True) if n < LEAST]
    few += [f"{name} has no image" for name in SPLITS if not len(lists[name])]
    if few:
        how = "add images" if split else "add images, or sort them into train, val and test folders yourself"
        raise DataError(f"{root}: a class needs {LEAST} training images and a split one, but {few[0]}: {how}")
    sizes = ", ".join(f"{len(lists[name]):,} {name}" for name in SPLITS)
    rest = None if unlabelled is None else _unlabelled(_folder(unlabelled, "unlabelled images"))
    assigned = (f"{name} {at}" for name, at in zip(source.names, placed, strict=True))
    return ClassificationData(
        name="folder",
        protocol=protocol,
        source=source,
        train=lists["train"],
        val=lists["val"],
        test=lists["test"],
        unlabelled=rest,
        class_names=classes,
        fingerprint=digest([source.fingerprint, *assigned]),
        synthetic=False,
        note=f"{root.name}: {sizes} images of {len(classes)} classes, {'as sorted' if split else 'split by name'}"
        f"{'' if rest is None else f'; {len(rest):,} more without labels'}.",
    )


def _unlabelled(root: Path) -> ImageFiles:
    if not (images := _images(root)):
        raise DataError(f"no image in {root}: name a folder of JPEG, PNG or TIFF")
    return _files(root, images)
