"""AI4Mars: the rover and 30 m range masks, which are read only if asked for."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from marsnb import paths
from marsnb.data.ai4mars import open_ai4mars
from marsnb.data.segmentation import pixel_counts
from marsnb.errors import DataError
from tests.fake.ai4mars import make_ai4mars


def test_rover_and_range_masks_are_off_unless_asked_for() -> None:
    fake = make_ai4mars(paths.data(), covers=True, gold=True)
    plain, covered = open_ai4mars(), open_ai4mars(covered=True)
    stems = list(fake.sols)
    first, last = (list(covered.names).index(f"{stem}.JPG") for stem in (stems[0], stems[-1]))
    for size in (None, 8):
        mask = plain.source.mask(first, size)
        rows, half = len(mask), len(mask) // 2
        assert (mask[:, half:] != 255).all()
        expected = mask.copy()
        expected[: rows // 4] = expected[3 * rows // 4 :] = 255  # beyond 30 m above, the rover below
        assert np.array_equal(covered.source.mask(first, size), expected)
    uncovered = covered.source.mask(last, 16)  # it has no range mask
    assert (uncovered[:12, 8:] != 255).all() and (uncovered[12:] == 255).all()
    assert plain.fingerprint != covered.fingerprint and "range masks that 14 of them have" in covered.note
    counts, fewer = pixel_counts(plain.source, 4), pixel_counts(covered.source, 4)
    assert (counts.sum(axis=1) == fewer.sum(axis=1)).all() and (fewer[:, 4] > counts[:, 4]).all()
    gold = list(covered.names).index(f"{fake.gold[0]}.JPG")
    assert (covered.source.mask(gold, 16)[:4] == 255).all()


def test_masks_that_are_not_there_or_damaged() -> None:
    make_ai4mars(paths.data())
    with pytest.raises(DataError, match=r"images/mxy: run `marsnb data fetch ai4mars --masks`") as error:
        open_ai4mars(covered=True)
    assert "\n" not in str(error.value)
    fake = make_ai4mars(paths.data(), covers=True)
    source = open_ai4mars(covered=True).source
    path = fake.cover(Path(source.names[0]).stem, "RNG")
    for content, why in (
        (np.full((16, 16), 2, np.uint8), "value 2, not one of 0, 1"),
        (np.zeros((4, 4), np.uint8), "pixels"),
    ):
        Image.fromarray(content).save(path)
        with pytest.raises(DataError, match=f"{path.name}.*{why}") as error:
            source.mask(0)
        assert "\n" not in str(error.value)
