"""A tiny MSL v1: 24 classes, three lists, twins, greyscale and unlabelled files, under names of the published form."""

import io
import zipfile
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from marsnb import paths
from marsnb.data import msl, verify
from marsnb.data.make_splits import write_splits
from marsnb.data.msl import MSL

SOLS = {"train": 3, "val": 182, "test": 565}  # first sol of each official list
SIZES = ((32, 24), (24, 24), (30, 21))
NOT_IN_TEST = ("drill holes", "turret")
NOT_IN_VAL = ("mahli", "mastcam", "rover rear deck", "chemcam cal target")
CONFLICT = ("ground", "horizon")  # classes of the two products of one exposure


@dataclass(frozen=True)
class FakeMsl:
    """A fake tree and what is true of it.

    Attributes:
        root: folder of data sets, the value for ``MARSNB_DATA``.
        folder: ``root/msl-images``.
        splits: split lists made for this tree.
        labels: for each official list, file name to label.
        unlabelled: files in no list: one after sol 564, one of a labelled exposure, one neither.
    """

    root: Path
    folder: Path
    splits: Path
    labels: dict[str, dict[str, int]]
    unlabelled: tuple[str, str, str]

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """Class to (train and val, test), as ``paper_table1`` gives them."""
        test = Counter(self.labels["test"].values())
        rest = Counter([*self.labels["train"].values(), *self.labels["val"].values()])
        return {name: (rest[label], test[label]) for label, name in enumerate(MSL.class_names)}

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Make the package take this tree for the published one."""
        counts, splits = self.counts, self.splits
        patch.setenv("MARSNB_DATA", str(self.root))
        patch.setattr(paths, "splits", lambda: splits)
        for module in (msl, verify):
            patch.setattr(module, "paper_table1", lambda: counts)
        patch.setattr(MSL, "files", len(list((self.folder / MSL.images).iterdir())))

    def pack(self, archive: Path, *, layout: str = "folder") -> Path:
        """Write the tree as a zip file: layout ``"folder"`` (``msl-images/...``) or ``"flat"`` (``calibrated/...``)."""
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
            for path in sorted(self.folder.rglob("*")):
                opened.write(path, path.relative_to(self.root if layout == "folder" else self.folder))
        return archive


def product_name(sol: int, number: int, instrument: str = "MR", product_type: str = "E") -> str:
    """A name of the published form; ``number`` tells the exposures of a sol apart."""
    return f"{sol:04d}{instrument}{number:06d}0000{number:06d}{product_type}01_DRCL.JPG"


@cache
def _jpeg(colour: int, variant: int, gray: bool) -> bytes:
    random = np.random.default_rng(variant)
    width, height = SIZES[colour % len(SIZES)]
    base = np.array([colour * 37 % 200, colour * 71 % 200, colour * 113 % 200])
    image = Image.fromarray((base + random.integers(0, 50, (height, width, 3))).astype(np.uint8))
    buffer = io.BytesIO()
    (image.convert("L") if gray else image).save(buffer, "JPEG")
    return buffer.getvalue()


def write_image(path: Path, colour: int, *, gray: bool = False) -> None:
    """A small noisy JPEG whose hue follows ``colour``; its noise, of three kinds, the file's name."""
    path.write_bytes(_jpeg(colour, sum(path.name.encode()) % 3, gray))


def make_msl(root: Path, *, frames: int = 2) -> FakeMsl:
    """Write a fake tree to ``root/msl-images``.

    Args:
        root: folder of data sets.
        frames: exposures of each class in each list; every second one has a twin (full image and thumbnail).
    """
    folder = root / MSL.folder
    images = folder / MSL.images
    images.mkdir(parents=True)
    labels: dict[str, dict[str, int]] = {}
    for split, sol in SOLS.items():
        labels[split] = {}
        absent = {"train": (), "val": NOT_IN_VAL, "test": NOT_IN_TEST}[split]
        for label, name in enumerate(MSL.class_names):
            for number in range(0 if name in absent else frames):
                instrument = ("ML", "MR", "MH")[label % 3]
                kind = "D" if label == 0 else "E"
                for product_type in (kind, "I") if number % 2 == 0 else (kind,):
                    file = product_name(sol + label, number, instrument, product_type)
                    labels[split][file] = label
                    write_image(images / file, label, gray=product_type == "D")
    # one exposure whose two products have different labels
    first, second = (MSL.class_names.index(name) for name in CONFLICT)
    for product_type, label in (("E", first), ("I", second)):
        file = product_name(100, 77, "MH", product_type)
        labels["train"][file] = label
        write_image(images / file, label)

    twin = product_name(SOLS["test"], 0, "ML", "C")  # of a labelled exposure
    unlabelled = (product_name(900, 1), twin, product_name(50, 1))
    for file in unlabelled:
        write_image(images / file, 5)

    for split, chosen in labels.items():
        ids = {file: label + (label >= MSL.unused_id) for file, label in chosen.items()}
        lines = [
            f"{MSL.images}/{file} {number}" for file, number in sorted(ids.items(), key=lambda item: item[0][::-1])
        ]
        (folder / f"{split}-calibrated-shuffled.txt").write_text("\n".join(lines) + "\n")
    names = "".join(f"{number:<8}{name}\n" for number, name in enumerate(MSL.published_names))
    (folder / MSL.id_names).write_text(names)
    (folder / "README.txt").write_text("A fake tree for tests.\n")
    splits = root / "fake-splits"
    write_splits(splits, root)
    return FakeMsl(root, folder, splits, labels, unlabelled)
