"""The shape of a table in Markdown.

A list of rows, with or without categories; printed across as in Tables 5-7; or, with several metrics, a column each.
"""

from marsnb.errors import RecipeError
from marsnb.recipes import Table
from marsnb.report.measured import Line

NAMES = {"top1": "Top-1", "acc": "ACC", "macc": "MACC", "facc": "FACC", "miou": "mIoU"}
HEADINGS = {metric: f"{name} (%)" for metric, name in NAMES.items()}
FIRST = {10: "Threshold", 11: "λ_seg^s"}
"""Heading of the rows' names, by the paper's number of the table, where the rows are no methods."""
NOT_RUN = "not run"
KINDS = ("paper", "measured", "difference (points)")
"""Lines per heading of a table that is printed across, and per row of one with several metrics."""


def number_text(mean: float, std: float | None = None, low: float | None = None, high: float | None = None) -> str:
    """A number in percent with 2 decimals and its spread or interval: ``79.28 ± 1.76``, ``79.28 [77.0, 81.4]``."""
    text = f"{mean:.2f}"
    if std is not None:
        return f"{text} ± {std:.2f}"
    if low is not None and high is not None:
        return f"{text} [{low:.2f}, {high:.2f}]"
    return text


def body(head: Table, by: dict[str, list[Line]]) -> list[str]:
    """The lines of a table under its caption, in the shape of the paper's.

    Args:
        head: the table.
        by: its rows with what was measured, by metric.

    Raises:
        RecipeError: two rows stand in the same cell of a table that is printed across.
    """
    heading, found = HEADINGS.get(head.metric, head.metric), by[head.metric]
    if not isinstance(head.table, int):  # nothing of the paper to set beside it
        names = [HEADINGS.get(metric, metric) for metric in by]
        rows = [_line(*_remarked(line, [one[i] for one in by.values()])) for i, line in enumerate(found)]
        return [_line("Run", *names, "n", "Ran as"), f"|---|{'---:|' * (len(names) + 1)}---|", *rows]
    if len(by) > 1:
        return _blocks(by, FIRST.get(head.table, "Method"))
    if found and all(line.row.cell for line in found):
        return _across(head, found, heading)
    return _listed(found, heading)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _remarked(line: Line, metrics: list[Line]) -> list[str]:
    """Label, the measured number of each metric, n and remarks of a row."""
    measured = line.measured
    remarks = [line.row.note] if line.row.note else []
    remarks += [line.ran_as] if line.ran_as and measured else []
    if line.same_as and measured:
        remarks.append(f"same run as “{line.same_as[0]}”")
    return [_plain(line.row.label), *map(_ours, metrics), str(measured.n) if measured else "", "; ".join(remarks)]


def _plain(text: str) -> str:
    return text.replace("|", "\\|")


def _theirs(line: Line) -> str:
    return number_text(line.paper.mean, line.paper.std) if line.paper else ""


def _ours(line: Line) -> str:
    m = line.measured
    return number_text(m.mean, m.std, m.low, m.high) if m else NOT_RUN


def _gap(line: Line) -> str:
    return f"{line.difference:+.2f}" if line.difference is not None else ""


def _listed(found: list[Line], heading: str) -> list[str]:
    """One line per row; a category is printed at its first row."""
    categories = any(line.row.family for line in found)
    first = ["Category", "Method"] if categories else ["Method"]
    columns = [*first, f"Paper, {heading}", f"Measured, {heading}", "n", "Difference (points)", "Ran as"]
    text = [_line(*columns), f"|{'---|' * len(first)}{'---:|' * 4}---|"]
    before = ""
    for line in (line for line in found if not line.row.control):
        family, before = "" if line.row.family == before else line.row.family, line.row.family
        text.append(_row(line, [_plain(family)] if categories else []))
    controls = [line for line in found if line.row.control]
    if controls:
        text.append("| **Controls (not in the paper)** |" + " |" * (len(columns) - 1))
        text += [_row(line, [""] if categories else []) for line in controls]
    return text


def _row(line: Line, before: list[str]) -> str:
    label, ours, n, remarks = _remarked(line, [line])
    return _line(*before, label, _theirs(line), ours, n, _gap(line), remarks)


