"""Sphinx: formulas as MathML, which every browser draws: a page needs neither a script nor a network for them."""

import re
from html import escape
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

# What latex2mathml leaves out of TeX's rules: a single upright letter, and the thin spaces round a function's name.
MENDS = (
    (re.compile(r"\\mathrm\{([A-Za-z])\}"), r"\\text{\1}"),
    (re.compile(r"\\(log|exp)\s*(?=(?<=\s)[A-Za-z]|\\frac|\\text)"), r"\\\1\\,"),
    (re.compile(r"(?<=[\w}])\s*\\(log|exp)(?![A-Za-z])"), r"\\,\\\1"),
)
PUNCTUATION = re.compile(r"^[.,;:?!)\]]+")


def mathml(tex: str, display: str = "inline") -> str:
    """A formula as MathML.

    Args:
        tex: LaTeX, without its dollar signs.
        display: ``inline`` or ``block``.

    Returns:
        A ``<math>`` element.

    Raises:
        ValueError: the formula cannot be converted, or a command of it is left as it was.
    """
    mended = tex.strip()
    for pattern, better in MENDS:
        mended = pattern.sub(better, mended)
    try:
        formula = str(convert(mended, display=display))
    except Exception as error:  # the converter raises whatever its own code stumbles on
        raise ValueError(f"no MathML for {tex.strip()!r}: {type(error).__name__}: {error}") from error
    if "\\" in formula:
        raise ValueError(f"no MathML for {tex.strip()!r}: a command of it is unknown")
    # without the namespace, which HTML implies; with a bar as long as its letter
    return formula.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "").replace("&#x000AF;", "&#x0203E;")


def _drawn(node: nodes.Element, display: str) -> str:
    """The formula of a node; one that cannot be converted is a warning, and stays LaTeX."""
    try:
        return mathml(node.astext(), display)
    except ValueError as error:
        logging.getLogger(__name__).warning("%s", error, location=node)
        return f"<code>{escape(node.astext().strip(), quote=False)}</code>"


class Punctuated(SphinxPostTransform):
    """Keep the full stop or bracket after a formula with it: it would otherwise begin the next line."""

    default_priority = 900
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Move it into the node of the formula."""
        for node in list(self.document.findall(nodes.math)):
            after = node.next_node(descend=False, siblings=True)
            mark = PUNCTUATION.match(after) if isinstance(after, nodes.Text) else None
            if mark:
                node["after"] = mark[0]
                after.parent.replace(after, nodes.Text(after[mark.end() :]))


def _inline(self: Any, node: nodes.math) -> None:
    after = escape(node.get("after", ""), quote=False)
    self.body.append(f'<span class="formula">{_drawn(node, "inline")}{after}</span>')
    raise nodes.SkipNode


def letters(formula: str) -> float:
    """About how many letters wide a formula is, so that a page can draw it smaller where it would not fit."""
    try:
        return max(_width(ElementTree.fromstring(formula)), 1.0)
    except ElementTree.ParseError:  # a formula that stayed LaTeX
        return float(len(formula))


def _width(element: ElementTree.Element) -> float:
    parts = [_width(child) for child in element]
    if not parts:
        space = re.fullmatch(r"([\d.]+)em", element.get("width", ""))
        return float(space[1]) * 2 if space else float(len((element.text or "").strip()))
    if element.tag in ("mfrac", "munder", "mover", "munderover", "mtable"):  # one above the other
        return max(parts)
    if element.tag in ("msub", "msup", "msubsup"):
        return parts[0] + 0.7 * max(parts[1:])
    return sum(parts) + (0.5 if element.tag in ("mrow", "mtd") else 0.0)


def _block(self: Any, node: nodes.math_block) -> None:
    formula = _drawn(node, "block")
    self.body.append(f'<div class="formula" style="--letters: {letters(formula):.0f}">{formula}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    app.add_post_transform(Punctuated)
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
