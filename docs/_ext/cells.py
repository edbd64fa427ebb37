"""Sphinx: code that folds, long printed output that is folded, links to run a page elsewhere, docstrings as written."""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

LONG = 4  # lines of printed output from which on it is folded: a training log
# Words that reStructuredText would take for markup, outside of code: a star or a bar alone, a name that ends with "_".
MARKUP = re.compile(r"(``.+?``|`[^`]+`)|([*|])|(?<=\w)(_)(?=[\s.,;:)]|$)")


class Fold(nodes.Element):
    """What a reader may fold and unfold; no script is needed for it."""


def _open(self: Any, node: Fold) -> None:
    state = " open" if node["open"] else ""
    self.body.append(f'<details class="fold {node["kind"]}"{state}><summary>{node["says"]}</summary>\n')


def _close(self: Any, node: Fold) -> None:
    self.body.append("</details>\n")


def _fold(node: nodes.Element, kind: str, says: str, unfolded: bool) -> None:
    fold = Fold(kind=kind, says=says, open=unfolded)
    node.replace_self(fold)
    fold.append(node)


class Folded(SphinxPostTransform):
    """Wrap the code of each cell, open, and each long printed output, closed."""

    default_priority = 200  # after myst-nb has hidden what a tag says
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Wrap them."""
        for cell in list(self.document.findall(nodes.container)):
            kind = cell.get("nb_element")
            if kind == "cell_code_source" and cell.parent.get("nb_element") == "cell_code":
                _fold(cell, "code", "code", unfolded=True)
            elif kind == "cell_code_output":
                for printed in list(cell.findall(nodes.literal_block)):
                    lines = printed.astext().rstrip().count("\n") + 1
                    if "stream" in " ".join(printed["classes"]) and lines > LONG:
                        _fold(printed, "log", f"{lines} lines of output", unfolded=False)


def _unsearched(app: Sphinx, doctree: nodes.document) -> None:
    """Leave the pages of other profiles out of the search: each would be found beside the one with real images."""
    if app.env.docname.startswith(tuple(app.config.unsearched)):
        app.env.metadata[app.env.docname]["nosearch"] = "true"


def _elsewhere(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Buttons that open a notebook at Colab or Binder, where the repository's address is known."""
    repository, (folder, _, stem) = app.config.repository, page.partition("/")
    if not repository or folder != "notebooks" or "header_buttons" not in context:
        return
    colab = f"https://colab.research.google.com/github/{repository}/blob/colab/{stem}.ipynb"
    binder = f"https://mybinder.org/v2/gh/{repository}/HEAD?urlpath=lab/tree/{page}.ipynb"
    links = [{"type": "link", "url": url, "text": text, "tooltip": f"Open in {text}", "icon": icon}
             for url, text, icon in ((colab, "Colab", "fas fa-play"), (binder, "Binder", "fas fa-rocket"))]  # fmt: skip
    launch = {"type": "group", "buttons": links, "icon": "fas fa-rocket", "label": "launch-buttons", "text": "",
              "tooltip": "Run this notebook"}  # fmt: skip
    context["header_buttons"].insert(0, launch)


def _as_written(app: Sphinx, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain English: escape what reStructuredText would read as markup."""
    for i, line in enumerate(lines):
        lines[i] = MARKUP.sub(lambda found: found[0] if found[1] else f"\\{found[0]}", line)


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    app.add_config_value("unsearched", [], "env")
    app.add_config_value("repository", "", "html")
    app.add_node(Fold, html=(_open, _close))
    app.add_post_transform(Folded)
    app.connect("doctree-read", _unsearched)
    app.connect("html-page-context", _elsewhere, priority=900)
    app.connect("autodoc-process-docstring", _as_written, priority=400)  # before napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}
