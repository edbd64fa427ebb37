import pytest

from marsnb.teach import live, pictures


def test_the_picture_follows_the_slider() -> None:
    slider, picture = live.temperature_slider(True).children
    assert picture.value == live.png(pictures.temperatures([0.2]))
    slider.value = 2.0
    assert picture.value == live.png(pictures.temperatures([2.0])) != live.png(pictures.temperatures([0.2]))


def test_a_sentence_stands_where_nobody_can_move_it() -> None:
    assert "slider" in live.temperature_slider(False).data


def test_live_is_what_a_front_end_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*live._FRONT_ENDS, "MARSNB_STATIC", "JUPYTER_PATH"):
        monkeypatch.delenv(name, raising=False)
    assert not live.is_live() and live.is_live(True)
    monkeypatch.setenv("JPY_SESSION_NAME", "02_primer.ipynb")
    assert live.is_live() and not live.is_live(False)
    monkeypatch.setenv("JUPYTER_PATH", "/tmp/marsnb-kernel-1")  # a kernel of `marsnb reproduce`
    assert not live.is_live()
