"""The generated parts of the site's pages: tables from the ledger, methods, modules of the API, navigation."""

import pkgutil
import re
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from marsnb import paths, readme, recipes, reproduce

SHOWN = "lite"  # the profile whose copies are the notebooks' pages, and whose numbers are the results


def parts(others: Sequence[str]) -> dict[str, Callable[[], str]]:
    """What makes the generated parts of the pages."""
    named: dict[str, Callable[[], str]] = {
        "notebooks": lambda: readme.notebook_table("../notebooks"),
        "methods": readme.method_table,
        "profiles": lambda: _toctree("Other profiles", [f"{profile}/index" for profile in others]),
        "more-notebooks": _more_notebooks,
        "tables": _tables,
        "claims": _claims,
        "state": _state,
    }
    for package in ("losses", "models", "methods"):
        named[f"api-{package}"] = lambda package=package: _modules(f"marsnb.{package}")  # type: ignore[misc]
    named["api-results"] = lambda: _automodule("marsnb.results", ":imported-members:")
    return named


def _more_notebooks() -> str:
    """A part of the navigation for notebooks that the front page does not name."""
    front = (paths.docs() / "index.md").read_text(encoding="utf-8")
    entries = [f"notebooks/{path.stem}" for path in reproduce.sources() if f"notebooks/{path.stem}\n" not in front]
    return _toctree("More notebooks", entries)


def _toctree(caption: str, entries: Sequence[str]) -> str:
    lines = (":::{toctree}", ":hidden:", f":caption: {caption}", "", *entries, ":::", "")
    return "\n".join(lines) if entries else ""


def _tables() -> str:
    """All tables as measured at `SHOWN`: those of the paper, then the runs that chose the profile."""
    keys = sorted(recipes.trainable(), key=lambda key: (not key.startswith("table"), key))
    return "\n".join([*map(_counted, (1, 2)), *map(_measured, keys)])


