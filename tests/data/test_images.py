"""Decoding: pictures of wide or float grey, and large ones in many threads."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from marsnb.data._images import decode

RAMP = np.arange(256).reshape(16, 16)


def decoded(path: Path, pixels: np.ndarray) -> np.ndarray:
    Image.fromarray(pixels).save(path)
    grey = decode(path, len(pixels))
    assert (grey == grey[..., :1]).all()
    return grey[..., 0].astype(int)


@pytest.mark.parametrize("brightest", [0.4, 1, 255, 4095, 1e30])
def test_float_grey_is_neither_black_nor_saturated(tmp_path: Path, brightest: float) -> None:
    found = decoded(tmp_path / "a.tif", (RAMP / 255 * brightest).astype(np.float32))
    assert abs(found - RAMP * min(brightest, 1)).max() <= 1


def test_pixels_without_a_value_are_black(tmp_path: Path) -> None:
    pixels = (RAMP * 10.0).astype(np.float32)
    pixels[0, :4] = np.nan, np.inf, -np.inf, -5
    expected = RAMP.copy()
    expected[0, :4] = 0
    assert abs(decoded(tmp_path / "a.tif", pixels) - expected).max() <= 1
    assert (decoded(tmp_path / "b.tif", np.full((4, 4), np.nan, np.float32)) == 0).all()


def test_wide_grey_is_as_before(tmp_path: Path) -> None:
    for kind in (np.uint16, np.int32):
        assert (decoded(tmp_path / "a.tif", (RAMP * 100).astype(kind)) == RAMP).all()


def test_a_large_picture_is_no_warning_and_changes_no_filter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warnings, "catch_warnings", lambda: pytest.fail("which is not for threads"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)  # warns from there on, and refuses twice as many
    monkeypatch.setattr(warnings, "filters", [("ignore", None, Image.DecompressionBombWarning, None, 0)])
    decoded(tmp_path / "a.png", RAMP.astype(np.uint8))
