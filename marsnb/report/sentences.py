"""What we see, said in sentences that are made from the ledger, so that they cannot go stale."""

import pandas as pd

from marsnb import recipes
from marsnb.report import counts
from marsnb.report.evidence import told_apart
from marsnb.report.measured import Line, lines
from marsnb.report.tables import number_text, summary

SYNTHETIC = "> **SYNTHETIC.** Generated images: the numbers show that every step runs, and say nothing about Mars."
APART, OVERLAP = "told apart", "within the spread"
"""Whether the interval of a difference leaves 0 out: see `evidence.told_apart`."""
# (what is added, row with it, row without it)
STEPS = (
    ("MoCo v2 start weights", "moco", "baseline"),
    ("strong augmentation alone", "moco-strong", "moco"),
    ("plain contrast, Eq. 1", "moco-eq1", "moco"),
    ("inter-class contrast, L_s", "moco-ls", "moco"),
    ("similarity, L_u, alone", "moco-lu", "moco"),
    ("L_u on top of L_s", "final", "moco-ls"),
    ("both losses", "final", "moco"),
)


def scale_note(profile: str) -> str:
    """What the profile's numbers may be compared with, as a quotation."""
    says = recipes.load_profile(profile).says
    return f"{SYNTHETIC}\n\n" if "SYNTHETIC" in says else f"> {says}\n\n"


def state(profile: str) -> str:
    """The measured state at a glance, as a Markdown table."""
    text = [scale_note(profile), "| Table | Rows measured | Mean distance from the paper (points) |", "|---|---:|---:|"]
    for line in summary(profile).to_dict("records"):
        gap = f"{line['mean_abs_difference']:.2f}" if pd.notna(line["mean_abs_difference"]) else ""
        text.append(f"| {line['table']}: {line['title']} | {line['measured']} of {line['rows']} | {gap} |")
    return "\n".join(text)


def _verdict(before: Line, after: Line) -> str:
    a, b = before.measured, after.measured
    if a is None or b is None:
        return "not run"
    if before.key == after.key:
        return "same run at this profile: not tested"
    change, sure = b.mean - a.mean, told_apart(a, b)
    return f"{change:+.2f}{'' if sure else f' ({OVERLAP})'}"


def ablation(profile: str) -> str:
    """Table 4 step by step: what each part adds in the paper and here, as Markdown."""
    found = {line.row.id: line for line in lines(4, profile)}
    measured = {key: line for key, line in found.items() if line.measured and not line.row.control}
    if not measured:
        return f"Nothing of Table 4 was run yet: `marsnb run --table 4 --profile {profile}`."
    text = [scale_note(profile), "| What is added | Paper (points) | Measured (points) |", "|---|---:|---:|"]
    for what, after, before in STEPS:
        theirs = found[after].paper.mean - found[before].paper.mean  # type: ignore[union-attr]
        text.append(f"| {what} | {theirs:+.2f} | {_verdict(found[before], found[after])} |")
    best = max(measured.values(), key=lambda line: line.measured.mean)  # type: ignore[union-attr]
    text.append(
        f"\nBest of the measured rows: **{best.row.label}**, {number_of(best)} %; the paper's best is its final model."
    )
    controls = [line for line in found.values() if line.row.control and line.measured]
    if controls:
        top = max(controls, key=lambda line: line.measured.mean)  # type: ignore[union-attr]
        text.append(f"Best of the controls, which the paper does not have: **{top.row.label}**, {number_of(top)} %.")
    return "\n".join(text)


def number_of(line: Line) -> str:
    """A measured line's number with its spread or interval, percent."""
    m = line.measured
    assert m is not None
    return number_text(m.mean, m.std, m.low, m.high)


def imagery(profile: str) -> str:
    """What the counts say about the gap between train and test, as Markdown."""
    frame = counts.class_counts(profile).set_index("class")
    share = frame[["train_val", "test"]] / frame[["train_val", "test"]].sum() * 100
    before, after = share["train_val"], share["test"]
    grown = (after - before).sort_values()
    up, down = str(grown.index[-1]), str(grown.index[0])
    absent = ", ".join(frame.index[frame["test"] == 0])
    return (
        f"{scale_note(profile)}"
        f"- *{up}* grows most, from {before[up]:.1f} % of train and validation to {after[up]:.1f} % of test; "
        f"*{down}* shrinks most, from {before[down]:.1f} % to {after[down]:.1f} %.\n"
        f"- Without any test image: {absent or 'no class'}.\n"
        f"- Always answering *{frame['test'].idxmax()}* is right on {after.max():.2f} % of test; "
        f"one test image is {100 / frame['test'].sum():.3f} points."
    )


def leak(profile: str) -> str:
    """How much of validation a split image by image leaks, as Markdown."""
    table = counts.twins(profile).set_index("protocol")
    total, repeated = counts.frames(profile)
    rows = [f"| `{name}` | {r['val']:.0f} | {r['with_twin']:.0f} | {r['share']:.1f} |" for name, r in table.iterrows()]
    return (
        f"{scale_note(profile)}"
        f"{repeated:,} of {total:,} labelled frames ({100 * repeated / total:.1f} %) are there more than once.\n\n"
        "| Split | Validation images | Twin in train | Share (%) |\n|---|---:|---:|---:|\n" + "\n".join(rows)
    )


def per_class(profile: str, classes: pd.DataFrame) -> str:
    """What Fig. 8 shows, as Markdown.

    Args:
        profile: name of the profile.
        classes: the figure's numbers, ``fig08.csv``.
    """
    wide = classes[classes["n"] > 0].pivot(index="class", columns="series", values="top1")
    gain = (wide["ours"] - wide["baseline"]).sort_values()
    perfect = int((wide["ours"] >= 100).sum())
    return (
        f"{scale_note(profile)}"
        f"- Ours is completely right in {perfect} of {len(wide)} classes (paper: 11 of 22).\n"
        f"- It gains most in {_classes(gain.iloc[::-1][:3])} and loses most in {_classes(gain[:3])} (points). "
        "The paper names drt front, chemcam cal target, mahli and drill as its largest gains.\n"
        f"- Better in {(gain > 0).sum()}, equal in {(gain == 0).sum()}, worse in {(gain < 0).sum()} classes."
    )


def _classes(gains: pd.Series) -> str:
    return ", ".join(f"*{name}* ({value:+.1f})" for name, value in gains.items())
