"""Recipes and profiles: what each row of a table trains, and the scale at which everything is run.

YAML in, frozen objects out.
"""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from marsnb import paths
from marsnb.errors import RecipeError


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Paper(_Strict):
    """The paper's number for a row, in the paper's unit (percent)."""

    mean: float
    std: float | None = None


class Cell(_Strict):
    """Where a row's number stands in a table that the paper prints across: ``row`` and ``column`` headings."""

    row: str
    column: str


class Row(_Strict):
    """One row of a table: one trained thing.

    Attributes:
        id: unique in its table; ``--row`` takes it.
        backbone, start: as in the paper; a profile may put others in their place.
        own_backbone: the row is about its network, so that a profile does not put its usual one in its place.
        overrides: fields of the profile's run settings; ``at``: more of them, for one profile, by its name.
        not_at: profiles that cannot run the row, with the reason, by name.
        paper: the paper's number; ``None`` for a ``control``, which is not a row of the paper.
        family: the paper's category of the method (Table 3).
        cell: its place in a table that the paper prints across (Tables 5-7).
        also: the paper's numbers in the table's other metrics, where it has several (Tables 8-11).
        note: why the row is there, for the table's reader.
    """

    id: str
    label: str
    method: str
    backbone: str = "resnet50"
    start: str = "moco_v2"
    own_backbone: bool = False
    settings: dict[str, Any] = {}
    overrides: dict[str, Any] = {}
    at: dict[str, dict[str, Any]] = {}
    not_at: dict[str, str] = {}
    paper: Paper | None = None
    control: bool = False
    family: str = ""
    cell: Cell | None = None
    also: dict[str, Paper] = {}
    note: str = ""

    @field_validator("at", "not_at")
    @classmethod
    def _of_profiles(cls, by_name: dict[str, Any]) -> dict[str, Any]:
        if unknown := sorted(set(by_name) - set(profiles())):
            raise ValueError(f"unknown profile {unknown[0]!r}; known: {', '.join(profiles())}")
        return by_name


class Table(_Strict):
    """A table of the paper, or one of our own (``choice``).

    ``profile`` names the only profile that it is about, if there is one. ``metric`` is the table's first; rows give its
    number as ``paper`` and those of ``more_metrics`` under ``also``.
    """

    table: int | str
    title: str
    task: Literal["classification", "segmentation"] = "classification"
    metric: str = "top1"
    more_metrics: tuple[str, ...] = ()
    split: str = "test"
    note: str = ""
    profile: str | None = None
    rows: tuple[Row, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """All metrics, in the order of the paper's columns."""
        return (self.metric, *self.more_metrics)

    @property
    def key(self) -> str:
        """File stem: ``table04``, ``choice``."""
        return f"table{self.table:02d}" if isinstance(self.table, int) else self.table

    @model_validator(mode="after")
    def _each_row_once(self) -> Self:
        twice = [name for name, count in Counter(row.id for row in self.rows).items() if count > 1]
        if twice:
            raise ValueError(f"row {twice[0]!r} is there twice: give it another id")
        return self

    def rows_at(self, profile: str, names: Sequence[str] | None = None) -> list[Row]:
        """The rows that a profile runs, or those of them that are named.

        Raises:
            RecipeError: the table is of another profile, or a named row is unknown or cannot be run at this one.
        """
        if self.profile not in (None, profile):
            raise RecipeError(f"{self.key} is of profile {self.profile}: give --profile {self.profile}")
        if not names:
            return [row for row in self.rows if profile not in row.not_at]
        for row in map(self.row, names):
            if profile in row.not_at:
                why = row.not_at[profile].removeprefix("not run: ")
                raise RecipeError(f"{self.key} has no row {row.id!r} at {profile} ({why}): give another --profile")
        return [self.row(name) for name in names]

    def row(self, row_id: str) -> Row:
        """The row of that id; an unknown one raises ``RecipeError``."""
        for row in self.rows:
            if row.id == row_id:
                return row
        raise RecipeError(f"{self.key} has no row {row_id!r}; its rows: {', '.join(r.id for r in self.rows)}")


class Profile(_Strict):
    """The scale at which everything is run.

    Attributes:
        says: one sentence for the caption of every table.
        seeds: how many a row is run with unless ``--seeds`` says otherwise.
        backbones, starts: what takes the place of the paper's (key ``*``: of any).
        own_backbones: the same for rows that are about their network; these keep it where nothing stands here.
        classification, segmentation: fields of ``ClassificationSpec`` and ``SegmentationSpec``.
    """

    name: str
    says: str
    seeds: int = 1
    backbones: dict[str, str] = {}
    starts: dict[str, str] = {}
    own_backbones: dict[str, str] = {}
    classification: dict[str, Any]
    segmentation: dict[str, Any] = {}
    segmentation_starts: dict[str, str] = {}

    def backbone(self, name: str, own: bool = False) -> str:
        """What stands for backbone ``name`` in this profile; ``own`` where the row is about it."""
        stand_ins = self.own_backbones if own else self.backbones
        return stand_ins.get(name, stand_ins.get("*", name))

    def start(self, name: str, task: str = "classification") -> str:
        """What stands for start weights ``name`` in this profile."""
        stand_ins = self.segmentation_starts if task == "segmentation" else self.starts
        return stand_ins.get(name, stand_ins.get("*", name))


def _read(path: Path, model: type[_Strict]) -> Any:
    try:
        return model.model_validate(_yaml(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        why = first["msg"].removeprefix("Value error, ")
        said = ": ".join(filter(None, (path.name, where, why[0].lower() + why[1:])))
        raise RecipeError(f"{said}; see CONTRIBUTING.md for a row's keys") from None


def _yaml(path: Path) -> Any:
    state = path.stat()
    return _parsed(path, state.st_mtime_ns, state.st_size)


@cache
def _parsed(path: Path, changed: int, size: int) -> Any:
    """A file's content, read again where it has changed: every table that is drawn asks for all recipes."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path.name} is not YAML: {' '.join(str(error).split())}") from None


def trainable() -> list[str]:
    """Keys of all recipe files whose rows are trained, e.g. ``["choice", "table04"]``."""
    found = sorted(paths.recipes().glob("*.yaml"))
    return [path.stem for path in found if isinstance(head := _yaml(path), dict) and isinstance(head.get("rows"), list)]


def tables() -> list[int]:
    """Numbers of the paper's tables that have trained rows."""
    return [int(key.removeprefix("table")) for key in trainable() if key.startswith("table")]


def load_table(table: int | str) -> Table:
    """The recipes of one table, by its number or key; ``RecipeError`` where there is none, or its file is wrong."""
    key = str(table)
    key = f"table{int(key):02d}" if key.isdecimal() else key
    if key not in trainable():
        raise RecipeError(f"there is no table {table!r} to train; known: {', '.join(trainable())}")
    return _read(paths.recipes() / f"{key}.yaml", Table)


def profiles() -> list[str]:
    """Names of the profiles."""
    return sorted(path.stem for path in (paths.recipes() / "profiles").glob("*.yaml"))


def load_profile(name: str) -> Profile:
    """A profile by name; ``RecipeError`` where there is none, or its file is wrong."""
    if name not in profiles():
        raise RecipeError(f"unknown profile {name!r}; known: {', '.join(profiles())}")
    return _read(paths.recipes() / "profiles" / f"{name}.yaml", Profile)
