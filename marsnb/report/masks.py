"""Fig. 13: what the two segmenters say of test images that are chosen by rule, beside image and label."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from marsnb import paths
from marsnb.data.arrays import to_images as to_colour
from marsnb.data.arrays import to_unit
from marsnb.data.segmentation import Mask
from marsnb.errors import DataError, MarsnbError
from marsnb.models.segmenter import Segmenter
from marsnb.report.elements import pair, trained_pair
from marsnb.report.measured import Line
from marsnb.report.quality import NOT_TESTED
from marsnb.report.sentences import scale_note
from marsnb.report.style import BLUE, GREY, RED, caption, make
from marsnb.report.terrain import SEEN, legend, paint, stretched
from marsnb.training.pixels import read_cells

LABELLED = 20.0
"""Percent of an image that must be labelled for a difference on it to count."""
BARE = 2
"""Images shown of those with the least label; of every other rule there is one."""
RULES = ("most without label", "largest gain", "median gain", "largest loss")
GROUND = ("bedrock", "big rock")
"""The "rocky ground" that the paper's baseline takes for sand."""


def answers(profile: str) -> pd.DataFrame:
    """How right both models are on every test image that has a label.

    Returns:
        ``name``, ``unlabelled`` (percent of the image), ``baseline`` and ``ours`` (percent of its labelled pixels that
        are right), ``gain`` (points), ``data``; in the order of the data set.

    Raises:
        RecipeError: one of the two rows was not run.
        DataError: their matrices or the images are not on this machine.
    """
    both = pair(profile)
    found = {series: matrices(line) for series, line in both.items()}
    if list(found["baseline"].index) != list(found["ours"].index):
        raise DataError("the two rows were scored on other images: run both anew on the same data set")
    frame = pd.DataFrame(index=found["ours"].index)
    pixels = found["ours"].sum(axis=1)
    for series, counts in found.items():
        right = counts[[cell for cell in counts.columns if len(set(cell.split(">"))) == 1]].sum(axis=1)
        frame[series] = 100 * right / pixels
    frame.insert(0, "unlabelled", 100 - 100 * pixels / both["ours"].spec.image_size ** 2)
    frame = frame[pixels > 0].assign(gain=lambda f: f["ours"] - f["baseline"])
    measured = both["ours"].measured
    assert measured is not None
    return frame.rename_axis("name").reset_index().assign(data=measured.data)


def matrices(line: Line) -> pd.DataFrame:
    """Confusion matrix of each test image by name, pixels, a column for each ``LABEL>PREDICTION``.

    Args:
        line: of a row that was run.

    Raises:
        DataError: the run's folder is not on this machine.
    """
    measured = line.measured
    assert measured is not None
    path = paths.runs() / measured.run_ids[0] / "matrices.csv"
    if not path.is_file():
        raise DataError(
            f"what {measured.run_ids[0]} says of single images is not on this machine, only its scores: point "
            "MARSNB_RUNS at the folder that has it"
        )
    return read_cells(path)


def choose(frame: pd.DataFrame) -> pd.DataFrame:
    """The images to show, by rule: ``rule`` and the columns of ``frame``; none is shown twice.

    Args:
        frame: lines of `answers`.
    """
    pool = frame[frame["unlabelled"] <= 100 - LABELLED].sort_values("name", kind="stable")
    by_gain = pool.sort_values("gain", kind="stable")
    middle = by_gain.iloc[(by_gain["gain"] - by_gain["gain"].median()).abs().argsort(kind="stable")]
    wanted = {
        RULES[0]: pool.sort_values("unlabelled", ascending=False, kind="stable"),
        RULES[1]: by_gain.iloc[::-1],
        RULES[2]: middle,
        RULES[3]: by_gain,
    }
    rows: list[pd.DataFrame] = []
    taken: set[str] = set()
    for rule, candidates in wanted.items():
        mine = candidates[~candidates["name"].isin(taken)].head(BARE if rule == RULES[0] else 1)
        taken |= set(mine["name"])
        rows.append(mine.assign(rule=rule))
    return pd.concat(rows, ignore_index=True)


def fig13(profile: str) -> Path:
    """Fig. 13: image, label, baseline and ours, for images that are chosen by rule."""
    return make("fig13", profile, lambda of: choose(answers(of)), lambda frame: _draw(frame, profile), images=True)


def _classes(model: Segmenter, images: torch.Tensor) -> NDArray[np.uint8]:
    with torch.inference_mode():
        return model(images).argmax(dim=1).to(torch.uint8).numpy()


def enlarge(mask: Mask, size: int) -> Mask:
    """A mask at another size, each pixel the nearest of the old ones."""
    at = np.arange(size) * len(mask) // size
    return mask[at[:, None], at]


