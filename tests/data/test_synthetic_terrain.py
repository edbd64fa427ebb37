"""Synthetic terrain: texture tells the classes apart and grey does not; shares, drift, wrong labels, equal bytes."""

import pickle
import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, sobel

from marsnb import paths
from marsnb.data import SEGMENTATION_DATASETS
from marsnb.data._synthetic_ground import TABLE2
from marsnb.data.ai4mars import AI4Mars, sol_of
from marsnb.data.segmentation import UNLABELLED, SegmentationData, open_pairs, pixel_counts
from marsnb.data.synthetic_terrain import TerrainPairs, open_synthetic_terrain
from marsnb.errors import DataError, RecipeError

STOP = re.compile(r"EDR_[FD](\d{7})")
"""Where the rover stood, by the name of an image."""


@pytest.fixture(scope="module")
def data() -> SegmentationData:
    return open_synthetic_terrain()


@pytest.fixture(scope="module")
def masks(data: SegmentationData) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Labels and truth of all pairs, ``(N, 128, 128)`` each."""
    source = data.source
    assert isinstance(source, TerrainPairs)
    both = [(source.mask(i), source.truth(i)) for i in range(len(source))]
    return np.stack([label for label, _ in both]), np.stack([truth for _, truth in both])


def test_it_opens_like_ai4mars(data: SegmentationData) -> None:
    assert SEGMENTATION_DATASETS["synthetic_terrain"] is open_synthetic_terrain
    assert data.synthetic and data.note.startswith("SYNTHETIC") and "160 train, 104 test" in data.note
    assert data.class_names == AI4Mars.class_names and data.source.channels == 1
    sols = [sol_of(name) for name in data.names]
    assert sols == sorted(sols) == list(data.source.sols)  # type: ignore[attr-defined]
    assert len(set(data.names)) == len(data.names) == 264
    assert all(STOP.search(name) for name in data.names)
    assert min(sols) >= 1 and max(sols) <= 2579
    assert [sols[i] <= 1486 for i in range(264)] == [i in data.train for i in range(264)]


@pytest.mark.parametrize("protocol", AI4Mars.protocols)
def test_protocols_split_all_pairs(protocol: str) -> None:
    opened = open_synthetic_terrain(protocol)
    assert np.concatenate([opened.train, opened.val, opened.test]).tolist() == list(range(264))
    assert (len(opened.val) > 30) == (protocol == "choice")
    sets = [{sol_of(opened.names[i]) for i in part} for part in (opened.train, opened.val, opened.test)]
    assert not sets[0] & sets[1] and not (sets[0] | sets[1]) & sets[2]


def test_mistakes_are_refused() -> None:
    with pytest.raises(RecipeError, match="'sols' of synthetic_terrain"):
        open_synthetic_terrain("sols")
    with pytest.raises(DataError, match="out of range"):
        open_synthetic_terrain(seed=-1)
    with pytest.raises(DataError, match="too few"):
        open_synthetic_terrain(test=1)


def test_pixels_do_not_depend_on_order_or_process(data: SegmentationData) -> None:
    source, some = data.source, [3, 263, 3]
    here = [source.decode(i, 48).tobytes() + source.mask(i, 48).tobytes() for i in some]
    copy = pickle.loads(pickle.dumps(source))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        images = list(pool.map(copy.decode, some, [48] * 3))
        labels = list(pool.map(copy.mask, some, [48] * 3))
    assert here == [a.tobytes() + b.tobytes() for a, b in zip(images, labels, strict=True)]
    assert here[0] == here[2] != here[1]
    assert open_synthetic_terrain().source == source


def test_seeds_and_counts_change_the_fingerprint(data: SegmentationData) -> None:
    other, larger, choice = (
        open_synthetic_terrain(seed=1),
        open_synthetic_terrain(test=120),
        open_synthetic_terrain("choice"),
    )
    assert len({opened.fingerprint for opened in (data, other, larger, choice)}) == 4
    assert choice.source.fingerprint == data.source.fingerprint != other.source.fingerprint
    assert [data.names[i] for i in data.train] == [larger.names[i] for i in larger.train]
    same_names = replace(data.source, seed=1)  # type: ignore[type-var]
    assert (same_names.decode(0, 32) != data.source.decode(0, 32)).any()


def test_any_size(data: SegmentationData) -> None:
    source = data.source
    for size in (1, 37, 128, 200):
        image, mask = source.decode(5, size), source.mask(5, size)
        assert image.shape == (size, size, 1) and mask.shape == (size, size)
        assert image.dtype == mask.dtype == np.uint8
        assert set(np.unique(mask)) <= set(np.unique(source.mask(5, None)))
    assert (source.mask(5, 256)[::2, ::2] == source.mask(5, None)).all()


def test_pairs_are_cached_and_counted() -> None:
    small = open_synthetic_terrain(train=4, test=4)
    images, masks = open_pairs(small.source, 32)
    assert images.shape == (8, 32, 32, 1) and masks.shape == (8, 32, 32)
    assert (images[2] == small.source.decode(2, 32)).all() and (masks[2] == small.source.mask(2, 32)).all()
    counts = pixel_counts(small.source, 4)
    assert counts.sum(axis=1).tolist() == [128 * 128] * 8
    assert counts[2, -1] == (small.source.mask(2, None) == UNLABELLED).sum()


def test_shares(data: SegmentationData, masks: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> None:
    labels, truth = masks
    assert set(np.unique(truth)) == {0, 1, 2, 3} and set(np.unique(labels)) == {0, 1, 2, 3, UNLABELLED}
    found = []
    for part in (data.train, data.test):
        known = labels[part][labels[part] != UNLABELLED]
        assert 0.40 < 1 - known.size / labels[part].size < 0.48
        found.append(np.bincount(known, minlength=4) / known.size)
    soil, bedrock, sand, rock = np.array(found).T
    assert soil[0] - soil[1] > 0.10 and bedrock[1] - bedrock[0] > 0.05 and sand[1] - sand[0] > 0.04
    assert rock[0] > rock[1] > 0.005 and rock[0] < 0.03
    assert (labels == UNLABELLED).mean(axis=(1, 2)).std() > 0.1  # some masks have many labels, some few


def test_the_mix_is_that_of_table_2() -> None:
    paper = yaml.safe_load((paths.recipes() / "table02.yaml").read_text(encoding="utf-8"))["rows"]
    for split, drawn in enumerate(TABLE2):
        area = sum(areas[split] for areas in paper.values())
        assert drawn == pytest.approx([paper[name][split] / area for name in AI4Mars.class_names[:3]], abs=0.001)


def test_labels_are_wrong_now_and_then(masks: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> None:
    labels, truth = masks
    known = labels != UNLABELLED
    wrong = known & (labels != truth)
    assert 0.05 < wrong.sum() / known.sum() < 0.15
    each = wrong.sum(axis=(1, 2)) / np.maximum(known.sum(axis=(1, 2)), 1)
    assert np.median(each) < 0.08 and each.max() > 0.25  # a few bad masks, most of them good
    assert 0.2 < (labels[truth == 3] != 3)[labels[truth == 3] != UNLABELLED].mean() < 0.5  # rocks are missed most


def test_light_drifts(data: SegmentationData) -> None:
    early, late = (np.stack([data.source.decode(i, 32) for i in part[::8]]) for part in (data.train, data.test))
    assert early.mean() - late.mean() > 12
    # the sun changes sides: bright flanks lie left of dark ones, then right of them
    relief = [images.astype(float) - images.mean(axis=(1, 2), keepdims=True) for images in (early, late)]
    skew = [np.mean(np.diff(images[..., 0], axis=2) ** 3) for images in relief]
    assert skew[0] * skew[1] < 0


def test_a_view_taken_twice_has_two_labels(data: SegmentationData) -> None:
    stops = [STOP.search(name)[1] for name in data.names]  # type: ignore[index]
    twice = [i for i in range(263) if stops[i] == stops[i + 1]]
    assert 8 <= len(twice) <= 40
    i = twice[0]
    images = [data.source.decode(k, 64).astype(float) for k in (i, i + 1)]
    assert 0 < np.abs(images[0] - images[1]).mean() < 8
    assert (data.source.mask(i, None) != data.source.mask(i + 1, None)).mean() > 0.1


def features(image: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Grey, sharp and smoothed, ``(pixels, 3)``; and what texture there is around, ``(pixels, 7)``."""
    grey = image[..., 0].astype(float)
    means = [grey, *(gaussian_filter(grey, sigma) for sigma in (2, 5))]
    dx, dy = sobel(grey, axis=1), sobel(grey, axis=0)
    texture = [np.log1p(gaussian_filter(product, 4).clip(0)) for product in (dx * dx, dy * dy)]
    texture += [gaussian_filter(dx * dy, 4) / (gaussian_filter(dx * dx + dy * dy, 4) + 1)]
    for low, high in ((0, 1), (1, 2), (2, 4), (4, 8)):
        band = gaussian_filter(grey, low) - gaussian_filter(grey, high)
        texture.append(np.log1p(gaussian_filter(band**2, 5)))
    return tuple(np.stack(kind, axis=-1).reshape(-1, len(kind)) for kind in (means, texture))  # type: ignore[return-value]


def test_texture_tells_the_classes_apart_and_grey_does_not(data: SegmentationData) -> None:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import balanced_accuracy_score

    source, rng = data.source, np.random.default_rng(0)
    sets = []
    for part in (data.train[::4], data.train[2::8]):  # both of one time: drift is another matter
        rows: list[list[NDArray[np.generic]]] = [[], [], []]
        for i in part:
            pixels = rng.choice(128 * 128, 200, replace=False)
            grey, texture = features(source.decode(i, 128))
            truth = source.truth(i).reshape(-1)  # type: ignore[attr-defined]
            for row, values in zip(rows, (grey, texture, truth), strict=True):
                row.append(values[pixels])
        sets.append([np.concatenate(row) for row in rows])
    (grey, texture, truth), (grey_new, texture_new, truth_new) = sets
    scores = []
    for known, new in ((grey, grey_new), (texture, texture_new)):
        forest = RandomForestClassifier(40, min_samples_leaf=8, class_weight="balanced", random_state=0, n_jobs=1)
        scores.append(balanced_accuracy_score(truth_new, forest.fit(known, truth).predict(new)))
    assert scores[0] < 0.5 and scores[1] > 0.6 and scores[1] - scores[0] > 0.2, scores
