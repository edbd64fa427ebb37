"""The site: pages staged from docs/, the executed notebooks and the ledger, and built by Sphinx into ``build/site``.

A notebook's page is its copy as executed at `SHOWN`; where there is none yet, the notebook as it is stored. Copies of
other profiles, where there are any, are a section of their own.
"""

import os
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from marsnb import paths, readme, recipes, reproduce
from marsnb.errors import MarsnbError
from marsnb.files import write_whole

SHOWN = "lite"
"""The profile whose copies are the notebooks' pages."""

NEEDED = ("sphinx", "myst_nb", "sphinx_book_theme")
LINK = re.compile(r"(!?)\[((?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*)\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")
CODE = re.compile(r"(^```.*?^```|`[^`\n]+`)", re.DOTALL | re.MULTILINE)
GITHUB = re.compile(r"github\.com[:/]+([\w.-]+/[\w.-]+?)(?:\.git)?/?$")
FIRST_CELL = """\
# Where marsnb is missing (Colab), this fetches and installs it, which takes some minutes.
import importlib.util

if importlib.util.find_spec("marsnb") is None:
    !git clone --quiet --depth 1 https://github.com/{repository} marsnb-clone
    %pip install --quiet -e marsnb-clone
    %cd marsnb-clone"""


def repository() -> str:
    """``owner/name`` of the repository on GitHub, as its workflow or git's ``origin`` has it; empty if unknown."""
    given = os.environ.get("GITHUB_REPOSITORY", "")
    if given:
        return given
    try:
        asked = ["git", "-C", str(paths.ROOT), "remote", "get-url", "origin"]
        url = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # no git on this machine
        return ""
    found = GITHUB.search(url)
    return found[1] if found else ""


def html(profile: str = SHOWN, stem: str = "") -> Path:
    """The site's front page, or the page of a notebook."""
    page = f"{_folder(profile)}/{stem}.html" if stem else "index.html"
    return paths.build("site") / page


def outdated(profile: str = SHOWN) -> list[str]:
    """Notebooks without a copy at a profile, or with one older than they or the ledger."""
    ledger = [path for path in (paths.figures(profile) / name for name in ("runs.csv", "curves.csv")) if path.is_file()]

    def old(path: Path) -> bool:
        copy = paths.build(profile) / path.name
        newest = max(one.stat().st_mtime for one in (path, *ledger))
        return not copy.is_file() or copy.stat().st_mtime < newest

    return [path.stem for path in reproduce.sources() if old(path)]


