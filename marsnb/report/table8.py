"""What Table 8 shows, in sentences made from the ledger: ours against each rival, and which metric its ACC is."""

import pandas as pd

from marsnb.recipes import Paper
from marsnb.report import cost_of_steps
from marsnb.report.effects import CHOICES, by_seed, effects
from marsnb.report.layout import NAMES
from marsnb.report.measured import PERCENT, Line, Measurement, by_metric, lines
from marsnb.report.ranking import ranking_text
from marsnb.report.segmentation import differs, effects_table
from marsnb.report.sentences import scale_note
from marsnb.training import ledger
from marsnb.training.segmentation_metrics import acc_if_even, facc_if_even

OURS = CHOICES[8]
SHARED = (9, "baseline")
"""Table and row of cross entropy alone, which Table 8 leaves out."""
ON_RECO = ("classmix", "cutout", "cutmix")


def comparison_text(profile: str) -> str:
    """Each rival against ours, and what the paper says of them, as Markdown."""
    by = by_metric(8, profile)
    frame = effects(8, profile)
    text = [effects_table(8, profile, frame)]
    if not any(line.measured for line in by["miou"]):
        return text[0]
    miou, book = by["miou"], ledger.read(profile)
    place = [*_place(miou, book, profile), *_told(frame), *_seeds(miou, book)]
    return "\n".join([*text, "", *place, *_weights(by), *_mixing(by)])


def rivals(profile: str) -> str:
    """What Table 8 shows, what it costs, and whether its order reproduces, as Markdown."""
    parts = [comparison_text(profile), ranking_text(8, profile, "miou").removeprefix(scale_note(profile))]
    if cost_of_steps.path_of(profile).is_file():
        steps = pd.read_csv(cost_of_steps.path_of(profile))
        parts += [cost_of_steps.steps_table(steps), cost_of_steps.steps_text(steps)]
    return "\n\n".join(parts)


def _rivals(found: list[Line]) -> list[Line]:
    return [line for line in found if line.row.id != OURS and not line.row.control]


def _place(found: list[Line], book: pd.DataFrame, profile: str) -> list[str]:
    """Where ours stands, and where cross entropy alone would: each rival on the seeds that both have."""
    base = next(line for line in lines(SHARED[0], profile, "miou") if line.row.id == SHARED[1])
    text, rivals_by_seed = [], [by_seed(book, x)["value"] for x in _rivals(found)]
    for name, line in (("Ours", next(x for x in found if x.row.id == OURS)), ("Cross entropy alone", base)):
        theirs = [line.paper.mean - x.paper.mean for x in _rivals(found) if line.paper and x.paper]
        mine = by_seed(book, line)["value"]
        gaps = [mine - other for other in rivals_by_seed]
        here = [gap.mean() for gap in gaps if gap.notna().any()]
        said = [_above("in the paper", line.paper, theirs), _above("here", line.measured, here)]
        source = " (Table 9's baseline, which Table 8 leaves out)" if line is base else ""
        seeds = max((int(gap.count()) for gap in gaps), default=0)
        n = line.measured.n if line.measured else 0
        more = f" (mean of {n} seeds; compared on {seeds})" if n > 1 else ""
        text.append(f"- **{name}**{source}, by mIoU: {'; '.join(said)}{more}.")
    return text


def _above(where: str, mine: Paper | Measurement | None, gaps: list[float]) -> str:
    if mine is None or not gaps:
        return f"{where} not run"
    return f"{where} {mine.mean:.2f} %, above {sum(gap > 0 for gap in gaps)} of {len(gaps)} rivals"


def _seeds(found: list[Line], book: pd.DataFrame) -> list[str]:
    """What the spread of ours over seeds says about rivals of a single one."""
    ours = next(line for line in found if line.row.id == OURS)
    if ours.measured is None or ours.measured.n == 1:
        return []
    values = by_seed(book, ours)["value"]
    single = [line.measured.mean for line in _rivals(found) if line.measured and line.measured.n == 1]
    inside = sum(values.min() <= value <= values.max() for value in single)
    over = sum(value > values.max() for value in single)
    return [
        f"- Seeds move ours from {values.min():.2f} to {values.max():.2f} % mIoU. Of the {len(single)} rivals with a "
        f"single seed, {inside} lie in between and {over} above: another seed could make these change places with ours."
    ]


