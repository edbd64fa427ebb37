"""Notebook 00 leads to every notebook, by links that work beside it."""

import re

import nbformat

from marsnb import paths


def test_links_cover_all_notebooks() -> None:
    found = sorted(path.name for path in paths.notebooks().glob("*.ipynb"))
    cells = nbformat.read(paths.notebooks() / "00_start_here.ipynb", as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert re.findall(r"\]\((\d\d_\w+\.ipynb)\)", text) == found
