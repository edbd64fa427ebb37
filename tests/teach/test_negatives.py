import itertools

import numpy as np
import pandas as pd
import pytest

from marsnb.data.synthetic import open_synthetic
from marsnb.teach import compare, negatives, small

GROUP = np.array([0, 0, 1, 2, 0, 1])


def test_share_is_that_of_all_ordered_pairs() -> None:
    pairs = list(itertools.permutations(GROUP, 2))
    assert negatives.share(GROUP) == pytest.approx(np.mean([a == b for a, b in pairs])) == pytest.approx(8 / 30)


@pytest.mark.parametrize("batch", [2, 3, 5, 6, 9])
def test_at_least_one_is_that_of_all_batches(batch: int) -> None:
    hits = []
    for anchor in range(len(GROUP)):
        others = [i for i in range(len(GROUP)) if i != anchor]
        for chosen in itertools.combinations(others, min(batch, len(GROUP)) - 1):
            hits.append(any(GROUP[i] == GROUP[anchor] for i in chosen))
    assert negatives.at_least_one(GROUP, batch) == pytest.approx(np.mean(hits))


def test_no_group_of_two_means_no_false_negative() -> None:
    assert negatives.share(np.arange(5)) == 0
    assert negatives.at_least_one(np.arange(5), 4) == pytest.approx(0)


def test_groups_are_nested_as_the_names_are() -> None:
    data = open_synthetic(train=160, test=60, unlabelled=0)
    groups = negatives.groups(data)
    assert list(groups) == list(negatives.KINDS)
    sizes = [len(np.unique(groups[kind])) for kind in ("sol", "sequence", "frame")]
    assert sizes == sorted(sizes)
    table = negatives.counted(data, (16,))
    assert table["same"].tolist() == list(negatives.KINDS) and negatives.markdown(table).count("\n") == 5
    assert "same frame" in compare.overlap(data)


def test_the_push_is_a_share_and_the_words_follow_it() -> None:
    data = open_synthetic(train=160, test=60, unlabelled=0)
    found = negatives.push_on_own_class(small.network(24), data, batches=2)
    assert found.shape == (2, 2) and found.to_numpy().min() > 0 and found.to_numpy().max() < 1
    less, more = (pd.DataFrame([{"number": 0.2, "push": push}]) for push in (0.1, 0.3))
    words = compare.push(less, more).splitlines()
    assert "that is less" in words[0] and "that is more" in words[1]


def test_silhouettes_and_pictures_of_two_networks() -> None:
    data = open_synthetic(train=160, test=60, unlabelled=0)
    trained = {"Eq. 1": small.train(data, {"eq1": 1.0}, steps=1), "Eq. 2": small.train(data, {"eq2": 1.0}, steps=1)}
    frame = compare.silhouettes(trained, data)
    assert frame.shape == (6, 4) and frame[["Eq. 1", "Eq. 2"]].abs().to_numpy().max() <= 1
    words = compare.verdicts(frame.assign(**{"Eq. 1": 0.1, "Eq. 2": -0.1}), "Eq. 1", "Eq. 2")
    assert words.count("higher with Eq. 1") == 6
    for figure in (
        compare.batches(data),
        compare.scatters(trained, data, data.test, "test images"),
        compare.curve(trained, data),
    ):
        assert figure.axes
