"""The teaching notebooks with their own solutions put in: every check says right, and the reader's functions train."""

import ast
import re
import shutil
from pathlib import Path
from typing import Any

import matplotlib as mpl
import nbformat
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt

from marsnb import paths
from marsnb.bench import contrast
from marsnb.teach.exercise import Verdict

SMALL: dict[str, dict[str, Any]] = {
    "02": {},
    "03": {"steps": 12},
    "04": {"alone": 3, "together": 3},
    "11": {"steps": 3},
    "12": {"steps": 20, "profile": "lite"},  # whose ledger is committed
}
"""Parameters with which a notebook takes seconds."""
COST = paths.ROOT / "figures" / "lite" / "fig_cost.csv"
LEDGER = ("runs.csv", "curves.csv")
FIRST = r"<details><summary>Solution</summary>.*?```python\n(.*?)```"


def cells(number: str) -> list[Any]:
    """Of the notebook with this number."""
    (path,) = paths.notebooks().glob(f"{number}_*.ipynb")
    return list(nbformat.read(path, as_version=4).cells)


def solved(number: str) -> list[str]:
    """The code cells, where each open one has the first solution that follows it."""
    found: list[str] = []
    for cell in cells(number):
        if cell.cell_type == "code":
            found.append(cell.source)
        elif solution := re.search(FIRST, cell.source, re.DOTALL):
            at = next(i for i in reversed(range(len(found))) if found[i].rstrip().endswith("# your code")
                      or "answer = None  # your answer" in found[i])  # fmt: skip
            code = solution[1].strip()
            found[at] = code if "# your code" in found[at] else found[at].replace("answer = None  # your answer", code)
    assert "# your code" not in "\n".join(found) and "# your answer" not in "\n".join(found)
    return found


def last_value(source: str, space: dict[str, Any]) -> Any:
    """Run a cell; what its last line gives, as a notebook would show it."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), space)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), space) if last is not None else None


@pytest.mark.parametrize("number", SMALL)
def test_solved(number: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JUPYTER_PATH", "/tmp/marsnb-kernel-0")  # nobody moves a slider
    monkeypatch.setenv("MARSNB_FIGURES", str(tmp_path))
    (tmp_path / "lite").mkdir()
    for name in LEDGER:
        shutil.copy(paths.ROOT / "figures" / "lite" / name, tmp_path / "lite" / name)
    monkeypatch.setattr(contrast, "measured", lambda budget: pd.read_csv(COST).drop(columns="data"))
    threads, before = torch.get_num_threads(), dict(mpl.rcParams)
    space: dict[str, Any] = {"__name__": "solved"}
    verdicts: list[Verdict] = []
    try:
        for source in solved(number):
            value = last_value(source, space)
            verdicts += [value] if isinstance(value, Verdict) else []
            if source.startswith("profile = "):  # the parameters
                space.update(SMALL[number])
    finally:
        torch.set_num_threads(threads)
        mpl.rcParams.update(before)
        plt.close("all")
    assert len(verdicts) == sum("# your" in cell.source for cell in cells(number) if cell.cell_type == "code")
    assert [verdict for verdict in verdicts if not verdict.right] == []
