"""Generated parts of README.md and of the site's pages: between ``<!-- generated: NAME -->`` and ``<!-- end -->``."""

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import nbformat
import pandas as pd

from marsnb import paths, recipes, reproduce, times
from marsnb.errors import MarsnbError
from marsnb.files import write_whole

PART = re.compile(r"^(<!-- generated: ([\w-]+) -->\n).*?^(<!-- end -->)", re.DOTALL | re.MULTILINE)
BEGINS = re.compile(r"^<!-- generated:", re.MULTILINE)


def title_of(notebook: Path) -> str:
    """The first heading of a notebook, without its ``#``."""
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("# "):
                    return str(line[2:].strip())
    return notebook.stem


def from_paper(notebook: Path) -> str:
    """What of the paper a notebook shows, as its metadata has it."""
    return str(nbformat.read(notebook, as_version=4).metadata.get("marsnb", {}).get("paper", ""))


def notebook_table(folder: str = "notebooks") -> str:
    """Table of the notebooks: title, what of the paper, and time per profile as docs/times.csv has it.

    Its links lead to the ``folder`` of the notebooks, as seen from the page that gets the table.
    """
    kept = times.committed_times()
    scales = [name for name in ("smoke", "lite", "paper") if (kept["profile"] == name).any()]
    took = kept.set_index(["profile", "notebook"])["seconds"].to_dict()
    head = ["", "Notebook", "From the paper", *(f"Time, {scale}" for scale in scales)]
    text = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for path in reproduce.sources():
        cells = [path.stem[:2], f"[{title_of(path)}]({folder}/{path.name})", from_paper(path)]
        cells += [times.duration(took[s, path.stem]) if (s, path.stem) in took else "" for s in scales]
        text.append(f"| {' | '.join(cells)} |")
    return "\n".join(text) + "\n"


def method_table() -> str:
    """Table of the methods of both tasks, from their docstrings."""
    from marsnb.methods import methods_of

    text = ["| Task | Method | What it trains with |", "|---|---|---|"]
    for task in ("classification", "segmentation"):
        methods = methods_of(task)
        for i, name in enumerate(methods):
            first = (inspect.getdoc(methods[name]) or "").split("\n\n")[0].replace("\n", " ")
            text.append(f"| {'' if i else task} | `{name}` | {first} |")
    return "\n".join(text) + "\n"


def fill(text: str, parts: Mapping[str, Callable[[], str]], name: str) -> str:
    """A page with its generated parts written anew; messages call it ``name``.

    Raises:
        MarsnbError: a part has a name that nothing generates, or has no end.
    """
    if len(BEGINS.findall(text)) != len(PART.findall(text)):
        raise MarsnbError(f"{name}: a generated part has no end: close it with `<!-- end -->`")

    def made(match: re.Match[str]) -> str:
        if match[2] not in parts:
            raise MarsnbError(f"{name}: nothing generates {match[2]!r}; known: {', '.join(sorted(parts))}")
        return f"{match[1]}\n{parts[match[2]]()}\n{match[3]}"

    return PART.sub(made, text)


def update(path: Path, *, check: bool = False) -> bool:
    """Bring the tables of notebooks and of methods in a README up to date, or only ``check``; whether it was not.

    Raises:
        MarsnbError: as `fill` does.
    """
    old = path.read_text(encoding="utf-8")
    new = fill(old, {"notebooks": notebook_table, "methods": method_table}, path.name)
    if new != old and not check:
        write_whole(path, new)
    return new != old


def take_times() -> None:
    """Enter the times of the last reproduction on this machine in docs/times.csv."""
    own = (times.own_times(profile).assign(profile=profile) for profile in recipes.profiles())
    frames = [times.committed_times(), *own]
    found = pd.concat([frame for frame in frames if len(frame)] or frames)
    stems = {path.stem for path in reproduce.sources()}
    found = found[found["notebook"].isin(stems)].drop_duplicates(["profile", "notebook"], keep="last")
    found = found[["profile", *times.TIMES]].sort_values(["profile", "notebook"])
    write_whole(paths.docs() / "times.csv", found.to_csv(index=False, lineterminator="\n"))
