"""How bad a test image is, in three numbers, and the answers of the two models that Figs 8 to 10 compare."""

from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest, norm

from marsnb import paths
from marsnb.data.base import ClassificationData
from marsnb.data.pds import FRAME_LENGTH
from marsnb.errors import DataError, RecipeError
from marsnb.report.counts import open_data
from marsnb.report.images import MEASURED, sharpness
from marsnb.report.measured import Line, lines

PAIR = {"baseline": "baseline", "ours": "final"}
"""The two rows of Table 4 that are compared, as in Fig. 8."""
SEQUENCE_LENGTH = 12
"""Leading characters of a name that the images of one command sequence of one sol share: often one scene."""
WHITE = 250
"""Grey value (0-255) from which a pixel is saturated."""
THIRDS = ("best third", "middle third", "worst third")
VERY_LOW = 5
"""Percent of the test images that is called of extremely low quality: our bound, the paper gives none."""

SURE = 0.05
"""A smaller p is called more than chance."""
NOT_TESTED = "not tested (generated images)"


class Measure(NamedTuple):
    """A number per image that says how bad it is.

    Attributes:
        key: its column.
        title: the damage it looks for, in the paper's words.
        unit: how its value is printed.
        sign: 1 where a high value is bad, -1 where a low one is.
        rule: what is measured, for captions.
    """

    key: str
    title: str
    unit: str
    sign: int
    rule: str


# The paper names over-exposure, colour channel error and low resolution. The size of the file cannot stand for the
# last: the data set holds browse images, which all have one width, so the sharpness of what is in them is measured.
MEASURES = (
    Measure("exposure", "over-exposure", "{:.1f} % saturated", 1, f"share of pixels with a channel at {WHITE} or more"),
    Measure("colour", "colour channel error", "colour off by {:.0f}", 1, "distance of R-G and G-B from their medians"),
    Measure("sharpness", "low resolution", "sharpness {:.3f}", -1, "variance of the Laplacian over that of the image"),
)


def of_test(profile: str) -> pd.DataFrame:
    """Quality of every test image.

    Returns:
        Columns ``name, class, frame, sequence`` and one per measure.

    Raises:
        DataError: the images are not on this machine.
    """
    return _of_test(open_data(profile).fingerprint, profile).copy()


@cache
def _of_test(fingerprint: str, profile: str) -> pd.DataFrame:
    data = open_data(profile)
    found, colours = [], []
    for i, label in zip(data.test.indices, data.test.labels, strict=True):
        image, name = data.source.decode(int(i), MEASURED), data.source.names[int(i)]
        red, green, blue = image.reshape(-1, 3).mean(axis=0)
        colours.append((red - green, green - blue))
        found.append({
            "name": name, "class": data.class_names[label], "frame": name[:FRAME_LENGTH],
            "sequence": name[:SEQUENCE_LENGTH], "exposure": 100 * float((image.max(axis=-1) >= WHITE).mean()),
            "sharpness": sharpness(image, image.astype(np.float32).mean(axis=-1)),
        })  # fmt: skip
    # the largest gap between channels would find ordinary red ground: what is unusual is measured from the usual
    off = np.linalg.norm(np.array(colours) - np.median(colours, axis=0), axis=1)
    return pd.DataFrame(found).assign(colour=off)


def thirds(frame: pd.DataFrame, measure: Measure) -> NDArray[np.int64]:
    """Which third of the images each is in by a measure: 0 best, 1 middle, 2 worst, shape ``(n,)``.

    Images of equal value are never parted, so that thirds may be unequal and one may be empty.
    """
    bad = measure.sign * frame[measure.key].to_numpy()
    low, high = np.quantile(bad, [1 / 3, 2 / 3])
    return np.where(bad <= low, 0, np.where(bad <= high, 1, 2))


def very_low(frame: pd.DataFrame, measure: Measure) -> NDArray[np.bool_]:
    """Which images are among the worst ``VERY_LOW`` by a measure, shape ``(n,)``; equal values are not parted."""
    bad = measure.sign * frame[measure.key].to_numpy()
    chosen: NDArray[np.bool_] = bad >= np.quantile(bad, 1 - VERY_LOW / 100)
    return chosen


def pair(profile: str) -> dict[str, Line]:
    """The lines of Table 4 that are compared, by ``baseline`` and ``ours``.

    Raises:
        RecipeError: one of them was not run.
    """
    by_id = {line.row.id: line for line in lines(4, profile)}
    found = {series: by_id[row] for series, row in PAIR.items()}
    if any(line.measured is None for line in found.values()):
        raise RecipeError(f"the two rows were not run at profile {profile}: run `{command(profile)}`")
    return found


def command(profile: str) -> str:
    """What trains the two rows."""
    return f"marsnb run --table 4 --profile {profile} " + " ".join(f"--row {row}" for row in PAIR.values())


