"""What has to hold between the files of the project."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from marsnb import __version__

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MODULES = sorted([*(ROOT / "marsnb").rglob("*.py"), *(ROOT / "tests").rglob("*.py")])
FOLDERS = ("marsnb", "tests", "notebooks", "docs", ".ci", ".binder", ".devcontainer", ".github")
MAX_LINES = 400
"""A file is as long as its subject; one that is longer than this has two."""
MAX_CELL_LINES = 30
MAX_CELL_COLUMNS = 96
PICTURE = "fig_overview"
MAX_IMPORT_SECONDS = 1.0

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def normal(requirement: str) -> str:
    """Name of a requirement, as packaging tools compare it."""
    name = re.split(r"[\s<>=!~;\[]", requirement.strip(), maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*extras: str) -> set[str]:
    """Names of the dependencies in pyproject.toml, with those of ``extras``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    return {
        normal(name) for name in (*project["dependencies"], *(name for extra in extras for name in optional[extra]))
    }


def pinned() -> dict[str, str]:
    """Exact versions of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(pair) == 2 for pair in pairs), "constraints.txt: every line is name==version"
    return {normal(name): version for name, version in pairs}


@cache
def provided() -> Mapping[str, list[str]]:
    """Top-level modules to the installed distributions that provide them."""
    return packages_distributions()


def distributions(module: str) -> set[str]:
    """Names of the installed distributions that provide a top-level module."""
    return {normal(name) for name in provided().get(module, [])}


def imported(*folders: str) -> list[str]:
    """Third-party top-level modules that the code in ``folders`` imports, notebooks included."""
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".ipynb"}]
    found = set(
        re.findall(r"^[ \t\"]*(?:import|from) (\w+)", "\n".join(path.read_text() for path in paths), re.MULTILINE)
    )
    return sorted(found & provided().keys() - {"marsnb", "tests"})


def run_python(code: str) -> float:
    """Run ``code`` in a process of its own; seconds of computing that it took, whatever else the machine has to do."""
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def test_environment_names_every_dependency_once() -> None:
    pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"][-1]["pip"]
    assert pip[:2] == ["-c constraints.txt", "-e .[dev,site]"]
    names = [normal(name) for name in pip[2:]]
    assert len(names) == len(set(names))
    assert set(names) == declared("dev", "site")


def test_binder_gets_every_dependency() -> None:
    there = yaml.safe_load((ROOT / ".binder" / "environment.yml").read_text())["dependencies"]
    conda = {
        "pytorch-cpu": "torch",
        "matplotlib-base": "matplotlib",
        "seaborn-base": "seaborn",
        "jupyter_client": "jupyter-client",
    }
    names = {conda.get(name, name) for name in (*there[:-1], *there[-1]["pip"])}
    assert names == declared() | {"python=3.11", "pip"}
    assert os.access(ROOT / ".binder" / "postBuild", os.X_OK)


def test_every_dependency_has_a_reason() -> None:
    text = (ROOT / "environment.yml").read_text()
    bare = [line for line in re.findall(r"^ {6}- [A-Za-z].*$", text, re.MULTILINE) if not re.search(r"  # \w+", line)]
    assert bare == []


def test_every_dependency_is_pinned() -> None:
    assert declared("dev", "site", "export", "cluster") - pinned().keys() == set()


def test_every_import_is_a_declared_dependency() -> None:
    allowed = declared("export", "cluster")
    assert [name for name in imported("marsnb") if not distributions(name) & allowed] == []
    allowed = declared("site") | {"docutils"}  # Sphinx's own
    assert [name for name in imported("docs") if not distributions(name) & allowed] == []


def test_a_dependency_that_nothing_imports_is_a_tool() -> None:
    texts = [*(path.read_text() for path in (ROOT / "marsnb").rglob("*.py")), (ROOT / "docs" / "conf.py").read_text()]
    named = set(re.findall(r"[\"'](\w+)[\"']", "\n".join(texts)))  # imported by name, or an extension of Sphinx
    modules = {*imported("marsnb", "notebooks", "docs"), *(named & provided().keys())}
    used = {name for module in modules for name in distributions(module)}
    assert declared("site") - used == {"jupyterlab", "jinja2"}  # the second draws pandas' styled tables


def test_no_package_registry_is_named() -> None:
    hosts = re.compile(
        r"\bpypi\.(org|python)|pythonhosted\.|\banaconda\.org|pytorch\.org/whl|\bnpmjs\.|\[global\]\s*\w*index|--(extra-)?index-url|--find-links"
    )
    suffixes = {".py", ".toml", ".txt", ".yml", ".yaml", ".cff", ".md", ".ipynb", ".cfg"}
    top = [path for path in ROOT.iterdir() if path.is_file()]
    below = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    named = [
        str(path.relative_to(ROOT))
        for path in (*top, *below)
        if path.is_file()
        and (path.suffix in suffixes or path.name in {"Makefile", "run", "postBuild"})
        and path != Path(__file__)
        and hosts.search(path.read_text(errors="replace"))
    ]
    assert named == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@each_notebook
def test_notebook_is_stored_clean(path: Path) -> None:
    notebook = json.loads(path.read_text())
    cells = notebook["cells"]
    assert (notebook["nbformat"], notebook["nbformat_minor"] >= 5) == (4, True)
    assert len({cell["id"] for cell in cells}) == len(cells)
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []


@each_notebook
def test_notebook_has_one_parameters_cell_of_literals(path: Path) -> None:
    cells = json.loads(path.read_text())["cells"]
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    assert len(tagged) == 1
    for statement in ast.parse("".join(tagged[0]["source"])).body:
        assert isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None
        ast.literal_eval(statement.value)  # papermill does not recompute what is derived


@each_notebook
def test_notebook_cells_are_short(path: Path) -> None:
    shown = 0
    for cell in json.loads(path.read_text())["cells"]:
        if cell["cell_type"] == "code":
            lines = "".join(cell["source"]).splitlines()
            assert len(lines) <= MAX_CELL_LINES, cell["id"]
            assert max(map(len, lines), default=0) <= MAX_CELL_COLUMNS, cell["id"]
            shown += sum(line.count("Markdown(") for line in lines)
    assert shown <= 2  # prose is written by hand, not assembled


def test_outputs_of_the_smoke_profile_are_not_kept() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {".venv/", "/build/", "/runs/", "/data/", "/figures/smoke/", "/figures/*/images/"} <= set(ignored)


@pytest.mark.parametrize("code", ["import marsnb", "import marsnb.cli"])
def test_import_is_light(code: str) -> None:
    heavy = "{'torch', 'pandas', 'matplotlib', 'sklearn', 'pytorch_lightning'}"
    code = f"{code}, sys; assert not {heavy} & sys.modules.keys()"
    assert any(run_python(code) < MAX_IMPORT_SECONDS for _ in range(3))


def test_help_is_light() -> None:
    lines = [
        "import sys",
        "from marsnb.cli import main",
        "sys.argv = ['marsnb', '--help']",
        "try: main()",
        "except SystemExit as stop: assert not stop.code",
        "assert 'torch' not in sys.modules",
    ]
    assert any(run_python("\n".join(lines)) < MAX_IMPORT_SECONDS for _ in range(3))


def test_readme_is_a_screen_or_two_with_the_picture() -> None:
    text = (ROOT / "README.md").read_text()
    assert text.count("\n") < 150
    assert f"](figures/lite/{PICTURE}.png)" in text


def test_readme_is_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from marsnb import readme

    for variable in ("MARSNB_FIGURES", "MARSNB_BUILD", "MARSNB_RUNS", "MARSNB_DATA"):  # the committed figures
        monkeypatch.delenv(variable)
    text = (ROOT / "README.md").read_text()
    assert re.findall(r"<!-- generated: (\w+) -->", text) == ["notebooks"]
    (tmp_path / "README.md").write_text(text)
    readme.update(tmp_path / "README.md")
    assert not readme.update(tmp_path / "README.md", check=True)
    assert text == (tmp_path / "README.md").read_text(), "run `marsnb readme`"


def test_readme_tells_the_profiles_image_sizes() -> None:
    from marsnb.recipes import load_profile, profiles

    for name in profiles():
        row = re.search(rf"^\| `{name}` \|.*$", (ROOT / "README.md").read_text(), re.MULTILINE)
        assert row and f"{load_profile(name).classification['image_size']} px" in row[0]


def test_readme_names_only_make_targets_there_are() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"help", "reproduce", "site", "test", "lint", "lab", "bench", "campaigns", "clean"} <= targets
    pages = ("README.md", "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"))
    text = "".join((ROOT / name).read_text() for name in pages)
    assert "TODO" not in text
    assert set(re.findall(r"`make ([a-z]+)", text)) <= targets


def test_readme_links_lead_somewhere() -> None:
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text())
        assert [name for name in links if not (page.parent / name).exists()] == [], page.name


def test_help_lists_every_target() -> None:
    done = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = set(re.findall(r"^  make (\w+)", done.stdout, re.MULTILINE))
    assert listed == {"help", "reproduce", "site", "test", "lint", "lab", "bench", "campaigns", "clean"}


def test_ci_runs_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().splitlines()[1:] == [
        "set -euo pipefail",
        'cd "$(dirname "${BASH_SOURCE[0]}")/.."',
        "make test",
    ]


def test_licence_is_there() -> None:
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")


def test_citation_names_the_software_and_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["type"], citation["license"], citation["version"]) == ("software", "MIT", __version__)
    paper = next(entry for entry in citation["references"] if entry["type"] == "article")
    assert paper["title"] == "Semi-Supervised Learning for Mars Imagery Classification and Segmentation"
    assert [author["family-names"] for author in paper["authors"]] == ["Wang", "Lin", "Fan", "Liu"]


def test_changelog_has_this_version() -> None:
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()
