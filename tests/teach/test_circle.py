import numpy as np
import pytest
import torch

from marsnb.teach import circle, live, pictures


def test_eq_1_spreads_the_circle_and_pulls_views_together() -> None:
    course = circle.train("info_nce", steps=100)
    assert course.loss[-1] < course.loss[0] - 0.5
    assert course.uniformity[-1] < course.uniformity[0] - 0.5
    assert course.alignment[-1] < course.alignment[0]
    assert list(course.places) == [0, 10, 40, 100]
    assert all(np.allclose(np.linalg.norm(places, axis=1), 1, atol=1e-5) for places in course.places.values())


def test_eq_3_alone_collapses_the_circle() -> None:
    course = circle.train("similarity", steps=200)
    assert course.loss[-1] < -0.999 and course.uniformity[-1] > -0.05


def test_a_training_is_repeatable_and_leaves_the_random_state_and_the_threads() -> None:
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    first, second = circle.train(steps=10), circle.train(steps=10)
    assert first.loss == second.loss
    assert torch.equal(state, torch.random.get_rng_state()) and threads == torch.get_num_threads()


def test_an_unknown_loss_is_named() -> None:
    with pytest.raises(ValueError, match="known: info_nce, similarity"):
        circle.train("triplet")


def test_the_words_follow_the_numbers() -> None:
    course = circle.Course(np.zeros(1, int), {}, [0, 1], [1.0, 2.0], [0.5, 0.1], [-1.0, -1.5])
    assert "did not fall: 1.00 to 2.00" in circle.sentences(course)


def test_the_push_goes_to_the_hardest_as_the_temperature_falls() -> None:
    cold, warm = pictures.push(0.05), pictures.push(5.0)
    assert cold.argmax() == 0 and cold.max() > 0.9 > 0.2 > warm.max()
    assert np.isclose(cold.sum(), 1) and np.isclose(warm.sum(), 1)


@pytest.mark.parametrize("name", ["JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG"])
def test_the_slider_is_live_only_where_someone_can_move_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG", "JUPYTER_PATH", "MARSNB_STATIC"):
        monkeypatch.delenv(variable, raising=False)
    assert not live.is_live()
    monkeypatch.setenv(name, "something")
    assert live.is_live() and not live.is_live(False)
    monkeypatch.setenv("MARSNB_STATIC", "1")
    assert not live.is_live() and live.is_live(True)
    monkeypatch.setenv("MARSNB_STATIC", "")
    monkeypatch.setenv("JUPYTER_PATH", "/tmp/marsnb-kernel-1")
    assert not live.is_live()


def test_the_slider_changes_the_picture() -> None:
    box = live.temperature_slider(True)
    slider, picture = box.children
    before = picture.value
    slider.value = 1.0
    assert picture.value != before and bytes(picture.value).startswith(b"\x89PNG")
    assert "slider" in live.temperature_slider(False).data
