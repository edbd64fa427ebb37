"""What the numbers of the online pseudo labels say: a table per threshold, and sentences."""

import pandas as pd

from marsnb.models.pseudo_labels import THRESHOLD
from marsnb.recipes import load_profile
from marsnb.report.measured import PERCENT, measure, runs_of
from marsnb.report.pseudo import ALL, ends, filled_last, last, mean, seen, thresholds
from marsnb.report.readings import reading
from marsnb.report.sentences import scale_note
from marsnb.report.steps import JOINT, PSEUDO, scored
from marsnb.training import ledger
from marsnb.training.spec import row_runs


def threshold_table(profile: str) -> str:
    """Coverage, precision and errors per threshold, before the first pseudo label and at the end, as Markdown."""
    frame = seen(profile)
    before, after = _around(frame)
    head = (
        "| Threshold | Covered, epoch {0} | Right, epoch {0} | Covered, epoch {1} | Right, epoch {1} | Wrong of all, "
    )
    head += "epoch {1} | Filled while training | mIoU with it | Paper's mIoU |"
    text = [scale_note(profile), head.format(before, after), "|---:|" + "---:|" * 8]
    scores = _scores(profile)
    for threshold in thresholds(frame):
        covered, right = (mean(frame, what, threshold) for what in ("coverage", "precision"))
        cells = [_text(values.get(epoch)) for epoch in (before, after) for values in (covered, right)]
        sure, share = covered.get(after), right.get(after)
        wrong = None if sure is None or share is None else sure * (PERCENT - share) / PERCENT
        ours, paper = scores.get(threshold, (None, None))
        cells += [_text(wrong), _text(filled_last(frame, threshold)), _text(ours, 2), _text(paper, 2)]
        text.append(f"| {threshold:g} | {' | '.join(cells)} |")
    text.append(
        "\nAll in percent. Covered and wrong: of the labelled pixels of held-out images; right: of the covered ones; "
        f"filled: of the unlabelled training elements, in the last epoch of a run with that threshold. Epoch {before} "
        f"is the last scored without pseudo labels. {scored(load_profile(profile).segmentation.get('curve_images'))}"
    )
    return "\n".join(text)


def _around(frame: pd.DataFrame) -> tuple[int, int]:
    """The last scored epoch before pseudo labels, and the last of all."""
    found = ends(frame)
    return found[JOINT], found[PSEUDO]


def _text(value: float | None, digits: int = 1) -> str:
    return "" if value is None or pd.isna(value) else f"{value:.{digits}f}"


def _scores(profile: str) -> dict[float, tuple[float | None, float]]:
    """Test mIoU of each row of Table 10, measured and the paper's, by threshold."""
    book, found = ledger.read(profile), {}
    for row, key, _ in row_runs(10, profile):
        mine = measure(book, key, "miou") if len(runs_of(book, key)) else None
        found[float(row.label)] = (mine.mean if mine else None, row.also["miou"].mean)
    return found


def what_we_see(profile: str) -> str:
    """What the numbers say about coverage, about the classes, and about "better and better", as Markdown."""
    frame = seen(profile)
    found = [_better(profile, frame), _price(frame), *_classes(frame), _filled(frame)]
    text = [scale_note(profile), *(f"- {sentence}" for sentence in found if sentence)]
    text.append(
        "\nAll this is measured where there is a label. Pseudo labels go where there is none: where annotators "
        "disagreed, far away, or on the rover. Expect them to be right less often there; no label can tell."
    )
    return "\n".join(text)


def _better(profile: str, frame: pd.DataFrame) -> str:
    """The paper: "better and better label estimates" as training goes on."""
    before, after = _around(frame)
    covered, right = (mean(frame, what, THRESHOLD) for what in ("coverage", "precision"))
    at = f"At the paper's threshold, {THRESHOLD:g}, "
    if covered.get(after, 0.0) == 0:
        return f"{at}nothing is covered after epoch {after}: no pseudo label is left."
    sentence = f"{at}{covered[after]:.1f} % of the pixels are covered after epoch {after}, and {right[after]:.1f} % of "
    sentence += "these are right. "
    if before not in right.index:
        return f"{sentence}Nothing was covered after epoch {before}, the last without pseudo labels."
    gains = covered[after] - covered[before], right[after] - right[before]
    return (
        f"{sentence}Since epoch {before}, the last without pseudo labels, coverage changed by {gains[0]:+.1f} points "
        f"and precision by {gains[1]:+.1f}. That estimates get better and better, which would be both: "
        f"{reading(profile, 'better-labels')}. The verdict is that of notebook 19, which asks whether they get better "
        "by more than the curves waver."
    )


def _price(frame: pd.DataFrame) -> str:
    """What a lower threshold costs."""
    covered, right = (last(frame, what).loc[ALL] for what in ("coverage", "precision"))
    known = right.dropna().index  # the thresholds that cover anything, the strictest first
    if len(known) < 2:
        return ""
    strict, loose = known[0], known[-1]
    wrong = covered * (PERCENT - right) / PERCENT
    more = covered[loose] - covered[strict]
    added = PERCENT * (1 - (wrong[loose] - wrong[strict]) / more) if more > 0 else 0.0
    return (
        f"From {strict:g} down to {loose:g}, {covered[strict]:.1f} % become {covered[loose]:.1f} % covered, and "
        f"{wrong[strict]:.1f} become {wrong[loose]:.1f} wrong pixels among each 100: of the pixels that the lower "
        f"threshold adds, {added:.1f} % are right."
    )


def _classes(frame: pd.DataFrame) -> list[str]:
    """The most and the least reliable class at the paper's threshold, and those that get none."""
    right, covered = (last(frame, what).drop(ALL)[THRESHOLD] for what in ("precision", "coverage"))
    known = right.dropna().sort_values()
    text = []
    if len(known) > 1:
        worst, best = known.index[0], known.index[-1]
        text.append(
            f"At {THRESHOLD:g}, *{best}* is right most often ({known[best]:.1f} %), *{worst}* least "
            f"({known[worst]:.1f} %). *{covered.idxmax()}* makes {PERCENT * covered.max() / covered.sum():.0f} % of "
            "all that is covered."
        )
    absent = [str(name) for name in covered.index if not covered[name] > 0]
    if absent:
        text.append(f"Never given as a pseudo label at {THRESHOLD:g}: {', '.join(f'*{name}*' for name in absent)}.")
    return text


def _filled(frame: pd.DataFrame) -> str:
    """How much of the unlabelled training elements each threshold filled in the end."""
    parts = [(t, filled_last(frame, t)) for t in thresholds(frame)]
    known = [f"{share:.1f} % at {threshold:g}" for threshold, share in parts if share is not None]
    return (
        f"Of the unlabelled elements of the training images, the last epoch fills {', '.join(known)}." if known else ""
    )