def answers(profile: str) -> dict[int, pd.DataFrame]:
    """What both models say of every test image, by seed, for the seeds that both have.

    Returns:
        Per seed ``name, class, baseline, baseline_confidence, ours, ours_confidence, frame, sequence, data``.

    Raises:
        RecipeError: one of the two rows was not run.
        DataError: their predictions are not on this machine.
    """
    runs = {}
    for series, line in pair(profile).items():
        assert line.measured is not None
        runs[series] = {int(run_id.rsplit("-s", 1)[1]): run_id for run_id in line.measured.run_ids}
    found = {}
    for seed in sorted(runs["baseline"].keys() & runs["ours"].keys()):
        one, other = (_test_of(runs[series][seed], series, profile) for series in PAIR)
        both = one.merge(other.drop(columns="label"), on="name", validate="one_to_one")
        if not len(both) == len(one) == len(other):
            raise DataError(f"the two rows were scored on other images: run `{command(profile)}` on the same data set")
        names = both["name"].astype(str)
        found[seed] = both.rename(columns={"label": "class"}).assign(
            frame=names.str[:FRAME_LENGTH],
            sequence=names.str[:SEQUENCE_LENGTH],
            data=pair(profile)["ours"].measured.data,  # type: ignore[union-attr]
        )
    if not found:
        raise RecipeError(f"the two rows have no seed in common at profile {profile}: run `{command(profile)}`")
    return found


def _test_of(run_id: str, series: str, profile: str) -> pd.DataFrame:
    path = paths.runs() / run_id / "predictions.csv"
    if not path.is_file():
        raise DataError(
            f"the answers of {run_id} to single images are not on this machine, only its scores: point MARSNB_RUNS at "
            f"the folder that has them, or set MARSNB_FIGURES to an empty folder, run `{command(profile)}`, and draw "
            "with it set"
        )
    mine = pd.read_csv(path).query("split == 'test'")[["name", "label", "prediction", "confidence"]]
    return mine.rename(columns={"prediction": series, "confidence": f"{series}_confidence"})


def with_quality(profile: str, frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with the columns of the measures.

    Raises:
        DataError: the images are not on this machine, or the answers are about others.
    """
    joined = frame.merge(of_test(profile).drop(columns=["class", "frame", "sequence"]), on="name", how="left")
    if joined[MEASURES[0].key].isna().any():
        raise DataError(
            f"the answers are about other images than {open_data(profile).name}'s: run `{command(profile)}`"
        )
    return joined


def pick(pool: pd.DataFrame, count: int, near: str = "sequence", balanced: bool = False) -> pd.DataFrame:
    """The first ``count`` lines of ``pool`` that are no near-duplicates of each other.

    Args:
        pool: images, the one wanted most first.
        count: how many at most.
        near: column that near-duplicates share: ``frame``, or ``sequence``, which implies it.
        balanced: classes take turns: no class has its second image before each that has one has its first.
    """
    pool = pool.drop_duplicates(near)
    if balanced:
        turn = pool.groupby("class").cumcount()
        pool = pool.loc[turn.sort_values(kind="stable").index]
    return pool.head(count)


def position(data: ClassificationData) -> dict[str, int]:
    """Where in ``data.source`` the image of a name is."""
    return {name: i for i, name in enumerate(data.source.names)}


def changes(frame: pd.DataFrame) -> pd.Series:
    """+1 where ours is right and the baseline wrong, -1 the other way round, else 0."""
    return (frame["ours"] == frame["class"]).astype(int) - (frame["baseline"] == frame["class"]).astype(int)


def scenes(frame: pd.DataFrame) -> tuple[int, int]:
    """Command sequences on which ours gets more images right than the baseline, and on which it gets fewer."""
    net = changes(frame).groupby(frame["sequence"]).sum()
    return int((net > 0).sum()), int((net < 0).sum())


def mcnemar(fixed: int, broken: int) -> float:
    """Two-sided p of the exact McNemar test: are changes in either direction equally likely?

    Args:
        fixed: images that only the second model gets right.
        broken: images that only the first one gets right.

    Reference:
        McNemar, Psychometrika 12 (1947); the paper has no test.
    """
    return float(binomtest(fixed, fixed + broken).pvalue) if fixed + broken else 1.0


def beyond_classes(frame: pd.DataFrame, values: pd.Series, chosen: NDArray[np.bool_]) -> tuple[float, float]:
    """What chosen images would have by their classes alone, and whether they differ from that.

    Args:
        frame: images, with ``class`` and ``sequence``.
        values: one number per image.
        chosen: which images are asked about.

    Returns:
        The mean over the chosen images of the mean of their class; and the two-sided p that a random choice of as many
        of each class is as far from it (normal approximation of the permutations within classes). In p, the images of
        a command sequence count as one, their mean.
    """
    expected = float(values.groupby(frame["class"]).transform("mean")[chosen].mean())
    units = frame[["class", "sequence"]].assign(value=values, chosen=chosen)
    units = units.groupby(["class", "sequence", "chosen"])["value"].mean().reset_index()
    by = units.groupby("class")
    n, size = by["chosen"].sum(), by.size()
    centre = float((n * by["value"].mean()).sum())
    variance = float((n * by["value"].var(ddof=0) * (size - n) / (size - 1).clip(lower=1)).sum())
    off = abs(float(units.loc[units["chosen"], "value"].sum()) - centre)
    return expected, 2 * float(norm.sf(off / variance**0.5)) if variance > 0 else 1.0


def p_text(p: float) -> str:
    """A p value for a sentence."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
