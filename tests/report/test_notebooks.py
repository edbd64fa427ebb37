import os
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from marsnb import paths
from marsnb.errors import MarsnbError, NotebookError
from marsnb.report import notebooks, readme
from marsnb.report.index_page import duration


def write(folder: Path, stem: str, *code: str) -> None:
    """A small notebook with a parameters cell."""
    parameters = new_code_cell('profile = "smoke"\nlength = 3', metadata={"tags": ["parameters"]})
    cells = [new_markdown_cell(f"# Title of {stem}"), parameters, *(new_code_cell(source) for source in code)]
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "x", "language": "python"},
        "marsnb": {"paper": "Fig. 1"},
    }
    nbformat.write(new_notebook(cells=cells, metadata=metadata), folder / f"{stem}.ipynb")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of notebooks in place of the project's."""
    monkeypatch.setattr(paths, "notebooks", lambda: tmp_path)
    return tmp_path


def test_notebooks_run_in_this_python_at_the_root(folder: Path) -> None:
    write(folder, "01_good", "import os, sys", "print(sys.executable, os.getcwd(), profile, length)")
    index = notebooks.reproduce("smoke")
    executed = nbformat.read(paths.build("smoke") / "01_good.ipynb", as_version=4)
    printed = "".join(output.get("text", "") for cell in executed.cells for output in cell.get("outputs", []))
    assert printed.split() == [sys.executable, str(paths.ROOT), "smoke", "3"]
    assert 'href="01_good.html"' in index.read_text() and "SYNTHETIC" in index.read_text()
    assert "Title of 01_good" in (paths.build("smoke") / "01_good.html").read_text()
    assert notebooks.times("smoke")["notebook"].tolist() == ["01_good"]


def test_a_failure_names_the_cell_and_the_others_still_run(folder: Path) -> None:
    write(folder, "01_bad", "1 + 1", 'raise ValueError("first line\\nlast line")')
    write(folder, "02_good", "print(length)")
    with pytest.raises(NotebookError, match=r"^notebook 01_bad failed in cell 4: ValueError: last line$"):
        notebooks.reproduce("smoke", parameters={"length": 5})
    build = paths.build("smoke")
    assert (build / "02_good.html").is_file() and not (build / "01_bad.html").exists()
    assert (build / "failed" / "01_bad.ipynb").is_file()
    assert "failed" in (build / "index.html").read_text()
    assert notebooks.times("smoke").empty  # other parameters than its own: no time to report


def test_an_unknown_parameter_stops_before_anything_runs(folder: Path) -> None:
    write(folder, "01_good", "print(length)")
    with pytest.raises(NotebookError, match="01_good has no parameter 'lenght'; known: length, profile"):
        notebooks.reproduce("smoke", parameters={"lenght": 5})
    assert not paths.build("smoke").exists()


def test_only_some(folder: Path) -> None:
    for stem in ("01_a", "02_b", "10_c"):
        write(folder, stem)
    assert [p.stem for p in notebooks.sources(["1", "10_c.ipynb"])] == ["01_a", "10_c"]
    with pytest.raises(NotebookError, match="no notebook '11'"):
        notebooks.sources(["11"])


def test_parameters_from_the_command_line() -> None:
    given = ["epochs=3", "lr=1e-4", "train=True", "method=cross_entropy", "start=None", "path=a=b"]
    assert notebooks.parse_parameters(given) == {
        "epochs": 3, "lr": 1e-4, "train": True, "method": "cross_entropy", "start": None, "path": "a=b",
    }  # fmt: skip
    for wrong in (["epochs"], ["a b=1"], ["a=1", "a=2"]):
        with pytest.raises(NotebookError):
            notebooks.parse_parameters(wrong)


def test_the_kernel_leaves_the_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARSNB_DATA", "somewhere")
    before = dict(os.environ)
    with notebooks.kernel():
        assert os.environ["MARSNB_DATA"] == str(Path("somewhere").resolve())
    assert dict(os.environ) == before


@pytest.mark.parametrize(("seconds", "words"), [(8.4, "8 s"), (100, "2 min"), (4800, "80 min"), (7260, "2 h 01 min")])
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_readme_parts_are_generated_and_stay(tmp_path: Path, folder: Path) -> None:
    write(folder, "01_good")
    notebooks._keep_times("lite", {"01_good": 100.0})
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


def test_times_of_other_notebooks_are_kept() -> None:
    notebooks._keep_times("lite", {"01_a": 1.0, "02_b": 2.0})
    notebooks._keep_times("lite", {"02_b": 5.0})
    times = pd.read_csv(paths.figures("lite") / "notebooks.csv")
    assert dict(zip(times["notebook"], times["seconds"], strict=True)) == {"01_a": 1.0, "02_b": 5.0}
