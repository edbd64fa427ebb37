"""A sentence of the paper, the parts that it is checked in, and the one rule of verdicts."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from math import inf
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from marsnb import paths
from marsnb.errors import RecipeError
from marsnb.results.intervals import ENOUGH, Value

HOLDS, FAILS, OPEN, UNTESTED = "holds", "does not hold", "undecided", "not tested"
VERDICTS = (HOLDS, FAILS, OPEN, UNTESTED)
Pair = tuple[str, str]
_PLAIN = (
    (r"\$", ""),
    (r"\\mathcal\{L\}_\{(?:cls|seg)\}\^(\w)", r"L_\1"),
    (r"\\?(?:lambda|λ)_\{(?:cls|seg)\}\^(\w)", r"λ_\1"),
    (r"\*", ""), (r" ?\[\d+\]", ""), (r" +([.,])", r"\1"),
)  # fmt: skip


class Claim(BaseModel):
    """A sentence of the paper."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str  # its name, unique
    section: str  # of the paper
    quote: str  # the paper's words; `` ... `` where some are left out
    # what may test it: at any scale (mechanism), at the paper's own settings (amount), on real images (the others)
    kind: Literal["mechanism", "direction", "amount", "data"]
    check: str  # name of a check; the other fields are what it compares
    rows: tuple[str, ...] = ()  # ``TABLE/ROW`` of recipes, ``TABLE/ROW@METRIC`` for another metric than the table's
    pairs: tuple[Pair, ...] = ()  # two rows each, the first claimed to lie above the second
    metrics: tuple[str, ...] = ()  # of the table's runs; its own by default
    curve: str = ""  # metric per epoch; a ``*`` in it stands for each of ``metrics``
    between: tuple[float, float] | None = None  # bounds that the sentence names
    says: float | None = None  # number that the sentence names, where no table of the paper has it
    table: int = 0  # number of the table of counts
    classes: dict[str, Literal["up", "down"]] = {}  # whose share goes ``up`` or ``down``
    total: str = ""  # what is counted
    near: tuple[str, ...] = ()  # classes that the sentence is about: two near to each other, or one that is scattered
    note: str = ""  # what was measured, in words
    why: str = ""  # why nothing measures it (check ``untested``)
    at: dict[str, dict[str, Any]] = {}  # fields that differ in one profile, by its name

    @property
    def terms(self) -> list[str]:
        """Every row it names."""
        return [*self.rows, *(term for pair in self.pairs for term in pair)]

    @property
    def curves(self) -> list[tuple[str, str]]:
        """Every curve it names, with the metric that it is of."""
        return [(metric, self.curve.replace("*", metric)) for metric in self.metrics or ("",)]

    @property
    def plain(self) -> str:
        """The quote without the mark-up of formulas."""
        text = self.quote
        for pattern, instead in _PLAIN:
            text = re.sub(pattern, instead, text)
        return text

    def for_profile(self, profile: str) -> "Claim":
        """The claim as this profile tests it."""
        return Claim.model_validate(self.model_dump() | self.at[profile]) if profile in self.at else self


@cache
def load() -> tuple[Claim, ...]:
    """All claims of ``recipes/claims.yaml``, in the order of the paper.

    Raises:
        RecipeError: one has an unknown key, lacks one, or has a value of the wrong kind.
    """
    text = yaml.safe_load((paths.recipes() / "claims.yaml").read_text(encoding="utf-8"))
    try:
        return tuple(Claim.model_validate(entry) for entry in text["claims"])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecipeError(f"claims.yaml: {where}: {first['msg'].lower()}; see marsnb/results/claims/model.py") from None


class Untested(Exception):  # noqa: N818  (no error: a verdict, and its reason)
    """Why a claim cannot be tested here: ``REASON`` or ``REASON: ROW``."""


@dataclass(frozen=True)
class Part:
    """One comparison of a claim."""

    label: str  # what was compared
    verdict: str  # one of ``VERDICTS``
    value: Value | None = None  # the measured number, where there is one
    unit: str = "points"
    paper: float | None = None  # the paper's number for the same
    why: str = ""  # why it was not tested, or is undecided whatever its interval says
    note: str = ""  # what was measured, in words
    room: float = 0.0  # how far the measured number lies on the side that is claimed; below 0 on the other


def inside(
    label: str, value: Value, low: float, high: float, unit: str = "points", paper: float | None = None, note: str = ""
) -> Part:
    """A part that says that a number lies between two bounds; its arguments are otherwise a `Part`'s."""
    room = min(value.value - low, high - value.value)
    return Part(label, within(value, low, high), value, unit, paper, note=note, room=room)


def equals(
    label: str, value: Value, paper: float, difference: bool, unit: str = "points", note: str = "", arm: float = inf
) -> Part:
    """A part that says that a number is the paper's; see `agrees`."""
    room = -abs(value.value - paper)
    return Part(label, agrees(value, paper, difference, arm), value, unit, paper, note=note, room=room)


def part_of(label: str, make: Callable[..., Part], *given: Any) -> Part:
    """``make(*given)``, or why it cannot be tested; undecided where fewer than three seeds stand behind it."""
    try:
        part = make(*given)
    except Untested as reason:
        return Part(label, UNTESTED, why=str(reason))
    if part.value and 0 < part.value.n < ENOUGH:
        seeds = "one seed" if part.value.n == 1 else f"{part.value.n} seeds"
        return replace(part, verdict=OPEN, why=f"{seeds}, and a verdict needs {ENOUGH}")
    return part


def within(value: Value, low: float, high: float) -> str:
    """``holds`` where the whole interval lies between two bounds, ``does not hold`` where all of it lies beyond one.

    An interval that ends at a bound is undecided, as one that ends at 0 does not tell two rows apart.
    """
    if value.low > low and value.high < high:
        return HOLDS
    return FAILS if value.high < low or value.low > high else OPEN


def agrees(value: Value, paper: float, difference: bool, arm: float = inf) -> str:
    """``does not hold`` where the interval leaves the paper's number out; ``undecided`` where it has too much in it.

    Too much is 0 where the number is a ``difference``, as then there would be no effect, and more than ``arm`` on
    either side of its middle.
    """
    if not value.low <= paper <= value.high:
        return FAILS
    wide = not value.known or value.high - value.low > 2 * arm
    return OPEN if wide or (difference and value.low <= 0 <= value.high) else HOLDS


def combine(verdicts: list[str]) -> str:
    """The verdict on a sentence about several rows."""
    for verdict in (FAILS, UNTESTED, OPEN):  # one that fails is enough, whatever else was not run
        if verdict in verdicts:
            return verdict
    return HOLDS if verdicts else UNTESTED
