"""The three scores of an image's quality find the damage that they are for."""

import numpy as np
import pytest

from marsnb.data import DATASETS, quality
from marsnb.data.cache import open_cached


def sound(count: int = 5, edge: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(60, 180, (count, edge, edge, 3), dtype=np.uint8)


def test_exposure_is_the_share_of_saturated_pixels() -> None:
    images = sound()
    images[1] = 255
    images[2, :16, :, 0] = 250  # one channel is enough
    assert quality.exposure(images).tolist() == pytest.approx([0, 100, 25, 0, 0])


def test_colour_is_the_distance_from_the_usual_tint() -> None:
    images = sound()
    images[3, ..., 1:] = 0
    scores = quality.quality(images)["colour"]
    assert scores.idxmax() == 3 and scores[3] > 50 > 10 * scores.drop(3).max()
    red = sound()
    red[..., 1:] //= 2  # all images alike: none is off
    assert quality.quality(red)["colour"].max() < 5


def test_sharpness_is_low_where_there_is_only_a_slope() -> None:
    images = sound(2)
    images[1] = np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None]
    sharp, smooth = quality.sharpness(images)
    assert smooth < 0.1 < 1 < sharp
    flat = np.full((1, 64, 64, 3), 90, np.uint8)
    assert quality.sharpness(flat)[0] == 0  # nothing over nothing is nothing


def test_all_images_are_scored_in_their_order_however_many(monkeypatch: pytest.MonkeyPatch) -> None:
    images = sound(7, 16)
    whole = quality.quality(images)
    monkeypatch.setattr(quality, "CHUNK", 3)
    parts = quality.quality(images)
    assert list(parts.columns) == ["exposure", "colour", "sharpness"] and len(parts) == 7
    assert np.allclose(whole, parts)


def test_scores_find_the_damage_of_synthetic_mars() -> None:
    data = DATASETS["synthetic"](train=240, test=120, unlabelled=0)
    scores = quality.quality(open_cached(data.source, 48))
    damage = np.array(data.source.damage)  # type: ignore[attr-defined]
    for kind, score, sign in (("over-exposed", "exposure", 1), ("colour channel", "colour", 1)):
        assert (sign * scores.loc[damage == kind, score]).median() > (sign * scores.loc[damage == "", score]).median()
