"""From a recipe's row and a profile to a frozen ``RunSpec``; two rows that resolve to the same spec share one run."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator

from marsnb.errors import RecipeError
from marsnb.methods import methods_of
from marsnb.methods._base import method_settings
from marsnb.recipes import Profile, Row, load_profile, load_table, trainable

ALL = "all"


def _at_least_one(value: int) -> int:
    if value < 1:
        raise ValueError("must be at least 1")
    return value


Count = Annotated[int, AfterValidator(_at_least_one)]


class RunSpec(BaseModel):
    """All that decides a run's numbers, but for the data's own content and the code; one subclass per task."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Literal["classification", "segmentation"]
    dataset: str  # what is opened, under which split protocol
    protocol: str
    data_options: dict[str, Any] = {}
    image_size: Count  # edge of the square images, pixels
    method: str  # name in the registry
    settings: dict[str, Any] = {}  # of the method, where they differ from its defaults
    backbone: str
    start: str  # start weights
    epochs: Count  # of one stage
    steps_per_epoch: Count | None = None  # one pass over the training images if ``None``
    batch_labelled: Count = 16  # labelled images per step (paper: 16)
    weight_decay: float = 0.0  # L2 penalty; the paper does not state it
    # Lightning's name of it, or ``auto``: bfloat16 by autocast on a GPU that has it, else single
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "auto"] = "32-true"
    compile: bool = False  # the networks, by ``torch.compile``, which takes a minute or more at the start
    # splits that are scored at the end; ``choice`` recipes leave ``test`` out
    evaluate: tuple[Literal["val", "test"], ...] = ("test",)
    # last module of the backbone's frozen trunk, whose outputs are computed once and kept in a bank of views;
    # ``None`` trains everything
    trunk: str | None = None
    views: Count = 4  # of each image and augmentation in the bank
    # of the processor, so that a run's numbers depend neither on its cores nor on what runs beside it; as many as there
    # are if ``None``
    threads: Count | None = None
    seed: int = 0  # of weights, order and augmentation

    @property
    def key(self) -> str:
        """Hash of everything but the seed; ten hex digits.

        Values equal to a default do not enter, so that a field or a setting added later leaves the keys of old runs as
        they are.
        """
        canonical = self.model_dump(mode="json", exclude_defaults=True, exclude={"seed"})
        return hashlib.sha256(json.dumps(canonical, sort_keys=True).encode()).hexdigest()[:10]


class ClassificationSpec(RunSpec):
    """A run of classification; the splits of ``evaluate`` are also scored each epoch."""

    task: Literal["classification"] = "classification"
    protocol: str = "by_frame"
    # ``train``: statistics and affine part follow the data; ``labelled``: so, but the statistics follow labelled images
    # alone; ``frozen``: both stay as they came
    batchnorm: Literal["train", "frozen", "labelled"] = "train"
    epochs: Count = 30
    batch_unlabelled: Count = 16  # unlabelled images per step (paper: 16; class pairs are one per class, 24)
    lr_head: float = 1e-3  # rate of the linear head (paper: 1e-3)
    lr_projection: float = 1e-6  # of the two contrastive heads (paper: 1e-6)
    lr_backbone: float = 1e-6  # (paper: 1e-6)
    milestones: tuple[int, ...] = (20, 25)  # epochs at which every rate is multiplied by ``lr_decay`` (paper: these)
    lr_decay: float = 0.1  # (paper: 0.1)
    pretrain_steps: Count = 200  # of MoCo v2 on the data's own images, where ``start`` is ``moco_mars``
    train_on: Literal["train", "train+val"] = "train"  # labelled images that train; with ``val`` it cannot be scored
    evaluate: tuple[Literal["val", "test"], ...] = ("val", "test")

    @model_validator(mode="after")
    def _val_is_held_out(self) -> "ClassificationSpec":
        if self.train_on == "train+val" and "val" in self.evaluate:
            raise ValueError("val is trained on: leave it out of evaluate")
        return self

    def factor(self, epoch: int) -> float:
        """What the rates are multiplied by in ``epoch`` (counted from 0)."""
        return self.lr_decay ** sum(epoch >= milestone for milestone in self.milestones)

    def rates(self, epoch: int = 0) -> dict[str, float]:
        """Rate of each parameter group in ``epoch``."""
        rates = {"head": self.lr_head, "projection": self.lr_projection, "backbone": self.lr_backbone}
        return {group: rate * self.factor(epoch) for group, rate in rates.items()}


