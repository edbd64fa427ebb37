"""Where the paper is held against itself: ``inconsistencies.yaml``, and the cells of notebook 19 that compute it."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import matplotlib
import pytest
import yaml

from marsnb import paths, recipes
from tests.conftest import REAL_DATA

ROOT = Path(__file__).resolve().parents[2]
PAPER = REAL_DATA.parent / "paper.txt"
NOTEBOOK = ROOT / "notebooks" / "19_claims.ipynb"


def listed() -> list[dict[str, Any]]:
    """The points of the file."""
    return yaml.safe_load((paths.recipes() / "inconsistencies.yaml").read_text(encoding="utf-8"))["points"]


def computed() -> dict[str, Any]:
    """What the notebook's cells leave behind that need no measurement."""
    matplotlib.use("Agg")
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    wanted = [c for c in cells if c["id"] == "imports" or "inconsistencies" in c["metadata"].get("tags", [])]
    assert len(wanted) > 5
    names: dict[str, Any] = {"profile": "smoke"}
    for cell in wanted:
        exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    return names


def test_each_point_says_where_and_has_its_own_name() -> None:
    points = listed()
    assert len(points) == len({point["id"] for point in points}) == 20
    for point in points:
        assert set(point) == {"id", "where", "says", "gives", "fits"} and point["where"] and point["says"]
        assert point["fits"] in (True, False, None)
        assert "{" in point["gives"]  # every number in it is computed


@pytest.mark.skipif(not PAPER.is_file(), reason=f"no {PAPER}: the paper's text is not part of the project")
def test_quotes_are_the_papers_words() -> None:
    text = " ".join(PAPER.read_text(encoding="utf-8").replace("*", "").split())
    quotes = [quote for point in listed() for quote in re.findall(r'"([^"]+)"', point["says"])]
    assert len(quotes) >= 12 and [quote for quote in quotes if quote not in text] == []


def test_the_paper_against_itself() -> None:
    names = computed()
    table = names["listed"].set_index("id")["its own numbers give"]
    for point, expected in {
        "second-best": "95.86 - 90.81 = 5.05",
        "table-1": "5386 + 1305 = 6691",
        "images-used": "16,388 images",
        "other-methods": "of 13 methods",
        "same-number": "Table 8 prints 88.82, Table 9 has ACC 94.02",
        "mixing": "CutMix: ACC +0.96",
        "naive-pairs": "268 million",
        "joint": "loses 3.70, without pretraining 1.04, without pseudo labels 0.03",
        "thresholds": "70.14 → 70.34 → 70.09 → 66.92",
    }.items():
        assert expected in table[point]
    fits = {point["id"] for point in listed() if point["fits"]}
    assert fits == {"table-1", "gains", "naive-pairs", "joint"}
    assert "5.05" in " ".join(names["shown"][~names["fitting"]]["its own numbers give"])
    assert not names["shown"][names["fitting"]][""].str.contains("✗").any()


@pytest.mark.parametrize(
    ("table", "old", "new", "point"),
    [
        ("table03", "{mean: 90.81", "{mean: 80.81", "second-best"),
        ("table08", "{mean: 73.63}", "{mean: 71.63}", "mixing"),
        ("table01", "apxs: [46, 34]", "apxs: [47, 34]", "table-1"),
    ],
)
def test_another_number_in_a_table_is_found(
    table: str, old: str, new: str, point: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the file says of a point follows from the tables, or the notebook fails and names it."""
    shutil.copytree(paths.recipes(), tmp_path / "recipes")
    at = tmp_path / "recipes" / f"{table}.yaml"
    text = at.read_text(encoding="utf-8")
    assert old in text
    if point == "mixing":  # both metrics have to fall
        text = text.replace("{miou: {mean: 56.76}}", "{miou: {mean: 50.00}}")
    at.write_text(text.replace(old, new), encoding="utf-8")
    monkeypatch.setattr(paths, "recipes", lambda: tmp_path / "recipes")
    with pytest.raises(AssertionError, match=point):
        computed()


def test_printed_tables_share_their_rows() -> None:
    final = [
        recipes.load_table(9).row("final"),
        recipes.load_table(10).row("t-09"),
        recipes.load_table(11).row("w-0001"),
    ]
    assert len({(str(row.paper), str(row.also)) for row in final}) == 1
    assert final[0].also["miou"] == recipes.load_table(8).row("ours").also["miou"]
