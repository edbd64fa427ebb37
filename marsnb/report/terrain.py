"""Figures of terrain: areas per class (Fig. 2b), and images with their labels (Fig. 5)."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from marsnb.data.base import Image
from marsnb.data.segmentation import UNLABELLED, Mask, SegmentationData, open_pairs
from marsnb.report.areas import COLUMNS, STOP, class_areas, open_terrain, paper_areas, pixel_areas, shares
from marsnb.report.style import BLACK, BLUE, GREY, ORANGE, PURPLE, RED, YELLOW, caption, make

COLOURS = (PURPLE, BLUE, YELLOW, RED)
"""Of soil, bedrock, sand, big rock: four hues of the palette that colour-blind eyes tell apart well."""
SEEN, STRIPE = 256, 16
"""Edge of a picture shown, and the width of the stripes over what has no label, pixels."""
MATCHED = 32
"""Edge in pixels at which two images are compared."""
SAME_VIEW = 0.8
"""Correlation of the relief from which two images of one stop of the rover count as the same view."""
ENOUGH = 0.3
"""Share of the pixels that both masks must label for a comparison."""
MIXED = "much of one class"
TWINS = "the same view twice"
_UNLIKE = (
    "Pixels on which the annotators of one image disagreed are published without a label, and count here for nothing."
)


def fig02b(profile: str) -> Path:
    """Fig. 2b: share of each class in the labelled area, train and validation against test, with the paper's."""
    return make("fig02b", profile, _build_02b, _draw_02b)


def _build_02b(profile: str) -> pd.DataFrame:
    frame, (_, paper) = class_areas(profile), paper_areas()
    theirs = pd.DataFrame(paper, index=list(COLUMNS)).T.reindex(frame["class"])
    data = open_terrain(profile)
    images = {"train_val": len(data.train) + len(data.val), "test": len(data.test)}
    for split in COLUMNS:
        frame[f"{split}_share"] = shares(frame[split].to_numpy())
        frame[f"{split}_paper_share"] = shares(theirs[split].to_numpy())
        frame[f"{split}_images"] = images[split]
    return frame


def _draw_02b(frame: pd.DataFrame) -> Figure:
    at = np.arange(len(frame))[::-1]
    fig, ax = plt.subplots(figsize=(7, 3.6))
    for split, offset, colour, label in (
        ("train_val", 0.2, BLUE, "train and validation"),
        ("test", -0.2, ORANGE, "test"),
    ):
        share, paper = frame[f"{split}_share"], frame[f"{split}_paper_share"]
        label = f"{label} ({int(frame[f'{split}_images'].iloc[0]):,} images)"
        ax.barh(at + offset, share, height=0.38, color=colour, label=label)
        mark = "paper, Table 2" if split == "test" else None
        ax.plot(paper, at + offset, "D", color=BLACK, mfc="white", ms=4.5, mew=1.1, linestyle="none", label=mark)
        for y, mine, theirs in zip(at + offset, share, paper, strict=True):
            text = f"{mine:.1f} (paper {theirs:.1f})" if mine >= 5 else f"{mine:.2f} (paper {theirs:.2f})"
            ax.text(max(mine, theirs) + 1, y, text, va="center", fontsize=7.5, color=GREY)
    ax.set_yticks(at, frame["class"])
    ax.set_xlim(0, 1.25 * frame.filter(like="_share").to_numpy().max())
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("share of the labelled area of the split (%)")
    ax.set_title("Class areas, train and validation against test (Fig. 2b)")
    ax.legend(loc="lower right")
    caption(fig, f"Sols 1 to 1486 against sol 1487 on. Data: {frame['data'].iloc[0]}.")
    return fig


def stretched(image: Image) -> NDArray[np.float64]:
    """An image in grey with its darkest and brightest hundredth cut off: much of Navcam is dark.

    Shape:
        Input: ``(H, W, 1)`` or ``(H, W, 3)``, uint8. Output: ``(H, W)``, 0 to 1.
    """
    grey = image.mean(axis=-1)
    low, high = np.percentile(grey, (1, 99))
    return np.clip((grey - low) / max(high - low, 1), 0, 1)


