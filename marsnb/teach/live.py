"""A slider where someone can move it, and nothing where the notebook is only rendered."""

import io
import os
from collections.abc import Callable
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from marsnb.reproduce import as_bool

_FRONT_ENDS = ("JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG")
"""Set in a kernel that a Jupyter server, an editor or Colab has started; papermill and nbconvert set none of them."""


def is_live(interactive: bool | None = None) -> bool:
    """Whether someone can move a slider: what the notebook's parameter says; ``None`` finds out."""
    if (given := as_bool(interactive)) is not None:
        return given
    # a kernel of `marsnb reproduce` is static, also where that was started from a live notebook
    if "marsnb-kernel-" in os.environ.get("JUPYTER_PATH", ""):
        return False
    return any(os.environ.get(name) for name in _FRONT_ENDS)


def png(fig: Figure) -> bytes:
    """A figure as the bytes of a PNG; it is closed."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=100, bbox_inches="tight")
    plt.close(fig)
    return buffer.getvalue()


def temperature_slider(draw: Callable[[float], Figure], interactive: bool | None = None) -> Any:
    """A slider of the temperature above what ``draw`` makes of it; ``None`` where nobody can move it."""
    if not is_live(interactive):
        return None
    from ipywidgets import FloatLogSlider, Image, VBox

    slider = FloatLogSlider(value=0.2, min=-1.5, max=0.5, step=0.05, description="τ", readout_format=".3f")
    # at its own size: a box stretches what it holds, and the slider would be far above the axis
    picture = Image(value=png(draw(slider.value)), layout={"align_self": "flex-start", "max_width": "100%"})
    slider.observe(lambda change: setattr(picture, "value", png(draw(float(f"{change['new']:.3g}")))), names="value")
    return VBox([slider, picture])