def build() -> Path:
    """Stage the pages and build them; what did not change since the last time is not built again.

    Returns:
        Path of the front page.

    Raises:
        MarsnbError: Sphinx is not installed, or it has a warning.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise MarsnbError(f"the site needs {missing[0]}, which is not installed: pip install -e '.[site]'")
    source, out = stage(), paths.build("site")
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", "-c", str(paths.docs())]
    command += ["-d", str(source.parent / "doctrees"), str(source), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if re.search("WARNING|ERROR", line)]
        raise MarsnbError(f"the site was not built: {'; '.join(said[:5]) or done.stderr.strip()[-500:]}")
    return out / "index.html"


def stage() -> Path:
    """Write the pages that Sphinx reads, each only where it changed.

    Returns:
        Path of the folder.
    """
    source, made = paths.build("site-source") / "pages", set()
    for name, content in _pages(source):
        path = source / name
        if not path.is_file() or path.read_bytes() != content:
            write_whole(path, content)
        made.add(path)
    for path in sorted(source.rglob("*"), reverse=True):
        if path.is_file() and path not in made:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    return source


def colab(folder: Path) -> list[Path]:
    """Write each notebook with a first cell that installs marsnb where it is missing.

    Args:
        folder: where to.

    Raises:
        MarsnbError: the repository's address is not known.
    """
    import nbformat

    if not repository():
        raise MarsnbError("the repository is not on GitHub as far as git's origin says: set GITHUB_REPOSITORY=owner/name")
    written = []
    for path in reproduce.sources():
        notebook = nbformat.read(path, as_version=4)
        cell = nbformat.v4.new_code_cell(FIRST_CELL.format(repository=repository()))
        cell["id"] = "install"
        notebook.cells.insert(0, cell)
        written.append(write_whole(folder / path.name, nbformat.writes(notebook)))
    return written


def _folder(profile: str) -> str:
    return "notebooks" if profile == SHOWN else profile


def _pages(source: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of all pages and of the pictures that they show."""
    pictures: set[Path] = set()
    others = [p for p in recipes.profiles() if p != SHOWN and any(paths.build(p).glob("[0-9]*.ipynb"))]
    parts = _parts(others)
    for path in sorted(paths.docs().glob("*.md")):
        text = readme.fill(path.read_text(encoding="utf-8"), parts, path.name)
        yield path.name, _linked(text, paths.docs(), "", pictures).encode()
    for profile in (SHOWN, *others):
        stems = []
        for stored in reproduce.sources():
            copy, failed = paths.build(profile) / stored.name, paths.build(profile) / "failed" / stored.name
            if copy.is_file() or failed.is_file() or profile == SHOWN:
                stems.append(stored.stem)
                yield f"{_folder(profile)}/{stored.name}", _notebook(profile, stored, copy, failed, pictures).encode()
        if profile != SHOWN:
            yield f"{profile}/index.md", _section(profile, stems).encode()
    for path in pictures:
        yield f"pictures/{path.relative_to(paths.figures('')).as_posix()}", path.read_bytes()


def _section(profile: str, stems: Sequence[str]) -> str:
    """The page that lists the notebooks of a profile."""
    says = recipes.load_profile(profile).says
    kind = "warning" if "SYNTHETIC" in says else "note"
    listed = "\n".join(stems)
    title = f"All notebooks at `{profile}`{' (SYNTHETIC)' if 'SYNTHETIC' in says else ''}"
    return f"# {title}\n\n:::{{{kind}}}\n{says}\n:::\n\n:::{{toctree}}\n:maxdepth: 1\n\n{listed}\n:::\n"


def _notebook(profile: str, stored: Path, copy: Path, failed: Path, pictures: set[Path]) -> str:
    """The page of a notebook: its best copy, with a word on what it is where that is not plain."""
    import nbformat

    from marsnb.recipes import load_profile

    best = next((path for path in (failed, copy) if path.is_file()), stored)
    notebook = nbformat.read(best, as_version=4)
    says, notes = load_profile(profile).says, []
    if best == failed:
        notes.append(f":::{{danger}}\nThis notebook failed at `{profile}`: it shows what there was until then.\n:::")
    if best == stored:
        notes.append(":::{note}\nNot drawn on this machine yet: `make site` draws it.\n:::")
    if "SYNTHETIC" in says:
        notes.append(f":::{{warning}}\n{says}\n:::")
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _linked(cell.source, paths.notebooks(), _folder(profile), pictures)
    first = next((cell for cell in notebook.cells if cell.source.startswith("# ")), None)
    if first is not None:
        title, _, rest = first.source.partition("\n")
        title = f"# {stored.stem[:2]} · {title[2:]}{' (SYNTHETIC)' if 'SYNTHETIC' in says else ''}"
        first.source = "\n\n".join((title, *notes, rest.strip()))
    return str(nbformat.writes(notebook))


