"""A tiny AI4Mars: Navcam pairs of both published layouts, and what must not be taken for one of them."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import numpy as np
from PIL import Image

from marsnb.data.ai4mars import SOL_SECONDS, SOL_ZERO, AI4Mars

EARLY = (1, 2, 2, 300, 700, 701, 1200, 1486)
LATE = (1487, 1487, 2000, 2578)


@dataclass(frozen=True)
class FakeAI4Mars:
    """A fake tree and what is true of it.

    Attributes:
        root: folder of data sets, the value for ``MARSNB_DATA``.
        folder: the one with the Navcam's ``images`` and ``labels``.
        sols: sol of each pair, ascending, by the stem of its files.
        gold: stems of the pairs with labels of experts only.
    """

    root: Path
    folder: Path
    sols: dict[str, int]
    gold: tuple[str, ...]

    def image(self, stem: str) -> Path:
        return self.folder / AI4Mars.images / f"{stem}.JPG"

    def label(self, stem: str) -> Path:
        return self.folder / AI4Mars.labels / f"{stem}.png"

    def cover(self, stem: str, word: str) -> Path:
        """Its rover mask (``MXY``) or range mask (``RNG``)."""
        folder = next(folder for folder, known in AI4Mars.covers if known == word)
        return self.folder / folder / f"{stem.replace('EDR', word)}.png"

    def files(self) -> dict[str, bytes]:
        """Content of each file by its path in the data set's folder, hidden ones left out."""
        top = next(self.root.glob(AI4Mars.folders))
        found = sorted(path for path in top.rglob("*") if path.is_file() and path.name[0] != ".")
        return {path.relative_to(top).as_posix(): path.read_bytes() for path in found}

    def pack(self, target: BinaryIO, *, prefix: str = "", other: int = 1000, method: int = zipfile.ZIP_STORED) -> None:
        """Write an archive of the tree, with files of no use before each of its folders and at the end.

        Args:
            target: where to, from the position it is at.
            prefix: folder that holds all in the archive, with a slash.
            other: size of a file of no use, bytes.
            method: how members are packed.
        """
        noise = np.random.default_rng(0).bytes(other)
        with zipfile.ZipFile(target, "w", method) as opened:
            folder = ""
            for name, content in self.files().items():
                if name.rpartition("/")[0] != folder:
                    folder = name.rpartition("/")[0]
                    opened.writestr(f"{prefix}{folder}/", b"")
                    opened.writestr(f"{prefix}mer/images/{folder.replace('/', '-')}.JPG", noise)
                opened.writestr(f"{prefix}{name}", content)
            opened.writestr(f"__MACOSX/{prefix}{folder}/._{name.rpartition('/')[2]}", b"what macOS packs too")
            opened.writestr(f"{prefix}info.md", noise)

    def packed(self, *, prefix: str = "", other: int = 1000, method: int = zipfile.ZIP_STORED) -> bytes:
        """The archive that ``pack`` writes."""
        buffer = io.BytesIO()
        self.pack(buffer, prefix=prefix, other=other, method=method)
        return buffer.getvalue()


def navcam_stem(sol: int, number: int = 0, eye: str = "NLB") -> str:
    """A stem of the published form, around noon of a sol; ``number`` tells the images of a sol apart."""
    clock = int(SOL_ZERO + (sol + 0.5) * SOL_SECONDS) + 10 * number
    return f"{eye}_{clock:09d}EDR_F0581002NCAM00654M1"


def write_pair(image: Path, label: Path, size: int = 16) -> None:
    """A grey JPEG, and a mask with the left half unlabelled and the four codes in bands on the right."""
    for path in (image, label):
        path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.random.default_rng(crc32(image.name.encode())).integers(0, 256, (size, size), dtype=np.uint8)
    Image.fromarray(grey).save(image, "JPEG")
    mask = np.full((size, size), 255, dtype=np.uint8)
    mask[:, size // 2 :] = (np.arange(size) * 4 // size)[:, None]
    Image.fromarray(mask).save(label)


def make_ai4mars(
    root: Path, *, version: str = "0.1", gold: bool = False, covers: bool = False, size: int = 16
) -> FakeAI4Mars:
    """Write a fake tree to ``root/ai4mars-dataset-merged-<version>``.

    Args:
        root: folder of data sets.
        version: ``0.1`` to ``0.3`` for ``msl/images``, ``0.6`` for ``msl/ncam/images`` with Mastcam pairs beside it.
        gold: whether two more images have labels of experts, min1 to min3.
        covers: whether there are rover masks (the lowest quarter) and range masks (the uppermost); the last image lacks
            the latter.
        size: edge of images and masks, pixels.
    """
    top = root / f"ai4mars-dataset-merged-{version}" / "msl"
    folder = top / "ncam" if version == "0.6" else top
    sols: dict[str, int] = {}
    for number, sol in enumerate((*EARLY, *LATE)):
        sols[navcam_stem(sol, number, "NLA" if number % 3 == 0 else "NLB")] = sol
    made = FakeAI4Mars(root, folder, sols, tuple(navcam_stem(sol, 77, "NRB") for sol in (900, 1900) if gold))
    for stem in sols:
        write_pair(made.image(stem), made.label(stem), size)
    for stem in made.gold:
        for name in AI4Mars.golds:
            write_pair(made.image(stem), folder / AI4Mars.gold_labels.format(name) / f"{stem}_merged.png", size)
    for stem in (*sols, *made.gold) if covers else ():
        for word, rows in (("MXY", slice(3 * size // 4, None)), ("RNG", slice(size // 4))):
            cover = np.zeros((size, size), dtype=np.uint8)
            cover[rows] = 1
            if word == "MXY" or stem != list(sols)[-1]:
                made.cover(stem, word).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(cover).save(made.cover(stem, word))
    if version == "0.6":  # another camera, whose folders come first in the alphabet
        write_pair(top / "mcam" / "images" / "0003ML0000.JPG", top / "mcam" / "labels" / "train" / "0003ML0000.png")
        write_pair(top / "mcam" / "images" / "edr" / "0004ML.JPG", top / "mcam" / "labels" / "train" / "0004ML.png")
    (folder / AI4Mars.images / f"._{next(iter(sols))}.JPG").write_bytes(b"what macOS leaves behind")
    return made
