"""Streams: what is drawn, how often, and that any step can be had without the ones before."""

import numpy as np
import pytest

from marsnb.data.streams import STREAMS, Stream, balanced, batches, class_pairs, shuffled
from marsnb.errors import RecipeError

LABELS = np.repeat(np.arange(5), [40, 9, 1, 2, 18])
LABELS = LABELS[np.random.default_rng(0).permutation(len(LABELS))].astype(np.int64)
N = len(LABELS)
each_stream = pytest.mark.parametrize("name", list(STREAMS))


def drawn(stream: Stream, steps: range, seed=0, batch=16):
    return list(batches(stream, LABELS, N, batch, steps, seed))


@pytest.mark.parametrize("batch", [1, 7, 10, 16, 150])
def test_shuffled_shows_every_image_once_a_pass(batch):
    walk = np.concatenate([shuffled(N, batch, step, seed=3) for step in range(-(-3 * N // batch))])
    passes = [walk[p * N : (p + 1) * N] for p in range(3)]
    for order in passes:
        assert sorted(order) == list(range(N))
    assert len({tuple(order) for order in passes}) == 3  # each pass in an order of its own


def test_balanced_is_uniform_over_classes_and_over_the_images_of_a_class():
    chosen = np.concatenate([balanced(LABELS, 16, step, seed=0) for step in range(500)])
    seen = np.bincount(LABELS[chosen], minlength=5)
    chi_square = ((seen - len(chosen) / 5) ** 2 / (len(chosen) / 5)).sum()
    assert chi_square < 23.5  # 4 degrees of freedom: exceeded by one stream in 10,000
    largest = np.bincount(chosen[LABELS[chosen] == 0], minlength=N)[LABELS == 0]
    mean = largest.mean()
    assert ((largest - mean) ** 2 / mean).sum() < 80.1  # 39 degrees of freedom: one in 10,000


def test_class_pairs_are_two_images_of_each_class_in_class_order():
    pairs = set()
    for step in range(50):
        first, second = class_pairs(LABELS, step, seed=0)
        assert LABELS[first].tolist() == LABELS[second].tolist() == list(range(5))
        same = first == second
        assert same.tolist() == [False, False, True, False, False]  # class 2 has one image: paired with itself
        pairs.add((int(first[0]), int(second[0])))
    assert len(pairs) > 45  # of 40 x 39
    assert {a for a, _ in pairs} & {b for _, b in pairs}  # any image may stand first or second


def test_class_pairs_of_labels_with_a_gap():
    labels = np.array([4, 4, 9, 4, 9])
    first, second = class_pairs(labels, 0, 0)
    assert labels[first].tolist() == labels[second].tolist() == [4, 9]
    assert (first != second).all()


@each_stream
def test_any_step_can_be_had_alone(name):
    stream = STREAMS[name]
    sequence = drawn(stream, range(40))
    for step in (39, 0, 17, 17):
        ((first, second),) = drawn(stream, range(step, step + 1))
        np.testing.assert_array_equal(first, sequence[step][0])
        np.testing.assert_array_equal(second, sequence[step][1])
    assert len({tuple(first) for first, _ in sequence}) == 40  # and no step repeats another


@each_stream
def test_seeds_differ(name):
    one, other = (np.array([first for first, _ in drawn(STREAMS[name], range(10), seed)]) for seed in (0, 1))
    assert (one != other).mean() > 0.3


@each_stream
def test_batches_are_positions_of_the_right_number(name):
    stream = STREAMS[name]
    size = 5 if stream.draw == "class_pairs" else 16
    for first, second in drawn(stream, range(12)):
        for chosen in (first, second):
            assert (chosen.shape, chosen.dtype) == ((size,), np.int64)
            assert chosen.min() >= 0 and chosen.max() < N
        assert (first is second) == (stream.draw != "class_pairs")  # two views of one image, or two images


@each_stream
def test_says_what_the_package_knows(name):
    from marsnb.data.augment import AUGMENTATIONS

    stream = STREAMS[name]
    assert stream.source in ("train", "unlabelled")
    assert stream.draw in ("shuffled", "balanced", "class_pairs")
    assert stream.views in (1, 2)
    assert stream.batch in ("labelled", "classes", "unlabelled")
    assert stream.augmentation in AUGMENTATIONS
    assert stream.source == "train" or stream.draw == "shuffled"  # without labels nothing else can be drawn


def test_unknown_stream_names_the_known():
    with pytest.raises(
        RecipeError, match=r"unknown stream 'class_pair'.*did you mean 'class_pairs'.*labelled"
    ) as caught:
        STREAMS["class_pair"]
    assert all(name in str(caught.value) for name in STREAMS)
