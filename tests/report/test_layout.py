from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from marsnb import paths, recipes
from marsnb.errors import RecipeError
from marsnb.report import tables
from marsnb.report.layout import variable


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.replace("\\|", "/").strip("|").split("|")]


def rows(text: str) -> list[list[str]]:
    return [cells(line) for line in text.splitlines() if line.startswith("|")]


def test_a_category_is_printed_once(fake_ledger: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_ledger.invent(monkeypatch, tmp_path)
    fake_ledger.fill("lite", number=3, leave_out=("c",))
    text = tables.markdown(3, "lite")
    head, rule, *body = rows(text)
    assert head[:4] == ["Category", "Method", "Paper, Top-1 (%)", "Measured, Top-1 (%)"] and len(head) == len(rule) == 7
    assert {len(row) for row in body} == {7}
    assert [row[0] for row in body] == ["First", "", "Second kind", "", "", "Ours", "", *body[7][:1], ""]
    assert body[7][0] == "**Controls (not in the paper)**" and body[8][1] == "A control"
    assert body[0][1] == "A / a" and body[2][3:6] == ["not run", "", ""]
    assert "same run as “E”" in body[5][6]
    long = tables.table(3, "lite")
    assert long["row"].tolist() == ["A | a", "B", "C", "D", "E", "Twin of E", "Ours", "A control"]


def test_a_table_printed_across_has_three_lines_per_heading(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite", number=6, leave_out=("ls-2",), seeds=2)
    text = tables.markdown(6, "lite")
    head, _, theirs, ours, gap = rows(text)
    assert head == ["λ_s", "0.3", "0.5", "1.0", "2.0", "5.0"]
    assert theirs[:2] == ["Top-1 (%), paper", "88.40 ± 0.69"]
    assert ours[0] == "Top-1 (%), measured" and ours[1].startswith("70.10 ± 0.14") and ours[4] == "not run"
    assert gap == ["Top-1 (%), difference (points)", "-18.30", "-21.59", "-21.72", "", "-19.34"]
    assert "- Ran as: tf_efficientnet_lite0 from imagenet-lite (paper: resnet50 from moco_v2)." in text
    assert "- Seeds: n = 2 for every number." in text


def test_two_headings_and_a_column_that_is_not_the_papers(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite", number=5, leave_out=("vgg16-ours",))
    fake_ledger.fill("lite", number=5, seeds=2, leave_out=tuple(row.id for row in recipes.load_table(5).rows[1:]))
    text = tables.markdown(5, "lite")
    table = rows(text)
    names = ["Baseline, paper", "Baseline, measured", "Baseline, difference (points)"]
    assert [row[0] for row in table[2:]] == names + [name.replace("Baseline", "Ours") for name in names]
    assert table[0][0] == "Top-1 (%)" and table[0][-1] == "EfficientNet-Lite0 (not in the paper)"
    assert {row[-1] for row in table[2:] if not row[0].endswith("measured")} == {""}
    assert table[6][2] == "not run" and table[3][2] != "not run"
    assert "VGG-16, baseline: vgg16 from random (paper: vgg16 from imagenet)" in text
    assert "ResNet-18: resnet18 from random (paper" in text
    assert "n = 2 for ResNet-50, baseline" in text


def test_the_long_form_of_such_a_table_names_both_headings(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite", number=5)
    tables.write_table(5, "lite")
    long = pd.read_csv(paths.figures("lite") / "table05.csv")
    assert list(long.columns) == tables.COLUMNS and not long.duplicated(["row", "column"]).any()
    assert set(long["row"]) == {"Baseline", "Ours"} and long["column"].nunique() == 9
    assert long.loc[long["recipe"] == "table05/vgg16-ours", ["row", "column"]].iloc[0].tolist() == ["Ours", "VGG-16"]


def test_generated_images_have_no_difference(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("smoke", number=7, data="synthetic")
    text = tables.markdown(7, "smoke")
    assert "**SYNTHETIC DATA" in text and set(rows(text)[-1][1:]) == {""}


def test_two_rows_in_one_cell_are_refused(
    fake_ledger: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe = (paths.recipes() / "table06.yaml").read_text(encoding="utf-8").replace('column: "0.5"', 'column: "0.3"')
    fake_ledger.invent(monkeypatch, tmp_path, recipe, "table06")
    with pytest.raises(RecipeError, match=r"table06: rows 'ls-0\.3' and 'ls-0\.5' stand in one cell"):
        tables.markdown(6, "lite")


def test_every_table_of_the_recipes_has_a_place_for_each_row() -> None:
    for number in recipes.tables():
        text, count = tables.markdown(number, "lite"), len(recipes.load_table(number).rows)
        metrics = len(recipes.load_table(number).metrics)
        assert text.count("| not run ") == count * metrics == len(tables.table(number, "lite")), number
        assert len({len(row) for row in rows(text)}) == 1


def test_what_a_sweep_varies() -> None:
    assert variable(["λ_s = 0.3", "λ_s = 1.0"]) == "λ_s"
    assert variable(["ResNet-50, ours", "λ_s = 1.0"]) == "" == variable(["a = 1", "b = 1"])
