"""What Tables 9 to 11 show, in sentences made from the ledger."""

from itertools import pairwise
from statistics import median

import pandas as pd

from marsnb.report.effects import CHOICES, effects
from marsnb.report.layout import NAMES, number_text
from marsnb.report.measured import PERCENT, Line, by_metric
from marsnb.report.sentences import scale_note
from marsnb.training.segmentation_metrics import acc_if_even

HOW = {
    "paired": "95 % bootstrap interval over test images, the same images drawn for both rows",
    "apart": "interval from the two rows' own, as if they had seen different images, which makes it too wide",
    "seeds": "95 % interval of the difference over seeds (Student's t)",
}
LEFT_OUT = {
    "without-joint": "contrast and pseudo labels",
    "without-pretraining": "pretraining",
    "without-pseudo-labels": "pseudo labels",
}
"""Rows of Table 9 that lack one step of the final method, and which."""
ORDER = {
    10: ("as the threshold falls, ACC and mIoU fall", -1, ("acc", "miou")),
    11: ("as the weight falls, ACC rises", 1, ("acc",)),
}
"""What section 7.3 says of the order of the sweeps' rows, which the paper prints from the largest value down."""
MISPRINT = 0.3
"""Points by which an ACC must be off what its own FACC implies, to be called a likely misprint."""


def differs(line: pd.Series) -> bool:
    """Whether the interval of a difference excludes 0."""
    return bool(line["low"] > 0 or line["high"] < 0)


def _cell(line: pd.Series) -> str:
    if pd.isna(line["measured"]):
        return str(line["how"])
    text = f"{line['measured']:+.2f}"
    if pd.notna(line["low"]):
        text += f" [{line['low']:+.2f}, {line['high']:+.2f}]"
    return f"**{text}**" if differs(line) else text


def effects_table(number: int, profile: str, frame: pd.DataFrame) -> str:
    """Differences between rows of Table 8, 9, 10 or 11, the paper's and the measured ones, as Markdown.

    Args:
        number: of the table.
        profile: name of the profile.
        frame: what ``effects`` gives for the two.
    """
    if (frame["how"] == "not run").all():
        return f"{scale_note(profile)}Nothing to compare yet: `marsnb run --table {number} --profile {profile}`."
    metrics = list(dict.fromkeys(frame["metric"]))
    first = "Row" if number in CHOICES else "What is added"
    text = [
        f"{scale_note(profile)}| {first} | | {' | '.join(f'{NAMES[metric]} (points)' for metric in metrics)} |",
        f"|---|---|{'---:|' * len(metrics)}",
    ]
    for what, part in frame.groupby("what", sort=False):
        theirs = [f"{paper:+.2f}" if pd.notna(paper) else "" for paper in part["paper"]]
        text.append(f"| {what} | paper | {' | '.join(theirs)} |")
        text.append(f"|  | measured | {' | '.join(_cell(line) for _, line in part.iterrows())} |")
    return "\n".join([*text, "", _legend(frame)])


def _legend(frame: pd.DataFrame) -> str:
    done = frame[frame["measured"].notna()]
    ways = [text for how, text in HOW.items() if (done["how"] == how).any()]
    both = done[done["paper"].notna() & (done["paper"].abs() > 1e-9)]
    same = int((both["paper"] * both["measured"] > 0).sum())
    sure = sum(differs(line) for _, line in done.iterrows())
    fewer = bool((done["seeds"] < done["most"]).any())
    common = " Where one row has more seeds, the difference is over those that both have." if fewer else ""
    return (
        f"In brackets: {'; '.join(ways) or 'nothing'}. Bold: it excludes 0.{common} The sign is the paper's "
        f"in {same} of {len(both)} numbers; {sure} of {len(done)} are told apart from 0. The paper gives no spread."
    )


def steps_text(profile: str) -> str:
    """What each step of Table 9 adds, and what the paper says of it, as Markdown."""
    frame = effects(9, profile)
    text = [effects_table(9, profile, frame)]
    miou = frame[(frame["after"] == "final") & (frame["metric"] == "miou")].set_index("before")
    if miou["measured"].isna().all():
        return text[0]
    pretraining = miou.T["without-pretraining"]
    theirs, ours = (_ranked(miou[side]) for side in ("paper", "measured"))
    text += [
        "",
        '- The paper: joint training with contrast "contributes most". Left out one at a time, the steps cost mIoU in '
        f"the paper {theirs}; here {ours}.",
        f'- The paper: pretraining "improves the mIoU by 1%". In its table {pretraining["paper"]:+.2f}; here '
        f"{_said(pretraining)}.",
    ]
    pseudo = frame[frame["before"] == "without-pseudo-labels"]
    low, high = pseudo["paper"].min(), pseudo["paper"].max()
    sure = [NAMES[line["metric"]] for _, line in pseudo.iterrows() if differs(line)]
    here = f"told apart from 0 in {', '.join(sure)}" if sure else "not told apart from 0 in any metric"
    text.append(
        '- The paper: online pseudo labeling "further promotes the comprehensive performance". In its table it changes '
        f"the four metrics by {low:+.2f} to {high:+.2f} points; here the changes are {here}."
        if pseudo["measured"].notna().any()
        else f"- Online pseudo labels: {pseudo['how'].iloc[0]}."
    )
    return "\n".join(text)


