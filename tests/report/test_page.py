import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from marsnb import paths
from marsnb.report import page

FOLDED = "<details><summary>Solution</summary>\n\n```python\nanswer = 7\n```\n\n</details>"
TEXT = "## With $N$ answers\n\nA sum $x < y$.\n\n$$\\frac{a}{b} = \\mathrm{E}_i \\log p$$"


def rendered(folder: Path, *cells: nbformat.NotebookNode) -> str:
    """The body of the page of a notebook with these cells."""
    nbformat.write(new_notebook(cells=list(cells)), folder / "01_some.ipynb")
    html = page.render(folder / "01_some.ipynb")
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//|import\(|url\(["']?http""", html), (
        "the page needs the network"
    )
    return html.partition("<body")[2]


def test_formulas_are_drawn_without_the_network(tmp_path: Path) -> None:
    body = rendered(tmp_path, new_markdown_cell(TEXT))
    assert body.count("<math") == 3 and "$" not in body and "<mfrac>" in body
    assert re.search(r"<h2[^>]*>With <math.*?</math> answers", body, re.DOTALL)
    assert re.search(r'<span class="formula"><math display="inline">[^$]*?&lt;[^$]*?</math>\.</span>', body)


def test_formulas_of_an_output_are_drawn(tmp_path: Path) -> None:
    output = new_output("display_data", data={"text/markdown": "so $x^2$", "text/plain": "so"})
    assert "<msup>" in rendered(tmp_path, new_code_cell("1", outputs=[output]))


def test_a_solution_stays_folded(tmp_path: Path) -> None:
    assert re.search(r"<details>.*answer.*</details>", rendered(tmp_path, new_markdown_cell(FOLDED)), re.DOTALL)


def test_an_image_in_the_text_travels_with_the_page(tmp_path: Path) -> None:
    (tmp_path / "some.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert 'src="data:image/png;base64,' in rendered(tmp_path, new_markdown_cell('<img src="some.png" alt="some">'))


def test_a_letter_is_upright_and_a_function_keeps_its_distance() -> None:
    assert "<mtext>E</mtext>" in page.mathml(r"\mathrm{E}_i")
    thin = '<mspace width="0.167em" />'
    assert page.mathml(r"\log p").count(thin) == 1 and page.mathml(r"q_k \log q_k").count(thin) == 2
    assert thin not in page.mathml(r"\exp(x)") + page.mathml(r"\exp\left(x\right)")


def test_a_formula_that_cannot_be_converted_stays_as_it_is() -> None:
    assert page.mathml("a_b_c < d") == "<code>a_b_c &lt; d</code>"


@pytest.mark.parametrize("path", sorted(paths.notebooks().glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_formula_of_the_notebooks_is_converted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}
    convert = page.mathml
    monkeypatch.setattr(page, "mathml", lambda tex, display="inline": seen.setdefault(tex, convert(tex, display)))
    cells = nbformat.read(path, as_version=4).cells
    texts = [page.markdown(cell.source) for cell in cells if cell.cell_type == "markdown"]
    assert [text for text in texts if "$" in text] == []
    assert [tex for tex, formula in seen.items() if not formula.startswith("<math") or "\\" in formula] == []
