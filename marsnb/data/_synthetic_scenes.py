"""What the 24 classes of synthetic Mars are made of: one table of views and parts, drawn by ``_synthetic_render``.

An object lies in about ``[-1, 1]`` x ``[-1, 1]``; a view says how large one unit is, what stands behind the object, and
which of its points is looked at. ``early`` holds for sols 3-564 (training and validation), ``late`` from sol 565 on
(test): the difference is the train-test gap of the paper's Fig. 3.
"""

from typing import NamedTuple


class Part(NamedTuple):
    """A shape with a colour.

    Attributes:
        shape: a key of ``_synthetic_render.SHAPES``.
        x, y, w, h: centre and half extents, in object units.
        colour: a key of ``COLOURS``.
        shade: ``flat``, ``tube`` (lit along its length), ``dome`` or ``dish``.
        turn: turn about the centre in degrees.
        n, m: counts or fractions the shape needs: columns and rows, teeth, thickness.
    """

    shape: str
    x: float
    y: float
    w: float
    h: float
    colour: str
    shade: str = "flat"
    turn: float = 0.0
    n: float = 0.0
    m: float = 0.0


class View(NamedTuple):
    """How an object is seen.

    Attributes:
        background: ``ground``, ``horizon``, ``deck`` or ``works`` (the dark inside of the machine).
        near: size of one object unit, in half image widths.
        x, y: the point of the object at the centre of the image.
        turn: mean turn in degrees.
        clutter: number of pieces of machinery behind the object.
    """

    background: str
    near: float
    x: float = 0.0
    y: float = 0.0
    turn: float = 0.0
    clutter: int = 0


class Scene(NamedTuple):
    """A class: its two counts in the paper's Table 1, its two views, its parts from back to front."""

    trainval: int
    test: int
    early: View
    late: View
    parts: tuple[Part, ...] = ()


COLOURS: dict[str, tuple[float, float, float]] = {
    "black": (0.10, 0.09, 0.09),
    "dark": (0.25, 0.22, 0.20),
    "grey": (0.45, 0.42, 0.39),
    "steel": (0.62, 0.59, 0.55),
    "pale": (0.76, 0.72, 0.65),
    "white": (0.90, 0.87, 0.81),
    "gold": (0.78, 0.60, 0.25),
    "copper": (0.60, 0.37, 0.21),
    "dust": (0.72, 0.50, 0.34),
    "red": (0.66, 0.33, 0.26),
    "blue": (0.28, 0.36, 0.52),
    "green": (0.40, 0.48, 0.32),
}

P, V = Part, View

