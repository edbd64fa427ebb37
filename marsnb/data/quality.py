"""How bad an image is, in three numbers: over-exposure, colour channel error, low resolution (Fig. 4 of the paper)."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SIZE = 96
"""Edge at which images are looked at, pixels: the files of MSL v1 have 43 sizes, and scores depend on it."""
WHITE = 250
"""Grey value (0-255) from which a pixel is saturated."""
CHUNK = 256
"""Images looked at together."""


def exposure(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Share of the pixels of ``(N, H, W, 3)`` with a saturated channel, ``(N,)``, in percent: over-exposure."""
    share: NDArray[np.float64] = 100 * (images.max(axis=-1) >= WHITE).mean(axis=(1, 2))
    return share


def tint(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean of red less green, and of green less blue, of ``(N, H, W, 3)``: ``(N, 2)``, in grey values (0-255)."""
    means = images.mean(axis=(1, 2), dtype=np.float64)  # (N, 3)
    return means[:, :2] - means[:, 1:]


def sharpness(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Variance of the Laplacian of ``(N, H, W, 3)`` over that of the image, ``(N,)``: low where blurred or enlarged."""
    grey = images.mean(axis=-1, dtype=np.float32)  # (N, H, W)
    middle = grey[:, 1:-1, 1:-1]
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    laplacian = 4 * middle - around
    ratio: NDArray[np.float64] = laplacian.var(axis=(1, 2)) / np.maximum(grey.var(axis=(1, 2)), 1e-6)
    return ratio.astype(np.float64)


def quality(images: NDArray[np.uint8]) -> pd.DataFrame:
    """The three scores of every image.

    The size of a file cannot stand for low resolution: MSL v1 holds browse images of a few widths, so the sharpness of
    what is in them is measured. The largest gap between channels would find ordinary red ground: a colour channel
    error is how far the tint is from the usual one.

    Args:
        images: ``(N, H, W, 3)``, uint8, also memory-mapped; of ``SIZE`` pixels, or any other size for scores that are
            compared among themselves.

    Returns:
        One line per image: ``exposure`` (percent, high is bad), ``colour`` (distance of the tint from the median of
        all images given, grey values, high is bad), ``sharpness`` (low is bad).

    Reference:
        The paper shows such images in Fig. 4 and gives no measure; these are ours.
    """
    parts = (np.asarray(images[at : at + CHUNK]) for at in range(0, len(images), CHUNK))
    found = [np.column_stack([exposure(part), sharpness(part), tint(part)]) for part in parts]
    exposures, sharp, *tints = np.concatenate(found).T
    off = np.linalg.norm([shift - np.median(shift) for shift in tints], axis=0)
    return pd.DataFrame({"exposure": exposures, "colour": off, "sharpness": sharp})