def _counted(number: int) -> str:
    """A table that is counted, not trained, as its notebook wrote it."""
    path = paths.figures(SHOWN) / f"table{number:02d}.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else f"**Table {number}.** Not counted yet.\n"
    title, text = re.fullmatch(r"\*\*(.+?)\*\* *(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    return "\n".join((f"(table{number:02d})=", f"## {title.rstrip('.')}", "", *_drawn_in(number), text))


def _measured(key: str) -> str:
    """A table whose rows are trained, from the ledger."""
    from marsnb.results import caption, readable, summary, table

    head = recipes.load_table(key)
    name = f"Table {head.table}. " if isinstance(head.table, int) else ""
    frame = summary(table(head.table, SHOWN))
    texts, said = readable(frame), caption(frame, SHOWN)
    if frame["metric"].nunique() > 1:
        texts = _side_by_side(texts)
        if frame["paper"].notna().any():
            said += " Each cell: the paper's number / the measured one (their distance)."
    texts, notes = _noted(texts)
    text = [f"({key})=", f"## {name}{head.title}", "", *_drawn_in(head.table)]
    text += [f"{head.note.strip()} {said}".strip(), ""]
    return "\n".join([*text, _pipes(texts), "", notes, ""])


def _side_by_side(texts: Any) -> Any:
    """A table of several metrics as wide as a page: the three numbers of a metric in one cell, mIoU first."""
    metrics = dict.fromkeys(name.partition(", ")[0] for name in texts if ", " in name)
    columns = {}
    for metric in sorted(metrics, key=lambda name: name != "mIoU"):
        measured = texts[f"{metric}, measured"].str.replace(r" (?=[±\[])", "<br>", regex=True)
        printed = texts.get(f"{metric}, paper", [""] * len(texts))
        off = texts.get(f"{metric}, difference", [""] * len(texts))
        columns[metric] = [
            " / ".join(filter(None, both)) + f"<br>({gap})" * bool(gap)
            for *both, gap in zip(printed, measured, off, strict=True)
        ]
    named = [name for name in ("Category", "Method") if name in texts]
    kept = [name for name in ("n", "remarks") if name in texts]
    return texts[named].assign(**columns).join(texts[kept])


def _noted(texts: Any) -> tuple[Any, str]:
    """A table whose remarks stand below it, each once, with its number behind the methods that it is about."""
    found, notes = texts.drop(columns="remarks", errors="ignore"), dict[str, int]()
    for row, remarks in texts.get("remarks", texts["Method"].iloc[:0]).items():
        marks = [str(notes.setdefault(one, len(notes) + 1)) for one in filter(None, remarks.split("; "))]
        found.loc[row, "Method"] += f" <sup>{', '.join(marks)}</sup>" if marks else ""
    return found, "  \n".join(f"<sup>{number}</sup> {note}" for note, number in notes.items())


WORDS = ("Category", "Method")  # columns of a table that hold words; the others are numbers, which stay on one line


def _pipes(texts: Any) -> str:
    """A frame of texts as a Markdown table; a category is named once."""
    cells = texts.astype(str).map(lambda cell: cell.replace("|", "\\|").replace("\n", " "))
    for name in cells:
        if name not in WORDS:
            cells[name] = cells[name].str.replace(" ", "\N{NO-BREAK SPACE}")
    if "Category" in cells:
        cells["Category"] = cells["Category"].where(cells["Category"] != cells["Category"].shift(), "")
    lines = [cells.columns, [":---" if name in WORDS else "---:" for name in cells], *cells.to_numpy()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _drawn_in(number: int | str) -> list[str]:
    """Links to the notebooks that a table is drawn in."""
    found = [path for path in reproduce.sources() if number in _numbers(readme.from_paper(path))]
    links = ", ".join(f"[{path.stem[:2]} {readme.title_of(path)}](../notebooks/{path.name})" for path in found)
    return [f"Drawn and discussed in {links}.", ""] if links else []


def _numbers(said: str) -> set[Any]:
    """Numbers of the tables in a text such as ``Tables 6-7, Fig. 2``."""
    found: set[Any] = set()
    for names in re.findall(r"Tables?\s+((?:\d+(?:\s*[-,]\s*(?=\d))?)+)", said):
        for part in re.split(r"\s*,\s*", names):
            low, _, high = part.partition("-")
            found |= set(range(int(low), int(high or low) + 1))
    return found


def _state() -> str:
    """How many rows of the paper's tables are measured, and how many of its sentences hold."""
    from marsnb.results import claims, table

    numbers, checks = recipes.tables(), claims.frame(SHOWN)
    lines = [table(number, SHOWN).query("not control") for number in numbers]
    rows = sum(found["row"].nunique() for found in lines)
    done = sum(found.dropna(subset="value")["row"].nunique() for found in lines)
    hold, fail, undecided, untested = claims.tally(checks).loc["all", list(claims.VERDICTS)]
    return (
        f"So far {done} of the {rows} rows of Tables {numbers[0]} to {numbers[-1]} are measured. Of {len(checks)} "
        f"checks of the paper's sentences {hold} hold, {fail} do not, {undecided} are undecided and {untested} are not "
        "tested.\n"
    )


def _claims() -> str:
    """How many of the paper's sentences hold, by section."""
    from marsnb.results import claims

    found = claims.frame(SHOWN)
    counts = claims.tally(found)
    text = [f"{len(found)} checks of {found['quote'].nunique()} sentences:", ""]
    text += [f"| Section | {' | '.join(counts.columns)} |", "|---|" + "---:|" * counts.shape[1]]
    text += [f"| {section} | {' | '.join(map(str, numbers))} |" for section, numbers in counts.iterrows()]
    return "\n".join(text) + "\n"


def _modules(package: str) -> str:
    """The public modules of a package and its subpackages, for autodoc."""
    root = import_module(package)
    found = [m.name for m in pkgutil.walk_packages(root.__path__, f"{package}.") if not m.ispkg]
    return "\n".join(_automodule(name) for name in found if not name.rpartition(".")[2].startswith("_"))


def _automodule(name: str, *options: str) -> str:
    directive = ("```{eval-rst}", f".. automodule:: {name}", *(f"   {option}" for option in options), "```")
    return "\n".join((f"## {name.removeprefix('marsnb.')}", "", *directive, ""))
