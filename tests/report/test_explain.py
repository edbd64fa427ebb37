"""A difference of two rows, taken apart by class."""

import pytest

from marsnb.report.explain import collapse, contributions, hard_classes
from marsnb.training import ledger


def test_the_parts_add_up_to_the_whole(fake_ledger):
    fake_ledger.fill("lite")
    parts = contributions("lite", "moco-ls")
    assert set(parts["class"]) == set(fake_ledger.CLASSES)
    assert parts["n"].sum() == sum(fake_ledger.CLASSES.values())
    whole = ((parts["after"] - parts["before"]) * parts["n"]).sum() / parts["n"].sum()
    assert parts["points"].sum() == pytest.approx(whole)


def test_a_row_that_was_not_run_has_no_parts(fake_ledger):
    fake_ledger.fill("lite", leave_out=("moco-ls", "balanced"))
    assert contributions("lite", "moco-ls").empty
    text = hard_classes("lite")
    assert "| drt side | 150 |" in text
    assert "Class-balanced" not in text


def test_nothing_measured_names_the_command():
    assert "marsnb run --table 4 --profile lite" in hard_classes("lite")


def test_a_collapsed_embedding_is_named(fake_ledger):
    fake_ledger.fill("lite")
    assert "has **not** collapsed in: ResNet-50 (baseline)" in collapse("lite")
    curves = ledger.read_curves("lite")
    curves.loc[curves["metric"] == "embed_u/effective_rank", "value"] = 1.2
    curves.to_csv(ledger.curves_path("lite"), index=False)
    assert "**has collapsed** in: ResNet-50 (baseline)" in collapse("lite")
