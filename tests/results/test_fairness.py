"""What rows of a table differ in besides their method, and what their steps cost."""

import pandas as pd
import pytest

from marsnb import results
from marsnb.results.costs import fairness
from marsnb.training.spec import row_runs


@pytest.fixture(scope="module")
def table_4() -> pd.DataFrame:
    return fairness(4, "lite").set_index("row")


def test_only_what_differs_from_the_baseline_is_named(table_4: pd.DataFrame) -> None:
    base = table_4.loc["baseline"]
    assert (base["other"], base["fed"], base["trained"], base["passed"], base["whole"]) == ("", "", 1, 0, 1)
    assert table_4.loc["moco", "other"] == ""  # the start weights are one at this profile
    assert "batchnorm train" in table_4.loc["bn-trained", "other"]
    assert "trunk blocks.4" in table_4.loc["cut-4-baseline", "other"]
    assert results.fairness is fairness


def test_what_a_method_is_fed_and_what_its_steps_cost(table_4: pd.DataFrame) -> None:
    both = table_4.loc["ls-lu"]
    assert both["fed"] == "class_pairs, unlabelled_pairs (no labels)"
    assert both["trained"] + both["passed"] == pytest.approx(6) and both["whole"] == pytest.approx(6)
    assert "weight_s" in both["settings"] or "temperature" in both["settings"]
    length = next(spec.epochs for row, _, spec in row_runs(4, "lite") if row.id == "ls-lu")
    assert both["epochs"] == str(length)


def test_rows_of_table_3_share_everything_but_the_method_at_lite() -> None:
    rows = {row.id: row for row, _, _ in row_runs(3, "lite")}
    for line in fairness(3, "lite").to_dict("records"):
        if "lite" not in rows[line["row"]].not_at:
            assert line["other"] == "", line["row"]


def test_stages_of_segmentation_have_names_and_decoders_are_counted() -> None:
    found = fairness(9, "lite").set_index("row")
    assert found.loc["baseline", "decoded"] == pytest.approx(1) and found.loc["baseline", "whole"] == 1
    assert found.loc["final", "epochs"].split(" + ")[0].startswith("pretrain ")
    assert found.loc["final", "whole"] > 1 and found.loc["final", "decoded"] > 1
