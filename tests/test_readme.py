"""The generated parts of the README and of the site's pages."""

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from marsnb import paths, readme, times
from marsnb.errors import MarsnbError
from marsnb.training import load
from marsnb.training.spec import row_runs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the project's notebooks and pages, with one notebook."""
    for name in ("notebooks", "docs"):
        monkeypatch.setattr(paths, name, lambda: tmp_path)
    cells = [new_markdown_cell("# Title of 01"), new_code_cell('profile = "smoke"', metadata={"tags": ["parameters"]})]
    nbformat.write(new_notebook(cells=cells, metadata={"marsnb": {"paper": "Fig. 1"}}), tmp_path / "01_good.ipynb")
    return tmp_path


def test_parts_are_written_and_the_rest_stays(folder: Path) -> None:
    times.keep_times("lite", {"01_good": 100.0, "99_gone": 5.0})
    path = folder / "README.md"
    parts = "".join(f"<!-- generated: {name} -->\nold\n<!-- end -->\n" for name in ("notebooks", "methods"))
    path.write_text(f"# Kept `<!-- generated: NAME -->`\n{parts}kept\n")
    readme.take_times()
    assert "99_gone" not in (folder / "times.csv").read_text()
    assert readme.update(path, check=True) and "old" in path.read_text()
    assert readme.update(path) and not readme.update(path) and not readme.update(path, check=True)
    text = path.read_text()
    assert "old" not in text and text.startswith("# Kept") and text.endswith("kept\n")
    assert "| 01 | [Title of 01](notebooks/01_good.ipynb) | Fig. 1 | 2 min |" in text
    assert text.count("| classification | `") == text.count("| segmentation | `") == 1  # each task at its first method
    assert text.count("| `semi_supervised` |") == 2


def test_times_are_those_that_git_keeps(folder: Path) -> None:
    times.keep_times("lite", {"01_good": 100.0})
    assert "Time" not in readme.notebook_table()  # a fresh clone has the same table
    readme.take_times()
    assert "| Time, lite |" in readme.notebook_table()


def test_the_command_that_trains_the_best_model_names_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MARSNB_FIGURES")  # the committed ledger
    best = load._best("4", "lite")
    row = next(row.id for row, key, _ in row_runs(4, "lite") if key == best.partition("-")[0])
    command = f"marsnb run --table 4 --profile lite --row {row} --seed {best.rpartition('-s')[2]}\n"
    assert command in (paths.ROOT / "README.md").read_text()


@pytest.mark.parametrize("wrong", ["<!-- generated: nothing -->\n<!-- end -->", "<!-- generated: methods -->\n"])
def test_a_wrong_mark_is_refused(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "README.md"
    path.write_text(wrong)
    with pytest.raises(MarsnbError, match=r"README\.md: "):
        readme.update(path)
