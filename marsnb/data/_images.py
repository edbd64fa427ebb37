"""Image files on disk: decoding, and a list of files as an ``ImageSource``."""

import hashlib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from marsnb.data.base import Image
from marsnb.errors import DataError

SUFFIXES = frozenset({".jpg", ".jpeg"})
"""Endings of image files, in lower case."""


def decode(path: Path, size: int, *, fix: str = "put a good copy in its place", mode: str = "RGB") -> Image:
    """Decode one file to ``size`` x ``size``, RGB unless ``mode`` says otherwise.

    Args:
        path: a JPEG file, greyscale or colour.
        size: pixels per side; the image is squashed to a square, bilinear with antialiasing.
        fix: what the user can do about a damaged file, the end of the error's message.
        mode: ``"RGB"``, or ``"L"`` for grey.

    Returns:
        Array of shape ``(size, size, 3)``, uint8; ``(size, size)`` for grey.

    Raises:
        DataError: the file is missing, truncated or not an image.
    """
    try:
        # The file is opened by hand because Pillow would leave it to the garbage collector when it cannot read it.
        with path.open("rb") as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore", PilImage.DecompressionBombWarning)
            image = PilImage.open(stream).convert(mode)
            # departure: squashed to a square; the paper names neither size nor cropping
            return np.array(image.resize((size, size), PilImage.Resampling.BILINEAR))
    except FileNotFoundError:
        raise DataError(f"image file {path} is missing: {fix}") from None
    except (OSError, SyntaxError, ValueError, PilImage.DecompressionBombError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"image file {path} is damaged ({reason}): {fix}") from None


def decode_codes(path: Path, size: int | None, *, known: Sequence[int], fix: str) -> NDArray[np.uint8]:
    """Decode a mask: a PNG whose one channel holds codes.

    Args:
        path: the file.
        size: edge of the square it is squashed to by nearest neighbour, pixels; ``None`` keeps its own size.
        known: the codes there may be.
        fix: what the user can do about it, the end of the error's message.

    Returns:
        Array of shape ``(size, size)``, uint8.

    Raises:
        DataError: the file is missing, damaged, not of one channel, or has another code anywhere in it.
    """
    try:
        with path.open("rb") as stream:
            opened = PilImage.open(stream)
            if opened.mode not in ("L", "P"):
                raise DataError(f"label {path} is not of one channel of 8 bits (it is {opened.mode}): {fix}")
            mask = PilImage.frombytes("L", opened.size, opened.tobytes())
    except FileNotFoundError:
        raise DataError(f"label {path} is missing: {fix}") from None
    except (OSError, SyntaxError, ValueError, PilImage.DecompressionBombError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"label {path} is damaged ({reason}): {fix}") from None
    # checked before it shrinks, so that the answer does not depend on the size asked for
    stray = sorted({value for _, value in mask.getcolors(256) or []} - set(known))
    if stray:
        found, may = (", ".join(map(str, values)) for values in (stray[:5], known))
        raise DataError(f"label {path} has the value {found}, not one of {may}: {fix}")
    return np.asarray(mask if size is None else mask.resize((size, size), PilImage.Resampling.NEAREST))


def digest(lines: Iterable[object]) -> str:
    """Hex SHA-256 of a sequence of lines."""
    return hashlib.sha256("\n".join(map(str, lines)).encode()).hexdigest()


@dataclass
class ImageFiles:
    """Image files as an ``ImageSource``; it pickles, and decodes in any process.

    Attributes:
        names: file names, unique.
        files: where each of them is.
        fingerprint: digest of names and sizes in bytes, in order.
        fix: what the user can do about a damaged file.
    """

    names: Sequence[str]
    files: Sequence[Path]
    fingerprint: str
    fix: str

    def __len__(self) -> int:
        return len(self.names)

    def decode(self, index: int, size: int) -> Image:
        """Image ``index`` at ``size`` x ``size``; see ``decode`` above."""
        return decode(self.files[index], size, fix=self.fix)


def image_files(files: Iterable[Path], fix: str) -> ImageFiles:
    """List files sorted by name; of several with one name the first path in order is kept."""
    unique: dict[str, Path] = {}
    for path in sorted(files, key=lambda file: (file.name, str(file))):
        unique.setdefault(path.name, path)
    fingerprint = digest(f"{name} {path.stat().st_size}" for name, path in unique.items())
    return ImageFiles(tuple(unique), tuple(unique.values()), fingerprint, fix)
