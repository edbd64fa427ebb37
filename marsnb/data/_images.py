"""Image files on disk: decoding, and a list of files as an ``ImageSource``."""

import hashlib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as PilImage

from marsnb.data.base import Image
from marsnb.errors import DataError

SUFFIXES = frozenset({".jpg", ".jpeg"})
"""Endings of image files, in lower case."""


def decode(path: Path, size: int, *, fix: str = "put a good copy in its place") -> Image:
    """Decode one file to ``size`` x ``size`` RGB.

    Args:
        path: a JPEG file, greyscale or colour.
        size: pixels per side; the image is squashed to a square, bilinear with antialiasing.
        fix: what the user can do about a damaged file, the end of the error's message.

    Returns:
        Array of shape ``(size, size, 3)``, uint8.

    Raises:
        DataError: the file is missing, truncated or not an image.
    """
    try:
        # The file is opened by hand because Pillow would leave it to the garbage collector when it cannot read it.
        with path.open("rb") as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore", PilImage.DecompressionBombWarning)
            image = PilImage.open(stream).convert("RGB")
            # departure: squashed to a square; the paper names neither size nor cropping
            return np.array(image.resize((size, size), PilImage.Resampling.BILINEAR))
    except FileNotFoundError:
        raise DataError(f"image file {path} is missing: {fix}") from None
    except (OSError, SyntaxError, ValueError, PilImage.DecompressionBombError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"image file {path} is damaged ({reason}): {fix}") from None


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
