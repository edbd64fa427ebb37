"""Fig. 9: images that the paper's model gets right and the baseline does not, and the other way round."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from marsnb.data.base import ClassificationData
from marsnb.errors import DataError, MarsnbError
from marsnb.report.counts import open_data
from marsnb.report.images import SEEN
from marsnb.report.measured import PERCENT
from marsnb.report.quality import (  # fmt: skip
    MEASURES,
    NOT_TESTED,
    SURE,
    THIRDS,
    VERY_LOW,
    Measure,
    answers,
    beyond_classes,
    changes,
    mcnemar,
    p_text,
    pair,
    pick,
    position,
    scenes,
    thirds,
    very_low,
    with_quality,
)
from marsnb.report.sentences import scale_note
from marsnb.report.style import BLACK, BLUE, GREY, RED, caption, make

COLUMNS = 6
"""Images in a row."""
GAP_CLASS = "drt side"
"""Class whose gap between train and test the paper says is narrowed."""
ROUNDING = 0.001
"""Points by which an accuracy may be off for the digits that the ledger keeps."""
Cell = Callable[[dict[str, Any]], list[tuple[str, str]]]
"""From a line of a figure of images to the text under its image, each line of it with its colour."""


def attempt(draw: Callable[[str], Path], profile: str) -> tuple[Path | None, str]:
    """A figure's path, or why it cannot be drawn here, as a sentence with the fix; one of the two is empty."""
    try:
        return draw(profile), ""
    except MarsnbError as error:
        return None, f"> Not drawn: {error}."


def row_of(title: str, pool: pd.DataFrame, chosen: pd.DataFrame, data: str, empty: str = "none") -> pd.DataFrame:
    """The lines of one row of a figure of images; a row without images keeps one line without a name.

    Args:
        title: of the row.
        pool: the images it was chosen from.
        chosen: the images it shows; a column ``note`` is printed under each.
        data: name of the data set.
        empty: what is printed where there is no image.
    """
    if chosen.empty:
        return pd.DataFrame([{"row": title, "of": len(pool), "data": data, "note": empty}])
    columns = ["name", "class", "baseline", "baseline_confidence", "ours", "ours_confidence", "note"]
    return chosen.reindex(columns=columns).assign(row=title, of=len(pool), data=data)


def grid(frame: pd.DataFrame, data: ClassificationData, text: str, cell: Cell) -> Figure:
    """Draw rows of images with lines of coloured text under them.

    Args:
        frame: lines of ``row_of``.
        data: where the images are.
        text: the caption.
        cell: what to write under an image.
    """
    rows, at = list(dict.fromkeys(frame["row"])), position(data)
    engine = ConstrainedLayoutEngine(h_pad=0.12)  # else a row's text touches the next row's title
    size = (1.75 * COLUMNS, 2.45 * len(rows))
    fig, axes = plt.subplots(len(rows), COLUMNS, figsize=size, squeeze=False, layout=engine)
    for ax in axes.flat:
        ax.set_axis_off()
    for y, title in enumerate(rows):
        lines = frame[frame["row"] == title].to_dict("records")
        _above(axes[y, 0], f"{title} ({lines[0]['of']:,})")
        if pd.isna(lines[0].get("name")):
            axes[y, 0].text(0, 0.9, lines[0]["note"], fontsize=8, color=GREY, va="top")
            continue
        for x, line in enumerate(lines):
            axes[y, x].imshow(data.source.decode(at[str(line["name"])], SEEN))
            _below(axes[y, x], cell(line))
    caption(fig, text, width=165)
    return fig


def _above(ax: Axes, text: str) -> None:
    """A row's title: it may be wider than its first image without pushing the others away."""
    ax.set_title(" ", fontsize=9)  # keeps its height free
    title = ax.annotate(text, (0, 1), (0, 5), "axes fraction", "offset points", fontsize=9, weight="bold")
    title.set_in_layout(False)


def _below(ax: Axes, lines: list[tuple[str, str]]) -> None:
    for k, (text, colour) in enumerate(lines):
        ax.annotate(
            text, (0.5, 0), (0, -3 - 9.5 * k), "axes fraction", "offset points", ha="center", va="top", fontsize=7,
            color=colour,
        )  # fmt: skip


