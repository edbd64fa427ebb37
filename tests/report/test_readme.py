from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from marsnb import paths, reproduce
from marsnb.errors import MarsnbError
from marsnb.report import readme
from marsnb.report.index_page import write_pages


def write(folder: Path, stem: str) -> None:
    """A small notebook with a parameters cell."""
    parameters = new_code_cell('profile = "smoke"', metadata={"tags": ["parameters"]})
    cells = [new_markdown_cell(f"# Title of {stem}"), parameters]
    nbformat.write(new_notebook(cells=cells, metadata={"marsnb": {"paper": "Fig. 1"}}), folder / f"{stem}.ipynb")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of notebooks in place of the project's."""
    monkeypatch.setattr(paths, "notebooks", lambda: tmp_path)
    return tmp_path


def test_readme_parts_are_generated_and_stay(tmp_path: Path, folder: Path) -> None:
    write(folder, "01_good")
    reproduce.keep_times("lite", {"01_good": 100.0})
    path = tmp_path / "README.md"
    parts = "".join(f"<!-- generated: {name} -->\nold\n<!-- end -->\n" for name in ("table04", "notebooks", "methods"))
    path.write_text(f"# Kept\n{parts}kept\n")
    assert readme.update(path, check=True) and "old" in path.read_text()
    assert readme.update(path) and not readme.update(path) and not readme.update(path, check=True)
    text = path.read_text()
    assert "old" not in text and text.startswith("# Kept\n") and text.endswith("kept\n")
    assert "| 01 | [Title of 01_good](notebooks/01_good.ipynb) | Fig. 1 | 2 min |" in text
    assert text.count("| classification | `") == text.count("| segmentation | `") == 1  # each task at its first method
    assert text.count("| `semi_supervised` |") == 2 and "79.28 ± 1.76" in text


@pytest.mark.parametrize("wrong", ["<!-- generated: nothing -->\n<!-- end -->", "<!-- generated: methods -->\n"])
def test_readme_with_a_wrong_mark_is_refused(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "README.md"
    path.write_text(wrong)
    with pytest.raises(MarsnbError):
        readme.update(path)


def test_pages_are_rendered_from_executed_notebooks(folder: Path) -> None:
    write(folder, "01_good")
    paths.build("smoke").mkdir(parents=True)
    write(paths.build("smoke"), "01_good")
    index = write_pages("smoke").read_text()
    assert 'href="01_good.html"' in index and "SYNTHETIC" in index
    assert "Title of 01_good" in (paths.build("smoke") / "01_good.html").read_text()