def _draw(frame: pd.DataFrame, profile: str) -> Figure:
    data, arrays, models = trained_pair(profile)
    at = [data.names.index(name) for name in frame["name"]]
    images = to_unit(to_colour(arrays.images[at]))
    predicted = {series: _classes(model, images) for series, model in models.items()}
    fig, axes = plt.subplots(len(frame), 4, figsize=(8.4, 2.25 * len(frame) + 0.6), squeeze=False)
    for y, (i, line) in enumerate(zip(at, frame.to_dict("records"), strict=True)):
        image, mask = data.source.decode(i, SEEN), data.source.mask(i, SEEN)
        shown = [stretched(image), paint(image, mask)]
        shown += [paint(image, enlarge(predicted[series][y], SEEN)) for series in ("baseline", "ours")]
        texts = [line["rule"], f"{line['unlabelled']:.0f} % without label"]
        texts += [f"{line[series]:.1f} % right" for series in ("baseline", "ours")]
        for ax, picture, text in zip(axes[y], shown, texts, strict=True):
            _show(ax, picture, text, GREY)
        colour = BLUE if line["gain"] >= 0 else RED
        axes[y, 3].set_xlabel(f"{texts[3]} ({line['gain']:+.1f})", color=colour, fontsize=8)
    for ax, title in zip(axes[0], ("image", "label", "baseline", "ours"), strict=True):
        ax.set_title(title, fontsize=9, weight="bold")
    legend(fig, data.class_names)
    caption(
        fig,
        f"Chosen by rule among the test images of which at least {LABELLED:.0f} % is labelled: the {BARE} with most "
        "that is not; the largest, the median and the smallest gain of ours over the baseline in pixel accuracy. "
        "Numbers: share of the labelled pixels that is right. A prediction covers every pixel; where the label is "
        f"striped, nothing says whether it is right. First seed. Contrast stretched. Data: {data.name}.",
        width=120,
    )
    return fig


def _show(ax: Axes, picture: NDArray[np.float64], text: str, colour: str) -> None:
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.set_xlabel(text, color=colour, fontsize=8)


def masks_text(profile: str) -> str:
    """How many images gain and lose, and the paper's two examples as numbers over all test images, as Markdown."""
    try:
        frame = answers(profile)
        counts = {series: matrices(line) for series, line in pair(profile).items()}
    except MarsnbError as error:
        return f"{scale_note(profile)}Not counted: {error}."
    gain, many = frame["gain"], frame[frame["unlabelled"] > frame["unlabelled"].median()]
    few = frame.drop(many.index)
    synthetic = "synthetic" in str(frame["data"].iloc[0])
    text = [
        scale_note(profile),
        f"- Of {len(frame):,} test images with a label, ours is better on {(gain > 0).sum():,}, equal on "
        f"{(gain == 0).sum():,} and worse on {(gain < 0).sum():,}. Median gain {gain.median():+.2f} points, largest "
        f"{gain.max():+.1f}, smallest {gain.min():+.1f}.",
        f"- Half with more unlabelled pixels: mean gain {_mean_interval(many['gain'])}; half with fewer: "
        f"{_mean_interval(few['gain'])}. In brackets: 95 % intervals over images.",
    ]
    for what, labels, prediction in (
        ('"The baseline may misclassify rocky ground to be sand"', GROUND, "sand"),
        ('"Recognizing the soil"', ("soil",), "soil"),
    ):
        values = {series: rate(one, labels, prediction) for series, one in counts.items()}
        change = values["ours"] - values["baseline"]
        low, high = np.quantile(change[1:], [0.025, 0.975])
        says = NOT_TESTED if synthetic else "within chance" if low <= 0 <= high else "a difference"
        text.append(
            f"- {what}: of the pixels labelled {' or '.join(labels)}, the baseline takes {values['baseline'][0]:.1f} % "
            f"for {prediction}, ours {values['ours'][0]:.1f} % ({change[0]:+.1f} points, {low:+.1f} to {high:+.1f}): "
            f"{says}."
        )
    return "\n".join(text)


def rate(counts: pd.DataFrame, labels: tuple[str, ...], prediction: str, draws: int = 1000) -> NDArray[np.float64]:
    """Percent of the pixels of some classes that are predicted as one; first of all images, then of resamples of them.

    Args:
        counts: lines of `matrices`.
        labels: classes of the pixels.
        prediction: the class that they are taken for.
        draws: number of resamples; the same images are drawn whatever is asked.
    """
    rng = np.random.default_rng(0)
    times = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), draws)
    times = np.concatenate([np.ones((1, len(counts)), dtype=times.dtype), times])
    mine = [cell for cell in counts.columns if cell.split(">")[0] in labels]
    hit = counts[[cell for cell in mine if cell.split(">")[1] == prediction]].sum(axis=1).to_numpy()
    return 100 * (times @ hit) / np.maximum(times @ counts[mine].sum(axis=1).to_numpy(), 1)


def _mean_interval(values: pd.Series, draws: int = 1000) -> str:
    rng = np.random.default_rng(0)
    means = rng.choice(values.to_numpy(), (draws, len(values))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{values.mean():+.2f} points ({low:+.2f} to {high:+.2f})"
