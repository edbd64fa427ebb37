"""Image files on disk: decoding, and a list of files as an ``ImageSource``."""

import hashlib
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from marsnb.data.base import Image
from marsnb.errors import DataError

warnings.filterwarnings("ignore", category=PilImage.DecompressionBombWarning)

SUFFIXES = frozenset({".jpg", ".jpeg"})
"""Endings of JPEG files, in lower case."""
PNG = frozenset({".png"})
"""Ending of labels and masks, in lower case."""
ANY = SUFFIXES | PNG | {".tif", ".tiff"}
"""Endings of pictures of one's own, in lower case."""


def decode(path: Path, size: int, *, fix: str = "put a good copy in its place", mode: str = "RGB") -> Image:
    """Decode one file, squashed to a square of ``size`` pixels, bilinear with antialiasing.

    ``mode`` is ``"RGB"``, ``(size, size, 3)`` uint8, or ``"L"`` for grey, ``(size, size)``. ``DataError`` where the
    file is missing, truncated or not an image; ``fix``, what the user can do about it, ends its message.
    """
    with _opened(path, "image file", fix) as opened:
        image = eight_bits(opened).convert(mode)
        # departure: squashed to a square; the paper names neither size nor cropping
        return np.array(image.resize((size, size), PilImage.Resampling.BILINEAR))


@contextmanager
def _opened(path: Path, what: str, fix: str) -> Iterator[PilImage.Image]:
    """A picture in a file, with one line for whatever is wrong with it."""
    try:
        # The file is opened by hand because Pillow would leave it to the garbage collector when it cannot read it.
        with path.open("rb") as stream:
            yield PilImage.open(stream)
    except FileNotFoundError:
        raise DataError(f"{what} {path} is missing: {fix}") from None
    except (OSError, SyntaxError, ValueError, PilImage.DecompressionBombError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{what} {path} is damaged ({reason}): {fix}") from None


def eight_bits(image: PilImage.Image) -> PilImage.Image:
    """A picture of 16-bit, 32-bit or float grey with its brightest pixel at 255; any other as it is.

    Where no pixel is above 1, 1 becomes 255. Pixels that are negative or not finite become black.
    """
    if not image.mode.startswith(("I", "F")):
        return image
    wide = np.nan_to_num(np.asarray(image, dtype=np.float64), nan=0, posinf=0, neginf=0).clip(0)
    return PilImage.fromarray((wide * (255 / max(wide.max(), 1))).astype(np.uint8))


def decode_codes(path: Path, size: int | None, *, known: Sequence[int], fix: str) -> NDArray[np.uint8]:
    """Decode a mask, a PNG whose one channel holds codes: ``(size, size)`` uint8, nearest neighbour, or its own size.

    Raises:
        CodeError: it has a code somewhere that is not ``known``.
        DataError: the file is missing, damaged, or not of one channel; ``fix`` ends the message.
    """
    with _opened(path, "label", fix) as opened:
        try:
            mask = _grey(opened)
        except _NotGreyError as error:
            raise DataError(f"label {path} {error}: {fix}") from None
    # checked before it shrinks, so that the answer does not depend on the size asked for
    found = _values(mask)
    if stray := sorted(found - set(known)):
        first, may = (", ".join(map(str, values)) for values in (stray[:5], known))
        raise CodeError(f"label {path} has the value {first}, not one of {may}: {fix}", stray, found)
    return np.asarray(mask if size is None else mask.resize((size, size), PilImage.Resampling.NEAREST))


class CodeError(DataError):
    """A mask has values that are no code: ``stray``, ascending, among all those ``found``."""

    def __init__(self, message: str, stray: Sequence[int], found: Collection[int]) -> None:
        super().__init__(message)
        self.stray, self.found = tuple(stray), frozenset(found)


class _NotGreyError(Exception):
    """A picture does not show one grey value per pixel; the message completes "label FILE ..."."""


def _values(picture: PilImage.Image) -> set[int]:
    """The values that occur in a picture of one channel of 8 bits."""
    return {value for value, count in enumerate(picture.histogram()) if count}


def _grey(opened: PilImage.Image) -> PilImage.Image:
    """The grey values of a picture of one channel, as 8 bits.

    A program that makes PNGs smaller may store a grey picture with a palette, whose numbers are then no codes: they are
    looked up. It may also use one bit where there are but black and white.
    """
    if opened.mode == "1":
        return opened.convert("L")
    if opened.mode not in ("L", "P"):
        raise _NotGreyError(f"is not of one channel of 8 bits (it is {opened.mode})")
    stored = PilImage.frombytes("L", opened.size, opened.tobytes())
    if opened.mode == "L":
        return stored
    palette = np.array(opened.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)  # (entries, 3)
    used = sorted(_values(stored))
    if used[-1] >= len(palette):
        raise _NotGreyError("is damaged (it has a value that its palette lacks)")
    if (palette[used] != palette[used, :1]).any():
        raise _NotGreyError("has a palette of colours, which do not say its codes (save it as a grey picture of them)")
    return stored.point([*palette[:, 0].tolist(), *[0] * (256 - len(palette))])


def digest(lines: Iterable[object]) -> str:
    """Hex SHA-256 of a sequence of lines."""
    return hashlib.sha256("\n".join(map(str, lines)).encode()).hexdigest()


@dataclass
class ImageFiles:
    """Image files as an ``ImageSource``; see ``named_files``, and ``fix`` is what to do about a damaged one."""

    names: Sequence[str]
    files: Sequence[Path]
    fingerprint: str
    fix: str

    def __len__(self) -> int:
        return len(self.names)

    def decode(self, index: int, size: int) -> Image:
        return decode(self.files[index], size, fix=self.fix)


def image_files(files: Iterable[Path], fix: str) -> ImageFiles:
    """List files sorted by name; of several with one name the first path in order is kept."""
    return named_files({path.name: path for path in sorted(files, key=str, reverse=True)}, fix)


def _size(path: Path) -> object:
    return path.stat().st_size


def named_files(files: Mapping[str, Path], fix: str, tell: Callable[[Path], object] = _size) -> ImageFiles:
    """List files under names that may differ from theirs, in case or ending, sorted by name.

    What ``tell`` gives of each belongs to the fingerprint: its size, which is enough for a set that was published.
    """
    rows = sorted(files.items())
    fingerprint = digest(f"{name} {tell(path)}" for name, path in rows)
    return ImageFiles(tuple(name for name, _ in rows), tuple(path for _, path in rows), fingerprint, fix)