def fig09(profile: str) -> Path:
    """Fig. 9: what ours gets right and the baseline wrong, by a rule per row, and what it is the other way round."""
    return make("fig09", profile, _choose, lambda frame: _draw(frame, open_data(profile)), images=True)


def _choose(profile: str) -> pd.DataFrame:
    seed, frame = next(iter(answers(profile).items()))
    frame = with_quality(profile, frame)
    data, change = str(frame["data"].iloc[0]), changes(frame)
    rows = []
    for m in MEASURES:
        pool = frame[(change > 0) & (thirds(frame, m) == 2)].sort_values(m.key, ascending=m.sign < 0, kind="stable")
        pool = pool.assign(note=pool[m.key].map(m.unit.format))
        rows.append(row_of(f"Fixed, worst third by {m.title}", pool, pick(pool, COLUMNS, balanced=True), data))
    sure = frame.sort_values("ours_confidence", ascending=False, kind="stable")
    for title, chosen in (
        (f"Fixed, {GAP_CLASS}", (change > 0) & (frame["class"] == GAP_CLASS)),
        ("Fixed, other classes", (change > 0) & (frame["class"] != GAP_CLASS)),
        ("Broken: only the baseline is right", change < 0),
    ):
        pool = sure[chosen.loc[sure.index]]
        rows.append(row_of(title, pool, pick(pool, COLUMNS, balanced=True), data))
    return pd.concat(rows, ignore_index=True).assign(seed=seed)


def _draw(frame: pd.DataFrame, data: ClassificationData) -> Figure:
    rules = "; ".join(f"{m.title}: {m.rule}" for m in MEASURES)
    text = (
        "Fixed: ours (Table 4's final row) is right, the baseline wrong. Every row is chosen by rule. Rows 1-3: of the "
        f"worst third of the test images, the worst first ({rules}). Rows 4-6: those that ours is surest of first. "
        "Classes take turns, and a command sequence, hence a frame, is shown once in a row. In brackets: images to "
        f"choose from. Seed {frame['seed'].iloc[0]}. Data: {data.name}."
    )
    return grid(frame, data, text, _cell)


def _cell(line: dict[str, Any]) -> list[tuple[str, str]]:
    truth = line["class"]
    said = [(f"{who}: {line[who]}", BLUE if line[who] == truth else RED) for who in ("baseline", "ours")]
    more = [(line["note"], GREY)] if isinstance(line["note"], str) else []
    return [(f"true: {truth}", BLACK), *said, *more]


def examples_text(profile: str) -> str:
    """How many images ours fixes and breaks, and what the image quality has to do with it, as Markdown."""
    try:
        found = answers(profile)
    except MarsnbError as error:
        return f"{scale_note(profile)}Not counted: {error}."
    frame = next(iter(found.values()))
    synthetic = any(line.synthetic for line in pair(profile).values())
    text = [scale_note(profile) + _both_ways(found), *_other_runs(found, profile), _classes(frame, synthetic)]
    try:
        text.append(_by_quality(with_quality(profile, frame), synthetic))
    except DataError as error:
        text.append(f"Nothing is said by image quality: {error}.")
    return "\n\n".join(text)


