"""An executed notebook as one HTML page that needs no network: its formulas are MathML, which every browser draws."""

import re
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import DictLoader, pass_context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

# nbconvert's page without the scripts it loads from the web: nothing is left for them to draw. The fonts are those that
# Windows, macOS and Linux come with and that know where an exponent goes; what "math" alone picks often does not.
TEMPLATE = """{% extends "lab/index.html.j2" %}
{% block extra_css %}<style>
math {
  font-family: "Cambria Math", "STIX Two Math", "Latin Modern Math", "DejaVu Math TeX Gyre", math; font-size: 110%;
}
math[display="block"] { margin: 1em 0; }
.formula { white-space: nowrap; }
</style>{% endblock %}
{% block html_head_js_requirejs %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
"""

# What latex2mathml leaves out of TeX's rules: a single upright letter, and the thin spaces round a function's name.
MENDS = (
    (re.compile(r"\\mathrm\{([A-Za-z])\}"), r"\\text{\1}"),
    (re.compile(r"\\(log|exp)\s*(?=(?<=\s)[A-Za-z]|\\frac|\\text)"), r"\\\1\\,"),
    (re.compile(r"(?<=[\w}])\s*\\(log|exp)(?![A-Za-z])"), r"\\,\\\1"),
)


def mathml(tex: str, display: str = "inline") -> str:
    """A formula as MathML.

    Args:
        tex: LaTeX, without its dollar signs.
        display: ``inline`` or ``block``.

    Returns:
        A ``<math>`` element; a formula that cannot be converted stays LaTeX, in ``<code>``.
    """
    mended = tex.strip()
    for pattern, better in MENDS:
        mended = pattern.sub(better, mended)
    try:
        formula = str(convert(mended, display=display))
    except Exception:  # whatever the converter cannot do: a page with one raw formula is better than none
        return f"<code>{escape(tex.strip(), quote=False)}</code>"
    # without the namespace, which HTML implies and nbconvert's headings choke on; with a bar as long as its letter
    return formula.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "").replace("&#x000AF;", "&#x0203E;")


# an inline formula and the full stop or bracket after it, which would otherwise begin the next line
PUNCTUATED = re.compile(r'(<math display="inline">(?:(?!</math>).)*</math>[.,;:?!)]+)', re.DOTALL)


class _Renderer(IPythonRenderer):  # type: ignore[misc]
    """Markdown to HTML, formulas included."""

    def inline_math(self, body: str) -> str:
        return mathml(body)

    def block_math(self, body: str) -> str:
        return mathml(body, display="block")

    def latex_environment(self, name: str, body: str) -> str:
        return mathml(rf"\begin{{{name}}}{body}\end{{{name}}}", display="block")

    def block_html(self, html: str) -> str:
        # nbconvert parses HTML that may hold an image, and closes what is still open in it: a folded solution falls out
        return super().block_html(html) if "<img" in html else html


def markdown(source: str, **options: Any) -> str:
    """Markdown as HTML, its formulas as MathML; ``options`` are those of nbconvert's ``IPythonRenderer``."""
    html = str(MarkdownWithMath(renderer=_Renderer(escape=False, **options)).render(source))
    return PUNCTUATED.sub(r'<span class="formula">\1</span>', html)


class _Exporter(HTMLExporter):  # type: ignore[misc]
    """nbconvert's own, with the Markdown above."""

    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        path = context.get("resources", {}).get("metadata", {}).get("path", "")
        attachments = context.get("cell", {}).get("attachments", {})
        return markdown(source, attachments=attachments, embed_images=self.embed_images, path=path)


def render(executed: Path) -> str:
    """The page of an executed notebook."""
    exporter = _Exporter(
        template_name="lab", template_file="page.html.j2", embed_images=True,
        extra_loaders=[DictLoader({"page.html.j2": TEMPLATE})],
    )  # fmt: skip
    html, _ = exporter.from_filename(str(executed))
    return html
