"""The generated parts of README.md: between ``<!-- generated: NAME -->`` and ``<!-- end -->``."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path

import nbformat

from marsnb import recipes
from marsnb import reproduce as notebooks
from marsnb.errors import MarsnbError
from marsnb.files import write_whole
from marsnb.report import claims, comparisons, explain, ranking, segmentation, table8, tables
from marsnb.report.index_page import title_of
from marsnb.reproduce import duration

PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
SHOWN = "lite"
"""The profile whose tables the README shows."""


def notebook_table() -> str:
    """Table of the notebooks: title, what of the paper, time per profile as last measured."""
    scales = [name for name in ("smoke", "lite", "paper") if name in recipes.profiles()]
    took = {
        scale: dict(zip(times["notebook"], times["seconds"], strict=True))
        for scale, times in ((scale, notebooks.times(scale)) for scale in scales)
    }
    used = [scale for scale in scales if took[scale]]
    head = ["", "Notebook", "From the paper", *(f"Time, {scale}" for scale in used)]
    text = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for path in notebooks.sources():
        metadata = nbformat.read(path, as_version=4).metadata.get("marsnb", {})
        cells = [path.stem[:2], f"[{title_of(path)}](notebooks/{path.name})", metadata.get("paper", "")]
        cells += [duration(float(took[scale][path.stem])) if path.stem in took[scale] else "" for scale in used]
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


def _parts() -> dict[str, Callable[[], str]]:
    named: dict[str, Callable[[], str]] = {"notebooks": notebook_table, "methods": method_table}
    for key in recipes.trainable():
        number: int | str = int(key.removeprefix("table")) if key.startswith("table") else key
        named[key] = lambda number=number: tables.markdown(number, SHOWN)  # type: ignore[misc]
    named["comparison"] = lambda: comparisons.against_baseline(SHOWN) + "\n\n" + ranking.ranking_text(3, SHOWN) + "\n"
    named["backbones"] = lambda: comparisons.backbones(SHOWN) + "\n"
    named["sweeps"] = lambda: "\n".join(comparisons.sweep(number, SHOWN) + "\n" for number in (6, 7))
    named["steps"] = lambda: segmentation.steps_text(SHOWN) + "\n"
    named["rivals"] = lambda: table8.rivals(SHOWN) + "\n"
    named["sweeps_segmentation"] = lambda: "\n".join(segmentation.sweep_text(n, SHOWN) + "\n" for n in (10, 11))
    named["claims"] = lambda: claims.tally_markdown(SHOWN) + "\n"
    named["explain"] = lambda: explain.hard_classes(SHOWN) + "\n"
    return named


def update(path: Path, *, check: bool = False) -> bool:
    """Bring the generated parts of a README up to date.

    Args:
        path: the Markdown file.
        check: write nothing, only compare.

    Returns:
        Whether it was out of date.

    Raises:
        MarsnbError: a part has a name that nothing generates, or has no end.
    """
    named, old = _parts(), path.read_text(encoding="utf-8")
    if old.count("<!-- generated:") != len(PART.findall(old)):
        raise MarsnbError(f"{path.name}: a generated part has no end: close it with `<!-- end -->`")

    def fill(match: re.Match[str]) -> str:
        if match[2] not in named:
            raise MarsnbError(f"{path.name}: nothing generates {match[2]!r}; known: {', '.join(sorted(named))}")
        return f"{match[1]}\n{named[match[2]]()}\n{match[3]}"

    new = PART.sub(fill, old)
    if new != old and not check:
        write_whole(path, new)
    return new != old