def _blocks(by: dict[str, list[Line]], corner: str) -> list[str]:
    """A column per metric and up to three lines per row, and the remarks below."""
    rows = list(zip(*by.values(), strict=True))
    found = [row[0] for row in rows]
    categories = any(line.row.family for line in found)
    first = [*(["Category"] if categories else []), corner, ""]
    text = [
        _line(*first, *(HEADINGS.get(metric, metric) for metric in by)),
        f"|{'---|' * len(first)}{'---:|' * len(by)}",
    ]
    before = ""
    for row in (row for row in rows if not row[0].row.control):
        family, before = "" if row[0].row.family == before else row[0].row.family, row[0].row.family
        text += _block(row, [_plain(family)] if categories else [])
    controls = [row for row in rows if row[0].row.control]
    if controls:
        text.append("| **Controls (not in the paper)** |" + " |" * (len(first) + len(by) - 1))
        text += [line for row in controls for line in _block(row, [""] if categories else [])]
    remarks = _remarks(found)
    return [*text, "", *remarks] if remarks else text


def _block(row: tuple[Line, ...], before: list[str]) -> list[str]:
    """The lines of one row, without those that would be empty; the first carries its name."""
    kinds = zip(KINDS, (_theirs, _ours, _gap), strict=True)
    filled = [(kind, cells) for kind, cell in kinds if any(cells := [cell(line) for line in row])]
    names = [[*before, _plain(row[0].row.label)], *[[""] * (len(before) + 1)] * (len(filled) - 1)]
    return [_line(*name, kind, *cells) for name, (kind, cells) in zip(names, filled, strict=True)]


def variable(labels: list[str]) -> str:
    """What a sweep varies, if all its labels read ``λ_s = 0.3``; empty otherwise."""
    names = {label.split(" = ")[0] if " = " in label else "" for label in labels}
    return names.pop() if len(names) == 1 else ""


def _across(head: Table, found: list[Line], heading: str) -> list[str]:
    """Three lines per row heading, one column per column heading, and the remarks below."""
    place: dict[tuple[str, str], Line] = {}
    for line in found:
        assert line.row.cell is not None
        at = (line.row.cell.row, line.row.cell.column)
        if at in place:
            raise RecipeError(f"{head.key}: rows {place[at].row.id!r} and {line.row.id!r} stand in one cell: {at}")
        place[at] = line
    rows, columns = (list(dict.fromkeys(at[i] for at in place)) for i in range(2))
    own = {at[1] for at, line in place.items() if line.row.control}
    corner = variable([line.row.label for line in found]) or heading
    names = [_plain(name) + (" (not in the paper)" if name in own else "") for name in columns]
    text = [_line(corner, *names), f"|---|{'---:|' * len(columns)}"]
    for row in rows:
        lines = [place.get((row, column)) for column in columns]
        for kind, cell in zip(KINDS, (_theirs, _ours, _gap), strict=True):
            text.append(_line(f"{_plain(row)}, {kind}", *(cell(line) if line else "" for line in lines)))
    remarks = _remarks(found)
    return [*text, "", *remarks] if remarks else text


def _remarks(found: list[Line]) -> list[str]:
    """What the rows of a listed table say in their last columns, as Markdown points."""
    done = [line for line in found if line.measured]
    seeds: dict[str, list[Line]] = {}
    ran: dict[str, list[Line]] = {}
    for line in done:
        seeds.setdefault(f"n = {line.measured.n}", []).append(line)  # type: ignore[union-attr]
        if line.ran_as:
            ran.setdefault(line.ran_as, []).append(line)
    text = []
    if ran:
        everywhere = len(ran) == 1 and len(done) == len(next(iter(ran.values())))
        parts = [what if everywhere else f"{_who(some, found)}: {what}" for what, some in ran.items()]
        text.append(f"- Ran as: {'; '.join(parts)}.")
    shared = [f"“{line.row.label}” is the same run as “{line.same_as[0]}”" for line in done if line.same_as]
    if shared:
        text.append(f"- Same run: {'; '.join(shared)}.")
    if seeds:
        text.append("- Seeds: " + "; ".join(f"{what} for {_who(some, found)}" for what, some in seeds.items()) + ".")
    return text + [f"- {line.row.label}: {line.row.note}." for line in found if line.row.note]


def _who(some: list[Line], found: list[Line]) -> str:
    """Names of rows in few words: all of them, whole columns, or one by one."""
    done = [line for line in found if line.measured]
    if len(some) == len(done):
        return "every number"
    names = []
    for line in some:
        column = line.row.cell.column if line.row.cell else ""
        beside = [other for other in done if other.row.cell and other.row.cell.column == column]
        names.append(column if len(beside) > 1 and all(other in some for other in beside) else line.row.label)
    return ", ".join(dict.fromkeys(names))