def _both_ways(found: dict[int, pd.DataFrame]) -> str:
    text = [
        "| Seed | Counted | n | Both right | Only ours: fixed | Only baseline: broken | Both wrong | Exact McNemar |",
        "|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for seed, frame in found.items():
        for what, part in (("images", frame), ("frames (first image of each)", frame.drop_duplicates("frame"))):
            change = changes(part)
            fixed, broken = int((change > 0).sum()), int((change < 0).sum())
            right = int(((change == 0) & (part["ours"] == part["class"])).sum())
            wrong = len(part) - right - fixed - broken
            cells = " | ".join(f"{count:,}" for count in (len(part), right, fixed, broken, wrong))
            text.append(f"| {seed} | {what} | {cells} | {p_text(mcnemar(fixed, broken))} |")
    frame = next(iter(found.values()))
    better, worse = scenes(frame)
    p = mcnemar(better, worse)
    text.append(
        "\nImages of one command sequence mostly show one scene, so a test on images is too sure of itself. By command "
        f"sequences, ours gains on {better} and loses on {worse} of {frame['sequence'].nunique()} (sign test, "
        f"{p_text(p)}): "
        f"{'more than chance' if p < SURE else 'no more than chance can do'}."
    )
    return "\n".join(text)


def _other_runs(found: dict[int, pd.DataFrame], profile: str) -> list[str]:
    """A word on answers that are not those of the ledger's run: with other threads the same run ends elsewhere."""
    text = []
    for series, line in pair(profile).items():
        here = PERCENT * float(np.mean([(frame[series] == frame["class"]).mean() for frame in found.values()]))
        if line.measured and len(found) == line.measured.n and abs(here - line.measured.mean) > ROUNDING:
            text.append(
                f"> These answers of *{series}* are right on {here:.2f} %, those of the ledger's run on "
                f"{line.measured.mean:.2f} %: it was trained again since, maybe with another number of threads."
            )
    return text


def _classes(frame: pd.DataFrame, synthetic: bool) -> str:
    change = changes(frame)
    parts = []
    for what, sign in (("fixes", 1), ("breaks", -1)):
        counts = frame["class"][change == sign].value_counts()
        most = ", ".join(f"*{name}* {n}" for name, n in counts.head(4).items())
        parts.append(f"{what} {counts.sum()} images" + (f" (most: {most})" if len(counts) else ""))
    text = [f"- Ours {' and '.join(parts)}."]
    mine = frame[frame["class"] == GAP_CLASS]
    if len(mine):
        was, now = ((mine[who] == GAP_CLASS).sum() for who in ("baseline", "ours"))
        verdict = NOT_TESTED if synthetic else ("narrowed here too" if now > was else "not narrowed here")
        text.append(
            f"- The paper: the gap of *{GAP_CLASS}* is narrowed. Of its {len(mine)} images the baseline is right on "
            f"{was}, ours on {now}: {verdict}."
        )
    return "\n".join(text)


def _by_quality(frame: pd.DataFrame, synthetic: bool) -> str:
    """Accuracy by quality; what the classes of the images would gain anyway stands beside it."""
    change = changes(frame)
    text = [
        "| Measure | Images | Values | n | Baseline (%) | Ours (%) | Gain (points) | Gain by classes alone |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    verdicts = []
    for m in MEASURES:
        third = thirds(frame, m)
        parts = {THIRDS[k]: third == k for k in np.unique(third)} | {f"worst {VERY_LOW} %": very_low(frame, m)}
        for what, part in parts.items():
            was, now = (100 * (frame[who] == frame["class"])[part].mean() for who in ("baseline", "ours"))
            values, by_class = frame[m.key][part], 100 * beyond_classes(frame, change, part)[0]
            text.append(
                f"| {m.title} | {what} | {values.min():.2f} to {values.max():.2f} | {part.sum():,} | {was:.1f} | "
                f"{now:.1f} | {now - was:+.1f} | {by_class:+.1f} |"
            )
        verdicts.append(_robust(m, frame, third == third.max(), synthetic))
    rules = " ".join(f"*{m.title.capitalize()}*: {m.rule}." for m in MEASURES)
    note = (
        f"{rules} *Gain by classes alone*: what these images would gain if each gained the mean of its class; quality "
        "matters where the gain is another."
    )
    head = (
        "The paper: its model is more robust to over-exposure, colour channel error and low resolution. Here, with a p "
        "that counts command sequences, not images:"
    )
    return "\n".join([*text, "", note, "", head, "", *verdicts])


def _robust(measure: Measure, frame: pd.DataFrame, worst: NDArray[np.bool_], synthetic: bool) -> str:
    change = changes(frame)
    mine, hit = change[worst], change[very_low(frame, measure)]
    better, lost = scenes(frame[worst])
    p = mcnemar(better, lost)
    by_class, p_class = beyond_classes(frame, change, worst)
    if synthetic:
        says = NOT_TESTED
    elif p >= SURE:
        says = "no more than chance can do"
    elif better < lost:
        says = "less robust"
    else:
        more = mine.mean() > by_class and p_class < SURE
        says = "more robust, beyond what its classes explain" if more else "better, but its classes explain it"
    return (
        f"- {measure.title}: in the worst third ours fixes {(mine > 0).sum()} and breaks {(mine < 0).sum()} images "
        f"({p_text(p)}; beyond its classes, {p_text(p_class)}): {says}. In the worst {VERY_LOW} % it fixes "
        f"{(hit > 0).sum()} and breaks {(hit < 0).sum()} of {len(hit)}."
    )
