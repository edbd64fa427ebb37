"""What each row of a table does differently from the baseline besides its method, and what its steps cost."""

from typing import Any

import pandas as pd

from marsnb.methods import methods_of
from marsnb.methods._base import method_settings
from marsnb.recipes import load_table
from marsnb.training.cost import costs
from marsnb.training.spec import row_runs

BASELINE = "cross_entropy"
_METHOD = {"method", "settings", "seed"}


def fairness(number: int | str, profile: str) -> pd.DataFrame:
    """Whether the rows of a table differ in their method alone; what is not named is the same in every row.

    Args:
        number: the paper's number of the table, or the key of a recipe file.
        profile: name of the profile.

    Returns:
        One line per row: ``row, label, method, settings`` (of the method), ``other`` (data, schedule and network where
        they are not the baseline's), ``epochs`` of each stage, and images through the backbone in a step, in batches of
        the baseline, the most of its stages: ``trained``, ``passed`` (without a gradient), ``decoded`` (through a
        decoder), and ``whole`` (of the whole training, the baseline's being 1); counted by running a step of each.
    """
    head, found = load_table(number), []
    rows = row_runs(head.table, profile)
    base = next((spec for row, _, spec in rows if spec.method == BASELINE and not row.own_backbone), rows[0][2])
    unit, theirs = float(base.batch_labelled), base.model_dump()
    for row, _, spec in rows:
        mine, stages = spec.model_dump(), costs(spec)
        other = {name: mine[name] for name in mine if name not in _METHOD and mine[name] != theirs[name]}
        settings = method_settings(methods_of(head.task)[spec.method], spec.settings)
        found.append({
            "row": row.id, "label": row.label, "method": spec.method, "settings": _text(settings),
            "other": _text(other), "epochs": " + ".join(f"{stage.step} {stage.epochs}".strip() for stage in stages),
            "trained": max(stage.trained for stage in stages) / unit,
            "passed": max(stage.passed for stage in stages) / unit,
            "decoded": max(stage.decoded for stage in stages) / unit,
            "whole": sum(stage.images * stage.epochs for stage in stages),
        })  # fmt: skip
    frame = pd.DataFrame(found)
    return frame.assign(whole=frame["whole"] / sum(stage.images * stage.epochs for stage in costs(base)))


def _text(values: dict[str, Any]) -> str:
    return ", ".join(f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items())
