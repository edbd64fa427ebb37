"""Fairness, written down: what each row of a table does differently from the baseline, and what its steps cost."""

from typing import Any

from marsnb.data.streams import STREAMS
from marsnb.methods._base import method_settings
from marsnb.methods.classification import METHODS
from marsnb.recipes import load_table
from marsnb.report.measured import Line, lines
from marsnb.report.sentences import scale_note
from marsnb.training.cost import StepCost, costs
from marsnb.training.spec import ClassificationSpec, RunSpec, SegmentationSpec

ABOUT_THE_METHOD = {"method", "settings", "seed"}
"""Fields of a run that are the method itself, and are told in columns of their own."""
BASELINE = "cross_entropy"


def different(spec: RunSpec, baseline: RunSpec) -> dict[str, Any]:
    """Fields of a run that are not the baseline's, besides the method's own: data, splits, schedule, network."""
    mine, theirs = spec.model_dump(), baseline.model_dump()
    return {name: mine[name] for name in mine if name not in ABOUT_THE_METHOD and mine[name] != theirs[name]}


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
    if load_table(number).task == "segmentation":
        return _segmentation(found, base, profile)
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


def _segmentation(found: list[Line], base: Line, profile: str) -> str:
    text = [
        f"{scale_note(profile)}{_plain_segmentation(base.spec)} **What the table below does not name is the same in "
        "every row**: data, split, schedule, optimizer, augmentation.",
        "",
        "| Row | Steps, with epochs | Settings | Other differences | Backbone passes, by step | Decoder passes, by "
        f"step | Backbone passes in all, “{base.row.label}” = 1 |",
        "|---|---|---|---|---|---|---:|",
    ]
    unit, whole = float(base.spec.batch_labelled), _passes_in_all(base.spec)
    for line in found:
        spec, stages = line.spec, costs(line.spec)
        steps = ", ".join(f"{stage.step} {stage.epochs}" for stage in stages)
        settings = ", ".join(f"{name} {_value(value)}" for name, value in spec.settings.items())
        other = "; ".join(f"{name} {_value(value)}" for name, value in different(spec, base.spec).items())
        passes = ", ".join(_passes(stage, unit) for stage in stages)
        decoded = ", ".join(f"{stage.decoded / unit:.2g}" for stage in stages)
        cells = [line.row.label, steps, settings, other, passes, decoded, f"{_passes_in_all(spec) / whole:.2g}"]
        text.append(f"| {' | '.join(cells)} |")
    text.append(
        "\nSteps: *pretrain*, contrast alone; *joint*, cross entropy, and contrast where the row has it; *pseudo*, the "
        "same with online pseudo labels. Settings: where they are not the method's own. A pass is a labelled batch "
        "once; the two heads have a decoder each. Counted by running a step of each."
    )
    return "\n".join(text)


def _passes_in_all(spec: RunSpec) -> float:
    return sum(stage.images * stage.epochs for stage in costs(spec))


def _plain_segmentation(spec: SegmentationSpec) -> str:
    steps = f"{spec.steps_per_epoch} steps" if spec.steps_per_epoch else "one pass over the training pairs"
    return (
        f"Every row: {spec.backbone} from {spec.start}, decoders of {spec.decoder_channels} channels, "
        f"{spec.image_size} px, batches of {spec.batch_labelled}, epochs of {steps}, SGD at {spec.lr:g} with "
        f"polynomial annealing anew in each step, weight decay {spec.weight_decay:g}."
    )


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
