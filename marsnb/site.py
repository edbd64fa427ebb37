"""The site: pages staged from docs/, the executed notebooks and the ledger, and built by Sphinx into ``build/site``.

A notebook's page is its copy as executed at `SHOWN`; where there is none yet, the notebook as it is stored. Copies of
other profiles, where there are any, are a section of their own.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import nbformat

from marsnb import pages, paths, readme, recipes, reproduce
from marsnb.errors import MarsnbError
from marsnb.files import write_whole
from marsnb.pages import SHOWN

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
    """Stage the pages and build them, only what changed since the last time; the path of the front page.

    Raises:
        MarsnbError: Sphinx is not installed, or it has a warning.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise MarsnbError(f"the site needs {missing[0]}, which is not installed: pip install -e '.[site]'")
    source, out = stage(), paths.build("site")
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", "-j", "auto"]
    command += ["-c", str(paths.docs()), "-d", str(source.parent / "doctrees"), str(source), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = f"{done.stdout}\n{done.stderr}".strip().splitlines()
        said = [line for line in lines if re.search("WARNING|ERROR", line)] or lines[-3:]
        raise MarsnbError(f"the site was not built (exit code {done.returncode}): {'; '.join(said[:5])}")
    return out / "index.html"


def stage() -> Path:
    """Write the pages that Sphinx reads, each only where it changed, into the folder that is returned."""
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
    """Write each notebook with a first cell that installs marsnb where it is missing into a folder.

    Raises:
        MarsnbError: the repository's address is not known.
    """
    if not repository():
        raise MarsnbError("git's origin is not on GitHub: set GITHUB_REPOSITORY=owner/name")
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
    others = [p for p in recipes.profiles() if p != SHOWN and any(_best(p, one) != one for one in reproduce.sources())]
    parts = pages.parts(others)
    for path in sorted(paths.docs().glob("*.md")):
        text = readme.fill(path.read_text(encoding="utf-8"), parts, path.name)
        yield path.name, _linked(text, paths.docs(), "", pictures).encode()
    for profile in (SHOWN, *others):
        stems = []
        for stored in reproduce.sources():
            if profile == SHOWN or _best(profile, stored) != stored:
                stems.append(stored.stem)
                yield f"{_folder(profile)}/{stored.name}", _notebook(profile, stored, pictures).encode()
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


def _best(profile: str, stored: Path) -> Path:
    """A notebook's copy at a profile: the one that failed just now, the executed one, or the notebook itself."""
    copies = (paths.build(profile) / "failed" / stored.name, paths.build(profile) / stored.name)
    return next((path for path in copies if path.is_file()), stored)


def _notebook(profile: str, stored: Path, pictures: set[Path]) -> str:
    """The page of a notebook: its best copy, with a word on what it is where that is not plain."""
    best = _best(profile, stored)
    notebook = nbformat.read(best, as_version=4)
    says, notes = recipes.load_profile(profile).says, []
    if best.parent.name == "failed":
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

    They lead from ``home`` in the repository, and ``at`` is the page's folder on the site; ``pictures`` gets the
    figures that it shows.
    """
    up = "../" if at else ""

    def moved(match: re.Match[str]) -> str:
        mark, label, target, anchor = match[1], _linked(match[2], home, at, pictures), match[3], match[4] or ""
        path = (home / target).resolve()
        if mark and path.is_relative_to(paths.ROOT / "figures"):
            name = path.relative_to(paths.ROOT / "figures").as_posix()
            if not (paths.figures("") / name).is_file():
                return f"*{label}: not drawn yet.*"
            pictures.add(paths.figures("") / name)
            return f"![{label}]({up}pictures/{name})"
        if not path.exists():
            return match[0]  # Sphinx says so
        if path.parent == paths.notebooks():
            own = at and _best(at, path) != path  # where it was run at this page's profile
            return f"[{label}]({up}{at if own else 'notebooks'}/{path.name}{anchor})"
        if path.parent == paths.docs() and path.suffix == ".md":
            return f"[{label}]({up}{path.name}{anchor})"
        if path.is_relative_to(paths.ROOT) and repository():
            inside = path.relative_to(paths.ROOT).as_posix()
            return f"[{label}](https://github.com/{repository()}/blob/HEAD/{inside}{anchor})"
        return label

    parts = CODE.split(text)
    return "".join(part if i % 2 else LINK.sub(moved, part) for i, part in enumerate(parts))