def _linked(text: str, home: Path, at: str, pictures: set[Path]) -> str:
    """A text with its relative links as the site has them.

    Args:
        text: Markdown.
        home: folder of the page in the repository, from which its links lead.
        at: folder of the page on the site.
        pictures: gets the figures that the text shows.
    """
    up = "../" if at else ""

    def moved(match: re.Match[str]) -> str:
        mark, label, target, anchor = match[1], _linked(match[2], home, at, pictures), match[3], match[4] or ""
        path = (home / target).resolve()
        if not path.exists():
            return match[0]  # Sphinx says so
        if path.is_relative_to(paths.figures("")) and path.is_file() and path.suffix in (".png", ".svg"):
            pictures.add(path)
            return f"{mark}[{label}]({up}pictures/{path.relative_to(paths.figures('')).as_posix()})"
        if path.parent == paths.notebooks():
            return f"[{label}]({up}{at or 'notebooks'}/{path.name}{anchor})"
        if path.parent == paths.docs() and path.suffix == ".md":
            return f"[{label}]({up}{path.name}{anchor})"
        if path.is_relative_to(paths.ROOT) and repository():
            inside = path.relative_to(paths.ROOT).as_posix()
            return f"[{label}](https://github.com/{repository()}/blob/HEAD/{inside}{anchor})"
        return label

    parts = CODE.split(text)
    return "".join(part if i % 2 else LINK.sub(moved, part) for i, part in enumerate(parts))


def _parts(others: Sequence[str]) -> dict[str, Callable[[], str]]:
    """What makes the generated parts of the pages."""
    named: dict[str, Callable[[], str]] = {
        "notebooks": lambda: readme.notebook_table("../notebooks"),
        "methods": readme.method_table,
        "profiles": lambda: _profile_toctree(others),
        "more-notebooks": _more_notebooks,
        "tables": _tables,
        "claims": _claims,
    }
    for package in ("losses", "models", "methods"):
        named[f"api-{package}"] = lambda package=package: _modules(f"marsnb.{package}")  # type: ignore[misc]
    named["api-results"] = lambda: _automodule("marsnb.results", ":imported-members:")
    return named


def _profile_toctree(others: Sequence[str]) -> str:
    entries = [f"{profile}/index" for profile in others]
    return _toctree("Other profiles", entries) if entries else ""


def _more_notebooks() -> str:
    """A part of the navigation for notebooks that the front page does not name."""
    front = (paths.docs() / "index.md").read_text(encoding="utf-8")
    entries = [f"notebooks/{path.stem}" for path in reproduce.sources() if f"notebooks/{path.stem}\n" not in front]
    return _toctree("More notebooks", entries) if entries else ""


def _toctree(caption: str, entries: Sequence[str]) -> str:
    return "\n".join((":::{toctree}", ":hidden:", f":caption: {caption}", "", *entries, ":::", ""))


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
    texts = readable(frame)
    text = [f"({key})=", f"## {name}{head.title}", "", *_drawn_in(head.table)]
    text += [f"{head.note.strip()} {caption(frame, SHOWN)}".strip(), ""]
    return "\n".join([*text, _pipes(texts), ""])


WORDS = ("Category", "Method", "remarks")
"""Columns of a table that hold words; the others are numbers, which stay on one line."""


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


def _claims() -> str:
    """How many of the paper's sentences hold, by section."""
    from marsnb.results import claims

    counts = claims.tally(claims.frame(SHOWN))
    text = [f"| Section | {' | '.join(counts.columns)} |", "|---|" + "---:|" * counts.shape[1]]
    text += [f"| {section} | {' | '.join(map(str, numbers))} |" for section, numbers in counts.iterrows()]
    return "\n".join(text) + "\n"


def _modules(package: str) -> str:
    """The public modules of a package and its subpackages, for autodoc."""
    root = import_module(package)
    found = [m.name for m in pkgutil.walk_packages(root.__path__, f"{package}.") if not m.ispkg]
    return "\n".join(_automodule(name) for name in found if not name.rpartition(".")[2].startswith("_"))


def _automodule(name: str, *options: str) -> str:
    short = name.removeprefix("marsnb.")
    return "\n".join((f"## {short}", "", "```{eval-rst}", f".. automodule:: {name}", *(f"   {o}" for o in options), "```", ""))


def clean() -> None:
    """Remove what was staged and built."""
    for name in ("site", "site-source"):
        shutil.rmtree(paths.build(name), ignore_errors=True)