class SegmentationSpec(RunSpec):
    """A run of segmentation."""

    task: Literal["segmentation"] = "segmentation"
    protocol: str = "sol"
    epochs: Count = 60  # of each of the three steps (paper: 60)
    decoder_channels: Count = 256  # this and the next two: see ``Segmenter``
    dropout: float = 0.5
    batchnorm: Literal["train", "frozen"] = "train"  # of the encoder
    crop: bool = True  # training images besides being mirrored; a bank holds whole images
    lr: float = 0.01  # SGD's (paper: 0.01)
    momentum: float = 0.9  # SGD's; not stated in the paper
    power: float = 0.9  # exponent by which the rate falls to 0; not stated in the paper, 0.9 as in DeepLab
    weight_decay: float = 5e-4
    # images of a split, evenly spread in time, that are scored after each epoch for the curves; all of it if ``None``.
    # The numbers of the ledger are always those of the whole split.
    curve_images: Count | None = None

    @model_validator(mode="after")
    def _bank_is_of_whole_images(self) -> "SegmentationSpec":
        if self.trunk is not None and self.crop:
            raise ValueError("a trunk's bank holds whole images: set crop to false")
        return self

    def rate(self, done: float) -> float:
        """The rate where ``done``, a share from 0 to 1, of the steps are done."""
        return self.lr * (1.0 - min(max(done, 0.0), 1.0)) ** self.power


SPECS: dict[str, type[RunSpec]] = {"classification": ClassificationSpec, "segmentation": SegmentationSpec}


def make_spec(**fields: Any) -> Any:
    """The ``RunSpec`` of a task from its fields, checked; classification where ``task`` is not given.

    Raises:
        RecipeError: an unknown field, method or setting, or a value of the wrong kind.
    """
    kind = SPECS.get(fields.get("task", "classification"))
    if kind is None:
        raise RecipeError(f"run setting 'task' is {fields['task']!r}; known: {', '.join(SPECS)}")
    try:
        spec = kind(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        known = f"; known: {', '.join(kind.model_fields)}" if first["type"] == "extra_forbidden" else ""
        where = f"run setting {name!r}" if name else "run settings"
        raise RecipeError(f"{where}: {first['msg'].removeprefix('Value error, ').lower()}{known}") from None
    method = methods_of(spec.task)[spec.method]
    defaults = method_settings(method, {})
    settings = {k: v for k, v in _numbers(method_settings(method, spec.settings), defaults).items() if v != defaults[k]}
    return spec.model_copy(update={"settings": settings})


def _numbers(settings: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Settings whose default is a float, as floats: YAML reads ``1e-1`` as text, and 2 and 2.0 are one run."""
    values = dict(settings)
    for name, default in defaults.items():
        if isinstance(default, float):
            try:
                values[name] = float(values[name])
            except (TypeError, ValueError):
                raise RecipeError(f"method setting {name!r} is {values[name]!r}: give a number") from None
    return values


def resolve(row: Row, profile: Profile, seed: int = 0, task: str = "classification") -> Any:
    """The run of a recipe's row in a profile.

    Returns:
        A ``ClassificationSpec`` or a ``SegmentationSpec``, as the ``task`` of the row's table asks.

    Raises:
        RecipeError: the row or the profile has an unknown key.
    """
    scale = profile.segmentation if task == "segmentation" else profile.classification
    fields: dict[str, Any] = {
        **scale,
        "task": task,
        "method": row.method,
        "settings": row.settings,
        "backbone": profile.backbone(row.backbone, row.own_backbone),
        "start": profile.start(row.start, task),
        **row.overrides,
        **row.at.get(profile.name, {}),
        "seed": seed,
    }
    return make_spec(**fields)


def row_runs(table: int | str, profile: str) -> list[tuple[Row, str, Any]]:
    """Every row of a table with its spec's key and its spec; a run id begins with the key and ``-``."""
    scale, head = load_profile(profile), load_table(table)
    specs = [(row, resolve(row, scale, task=head.task)) for row in head.rows]
    return [(row, spec.key, spec) for row, spec in specs]


@dataclass(frozen=True)
class Job:
    """One run that is wanted: the first row that asks for it, its seed, and, once its data is open, its id."""

    table: str
    row: str
    seed: int
    spec: Any = field(hash=False)
    run_id: str = ""
    data: Any = field(default=None, compare=False, repr=False)

    @property
    def recipe(self) -> str:
        """``table04/final``."""
        return f"{self.table}/{self.row}"

    @property
    def label(self) -> str:
        """``table04/final seed 0``."""
        return f"{self.recipe} seed {self.seed}"


def jobs_of(tables: Sequence[int | str], profile: str, rows: Sequence[str] | None, seeds: Sequence[int]) -> list[Job]:
    """The runs of some tables, ``all`` being those of the paper, each once: every row's first seed, then the next.

    Where ``rows`` are given, it is only these rows of one table.

    Raises:
        RecipeError: an unknown table, row or profile, or the profile does not run them.
    """
    scale = load_profile(profile)
    keys = [k for t in tables for k in ([k for k in trainable() if k.startswith("table")] if t == ALL else [t])]
    found: dict[tuple[str, int], Job] = {}
    for seed in seeds:
        for table in keys:
            head = load_table(table)
            for row in head.rows_at(profile, rows):
                spec = resolve(row, scale, seed, head.task)
                found.setdefault((spec.key, seed), Job(head.key, row.id, seed, spec))
    return list(found.values())
