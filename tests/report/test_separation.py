"""Distances and silhouettes between images: against scikit-learn, against loops, and their intervals."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples

from marsnb.report.separation import METRICS, draws, interval, separate


def clouds(per_class: int = 30, spread: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three classes around three directions."""
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(3), per_class)
    return np.eye(3, 8)[classes] + spread * rng.normal(size=(len(classes), 8)), classes


def test_with_one_element_an_image_it_is_the_known_silhouette() -> None:
    features, classes = clouds()
    found = separate(features, classes, np.arange(len(classes)), np.ones((1, len(classes))))
    known = silhouette_samples(features, classes, metric="cosine")
    assert found.values["silhouette"][0, 1:] == pytest.approx([known[classes == c].mean() for c in range(3)])
    assert found.values["silhouette"][0, 0] == pytest.approx(known.mean())  # classes of one size


def test_elements_of_one_image_are_never_compared_and_images_weigh() -> None:
    rng = np.random.default_rng(1)
    features, classes = clouds(per_class=8)
    images = rng.permutation(np.arange(24) % 6)
    times = np.array([[1, 2, 0, 1, 3, 1]], float)
    found = separate(features, classes, images, times)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for metric, same in (("intra", True), ("inter", False)):
        for c in range(3):
            above, below = 0.0, 0.0
            for i in np.flatnonzero(classes == c):
                means = []
                for other in [c] if same else [k for k in range(3) if k != c]:
                    there = (classes == other) & (images != images[i])
                    weights = times[0, images[there]]
                    if weights.sum():
                        means.append(np.average(1 - unit[there] @ unit[i], weights=weights))
                above += times[0, images[i]] * np.mean(means)
                below += times[0, images[i]]
            assert found.values[metric][0, 1 + c] == pytest.approx(above / below)
    assert np.allclose(found.between[0][np.diag_indices(3)], found.values["intra"][0, 1:])


def test_a_class_of_one_image_has_no_distance_within() -> None:
    features, classes = clouds(per_class=4)
    images = np.where(classes == 2, 0, np.arange(12))
    found = separate(features, classes, images, np.ones((1, 12)))
    assert np.isnan(found.values["intra"][0, 3]) and np.isfinite(found.values["inter"][0]).all()
    assert np.isfinite(found.values["intra"][0, :3]).all()


def test_tighter_classes_are_seen_beyond_their_interval() -> None:
    loose, classes = clouds(spread=0.5)
    tight, _ = clouds(spread=0.2)
    images = np.arange(len(classes)) // 2
    times = draws(int(images.max()) + 1, count=200)
    assert times.shape == (201, 45) and (times.sum(axis=1) == 45).all()
    one, other = (separate(features, classes, images, times) for features in (loose, tight))
    for metric, sign in {"silhouette": 1, "intra": -1, "ratio": 1}.items():  # the other classes stay where they are
        value, low, high = interval(other.values[metric][:, 0] - one.values[metric][:, 0])
        assert sign * value > 0 and sign * low > 0 and sign * high > 0 and low < high
    assert set(one.values) == set(METRICS)


def test_the_nearest_pair_is_found_and_how_surely() -> None:
    features, classes = clouds(spread=0.05)
    features[classes == 2, 1] += 0.7  # the third class leans towards the second
    found = separate(features, classes, np.arange(90), draws(90, count=50))
    assert found.nearest() == (1, 2) and found.share_nearest((2, 1)) == 1 and found.share_nearest((0, 1)) == 0
