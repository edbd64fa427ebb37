import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from marsnb.teach import live


def draw(tau: float) -> Figure:
    fig, ax = plt.subplots(figsize=(1, 1))
    ax.barh([0], [tau])
    return fig


def test_the_picture_follows_the_slider() -> None:
    slider, picture = live.temperature_slider(draw, True).children
    assert bytes(picture.value).startswith(b"\x89PNG") and picture.value == live.png(draw(0.2))
    slider.value = 2.0
    assert picture.value == live.png(draw(2.0)) != live.png(draw(0.2))
    assert plt.get_fignums() == []


def test_nothing_stands_where_nobody_can_move_it() -> None:
    assert live.temperature_slider(draw, False) is None


@pytest.mark.parametrize("name", live._FRONT_ENDS)
def test_live_is_what_a_front_end_has_started(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (*live._FRONT_ENDS, "JUPYTER_PATH"):
        monkeypatch.delenv(variable, raising=False)
    assert not live.is_live() and live.is_live(True) and not live.is_live("false")
    monkeypatch.setenv(name, "something")
    assert live.is_live() and not live.is_live(False)
    monkeypatch.setenv("JUPYTER_PATH", "/tmp/marsnb-kernel-1")  # a kernel of `marsnb reproduce`
    assert not live.is_live()
