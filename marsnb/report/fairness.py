"""Fairness, written down: what each row of a table does differently from the baseline, and what its steps cost."""

from functools import cache
from typing import Any

from marsnb.data.streams import STREAMS
from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import method_settings
from marsnb.report.measured import Line, lines
from marsnb.report.sentences import scale_note
from marsnb.training.cost import StepCost, step_costs
from marsnb.training.spec import ClassificationSpec, make_spec

ABOUT_THE_METHOD = {"method", "settings", "seed"}
"""Fields of a run that are the method itself, and are told in columns of their own."""
BASELINE = "cross_entropy"


def different(spec: ClassificationSpec, baseline: ClassificationSpec) -> dict[str, Any]:
    """Fields of a run that are not the baseline's, besides the method's own: data, splits, schedule, network."""
    mine, theirs = spec.model_dump(), baseline.model_dump()
    return {name: mine[name] for name in mine if name not in ABOUT_THE_METHOD and mine[name] != theirs[name]}


@cache
def _costs(method: str, batch_labelled: int, batch_unlabelled: int, epochs: int) -> tuple[StepCost, ...]:
    spec = make_spec(
        dataset="synthetic", image_size=96, method=method, backbone="test_resnet", start="random",
        batch_labelled=batch_labelled, batch_unlabelled=batch_unlabelled, epochs=epochs,
    )  # fmt: skip
    return tuple(step_costs(spec))


def costs(spec: ClassificationSpec) -> tuple[StepCost, ...]:
    """Cost of a step, per stage of the spec's method; weights of its losses play no part in it."""
    return _costs(spec.method, spec.batch_labelled, spec.batch_unlabelled, spec.epochs)


def _baseline(found: list[Line]) -> Line:
    return next((line for line in found if line.spec.method == BASELINE and not line.row.own_backbone), found[0])


def fairness_table(number: int, profile: str) -> str:
    """What differs between the rows of a table, and how many forward passes their steps cost, as Markdown.

    Args:
        number: the paper's number of the table.
        profile: name of the profile.
    """
    found = lines(number, profile)
    base = _baseline(found)
    unit = float(base.spec.batch_labelled)
    text = [
        f"{scale_note(profile)}The baseline is “{base.row.label}”: {_plain(base.spec)}. **What the table below does "
        "not "
        "name is the same in every row**: data, split, schedule, optimizer, ordinary augmentation.",
        "",
        "| Row | Fed with, besides the labelled batch | Settings | Other differences | Epochs, by stage | Forward "
        "passes "
        "per step |",
        "|---|---|---|---|---|---:|",
    ]
    for line in found:
        spec = line.spec
        other = "; ".join(f"{name} {_value(value)}" for name, value in different(spec, base.spec).items())
        stages = costs(spec)
        passes = ", then ".join(_passes(stage, unit) for stage in stages)
        epochs = " + ".join(str(stage.epochs) for stage in stages)
        text.append(f"| {line.row.label} | {_streams(spec)} | {_settings(spec)} | {other} | {epochs} | {passes} |")
    text.append(
        "\nA forward pass is a labelled batch through the network once, all that a step of plain cross entropy does. "
        "*Without gradient*: in a momentum network, or "
        "a backbone that is frozen; it costs about a third of one that learns. Counted by running a step of each "
        "method."
    )
    return "\n".join(text)


def _plain(spec: ClassificationSpec) -> str:
    steps = f"{spec.steps_per_epoch} steps" if spec.steps_per_epoch else "one pass over the training list"
    return (
        f"{spec.backbone} from {spec.start}, {spec.image_size} px, batches of {spec.batch_labelled}, {spec.epochs} "
        "epochs "
        f"of {steps}, Adam at {spec.lr_head:g} (head), {spec.lr_backbone:g} (backbone) and {spec.lr_projection:g} "
        f"(projections), BatchNorm {spec.batchnorm}"
    )


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _streams(spec: ClassificationSpec) -> str:
    more = [name for name in METHODS[spec.method].streams if name != "labelled"]
    return ", ".join(f"`{name}`{' (no labels)' if STREAMS[name].source == 'unlabelled' else ''}" for name in more)


def _settings(spec: ClassificationSpec) -> str:
    settings = method_settings(METHODS[spec.method], spec.settings)
    return ", ".join(f"{name} {_value(value)}" for name, value in settings.items())


def _passes(stage: StepCost, unit: float) -> str:
    parts = [f"{stage.trained / unit:.2g}"] if stage.trained else []
    parts += [f"{stage.passed / unit:.2g} without gradient"] if stage.passed else []
    return " + ".join(parts) or "0"
