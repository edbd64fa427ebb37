"""Tables from the ledger alone: one long CSV and one Markdown table in the shape of the paper's."""

from pathlib import Path

import pandas as pd

from marsnb import paths, recipes
from marsnb.files import write_whole
from marsnb.report.files import write_csv
from marsnb.report.layout import HEADINGS, NAMES, body
from marsnb.report.layout import number_text as number_text  # part of this module's interface, too
from marsnb.report.measured import Line, by_metric

COLUMNS = [
    "row", "column", "metric", "recipe", "paper_mean", "paper_std", "measured_mean", "measured_std", "n", "difference"
]  # fmt: skip
MEANING = {
    "acc": "share of labelled pixels that are right", "macc": "mean of that share over classes",
    "facc": "IoU weighted by the classes' pixels", "miou": "mean IoU over classes",
}  # fmt: skip
"""What the metrics of segmentation are."""


def table(number: int, profile: str) -> pd.DataFrame:
    """A table in long form, one line per row and metric, all in percent.

    Args:
        number: the paper's number of the table.
        profile: name of the profile.

    Returns:
        The columns of ``COLUMNS``, in the order of the recipe; empty where the paper has no number or nothing was
        measured. ``row`` and ``column`` are the headings of a table that is printed across.
    """
    if number == 1:
        from marsnb.report.counts import table1

        return table1(profile)[COLUMNS]
    if number == 2:
        from marsnb.report.areas import table2

        return table2(profile)[COLUMNS]
    rows = zip(*by_metric(number, profile).values(), strict=True)
    return pd.DataFrame([_long(line, number) for row in rows for line in row], columns=COLUMNS)


def _long(line: Line, number: int) -> dict[str, object]:
    paper, measured, cell = line.paper, line.measured, line.row.cell
    return {
        "row": cell.row if cell else line.row.label,
        "column": cell.column if cell else HEADINGS.get(line.metric, line.metric),
        "metric": line.metric,
        "recipe": f"table{number:02d}/{line.row.id}",
        "paper_mean": paper.mean if paper else None,
        "paper_std": paper.std if paper else None,
        "measured_mean": measured.mean if measured else None,
        "measured_std": measured.std if measured else None,
        "n": measured.n if measured else None,
        "difference": line.difference,
    }


def reported(metrics: tuple[str, ...], split: str = "test") -> str:
    """What is measured, as a sentence: pixels in segmentation, images else."""
    name = {"val": "validation"}.get(split, split)
    if not set(metrics) <= MEANING.keys():
        return f"{name.capitalize()} accuracy of the last checkpoint; no choice was made on test."
    what = ", ".join(f"{NAMES[metric]} ({MEANING[metric]})" for metric in metrics)
    return (
        f"Pixel accuracy and overlap of the last checkpoint, from one confusion matrix of all labelled pixels of the "
        f"{name} images: {what}; no choice was made on test."
    )


def protocol(found: list[Line], profile: str, split: str = "test", metrics: tuple[str, ...] = ("top1",)) -> str:
    """The reporting protocol as sentences: what is reported, over how many seeds, on which data, at which profile."""
    done = [line.measured for line in found if line.measured]
    name = {"val": "validation"}.get(split, split)
    parts = [reported(metrics, split)]
    if any(m.n > 1 for m in done):
        parts.append("Mean ± sample standard deviation over n seeds.")
    if any(m.n == 1 for m in done) or not done:
        parts.append("For one seed, the 95 % bootstrap interval over images in brackets.")
    parts.append(f"Profile `{profile}`: {recipes.load_profile(profile).says}")
    if not done:
        parts.append("Nothing was run yet.")
    for data, images in sorted({(m.data, m.images) for m in done}):
        prints = sorted({f"`{m.fingerprint[:8]}`" for m in done if (m.data, m.images) == (data, images)})
        # more than one: the fingerprint covers the unlabelled images where a method sees them
        parts.append(f"Data: {data}, {images:,} {name} images, fingerprint {', '.join(prints)}.")
    if any(line.ran_as and line.measured and not line.row.control for line in found):
        parts.append(
            'Rows run with another network or other start weights than the paper\'s say so under "Ran as"; '
            "compare those with each other, not with the paper."
        )
    return " ".join(parts)


def synthetic(found: list[Line]) -> bool:
    """Whether any number of the table was measured on generated images, or would be."""
    return any(line.synthetic or line.spec.dataset.startswith("synthetic") for line in found)


def markdown(number: int | str, profile: str) -> str:
    """A table as Markdown in the shape of the paper, with its caption.

    Args:
        number: the paper's number of the table, or the name of a recipe file.
        profile: name of the profile.
    """
    if number == 1:
        from marsnb.report.counts import markdown1

        return markdown1(profile)
    if number == 2:
        from marsnb.report.areas import markdown2

        return markdown2(profile)
    head, by = recipes.load_table(number), by_metric(number, profile)
    found = by[head.metric]
    name = f"Table {head.table}. " if isinstance(head.table, int) else ""
    note = f"{head.note} " if head.note else ""
    tag = "**SYNTHETIC DATA: generated images, not comparable with the paper.** " if synthetic(found) else ""
    said = protocol(found, profile, head.split, head.metrics)
    text = [f"**{name}{head.title}.** {tag}{note}{said}", "", *body(head, by)]
    return "\n".join(text) + "\n"


def write_table(number: int, profile: str) -> list[Path]:
    """Write ``tableNN.csv`` and ``tableNN.md`` into the profile's folder of figures.

    Returns:
        The two paths.
    """
    at = paths.figures(profile)
    stem = f"table{number:02d}"
    long, text = table(number, profile), markdown(number, profile)
    return [write_csv(at / f"{stem}.csv", long), write_whole(at / f"{stem}.md", text)]


def summary(profile: str) -> pd.DataFrame:
    """The measured state at a glance: one line per table of trained rows.

    Args:
        profile: name of the profile.

    Returns:
        Columns ``table, title, rows, measured, mean_abs_difference`` (points, over all its metrics; empty where
        nothing was measured); controls are not counted.
    """
    state = []
    for number in recipes.tables():
        head = recipes.load_table(number)
        by = by_metric(number, profile)
        found = [line for line in by[head.metric] if not line.row.control]
        gaps = [abs(line.difference) for some in by.values() for line in some if line.difference is not None]
        state.append({
            "table": number,
            "title": head.title,
            "rows": len(found),
            "measured": sum(line.measured is not None for line in found),
            "mean_abs_difference": sum(gaps) / len(gaps) if gaps else None,
        })  # fmt: skip
    return pd.DataFrame(state, columns=["table", "title", "rows", "measured", "mean_abs_difference"])
