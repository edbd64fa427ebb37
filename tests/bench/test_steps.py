"""What a step of each method of Table 8 costs: which are measured, and one real measurement."""

import pytest
import torch

from marsnb.bench import contrast, steps
from marsnb.errors import TrainingError

CPU = torch.device("cpu")


def test_rows_that_differ_in_start_weights_alone_are_measured_once() -> None:
    rows = [row.id for row, _ in steps.chosen("lite")]
    assert rows[0] == "baseline" and rows[-2:] == ["ours", "mean-teacher-soft"] and len(rows) == 14
    assert "reco-cutmix" in rows and not any("imagenet" in row for row in rows)


def test_state_is_weights_teacher_and_momentum() -> None:
    specs = {row.id: spec for row, spec in steps.chosen("smoke")}
    plain, taught = (steps.runner(specs[name], 0, CPU) for name in ("baseline", "mean-teacher-soft"))
    teacher = taught.state - plain.state
    weights = teacher  # a copy of all weights and buffers, no momentum
    assert 1.9 * weights < plain.state < 2.1 * weights
    assert taught.peak() > plain.peak() > 0 and plain.seconds() > 0


def test_a_measurement_that_dies_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contrast.sys, "executable", "/bin/false")
    with pytest.raises(TrainingError, match="measuring the steps of Table 8 ended early"):
        steps.measured("smoke", 1)
