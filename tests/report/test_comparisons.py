from types import ModuleType

import pytest

from marsnb.report import comparisons
from marsnb.report.evidence import Evidence, told_apart
from marsnb.report.fairness import different, fairness_table
from marsnb.report.measured import lines
from marsnb.training.spec import row_runs


def test_nothing_measured_says_what_to_run() -> None:
    for text, number in (
        (comparisons.against_baseline("lite"), 3),
        (comparisons.backbones("lite"), 5),
        (comparisons.sweep(6, "lite"), 6),
    ):
        assert f"`marsnb run --table {number} --profile lite`" in text


def test_each_method_against_the_baseline(fake_ledger: ModuleType) -> None:
    top1 = {"resnet50": 0.70, "focal": 0.80, "mixup": 0.60, "ours": 0.75, "center": 0.70}
    fake_ledger.fill("lite", number=3, top1=top1 | {"triplet": 0.69})
    text = comparisons.against_baseline("lite")
    assert "| Focal loss | +3.58 | +10.00 | told apart |" in text
    assert "| Center loss | +3.63 | +0.00 | within the spread |" in text
    assert "| MixUp | -3.09 | -10.00 | told apart |" in text
    assert "in the paper +5.05, against SsCL" in text


def test_ours_per_network(fake_ledger: ModuleType) -> None:
    fake_ledger.fill("lite", number=5, leave_out=("vgg16-ours",), top1={"resnet18-baseline": 0.3, "resnet18-ours": 0.2})
    text = comparisons.backbones("lite")
    assert "| ResNet-18 | random | +2.74 | -10.00 | told apart |" in text
    assert "| EfficientNet-Lite0 | imagenet-lite | not in the paper |" in text
    assert "Not run with both: VGG-16." in text
    assert "ahead on 7 of 8" in text


@pytest.mark.parametrize(("best", "decides"), [(0.72, False), (0.90, True)])
def test_a_sweep_names_its_best_and_whether_it_is_told_apart(
    fake_ledger: ModuleType, best: float, decides: bool
) -> None:
    top1 = dict.fromkeys(("ls-0.3", "ls-0.5", "ls-1", "ls-2", "ls-5"), 0.70) | {"ls-2": best}
    fake_ledger.fill("lite", number=6, top1=top1)
    text = comparisons.sweep(6, "lite")
    assert f"**λ_s = 2.0**, {100 * best:.2f}" in text and "in the paper λ_s = 1.0, 93.82 ± 1.57 %" in text
    assert ("the sweep does not decide" in text) is not decides


def test_fairness_names_only_what_differs() -> None:
    text = fairness_table(4, "lite")
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in text.splitlines() if line.startswith("| ")}
    assert rows["MoCo V2 pretraining"].endswith("|  |  |  | 5 | 1 |")
    assert "`class_pairs`, `unlabelled_pairs` (no labels)" in rows["L_s + L_u"] and rows["L_s + L_u"].endswith("| 6 |")
    assert "batchnorm train" in rows["Baseline, BatchNorm trained"]


def test_rows_of_table_3_share_everything_but_the_method_at_lite() -> None:
    """Only AlexNet, a network of its own from random weights, may differ in anything else."""
    specs = {row.id: spec for row, _, spec in row_runs(3, "lite")}
    for row, spec in specs.items():
        assert bool(different(spec, specs["resnet50"])) == (row == "alexnet"), row


@pytest.mark.parametrize(
    ("seeds", "gap", "expected"), [(1, 0.04, True), (1, 0.02, False), (3, 0.015, True), (2, 0.015, False)]
)
def test_told_apart_is_what_claims_ask(fake_ledger: ModuleType, seeds: int, gap: float, expected: bool) -> None:
    """One seed: its bootstrap interval, 2 points either way; more: Student's t, which asks much of two."""
    fake_ledger.fill("lite", number=4, seeds=seeds, top1={"moco-lu": 0.7, "moco-ls": 0.7 + gap})
    found = {line.row.id: line.measured for line in lines(4, "lite")}
    assert told_apart(found["moco-ls"], found["moco-lu"]) == expected
    evidence = Evidence("lite")
    value = evidence.value("table04/moco-ls") - evidence.value("table04/moco-lu")
    assert (value.low > 0) == expected