def paint(image: Image, mask: Mask, *, strength: float = 0.6) -> NDArray[np.float64]:
    """An image under the colours of its labels; where it has none it stays grey under dark and light stripes.

    Args:
        image: ``(H, W, 1)`` or ``(H, W, 3)``, uint8.
        mask: ``(H, W)``, codes 0 .. 3 and 255.
        strength: how much of a labelled pixel is its colour, 0 to 1.

    Shape:
        Output: ``(H, W, 3)``, 0 to 1.
    """
    grey = 0.15 + 0.85 * stretched(image)[..., None]  # (H, W, 1); no colour turns black
    table = np.zeros((256, 3))
    table[: len(COLOURS)] = [to_rgb(colour) for colour in COLOURS]
    colours = table[mask]  # (H, W, 3)
    rows, columns = np.indices(mask.shape)
    bare = mask == UNLABELLED
    colours[bare & ((rows + columns) // (STRIPE // 2) % 2 == 0)] = 1  # white; the stripes between them stay black
    weight = np.where(bare, 0.4, strength)[..., None]  # (H, W, 1)
    return (1 - weight) * grey + weight * colours


def legend(fig: Figure, names: tuple[str, ...]) -> None:
    """What the colours of ``paint`` mean, in one line above the pictures."""
    handles = [Patch(facecolor=colour, label=name) for name, colour in zip(names, COLOURS, strict=False)]
    handles.append(Patch(facecolor=GREY, edgecolor="white", hatch="////", label="no label"))
    fig.legend(handles=handles, loc="outside upper center", ncols=len(handles), handlelength=1.6)


def fig05(profile: str) -> Path:
    """Fig. 5: images and labels; and the views that were labelled twice, where the two labels are furthest apart."""
    return make("fig05", profile, _choose_05, lambda frame: _draw_05(frame, open_terrain(profile)), images=True)


def twins(data: SegmentationData) -> pd.DataFrame:
    """Images of the same view: taken at one stop of the rover, with nearly the same relief.

    The relief is the logarithm of the grey values without the mean of each row and column, so that a bright sky over
    dark ground, which most images have, does not make two of them alike.
    Each image has a label of its own: how far the two agree says how far a label can be trusted.

    Returns:
        Columns ``first, second`` (positions in ``data.source``), ``correlation``, ``disagreement`` (% of the pixels
        that both label), the furthest apart first.
    """
    images, masks = open_pairs(data.source, MATCHED)
    relief = np.log1p(images.mean(axis=-1, dtype=np.float32))  # (N, H, W)
    for axis in (2, 1):
        relief -= relief.mean(axis=axis, keepdims=True)
    flat = relief.reshape(len(images), -1)  # (N, pixels)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True) + 1e-6
    stops = defaultdict(list)
    for i, name in enumerate(data.names):
        if match := STOP.search(name):
            stops[match[1]].append(i)
    found = []
    for members in stops.values():
        alike = flat[members] @ flat[members].T  # (n, n)
        for a, b in np.argwhere(np.triu(alike, 1) > SAME_VIEW):
            i, j = members[a], members[b]
            both = (masks[i] != UNLABELLED) & (masks[j] != UNLABELLED)
            if both.mean() > ENOUGH:
                apart = 100 * float((masks[i] != masks[j])[both].mean())
                found.append((i, j, float(alike[a, b]), apart))
    frame = pd.DataFrame(found, columns=["first", "second", "correlation", "disagreement"])
    return frame.sort_values(["disagreement", "first"], ascending=[False, True], ignore_index=True)


def _choose_05(profile: str) -> pd.DataFrame:
    data = open_terrain(profile)
    counts = pixel_areas(profile)
    part = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # (N, C + 1), percent of the image
    mixed = (part[:, :-1] >= 2).sum(axis=1) >= 3
    rows: list[dict[str, object]] = []
    for label, name in enumerate(data.class_names):
        candidates = [i for i in data.train if mixed[i] and data.names[i] not in {row["name"] for row in rows}]
        if candidates:
            i = max(candidates, key=lambda i: part[i, label])
            rows.append({"rule": MIXED, "text": f"{name}: {part[i, label]:.0f} % of the image", "name": data.names[i]})
    pairs, seen = twins(data), set[str]()
    for pair in pairs.to_dict("records"):
        one, two = data.names[int(pair["first"])], data.names[int(pair["second"])]
        stop = str(STOP.search(one)[1])  # type: ignore[index]
        if len(seen) < 2 and stop not in seen:
            seen.add(stop)
            text = f"one view, labels {pair['disagreement']:.0f} % apart"
            rows += [{"rule": TWINS, "text": text, "name": name} for name in (one, two)]
    return pd.DataFrame(rows, columns=["rule", "text", "name"]).assign(data=data.name)


def _show(image_ax: Axes, label_ax: Axes, data: SegmentationData, name: str, text: str) -> None:
    i = data.names.index(name)
    image, mask = data.source.decode(i, SEEN), data.source.mask(i, SEEN)
    image_ax.imshow(stretched(image), cmap="gray", vmin=0, vmax=1)
    label_ax.imshow(paint(image, mask))
    image_ax.set_title(text, fontsize=8)


def _draw_05(frame: pd.DataFrame, data: SegmentationData) -> Figure:
    rules = [rule for rule in (MIXED, TWINS) if (frame["rule"] == rule).any()]
    fig, axes = plt.subplots(2 * len(rules), 4, figsize=(8.4, 4.4 * len(rules)), squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for k, rule in enumerate(rules):
        for column, line in enumerate(frame[frame["rule"] == rule].to_dict("records")):
            _show(axes[2 * k, column], axes[2 * k + 1, column], data, line["name"], line["text"])
    legend(fig, data.class_names)
    caption(
        fig,
        "Above: per class the training image with most of it, among those with three classes of at least 2 % of the "
        "image. Below: two pairs of images of one view, taken at one stop of the rover, whose labels are furthest "
        f"apart (in percent of the pixels that both label). Contrast stretched. Data: {data.name}.",
    )
    return fig


def agreement(profile: str) -> str:
    """How far the labels of one view agree, as Markdown."""
    data = open_terrain(profile)
    pairs = twins(data)
    if pairs.empty:
        return "- **How far labels agree** cannot be said: no view is there twice."
    apart = pairs["disagreement"]
    return (
        f"- **How far labels agree.** {len(pairs):,} pairs of images show one view, taken from one stop of the rover. "
        f"Where both have a label, the two differ on {apart.mean():.1f} % of the pixels on average; "
        f"{(apart == 0).sum():,} pairs agree everywhere, {(apart > 10).sum():,} differ on more than 10 %. "
        + ("The generator drew these errors." if data.synthetic else _UNLIKE)
    )
