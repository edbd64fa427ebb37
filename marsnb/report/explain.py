"""Where a gain comes from: the difference of two rows' top-1 taken apart by class, beside the controls."""

import pandas as pd

from marsnb.report.measured import PERCENT, Line, lines, runs_of
from marsnb.report.sentences import scale_note
from marsnb.training import ledger

NAMED = ("drt front", "drt side", "chemcam cal target", "mahli", "drill", "inlet")
"""Classes that the paper names: four as its largest gains, two for their gap between train and test."""
COMPARED = ("moco-ls", "final", "moco-eq1", "balanced", "linear-probe")
"""Rows taken apart against the baseline."""

COLLAPSED = 5
"""Effective rank of an embedding below which it is called collapsed: our bound, the paper gives none."""


def contributions(profile: str, row: str, against: str = "baseline") -> pd.DataFrame:
    """What each class adds to the difference of two rows of Table 4, from the ledger.

    Args:
        profile: name of the profile.
        row: id of the row that may have gained.
        against: id of the row it is compared with.

    Returns:
        Per class of the test list ``class, n, before, after, points``: accuracies in percent, mean over seeds, and the
        class's share of the difference in top-1, in points; ``points`` add up to the whole difference. Empty where a
        row was not run.
    """
    found = {line.row.id: line for line in lines(4, profile)}
    before, after = (_per_class(profile, found[name]) for name in (against, row))
    both = before.add_suffix("_before").join(after.add_suffix("_after"), how="inner")
    if both.empty:
        return pd.DataFrame(columns=["class", "n", "before", "after", "points"])
    n = both["n_before"]
    points = (both["value_after"] - both["value_before"]) * n / n.sum()
    columns = {"n": n.astype(int), "before": both["value_before"], "after": both["value_after"], "points": points}
    return (pd.DataFrame(columns) * [1, PERCENT, PERCENT, PERCENT]).rename_axis("class").reset_index()


def _per_class(profile: str, line: Line) -> pd.DataFrame:
    book = runs_of(ledger.read(profile), line.key)
    mine = book[(book["split"] == "test") & book["metric"].str.startswith("top1/")]
    grouped = mine.assign(name=mine["metric"].str.removeprefix("top1/")).groupby("name")
    return grouped.agg(value=("value", "mean"), n=("n", "first"))


def hard_classes(profile: str) -> str:
    """The classes that decide, row by row, and how much of each row's gain they make, as Markdown."""
    labels = {line.row.id: line.row.label for line in lines(4, profile)}
    parts = {row: contributions(profile, row).set_index("class") for row in COMPARED}
    parts = {row: frame for row, frame in parts.items() if len(frame)}
    if not parts:
        return f"Nothing to compare yet: `marsnb run --table 4 --profile {profile}`."
    first = next(iter(parts.values()))
    rest = [name for name in first["points"].abs().sort_values(ascending=False).index if name not in NAMED][:4]
    shown = [name for name in (*NAMED, *rest) if name in first.index]
    head = "| Class | n | Baseline (%) |" + "".join(f" {labels[row]} |" for row in parts)
    text = [scale_note(profile), head, "|---|---:|---:|" + "---:|" * len(parts)]
    for name in shown:
        cells = "".join(f" {f.loc[name, 'after']:.1f} % ({f.loc[name, 'points']:+.2f}) |" for f in parts.values())
        text.append(f"| {name} | {first.loc[name, 'n']:.0f} | {first.loc[name, 'before']:.1f} |{cells}")
    others = "".join(f" ({f['points'].drop(shown).sum():+.2f}) |" for f in parts.values())
    total = "".join(f" **({f['points'].sum():+.2f})** |" for f in parts.values())
    text += [f"| all other classes | {first['n'].drop(shown).sum():.0f} | |{others}"]
    text += [f"| **all** | {first['n'].sum():.0f} | |{total}"]
    text.append("\nIn brackets: points of top-1 that the class adds to the row's difference from the baseline.")
    best = {row: frame["points"].sort_values(ascending=False) for row, frame in parts.items()}
    row = next(iter(parts))
    gained = best[row][best[row] > 0]
    if len(gained):
        top = ", ".join(f"*{name}* ({value:+.2f})" for name, value in gained.iloc[:3].items())
        share = PERCENT * gained.iloc[:3].sum() / gained.sum()
        text.append(f"{labels[row]}: its three largest gains, {top}, are {share:.0f} % of all that it gains.")
    return "\n".join(text)


def collapse(profile: str) -> str:
    """Effective ranks at the last epoch of each row of Table 4, and where a collapse is, as Markdown."""
    curves = ledger.read_curves(profile)
    text = [scale_note(profile), "| Row | Features | Embedding of H_s | Embedding of H_u |", "|---|---:|---:|---:|"]
    fell: list[str] = []
    kept: list[str] = []
    for line in lines(4, profile):
        if line.measured is None or line.row.control or line.same_as:
            continue
        mine = curves[curves["run_id"].isin(line.measured.run_ids)]
        last = mine[mine["epoch"] == mine["epoch"].max()].groupby("metric")["value"].mean()
        ranks = [last.get(f"{part}effective_rank") for part in ("", "embed_s/", "embed_u/")]
        cells = " | ".join("" if rank is None else f"{rank:.1f}" for rank in ranks)
        text.append(f"| {line.row.label} | {cells} |")
        if ranks[2] is not None:
            (fell if ranks[2] < COLLAPSED else kept).append(line.row.label)
    text.append(
        f"\nEffective rank counts the directions in use, of 128 in an embedding; below {COLLAPSED} is a collapse."
    )
    if fell:
        text.append(f"The embedding that L_u acts on **has collapsed** in: {', '.join(fell)}.")
    if kept:
        text.append(f"The embedding that L_u acts on has **not** collapsed in: {', '.join(kept)}.")
    return "\n".join(text)
