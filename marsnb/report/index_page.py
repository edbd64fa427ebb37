"""The page that links what ``marsnb reproduce`` made."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

import nbformat
import pandas as pd

from marsnb import paths
from marsnb.files import write_whole
from marsnb.reproduce import duration

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 0.6rem 0 1.6rem; font-size: 14px; }
th, td { padding: 0.25rem 0.7rem; text-align: left; border-bottom: 1px solid #e2e2e2; }
thead th { border-bottom: 2px solid #888; }
h1, h2 { line-height: 1.2; } img { max-width: 100%; margin: 0.6rem 0 1.6rem; }
.failed { color: #b03000; } .synthetic { background: #fff1e8; border-left: 4px solid #d55e00; padding: 0.5rem 1rem; }
"""


def title_of(notebook: Path) -> str:
    """The first heading of a notebook, without its ``#``."""
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("# "):
                    return line[2:].strip()
    return notebook.stem


def write_index(profile: str, sources: Sequence[Path], times: pd.DataFrame, failures: Sequence[str] = ()) -> Path:
    """Write ``build/<profile>/index.html``: the notebooks with the time they took, every table, every figure.

    The page carries its tables and figures inside it, so it can be moved with the notebooks' pages alone.

    Args:
        profile: name of the profile.
        sources: the notebooks, whether they ran or not.
        times: as ``marsnb.reproduce.times`` gives them.
        failures: one line per notebook that failed just now.

    Returns:
        Path of the page.
    """
    from marsnb.recipes import load_profile

    says = load_profile(profile).says
    note = f'<p class="synthetic">{html.escape(says)}</p>' if "SYNTHETIC" in says else f"<p>{html.escape(says)}</p>"
    parts = [f"<h1>marsnb, profile {html.escape(profile)}</h1>", note]
    parts += [f'<p class="failed">{html.escape(line)}</p>' for line in failures]
    parts += ["<h2>Notebooks</h2>", _notebooks(profile, sources, times), "<h2>Tables</h2>", *_tables(profile)]
    parts += ["<h2>Figures</h2>", *_figures(paths.figures(profile)), *_figures(paths.images(profile))]
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>marsnb: {html.escape(profile)}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )
    return write_whole(paths.build(profile) / "index.html", page)


def write_pages(profile: str) -> Path:
    """Render the executed notebooks that have no page yet, or an older one, and write the index."""
    from marsnb.report.page import render
    from marsnb.reproduce import sources, times

    for path in sorted(paths.build(profile).glob("*.ipynb")):
        page = path.with_suffix(".html")
        if not page.is_file() or page.stat().st_mtime_ns < path.stat().st_mtime_ns:
            write_whole(page, render(path))
    return write_index(profile, sources(), times(profile))


def _notebooks(profile: str, sources: Sequence[Path], times: pd.DataFrame) -> str:
    took = {str(name): float(s) for name, s in zip(times["notebook"], times["seconds"], strict=True)}
    rows = []
    for path in sources:
        title, build = html.escape(title_of(path)), paths.build(profile)
        if (build / "failed" / path.name).is_file():
            state = f'<a class="failed" href="failed/{path.name}">failed</a>'
        else:
            state = duration(took[path.stem]) if path.stem in took else ""
        if (build / f"{path.stem}.html").is_file():
            title = f'<a href="{path.stem}.html">{title}</a>'
            state = state or "run with other parameters"
        rows.append(f"<tr><td>{path.stem[:2]}</td><td>{title}</td><td>{state or 'not run'}</td></tr>")
    head = "<thead><tr><th></th><th>Notebook</th><th>Time</th></tr></thead>"
    return f"<table>{head}<tbody>{''.join(rows)}</tbody></table>"


def _tables(profile: str) -> list[str]:
    from nbconvert.filters import markdown2html

    return [markdown2html(path.read_text(encoding="utf-8")) for path in sorted(paths.figures(profile).glob("*.md"))]


def _figures(folder: Path) -> list[str]:
    shown = []
    for path in sorted(folder.glob("*.png")):
        encoded = base64.b64encode(path.read_bytes()).decode()
        shown.append(f'<img alt="{html.escape(path.stem)}" src="data:image/png;base64,{encoded}">')
    return shown
