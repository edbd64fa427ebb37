"""From a recipe's row and a profile to a frozen ``RunSpec``; two rows that resolve to the same spec share one run."""

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from marsnb.errors import RecipeError
from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import method_settings
from marsnb.recipes import Profile, Row, load_profile, load_table
from marsnb.training.schedule import Schedule


class RunSpec(BaseModel):
    """All that decides a classification run's numbers, but for the data's own content and the code.

    Attributes:
        dataset, protocol, data_options: what is opened, under which split protocol.
        image_size: edge of the square images, pixels.
        method, settings: name in the registry, and its settings where they differ from the method's defaults.
        backbone, start: network and start weights.
        batchnorm: ``train`` (statistics and affine part follow the data) or ``frozen`` (both stay as they came).
        epochs, steps_per_epoch: budget; ``None`` steps is one pass over the labelled training images.
        batch_labelled, batch_unlabelled: images per step (paper: 16 and 16; class pairs are one per class, 24).
        lr_head, lr_projection, lr_backbone, milestones, lr_decay, weight_decay: see ``Schedule``.
        pretrain_steps: of MoCo v2 on the data's own images, where ``start`` is ``moco_mars``.
        precision: Lightning's name of it.
        train_on: labelled images that train: ``train``, or ``train+val`` (then ``val`` cannot be scored).
        evaluate: splits that are scored each epoch and at the end; ``choice`` recipes leave ``test`` out.
        seed: of weights, order and augmentation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Literal["classification"] = "classification"
    dataset: str
    protocol: str = "by_frame"
    data_options: dict[str, Any] = {}
    image_size: int
    method: str
    settings: dict[str, Any] = {}
    backbone: str
    start: str
    batchnorm: Literal["train", "frozen"] = "train"
    epochs: int = 30
    steps_per_epoch: int | None = None
    batch_labelled: int = 16
    batch_unlabelled: int = 16
    lr_head: float = 1e-3
    lr_projection: float = 1e-6
    lr_backbone: float = 1e-6
    milestones: tuple[int, ...] = (20, 25)
    lr_decay: float = 0.1
    weight_decay: float = 0.0
    pretrain_steps: int = 200
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    train_on: Literal["train", "train+val"] = "train"
    evaluate: tuple[Literal["val", "test"], ...] = ("val", "test")
    seed: int = 0

    @field_validator("image_size", "epochs", "steps_per_epoch", "batch_labelled", "batch_unlabelled", "pretrain_steps")
    @classmethod
    def _positive(cls, value: int | None) -> int | None:
        if value is not None and value < 1:
            raise ValueError("must be at least 1")
        return value

    @model_validator(mode="after")
    def _val_is_held_out(self) -> "RunSpec":
        if self.train_on == "train+val" and "val" in self.evaluate:
            raise ValueError("val is trained on: leave it out of evaluate")
        return self

    @property
    def key(self) -> str:
        """Hash of everything but the seed; ten hex digits.

        Values equal to a default do not enter, so that a field or a setting added later leaves the keys of old runs as
        they are.
        """
        canonical = self.model_dump(mode="json", exclude_defaults=True, exclude={"seed"})
        return hashlib.sha256(json.dumps(canonical, sort_keys=True).encode()).hexdigest()[:10]

    @property
    def schedule(self) -> Schedule:
        """The learning rates."""
        return Schedule(
            lr_head=self.lr_head,
            lr_projection=self.lr_projection,
            lr_backbone=self.lr_backbone,
            milestones=self.milestones,
            decay=self.lr_decay,
            weight_decay=self.weight_decay,
        )


def make_spec(**fields: Any) -> RunSpec:
    """A ``RunSpec`` from its fields, checked.

    Raises:
        RecipeError: an unknown field, method or setting, or a value of the wrong kind.
    """
    try:
        spec = RunSpec(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        known = f"; known: {', '.join(RunSpec.model_fields)}" if first["type"] == "extra_forbidden" else ""
        where = f"run setting {name!r}" if name else "run settings"
        raise RecipeError(f"{where}: {first['msg'].removeprefix('Value error, ').lower()}{known}") from None
    method = METHODS[spec.method]
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


def resolve(row: Row, profile: Profile, seed: int = 0) -> RunSpec:
    """The run of a recipe's row in a profile.

    Raises:
        RecipeError: the row or the profile has an unknown key.
    """
    backbone = profile.backbone(row.backbone, row.own_backbone)
    start = profile.start(row.start, backbone)
    fields: dict[str, Any] = {
        **profile.classification,
        **(profile.from_random if start == "random" else {}),
        "method": row.method,
        "settings": row.settings,
        "backbone": backbone,
        "start": start,
        **row.overrides,
        **row.at.get(profile.name, {}),
        "seed": seed,
    }
    return make_spec(**fields)


def row_runs(table: int | str, profile: str) -> list[tuple[Row, str, RunSpec]]:
    """Every row of a table with its spec's key and its spec; a run id begins with the key and ``-``."""
    scale = load_profile(profile)
    specs = [(row, resolve(row, scale)) for row in load_table(table).rows]
    return [(row, spec.key, spec) for row, spec in specs]