def _said(line: pd.Series) -> str:
    if pd.isna(line["measured"]):
        return str(line["how"])
    return f"{_cell(line)}, {'told' if differs(line) else 'not told'} apart from 0"


def _ranked(costs: pd.Series) -> str:
    """Steps with the points that leaving each out costs, the dearest first."""
    known = costs.reindex(list(LEFT_OUT)).dropna().sort_values(ascending=False, kind="stable")
    return ", ".join(f"{value:.2f} ({LEFT_OUT[str(row)]})" for row, value in known.items()) or "not run"


def sweep_text(number: int, profile: str) -> str:
    """Table 10 or 11: the best rows in the paper and here, whether they are told apart, what the paper says."""
    every = by_metric(number, profile)
    by = {metric: [line for line in rows if not line.row.control] for metric, rows in every.items()}
    frame = effects(number, profile)
    text = [effects_table(number, profile, frame)]
    if not any(line.measured for line in by["miou"]):
        return text[0]
    frame = frame[frame["metric"] == "miou"]
    sure = "; ".join(line["what"] for _, line in frame.iterrows() if differs(line))
    if not sure:
        sure = "no row, so **the sweep does not decide**" if frame["measured"].notna().all() else "no row of those run"
    says, sign, metrics = ORDER[number]
    text += [
        "",
        f"- Best row, by metric: in the paper {_best(by, 'paper')}; here {_best(by, 'measured')}.",
        f"- From the worst row to the best, mIoU spans {_span(by['miou'], 'paper')} in the paper, and "
        f"{_span(by['miou'], 'measured')} here.",
        f"- By mIoU, told apart from the paper's choice: {sure}.",
        f"- The paper's text: {says}. In its table, {_ordered(by, metrics, sign, 'paper')}; here, "
        f"{_ordered(by, metrics, sign, 'measured')}.",
    ]
    return "\n".join(text + _misprints(by))


def _means(rows: list[Line], side: str) -> list[tuple[str, float]]:
    numbers = [(line.row.label, getattr(line, side)) for line in rows]
    return [(label, number.mean) for label, number in numbers if number is not None]


def _best(by: dict[str, list[Line]], side: str) -> str:
    found = {metric: max(_means(rows, side), key=lambda pair: pair[1], default=None) for metric, rows in by.items()}
    return ", ".join(f"{NAMES[m]} {best[0]} ({number_text(best[1])} %)" for m, best in found.items() if best)


def _span(rows: list[Line], side: str) -> str:
    values = [mean for _, mean in _means(rows, side)]
    return f"{max(values) - min(values):.2f} points over {len(values)} rows"


def _ordered(by: dict[str, list[Line]], metrics: tuple[str, ...], sign: int, side: str) -> str:
    """Whether each metric goes the way that ``sign`` says at every row, with its values where it does not."""
    said = []
    for metric in metrics:
        values = [mean for _, mean in _means(by[metric], side)]
        if len(values) < len(by[metric]):
            said.append(f"{NAMES[metric]} is not measured in every row")
        elif all(sign * (after - before) > 0 for before, after in pairwise(values)):
            said.append(f"{NAMES[metric]} does so at every row")
        else:
            said.append(f"{NAMES[metric]} does not at every row ({', '.join(f'{value:.2f}' for value in values)})")
    return " and ".join(said)


def _misprints(by: dict[str, list[Line]]) -> list[str]:
    """ACC of the paper that its own FACC contradicts: where classes are equally well told, FACC = ACC / (2 - ACC)."""
    off = {}
    for acc, facc in zip(by["acc"], by["facc"], strict=True):
        if acc.paper and facc.paper:
            implied = PERCENT * acc_if_even(facc.paper.mean / PERCENT)
            off[acc.row.label] = (acc.paper.mean, acc.paper.mean - implied)
    usual = median(gap for _, gap in off.values())
    return [
        f"- The paper's ACC of {value:.2f} at {label} is {abs(gap - usual):.2f} points off what its FACC implies (FACC "
        "= ACC / (2 - ACC), which the other rows follow): likely a misprint."
        for label, (value, gap) in off.items()
        if abs(gap - usual) > MISPRINT
    ]