SCENES: dict[str, Scene] = {
    "apxs": Scene(46, 34, V("works", 0.65, turn=10, clutter=8), V("works", 0.85, turn=-20, clutter=8), (
        P("box", -0.75, 0.35, 0.75, 0.34, "grey", "tube", 65),
        P("box", 0.25, -0.15, 0.68, 0.6, "steel", turn=12),
        P("ring", 0.25, -0.15, 0.42, 0.42, "pale", m=0.14),
        P("gear", 0.25, -0.15, 0.2, 0.2, "black", n=8, m=0.15),
    )),
    "apxs cal target": Scene(10, 14, V("deck", 1.15, 0.15), V("deck", 0.9, -0.1, 0.1, 25, 2), (
        P("box", 0.1, 0.0, 1.0, 0.95, "pale", turn=4),
        P("ring", 0.15, 0.0, 0.72, 0.72, "dark", m=0.08),
        P("disc", 0.15, 0.0, 0.64, 0.64, "grey", "dish"),
        P("cross", -0.78, -0.72, 0.16, 0.16, "black"),
    )),
    "chemcam cal target": Scene(15, 21, V("ground", 0.5, -0.5, -0.4, 5, 3), V("deck", 0.95, turn=0), (
        P("box", 0.0, 0.0, 0.95, 0.85, "pale"),
        P("box", 0.0, -0.3, 0.82, 0.36, "grey"),
        P("dots", 0.0, -0.3, 0.75, 0.3, "black", n=5, m=2),
        P("dots", -0.15, -0.45, 0.3, 0.15, "white", n=2, m=1),
        P("ring", 0.35, 0.45, 0.26, 0.26, "dark", m=0.06),
        P("cross", 0.35, 0.45, 0.22, 0.22, "black"),
    )),
    "chemin inlet open": Scene(92, 84, V("deck", 1.05), V("deck", 0.8, 0.1, 0.1, 20, 2), (
        P("disc", 0.0, 0.0, 1.0, 1.0, "pale", "dome"),
        P("ring", 0.0, 0.0, 0.86, 0.86, "dark", m=0.09),
        P("disc", 0.0, 0.0, 0.8, 0.8, "gold", "dish"),
        P("mesh", 0.0, 0.0, 0.72, 0.72, "copper", n=7),
    )),
    "drill": Scene(39, 20, V("ground", 0.55, -0.1, 0.1, 0, 4), V("works", 0.85, 0.0, 0.25, 50, 7), (
        P("box", 0.0, -0.45, 0.5, 0.38, "dark", turn=20),
        P("box", -0.05, 0.1, 0.55, 0.24, "steel", "tube", 78),
        P("gear", -0.05, 0.42, 0.3, 0.3, "grey", n=12, m=0.1),
        P("box", -0.12, 0.7, 0.45, 0.07, "pale", "tube", 78),
    )),
    "drill holes": Scene(506, 0, V("ground", 0.55), V("ground", 0.9), (
        P("disc", 0.0, 0.05, 1.0, 0.9, "pale", "dome"),
        P("disc", 0.0, 0.0, 0.46, 0.44, "black", "dish"),
    )),
    "drt front": Scene(6, 60, V("works", 0.62, 0.1, 0.0, 0, 9), V("works", 0.88, -0.05, 0.05, 35, 8), (
        P("disc", 0.0, 0.0, 0.95, 0.9, "copper", "dish"),
        P("disc", 0.0, 0.0, 0.72, 0.72, "pale", "dome"),
        P("box", 0.05, 0.0, 0.6, 0.17, "dark", turn=25),
        P("disc", 0.05, 0.02, 0.25, 0.25, "steel", "dome"),
        P("spokes", 0.0, 0.0, 0.7, 0.03, "dark", n=6),
    )),
    "drt side": Scene(12, 150, V("ground", 0.5, 0.2, -0.1, 0, 2), V("ground", 0.85, 0.1, 0.0, 10, 0), (
        P("box", -0.5, -0.15, 0.5, 0.33, "copper", "tube", 20),
        P("box", -0.1, 0.0, 0.2, 0.45, "steel", "tube", 20),
        P("box", 0.1, 0.1, 0.14, 0.3, "dark", turn=20),
        P("fan", 0.05, 0.1, 0.85, 0.55, "white", turn=20, n=9),
    )),
    "ground": Scene(2430, 254, V("ground", 1.0), V("ground", 1.0)),
    "horizon": Scene(299, 72, V("horizon", 1.0, turn=0), V("horizon", 1.0, turn=14)),
    "inlet": Scene(261, 16, V("deck", 1.15, 0.25, 0.0), V("works", 0.55, 0.0, 0.1, 30, 8), (
        P("box", 0.0, 0.0, 1.0, 1.0, "white"),
        P("disc", 0.3, 0.15, 0.72, 0.72, "dark", "dish"),
        P("disc", 0.36, 0.2, 0.58, 0.58, "pale", "dish"),
        P("box", -0.72, -0.2, 0.13, 0.42, "grey", turn=-12),
        P("disc", -0.68, -0.38, 0.07, 0.07, "black"),
    )),
    "mahli": Scene(14, 12, V("works", 0.5, 0.1, 0.0, 0, 9), V("works", 0.95, 0.1, -0.05, -25, 6), (
        P("box", 0.0, 0.0, 0.85, 0.75, "dark", turn=15),
        P("disc", 0.0, 0.0, 0.66, 0.66, "steel", "dome"),
        P("disc", 0.0, 0.0, 0.46, 0.46, "red", "dome"),
        P("dots", 0.0, 0.0, 0.62, 0.62, "black", turn=15, n=2, m=2),
        P("box", -0.2, -0.8, 0.6, 0.09, "copper", "tube", -20),
    )),
    "mahli cal target": Scene(60, 57, V("ground", 0.75, 0.0, 0.0, 20, 4), V("ground", 1.0, 0.1, 0.2, 30, 3), (
        P("box", 0.0, 0.0, 0.62, 0.98, "grey"),
        P("box", 0.05, -0.35, 0.34, 0.42, "pale"),
        P("box", -0.15, -0.6, 0.12, 0.12, "red"),
        P("box", 0.2, -0.6, 0.12, 0.12, "green"),
        P("box", -0.15, -0.25, 0.12, 0.12, "blue"),
        P("box", 0.2, -0.25, 0.12, 0.12, "gold"),
        P("disc", 0.05, 0.52, 0.35, 0.35, "copper", "dome"),
        P("disc", 0.05, 0.54, 0.2, 0.24, "dust", "dome"),
    )),
    "mastcam": Scene(36, 32, V("horizon", 0.6, 0.5, 0.3, 25), V("horizon", 0.75, -0.3, 0.3, -15, 2), (
        P("box", 0.1, 0.75, 0.5, 0.12, "grey", "tube", 90),
        P("box", 0.0, 0.0, 0.85, 0.4, "white"),
        P("disc", 0.45, 0.0, 0.3, 0.3, "grey", "dome"),
        P("disc", 0.45, 0.0, 0.2, 0.2, "black", "dome"),
        P("box", -0.4, 0.02, 0.18, 0.16, "black"),
    )),
    "mastcam cal target": Scene(105, 48, V("deck", 0.8, 0.0, -0.1), V("deck", 0.7, 0.1, -0.1, -10, 2), (
        P("box", 0.0, 0.5, 0.85, 0.45, "grey"),
        P("disc", 0.0, 0.5, 0.62, 0.34, "white"),
        P("ring", 0.0, 0.5, 0.42, 0.24, "steel", m=0.12),
        P("dots", 0.0, 0.5, 0.98, 0.55, "blue", n=2, m=2),
        P("box", 0.0, 0.0, 0.55, 0.09, "black", "tube", 90),
        P("disc", 0.0, -0.6, 0.24, 0.26, "black", "dome"),
    )),
    "observation tray": Scene(99, 12, V("ground", 0.65, 0.0, 0.0, 5), V("ground", 0.9, 0.1, 0.2, -15, 2), (
        P("box", 0.15, 0.45, 0.8, 0.48, "white", turn=-8),
        P("checker", 0.15, 0.45, 0.78, 0.46, "black", turn=-8, n=5, m=3),
        P("disc", 0.0, -0.3, 0.52, 0.48, "pale", "dome"),
    )),
    "portion box": Scene(38, 48, V("works", 0.68, turn=10, clutter=7), V("works", 0.9, turn=-5, clutter=5), (
        P("box", -0.1, 0.0, 0.75, 0.9, "dark", turn=5),
        P("box", 0.2, -0.05, 0.34, 0.72, "steel", turn=-5, m=0.3),
        P("box", 0.2, -0.05, 0.24, 0.58, "grey", "tube", -5, m=0.25),
        P("disc", -0.5, 0.2, 0.3, 0.3, "pale", "dome"),
        P("dots", -0.5, 0.2, 0.24, 0.24, "dark", n=3, m=3),
    )),
    "portion tube": Scene(128, 9, V("works", 0.72, 0.0, 0.0, 0, 7), V("works", 0.9, 0.1, 0.1, 40, 7), (
        P("disc", -0.35, 0.2, 0.6, 0.6, "pale"),
        P("box", 0.2, -0.1, 0.75, 0.32, "pale", turn=-20, m=0.3),
        P("disc", -0.35, 0.2, 0.24, 0.24, "dark", "dish"),
        P("box", -0.25, 0.2, 0.2, 0.1, "steel", "tube"),
    )),
    "portion tube opening": Scene(20, 2, V("deck", 1.2, 0.1, 0.0), V("works", 1.0, 0.0, 0.0, -20, 2), (
        P("box", -0.1, 0.0, 1.05, 0.78, "pale", "tube", m=0.6),
        P("box", -0.1, 0.0, 0.78, 0.48, "grey", m=0.3),
        P("box", -0.1, 0.0, 0.62, 0.33, "black"),
        P("disc", -0.35, 0.0, 0.2, 0.2, "steel", "dish"),
    )),
    "rems uv sensor": Scene(32, 36, V("ground", 0.65, 0.1, 0.1, 15, 4), V("ground", 0.95, 0.0, 0.0, 5, 2), (
        P("box", 0.0, 0.0, 0.8, 0.9, "white"),
        P("dots", 0.0, 0.0, 0.72, 0.86, "copper", n=2, m=3),
        P("pips", 0.0, 0.0, 0.72, 0.86, "black", n=2, m=3),
        P("disc", -0.68, -0.78, 0.1, 0.1, "black"),
        P("disc", 0.68, 0.78, 0.1, 0.1, "black"),
    )),
    "rover rear deck": Scene(57, 14, V("ground", 0.75, 0.1, -0.35, 10), V("horizon", 0.7, -0.4, -0.4, -25, 4), (
        P("box", 0.2, 0.45, 0.9, 0.4, "white", turn=-12),
        P("box", -0.35, 0.0, 0.45, 0.3, "pale", "tube", 78),
        P("box", 0.5, -0.05, 0.3, 0.3, "steel", turn=20),
        P("box", 0.55, -0.5, 0.4, 0.04, "dark", "tube", 85),
    )),
    "scoop": Scene(190, 10, V("ground", 0.75, 0.1, 0.1, 0, 2), V("works", 0.75, 0.0, 0.2, 60, 6), (
        P("box", -0.2, -0.6, 0.5, 0.22, "grey", "tube", 70),
        P("box", 0.0, -0.15, 0.55, 0.3, "steel", turn=-8),
        P("half", 0.1, 0.1, 0.62, 0.6, "pale", "dome"),
        P("half", 0.12, 0.16, 0.45, 0.36, "dark", "dish"),
    )),
    "turret": Scene(193, 0, V("ground", 0.72, 0.0, 0.1, 0, 16), V("ground", 0.9, 0.0, 0.0, 25, 16), (
        P("box", 0.0, -0.75, 0.5, 0.2, "dark", "tube", 85),
        P("disc", 0.0, 0.0, 0.5, 0.5, "steel", "dome"),
        P("box", 0.45, 0.25, 0.4, 0.2, "dark", "tube", 50),
        P("box", -0.45, 0.3, 0.35, 0.28, "grey", turn=30),
        P("ring", 0.0, 0.0, 0.3, 0.3, "copper", m=0.08),
    )),
    "wheel": Scene(698, 300, V("ground", 0.8, 0.1, -0.1, 0, 2), V("ground", 1.0, -0.2, 0.25, 30, 1), (
        P("box", 0.4, -0.7, 0.9, 0.12, "grey", "tube", 30),
        P("gear", 0.0, 0.0, 0.9, 0.9, "black", "dome", n=22, m=0.035),
        P("disc", 0.0, 0.0, 0.68, 0.7, "copper", "dish"),
        P("spokes", 0.0, 0.0, 0.72, 0.06, "black", n=6),
        P("disc", 0.0, 0.0, 0.2, 0.2, "grey", "dome"),
    )),
}  # fmt: skip

CLASSES = tuple(SCENES)
