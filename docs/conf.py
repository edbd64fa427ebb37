"""How Sphinx builds the site; ``marsnb site`` stages the pages that it builds from."""

import sys
from pathlib import Path

import marsnb
from marsnb.site import repository as address

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "marsnb"
author = "The marsnb authors"
copyright = author
version = release = marsnb.__version__
language = "en"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml", "cells"]
exclude_patterns: list[str] = []

# Notebooks come executed.
nb_execution_mode = "off"
nb_render_markdown_format = "myst"
nb_ipywidgets_js: dict[str, str] = {}  # else the pages would ask a server for scripts
nb_merge_streams = True
nb_number_source_lines = False
myst_enable_extensions = ["amsmath", "dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
html_math_renderer = "mathml"
suppress_warnings = ["mystnb.unknown_mime_type"]  # an output that has a text besides is shown as text

# Docstrings are Google's, in plain English.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Shape", "Reference"]
napoleon_use_ivar = True  # an attribute that a class documents and defines is described once
python_use_unqualified_type_names = True
add_module_names = False

html_theme = "sphinx_book_theme"
html_title = "marsnb"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_domain_indices = html_use_index = False  # the API page lists the modules
html_show_sourcelink = False
html_last_updated_fmt = None
html_theme_options = {
    "use_download_button": False,
    "use_fullscreen_button": False,
    "home_page_in_toc": True,
    "show_toc_level": 2,
    "show_navbar_depth": 1,
    "navbar_persistent": [],  # the search stands in the sidebar
    "logo": {"text": "marsnb"},
    "article_header_start": ["toggle-primary-sidebar.html"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
unsearched = ["smoke/", "paper/"]
repository = address()
if repository:
    html_theme_options |= {"repository_url": f"https://github.com/{repository}", "use_repository_button": True}
