"""Formulas of the site: MathML by docs/_ext/mathml.py."""

import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

pytest.importorskip("sphinx", reason="needs the extra `site`")
ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "docs").glob("*.md")])
THIN = '<mspace width="0.167em" />'


@pytest.fixture(scope="module")
def ext() -> Any:
    """The extension."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs" / "_ext"))
        import mathml

        yield mathml
        sys.modules.pop("mathml")


def formulas(path: Path) -> list[str]:
    """The LaTeX of a notebook or page, as MyST finds it."""
    from markdown_it import MarkdownIt
    from mdit_py_plugins.amsmath import amsmath_plugin
    from mdit_py_plugins.dollarmath import dollarmath_plugin

    texts = [path.read_text()]
    if path.suffix == ".ipynb":
        texts = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown"]
    parser = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin).use(amsmath_plugin)
    blocks = [token for text in texts for token in parser.parse(text)]
    tokens = [child for block in blocks for child in (block, *(block.children or ()))]
    return [token.content for token in tokens if token.type.startswith(("math", "amsmath"))]


def test_a_letter_is_upright_and_a_function_keeps_its_distance(ext: Any) -> None:
    assert "<mtext>E</mtext>" in ext.mathml(r"\mathrm{E}_i")
    assert ext.mathml(r"\log p").count(THIN) == 1 and ext.mathml(r"q_k \log q_k").count(THIN) == 2
    assert THIN not in ext.mathml(r"\exp(x)") + ext.mathml(r"\exp\left(x\right)")


def test_a_formula_needs_no_namespace_and_is_inline_or_a_block(ext: Any) -> None:
    assert ext.mathml("x^2").startswith('<math display="inline"><mrow><msup>')
    assert ext.mathml(" x < y ", "block").startswith('<math display="block">') and "< y" not in ext.mathml("x < y")


@pytest.mark.parametrize("wrong", ["a_b_c < d", r"\nosuchcommand x"])
def test_a_formula_that_cannot_be_converted_is_named(ext: Any, wrong: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(wrong))):
        ext.mathml(wrong)


@pytest.mark.parametrize(
    ("shorter", "longer"), [("x", "x + y"), (r"\frac{a + b}{c}", "a + b + c"), ("x^{ab}", "xab"), ("a", r"a \quad b")]
)
def test_letters_tell_which_formula_is_wider(ext: Any, shorter: str, longer: str) -> None:
    assert ext.letters(ext.mathml(shorter)) < ext.letters(ext.mathml(longer))
    assert ext.letters(ext.mathml(r"\frac{a}{bcd}")) == pytest.approx(ext.letters(ext.mathml("bcd")), abs=0.6)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_formula_is_converted(ext: Any, path: Path) -> None:
    found = formulas(path)
    assert [ext.mathml(tex) for tex in found if not ext.mathml(tex).startswith("<math")] == []
    if path.stem == "02_primer":
        assert len(found) > 20  # that they are found at all
