import math

import numpy as np
import pytest
import torch

from marsnb.data.base import ClassificationData
from marsnb.data.synthetic import open_synthetic
from marsnb.teach import courses, small, views


@pytest.fixture(scope="module")
def data() -> ClassificationData:
    return open_synthetic(train=160, test=60, unlabelled=32)


@pytest.fixture(scope="module")
def collapsed(data: ClassificationData) -> small.Trained:
    return small.train(data, {"eq3": 1.0}, steps=20)


def test_eq_3_alone_lowers_its_loss_and_the_rank_of_its_embedding(collapsed: small.Trained) -> None:
    assert collapsed.steps == [0, 10, 20]
    assert collapsed.losses["eq3"][-1] < min(-0.95, collapsed.losses["eq3"][0] - 0.1)
    assert collapsed.measures["rank embedding"][-1] < 0.5 * collapsed.measures["rank embedding"][0]
    assert collapsed.measures["variance embedding"][-1] < courses.COLLAPSED


@pytest.mark.parametrize("name", ["eq1", "eq2"])
def test_contrast_lowers_its_loss(name: str, data: ClassificationData) -> None:
    course = small.train(data, {name: 1.0}, steps=30)
    values = course.losses[name]
    assert min(values[1:]) < values[0]
    assert course.measures["variance features"][-1] > courses.COLLAPSED


def test_a_loss_joins_later_and_one_head_is_one(data: ClassificationData) -> None:
    course = small.train(data, {"eq3": 0.2, "eq2": 1.0}, steps=11, since={"eq2": 10}, one_head=True)
    assert math.isnan(course.losses["eq2"][0]) and not math.isnan(course.losses["eq2"][1])
    assert course.model.project_s is course.model.project_u
    assert course.until(10).steps == [0, 10] and len(course.until(10).losses["eq3"]) == 2


def test_simsiam_keeps_variance_where_eq_3_loses_it(data: ClassificationData, collapsed: small.Trained) -> None:
    course = small.train(data, {"simsiam": 1.0}, steps=20)
    assert course.measures["variance embedding"][-1] > 10 * collapsed.measures["variance embedding"][-1]


def test_equal_seeds_are_equal_and_leave_the_random_state(data: ClassificationData) -> None:
    state = torch.random.get_rng_state()
    first, second = (small.train(data, {"eq3": 1.0}, steps=2) for _ in range(2))
    assert first.losses == second.losses and torch.equal(state, torch.random.get_rng_state())
    a, b = (small.embed(course.model, data, data.val.indices[:4]) for course in (first, second))
    assert torch.equal(a, b) and a.shape == (min(4, len(data.val)), small.WIDTH)


def test_an_unknown_loss_is_named(data: ClassificationData) -> None:
    with pytest.raises(ValueError, match="unknown loss 'eq4'; known: eq1"):
        small.train(data, {"eq4": 1.0})


def test_variance_of_unit_embeddings() -> None:
    assert small.variance(torch.ones(5, 3)) == pytest.approx(0, abs=1e-6)
    assert small.variance(torch.cat([torch.eye(3), -torch.eye(3)])) == pytest.approx(1)


def test_the_words_follow_the_numbers(collapsed: small.Trained) -> None:
    kept = small.Trained(collapsed.model, [0, 10], {"eq3": [-0.5, -0.4]}, {"variance embedding": [0.5, 0.6]})
    assert "did not fall" in courses.fell(kept, "eq3", 10)
    assert "no collapse to undo" in courses.recovered(kept, 0, "x")
    kept.measures["variance embedding"] = [0.01, 0.02]
    assert "stayed collapsed" in courses.recovered(kept, 0, "x")
    kept.measures["variance embedding"] = [0.01, 0.5]
    assert "came back" in courses.recovered(kept, 0, "x")
    assert "(collapsed)" in courses.between(collapsed, 0, 20, "x")


def test_views_are_two_of_each_image_and_repeatable(data: ClassificationData) -> None:
    chosen = views.one_of_each(data, data.train, classes=3, seed=1)
    labels = dict(zip(data.train.indices.tolist(), data.train.labels.tolist(), strict=True))
    assert len({labels[int(i)] for i in chosen}) == 3
    images = views.tensor_of(data.source, chosen, 32)
    view1, view2 = views.two_views(images)
    assert images.shape == view1.shape == view2.shape and not torch.equal(view1, view2)
    assert torch.equal(view1, views.two_views(images)[0])
    assert np.allclose(views.cosines(views.tiny(images), views.tiny(images)).diagonal(), 1, atol=1e-5)
