"""Fig. 10: what the paper's model gets wrong."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from marsnb.data.base import ClassificationData
from marsnb.errors import DataError, MarsnbError
from marsnb.report.counts import open_data
from marsnb.report.examples import COLUMNS, grid, row_of
from marsnb.report.quality import (
    MEASURES,
    NOT_TESTED,
    SURE,
    VERY_LOW,
    answers,
    beyond_classes,
    p_text,
    pair,
    pick,
    very_low,
    with_quality,
)  # fmt: skip
from marsnb.report.sentences import scale_note
from marsnb.report.style import BLACK, GREY, RED, make

INLET, GROUND = "inlet", "ground"
"""The class that the paper calls particularly low, and the one that it says failures tend to."""
CONFIDENT = 0.9
"""Confidence from which a wrong answer is called sure: our bound."""


def fig10(profile: str) -> Path:
    """Fig. 10: failures of ours: the surest, those on the worst images, *inlet*, and those taken for *ground*."""
    return make("fig10", profile, _choose, lambda frame: _draw(frame, open_data(profile)), images=True)


def _choose(profile: str) -> pd.DataFrame:
    seed, frame = next(iter(answers(profile).items()))
    frame = with_quality(profile, frame).sort_values("ours_confidence", ascending=False, kind="stable")
    data, errors = str(frame["data"].iloc[0]), frame[frame["ours"] != frame["class"]]
    inlet, ground = errors[errors["class"] == INLET], errors[errors["ours"] == GROUND]
    images = int((frame["class"] == INLET).sum())
    why = f"none of its {images} test images is wrong" if images else "it has no test image"
    rows = [
        row_of("The surest errors", errors, pick(errors, COLUMNS), data),
        row_of("Errors on the worst images", errors, _worst(errors), data),
        row_of(f"Errors on {INLET}", inlet, pick(inlet, COLUMNS, near="frame"), data, why),
        row_of(f"Taken for {GROUND}", ground, pick(ground, COLUMNS, balanced=True), data),
    ]
    return pd.concat(rows, ignore_index=True).assign(seed=seed)


def _worst(errors: pd.DataFrame) -> pd.DataFrame:
    """As many errors by each measure, worst first, no command sequence twice."""
    chosen: list[pd.DataFrame] = []
    left = errors
    for m in MEASURES:
        ordered = left.sort_values(m.key, ascending=m.sign < 0, kind="stable")
        mine = pick(ordered, COLUMNS // len(MEASURES))
        chosen.append(mine.assign(note=mine[m.key].map(m.unit.format)))
        left = left[~left["sequence"].isin(mine["sequence"])]
    return pd.concat(chosen)


def _draw(frame: pd.DataFrame, data: ClassificationData) -> Figure:
    rules = "; ".join(f"{m.title}: {m.rule}" for m in MEASURES)
    text = (
        "Errors of ours (Table 4's final row), chosen by rule. Rows 1, 3 and 4: the surest first. Row 2: the worst "
        f"{COLUMNS // len(MEASURES)} by each measure ({rules}). A command sequence is shown once in a row, in that of "
        f"{INLET} a frame; in the last row classes take turns. In brackets: errors to choose from. "
        f"Seed {frame['seed'].iloc[0]}. Data: {data.name}."
    )
    return grid(frame, data, text, _cell)


def _cell(line: dict[str, Any]) -> list[tuple[str, str]]:
    more = [(line["note"], GREY)] if isinstance(line["note"], str) else []
    said = f"ours: {line['ours']} ({100 * line['ours_confidence']:.0f} %)"
    return [(f"true: {line['class']}", BLACK), (said, RED), *more]


def failures_text(profile: str) -> str:
    """How many errors there are, and whether they are those that the paper tells of, as Markdown."""
    try:
        frame = next(iter(answers(profile).values()))
    except MarsnbError as error:
        return f"{scale_note(profile)}Not counted: {error}."
    synthetic = any(line.synthetic for line in pair(profile).values())
    wrong, was_wrong = (frame[who] != frame["class"] for who in ("ours", "baseline"))
    sure = wrong & (frame["ours_confidence"] >= CONFIDENT)
    text = [
        f"{scale_note(profile)}- Ours is wrong on {wrong.sum():,} of {len(frame):,} test images "
        f"({100 * wrong.mean():.1f} %). The baseline is wrong on {(wrong & was_wrong).sum():,} of these too. Ours is "
        f"sure of {sure.sum():,} of its errors (confidence {100 * CONFIDENT:.0f} % or more)."
    ]
    text += [_inlet(frame, synthetic), _ground(frame, synthetic)]
    try:
        text.append(_low_quality(with_quality(profile, frame), synthetic))
    except DataError as error:
        text.append(f"- Nothing is said by image quality: {error}.")
    return "\n".join(text)


def _inlet(frame: pd.DataFrame, synthetic: bool) -> str:
    mine = frame[frame["class"] == INLET]
    head = f'- The paper: the accuracy of *{INLET}* "is particularly low". Here '
    if mine.empty:
        return f"{head}it has no test image: not tested."
    right = {who: int((mine[who] == INLET).sum()) for who in ("baseline", "ours")}
    by_class = (frame["ours"] == frame["class"]).groupby(frame["class"]).mean()
    lower = int((by_class < by_class[INLET]).sum())
    verdict = NOT_TESTED if synthetic else ("agrees" if lower <= len(by_class) // 4 else "does not agree")
    taken = mine["ours"][mine["ours"] != INLET].value_counts()
    instead = f"; most often taken for *{taken.index[0]}* ({taken.iloc[0]})" if len(taken) else ""
    ours = f"ours on {right['ours']} of {len(mine)}"
    return (
        f"{head}the baseline is right on {right['baseline']} and {ours}{instead}; {lower} of {len(by_class)} classes "
        f"are lower: {verdict}."
    )


def _ground(frame: pd.DataFrame, synthetic: bool) -> str:
    head = f"- The paper: failures tend to be taken for *{GROUND}*. Here "
    errors = frame[(frame["ours"] != frame["class"]) & (frame["class"] != GROUND)]
    if errors.empty:
        return f"{head}no image of another class is wrong: not tested."
    taken = errors["ours"].value_counts()
    n, rank = int(taken.get(GROUND, 0)), int((taken > taken.get(GROUND, 0)).sum()) + 1
    verdict = NOT_TESTED if synthetic else ("agrees" if rank == 1 else "does not agree")
    others = f", after *{taken.index[0]}* ({taken.iloc[0]})" if rank > 1 else ""
    share = f"{n} of the {len(errors)} errors on other classes ({100 * n / len(errors):.1f} %)"
    return f"{head}that holds for {share}, number {rank} of the wrong answers{others}: {verdict}."


def _low_quality(frame: pd.DataFrame, synthetic: bool) -> str:
    wrong = (frame["ours"] != frame["class"]).astype(float)
    text = [
        f'- The paper: ours "cannot cope with extremely low image quality". It errs on {100 * wrong.mean():.1f} % of '
        "all "
        f"images. On the worst {VERY_LOW} % by each measure, beside what their classes alone would give:"
    ]
    for m in MEASURES:
        part = very_low(frame, m)
        by_class, p = beyond_classes(frame, wrong, part)
        rate, scenes = float(wrong[part].mean()), frame["sequence"][part].nunique()
        more = "agrees" if rate > by_class else "does not agree"
        verdict = NOT_TESTED if synthetic else (more if p < SURE else "cannot be told")
        text.append(
            f"    - {m.title}: {100 * rate:.1f} % of {part.sum()} images in {scenes} command sequences (by their "
            "classes "
            f"{100 * by_class:.1f} %, {p_text(p)}): {verdict}."
        )
    return "\n".join(text)
