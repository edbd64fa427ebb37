"""AI4Mars: terrain masks for Curiosity's Navcam images, four classes and unlabelled pixels."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import floor
from pathlib import Path

import numpy as np

from marsnb import paths
from marsnb.data import SEGMENTATION_DATASETS
from marsnb.data._images import PNG, SUFFIXES, decode, decode_codes, digest
from marsnb.data._tree import almost, files_by_stem, folders_within, other_files
from marsnb.data.base import Image, Indices
from marsnb.data.segmentation import UNLABELLED, Mask, SegmentationData
from marsnb.errors import DataError, NoDataError, RecipeError


class AI4Mars:
    """What is known about the published data set."""

    title = "AI4Mars: a dataset for terrain-aware autonomous driving on Mars, version 0.6, MSL Navcam"
    host = "https://zenodo.org"
    address = "https://zenodo.org/records/15995036"
    record = "api/records/15995036"  # under host: what the archive says of its files
    file = "ai4mars-dataset-merged-0.6.zip"
    size = 16_232_481_989  # bytes of the file; its Navcam part is about 6 GB
    doi = "10.5281/zenodo.15995036"
    licence = "CC BY 4.0"
    citation = (
        "R. Michael Swan, Deegan Atha, Henry A. Leopold, Matthew Gildner, Stephanie Oij, Cindy Chiu, and Masahiro Ono. "
        '"AI4MARS: A Dataset for Terrain-Aware Autonomous Driving on Mars." Proceedings of the IEEE/CVF Conference on '
        "Computer Vision and Pattern Recognition Workshops, 2021."
    )
    folders = "ai4mars-dataset-merged-*"
    layouts = ("msl/ncam", "msl")  # version 0.6, and 0.1 to 0.3; never msl/mcam, which is another camera
    images, labels, gold_labels = "images/edr", "labels/train", "labels/test/masked-gold-{}-100agree"
    golds = ("min1", "min2", "min3")  # pixels on which that many experts agree
    covers = (("images/mxy", "MXY"), ("images/rng-30m", "RNG"))  # 1 on the rover, 1 beyond 30 m; what their names say
    class_names = ("soil", "bedrock", "sand", "big rock")  # in the order of the codes 0 .. 3
    pairs = 16_064
    last_train_sol = 1486  # section 3 of the paper: sols 1-1486 train and validate, 1487-2579 test
    train_share = 0.6  # "the first 60 % of the dataset"
    val_share = 0.25  # of the pairs of sols 1-1486, the latest, held out by the protocol "choice"
    protocols = ("sol", "time", "choice")
    home = (
        f"run `marsnb data fetch ai4mars`, or download {file} from {address}, unpack it, and set MARSNB_DATA to the "
        "folder that holds it"
    )


CLOCK = re.compile(r"^N[LR][AB]_(\d{9})EDR_")
"""A Navcam name: left or right, computer A or B, the spacecraft clock in seconds."""
SOL_ZERO, SOL_SECONDS = 397_445_886, 88_775.244147
"""Spacecraft clock at the midnight that sol 0 begins with, and the length of a sol, both in seconds."""

_CODES = (*range(len(AI4Mars.class_names)), UNLABELLED)
_FIX = "put a good copy in its place, or remove it and its label"
_FIX_COVER = "put a good copy in its place, or remove it"


def sol_of(name: str) -> int:
    """Sol (Martian day since landing, local mean solar time) of a Navcam image, from the clock in its file's name.

    ``NLA_397681339EDR_F0020000AUT_04096M1.JPG`` is of sol 2; a name without a clock raises ``DataError``.
    """
    match = CLOCK.match(name)
    if match is None:
        raise DataError(
            f"{name} is not a Navcam name with a clock (NLA_397681339EDR_...): rename it as published or remove it"
        )
    return floor((int(match[1]) - SOL_ZERO) / SOL_SECONDS)


def cover_name(stem: str, word: str) -> str:
    """Stem of the rover mask (``MXY``) or the range mask (``RNG``) of an image, or of the image (``EDR``) of a mask."""
    return re.sub(r"^(N[LR][AB]_\d{9})(EDR|MXY|RNG)", rf"\g<1>{word}", stem)


def read_mask(path: Path, size: int | None = None) -> Mask:
    """A label file as codes 0 .. 3 and 255, at its own size or ``(size, size)``; see ``decode_codes``."""
    return decode_codes(path, size, known=_CODES, fix=_FIX)


@dataclass
class NavcamPairs:
    """Navcam images with their masks, in the order of time, a ``PairSource``; the fingerprint is of names and sizes.

    The ``covers`` of each are files that are 1 where its mask is to be read as unlabelled.
    """

    names: Sequence[str]
    images: Sequence[Path]
    labels: Sequence[Path]
    sols: Indices
    fingerprint: str
    covers: Sequence[Sequence[Path]]
    channels: int = 1  # Navcam sees grey; files that carry three equal channels give the same

    def __len__(self) -> int:
        return len(self.names)

    def decode(self, index: int, size: int) -> Image:
        """Image ``index`` squashed to ``(size, size, 1)``, bilinear; a bad file raises ``DataError``."""
        return decode(self.images[index], size, fix=_FIX, mode="L")[..., None]

    def mask(self, index: int, size: int | None = None) -> Mask:
        """Mask ``index`` at ``(size, size)``, 255 under its covers; see ``read_mask``."""
        mask = read_mask(self.labels[index], size)
        for path in self.covers[index]:
            cover = decode_codes(path, size, known=(0, 1), fix=_FIX_COVER)
            if cover.shape != mask.shape:
                raise DataError(f"mask {path} is {cover.shape}, its label {mask.shape} pixels: {_FIX_COVER}")
            mask = np.where(cover == 1, np.uint8(UNLABELLED), mask)
        return mask


def find_tree(root: Path | None = None) -> Path:
    """Folder with the Navcam's ``images/edr`` in it, of the newest version under ``root`` or near it.

    A ``root`` (``paths.data()`` by default) that is one too high or too low, or doubled, will do; ``NoDataError``
    where there is none.
    """
    root = paths.data() if root is None else root
    inside = root.resolve()  # maybe in the tree
    near = [*sorted(root.glob(AI4Mars.folders), reverse=True), root, *inside.parents[:2]]
    for folder in chain(near, folders_within(root)):
        for layout in AI4Mars.layouts:
            found = folder / layout
            if (found / AI4Mars.images).is_dir() and any(found.is_relative_to(place) for place in (root, inside)):
                return found
    raise NoDataError(f"no AI4Mars in {root / AI4Mars.folders}{_what_else(root)}: {AI4Mars.home}")


def _what_else(root: Path) -> str:
    """What there is of AI4Mars that is not read, in brackets; empty if nothing that is known."""
    only = "only the Navcam's images and labels of msl/ are read"
    cameras = []
    for folder in (root, *folders_within(root, 4)):
        if found := sorted([*folder.glob("ai4mars*.zip"), *folder.glob("*.parquet")]):
            return f" ({found[0]} is not unpacked, or of a parquet mirror: {only})"
        if (folder / "images").is_dir() and folder.name in ("mer", "m2020", "mcam"):
            cameras.append(str(folder))
    return f" (there is {', '.join(sorted(cameras))}: {only})" if cameras else ""


def read_pairs(
    root: Path | None = None, gold: str | None = "min3", *, covered: bool = False
) -> tuple[NavcamPairs, str]:
    """Pair images and labels by their stem, see ``open_ai4mars``; and a few words on what was left out."""
    if gold is not None and gold not in AI4Mars.golds:
        raise RecipeError(f"unknown gold labels {gold!r} of ai4mars: choose one of {', '.join(AI4Mars.golds)}")
    folder = find_tree(root)
    images = files_by_stem(folder / AI4Mars.images, SUFFIXES)
    labels = files_by_stem(folder / AI4Mars.labels, PNG)
    # the paper's areas are those of all 16,064 train labels and the 322 of the experts together, cut again by sol
    expert = {} if gold is None else files_by_stem(folder / AI4Mars.gold_labels.format(gold), PNG, "_merged")
    labels |= expert
    chosen = sorted(images.keys() & labels.keys(), key=lambda stem: (CLOCK.sub(r"\1", stem)[:9], stem))
    if not chosen:
        raise DataError(no_pair(folder, images, labels))
    sols = np.array([sol_of(images[stem].name) for stem in chosen], dtype=np.int64)
    lone, widows = len(images) - len(chosen), len(labels) - len(chosen)
    note = f"{len(expert.keys() & images.keys()):,} of them with gold labels {gold}" if expert else "no gold labels"
    note += f"; left out: {lone:,} images without a label, {widows:,} labels without an image"
    covers = _covers(folder, chosen) if covered else ((),) * len(chosen)
    if covered:
        note += f"; 255 under the rover and range masks that {sum(map(bool, covers)):,} of them have"
    files, masks = tuple(images[stem] for stem in chosen), tuple(labels[stem] for stem in chosen)
    rows = ((file, mask, *more) for file, mask, more in zip(files, masks, covers, strict=True))
    print_of = digest(" ".join(f"{path.name} {path.stat().st_size}" for path in row) for row in rows)
    return NavcamPairs(tuple(file.name for file in files), files, masks, sols, print_of, covers), note


def no_pair(folder: Path, images: Mapping[str, Path], labels: Mapping[str, Path]) -> str:
    """Why a tree has no pair, with an example of each side."""
    message = f"no image in {folder / AI4Mars.images} has a label in {folder / 'labels'}"
    if images and labels:
        names = almost(images, labels) or f"{min(images.values()).name} and {min(labels.values()).name}"
        return f"{message}, e.g. {names}: rename one side so that both agree but for the ending, also in case"
    if not images and (others := other_files(folder / AI4Mars.images, SUFFIXES)):
        return f"{message} (only JPEGs are read as images, not {others[0]}): save them as JPEG"
    if not labels and (others := other_files(folder / AI4Mars.labels, PNG)):
        return f"{message} (only PNGs are read as labels, not {others[0]}; JPEG changes codes): put the PNGs there"
    return f"{message}: {AI4Mars.home}"


def _covers(folder: Path, stems: Sequence[str]) -> tuple[tuple[Path, ...], ...]:
    """Rover and range masks there are of each image."""
    found = {word: files_by_stem(folder / name, PNG) for name, word in AI4Mars.covers}
    for name, word in AI4Mars.covers:
        if not found[word].keys() & {cover_name(stem, word) for stem in stems}:
            raise DataError(f"no image has a mask in {folder / name}: run `marsnb data fetch ai4mars --masks`")
    names = [[(word, cover_name(stem, word)) for word in found] for stem in stems]
    return tuple(tuple(found[word][name] for word, name in row if name in found[word]) for row in names)


def _cut(sols: Indices, share: float) -> int:
    """How many of the first pairs are ``share`` of all, to whole sols: images of one sol overlap each other."""
    edges = np.flatnonzero(np.diff(sols, prepend=-1, append=sols[-1] + 1 if len(sols) else 0))
    return int(edges[np.abs(edges - share * len(sols)).argmin()])


def split(sols: Indices, protocol: str, name: str = "ai4mars") -> dict[str, Indices]:
    """Positions of train, val and test among pairs, whose ``sols``, ``(n,)``, ascend; see ``open_ai4mars``."""
    if protocol not in AI4Mars.protocols:
        raise RecipeError(
            f"unknown split protocol {protocol!r} of {name}: choose one of {', '.join(AI4Mars.protocols)}"
        )
    until = int(np.searchsorted(sols, AI4Mars.last_train_sol, side="right"))
    if protocol == "time":
        until = _cut(sols, AI4Mars.train_share)
    middle = _cut(sols[:until], 1 - AI4Mars.val_share) if protocol == "choice" else until
    everything = np.arange(len(sols), dtype=np.int64)
    return {"train": everything[:middle], "val": everything[middle:until], "test": everything[until:]}


@SEGMENTATION_DATASETS.register("ai4mars")
def open_ai4mars(
    protocol: str = "sol", *, root: Path | None = None, gold: str | None = "min3", covered: bool = False
) -> SegmentationData:
    """Open the Navcam pairs that are there, any subset and any image size, under a split protocol.

    Args:
        protocol: ``sol``: train sols 1-1486, test from sol 1487 on, as the paper. ``time``: train the first 60 % of the
            pairs in time, to whole sols. ``choice``: as ``sol``, but the latest quarter of sols 1-1486 is val:
            schedules and sizes are chosen there, never on later sols.
        root: folder of data sets; ``paths.data()`` by default.
        gold: which of the experts' labels join; ``None`` for none. The paper does not say which it used; its 44.83 % of
            unlabelled pixels slightly favour ``min3``.
        covered: whether pixels of the rover and those beyond 30 m count as unlabelled. The paper does not say; the
            areas of its Table 2 are those without.

    Raises:
        DataError: the data set or the masks are missing, or a name has no clock. A bad image or mask raises when it is
            decoded.
        RecipeError: there is no such protocol or gold set.

    Reference:
        Section 3 and Table 2 of the paper.
    """
    source, left_out = read_pairs(root, gold, covered=covered)
    parts = split(source.sols, protocol)
    counts = ", ".join(f"{len(part):,} {name}" for name, part in parts.items() if len(part))
    return SegmentationData(
        name="ai4mars",
        protocol=protocol,
        source=source,
        **parts,
        class_names=AI4Mars.class_names,
        fingerprint=digest([source.fingerprint, *(f"{name} {len(part)}" for name, part in parts.items())]),
        synthetic=False,
        note=f"AI4Mars Navcam, {protocol}: {len(source):,} pairs ({counts}), {left_out}.",
    )