def _told(frame: pd.DataFrame) -> list[str]:
    miou = frame[(frame["metric"] == "miou") & frame["measured"].notna()]
    if miou.empty:
        return []
    sure = miou[[differs(line) for _, line in miou.iterrows()]]
    below, above = int((sure["measured"] < 0).sum()), int((sure["measured"] > 0).sum())
    return [
        f"- Of {len(miou)} rivals, the test images tell {below} apart as worse than ours by mIoU, and {above} as "
        f"better; {len(miou) - len(sure)} are not told apart. Another seed would move them besides."
    ]


def _change(by: dict[str, list[Line]], after: str, before: str) -> str:
    """What a row has over another, in the paper and here, by each metric that both have."""
    parts = []
    for metric, found in by.items():
        rows = {line.row.id: line for line in found}
        a, b = rows[after], rows[before]
        if a.paper is None or b.paper is None:
            continue
        here = f"{a.measured.mean - b.measured.mean:+.2f}" if a.measured and b.measured else "not run"
        here = "the same run" if a.key == b.key else here
        parts.append(f"{NAMES[metric]} {a.paper.mean - b.paper.mean:+.2f} in the paper, {here} here")
    return "; ".join(parts)


def _weights(by: dict[str, list[Line]]) -> list[str]:
    return [f"- ImageNet weights for ReCo: {_change(by, 'reco-imagenet', 'reco')}."]


def _mixing(by: dict[str, list[Line]]) -> list[str]:
    text = []
    for start in ("reco", "reco-imagenet"):
        rows = {line.row.id: line.row.label for line in by["miou"]}
        text += [
            f"- {rows[f'{start}-{mix}']} over {rows[start]}: {_change(by, f'{start}-{mix}', start)}." for mix in ON_RECO
        ]
    return text


def acc_column(profile: str) -> str:
    """Which metric the paper's ACC may be, row by row, as Markdown.

    Where the classes are told equally well, FACC = ACC / (2 - ACC), which Tables 9 to 11 of the paper follow.
    """
    by = by_metric(8, profile)
    text = [
        "| Method | Paper: printed as ACC | ACC, if that is FACC | Measured ACC | Measured FACC | Measured ACC / "
        "(2 - ACC) |",
        f"|---|{'---:|' * 5}",
    ]
    for acc, facc in zip(by["acc"], by["facc"], strict=True):
        if acc.paper is None:  # a control
            continue
        printed = facc.paper.mean if facc.paper else acc.paper.mean  # of ours, the table prints FACC
        cells = [f"{printed:.2f}", f"{_acc_of(printed):.2f}"]
        if acc.measured and facc.measured:
            m = acc.measured.mean
            cells += [f"{m:.2f}", f"{facc.measured.mean:.2f}", f"{PERCENT * facc_if_even(m / PERCENT):.2f}"]
        else:
            cells += ["not run", "", ""]
        text.append(f"| {acc.row.label} | {' | '.join(cells)} |")
    return "\n".join([*text, "", _lead(by)])


def _acc_of(facc: float) -> float:
    return PERCENT * acc_if_even(facc / PERCENT)


def _lead(by: dict[str, list[Line]]) -> str:
    """How far ours leads under each reading."""
    acc = {line.row.id: line.paper.mean for line in by["acc"] if line.paper}
    ours = acc[OURS]
    facc = next(line.paper.mean for line in by["facc"] if line.row.id == OURS and line.paper)
    rest = {line.row.label: line.paper.mean for line in _rivals(by["acc"]) if line.paper}
    label, best = max(rest.items(), key=lambda item: item[1])
    return (
        f"- As printed, ours ({facc:.2f}) leads the next, {label} ({best:.2f}), by {facc - best:.2f} points.\n"
        f"- If every row printed FACC, as ours does, {label} would have an ACC of about {_acc_of(best):.2f}, and ours, "
        f"with {ours:.2f}, a lead of {ours - _acc_of(best):.2f}.\n"
        f"- If the other rows print accuracy, the lead is {ours - best:.2f}.\n"
        f"- {_hangs(facc - best, ours - _acc_of(best), ours - best)}"
    )


def _hangs(*leads: float) -> str:
    """Whether the claim of the best result depends on the reading."""
    span = f"{min(leads):.2f} to {max(leads):.2f} points"
    if min(leads) > 0:
        return (
            f"Ours leads under each reading, by {span}: how far it leads hangs on the reading, that it leads does not."
        )
    return f"Whether ours leads hangs on the reading: {span}."
