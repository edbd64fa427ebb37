"""The sentences of the paper as checks on what was measured, each with its evidence and a verdict."""

import re
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from marsnb import paths
from marsnb.errors import RecipeError
from marsnb.files import write_whole
from marsnb.report import claim_checks, claim_counts, claim_courses
from marsnb.report.claim_checks import FAILS, HOLDS, OPEN, RULES, UNTESTED, VERDICTS, Part, combine
from marsnb.report.evidence import Evidence, finite, stamp
from marsnb.report.files import write_csv
from marsnb.report.sentences import scale_note

CHECKS = {
    "above": claim_checks.above, "ordered": claim_checks.ordered, "best": claim_checks.best,
    "alike": claim_checks.alike, "amount": claim_checks.amount, "within": claim_checks.between,
    "collapse": claim_courses.collapse, "rescue": claim_courses.rescue, "rises": claim_courses.rises,
    "sooner": claim_courses.sooner, "quick": claim_courses.quick, "dip": claim_courses.dip,
    "perfect": claim_courses.perfect, "untested": claim_courses.untested, "cost": claim_counts.cost,
    "shares": claim_counts.shares, "total": claim_counts.total, "bank": claim_counts.bank,
    "separated": claim_counts.separated, "nearest": claim_counts.nearest,
    "scattered": claim_counts.scattered,
}  # fmt: skip
MAY_TEST = {
    "mechanism": ("synthetic", "reduced", "paper"),
    "direction": ("reduced", "paper"),
    "data": ("reduced", "paper"),
    "amount": ("paper",),
}
"""Kinds of claims, and the scales (`evidence.scale`) at which each can be tested."""
WHY_NOT = {
    "synthetic": "generated images say nothing about Mars",
    "reduced": "an amount is comparable at the paper's own settings only",
}
SYMBOLS = {HOLDS: "✓", FAILS: "✗", OPEN: "~", UNTESTED: "–"}
NAMED = 3
"""Rows that a reason names; more are only counted."""
COLUMNS = ["id", "section", "kind", "quote", "paper", "measured", "verdict", "why", "n", "data"]
_PLAIN = (
    (r"\$", ""),
    (r"\\mathcal\{L\}_\{(?:cls|seg)\}\^(\w)", r"L_\1"),
    (r"\\?(?:lambda|λ)_\{(?:cls|seg)\}\^(\w)", r"λ_\1"),
    (r"\*", ""), (r" ?\[\d+\]", ""), (r" +([.,])", r"\1"),
)  # fmt: skip


class Claim(BaseModel):
    """A sentence of the paper.

    Attributes:
        id, section: unique; of the paper.
        quote: the paper's words; `` ... `` where some are left out.
        kind: what may test it, a key of ``MAY_TEST``.
        check: a key of ``CHECKS``; the other fields are what it compares.
        rows: ``TABLE/ROW`` of recipes, ``TABLE/ROW@METRIC`` for another metric than the table's.
        pairs: two rows each, the first claimed to lie above the second.
        metrics: of the table's runs; its own by default.
        curve: metric per epoch; a ``*`` in it stands for each of ``metrics``.
        between: bounds that the sentence names.
        says: number that the sentence names, where no table of the paper has it.
        table, classes: number of the table of counts; classes whose share goes ``up`` or ``down``.
        total: what is counted.
        near: classes that the sentence is about: two that lie near to each other, or one that is scattered.
        note: what was measured, in words.
        why: why nothing measures it (check ``untested``).
        at: fields that differ in one profile, by its name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    section: str
    quote: str
    kind: Literal["mechanism", "direction", "amount", "data"]
    check: str
    rows: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    metrics: tuple[str, ...] = ()
    curve: str = ""
    between: tuple[float, float] | None = None
    says: float | None = None
    table: int = 0
    classes: dict[str, Literal["up", "down"]] = {}
    total: str = ""
    near: tuple[str, ...] = ()
    note: str = ""
    why: str = ""
    at: dict[str, dict[str, Any]] = {}

    @model_validator(mode="after")
    def _known_check(self) -> "Claim":
        if self.check not in CHECKS:
            raise ValueError(f"unknown check {self.check!r}; known: {', '.join(CHECKS)}")
        return self

    @property
    def terms(self) -> list[str]:
        """Every row it names."""
        return [*self.rows, *(term for pair in self.pairs for term in pair)]

    @property
    def curves(self) -> list[str]:
        """Every curve it names."""
        return [self.curve.replace("*", metric) for metric in self.metrics or ("",)]

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


class Judged(BaseModel):
    """A claim at a profile: its parts, and the verdict on all of them."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    claim: Claim
    verdict: str
    parts: tuple[Part, ...]
    why: str = ""
    data: str = ""

    @property
    def weakest(self) -> Part | None:
        """The part that decides: the worst verdict, then the smallest value; ``None`` where nothing was measured."""
        rank = {FAILS: 0, UNTESTED: 1, OPEN: 2, HOLDS: 3}
        done = [part for part in self.parts if part.value]
        return min(done, key=lambda part: (rank[part.verdict], part.value.value), default=None)  # type: ignore[union-attr]

    @property
    def measured(self) -> str:
        """The evidence in words; empty where there is none."""
        part = self.weakest
        if part is None or part.value is None:
            return ""
        text = number(part, signed=part.unit in ("points", "epochs", "hundredths"))
        if len(self.parts) > 1:
            done = [p for p in self.parts if p.value]
            yes, missing = sum(p.verdict == HOLDS for p in done), len(self.parts) - len(done)
            counted = f"{yes} of {len(self.parts)} hold{f', {missing} not tested' if missing else ''}; "
            text = f"{counted if self.verdict in (HOLDS, FAILS, OPEN) or yes else ''}{part.label}: {text}"
        note = part.note or self.claim.note
        return f"{text} ({note})" if note else text

    @property
    def papers(self) -> str:
        """The paper's number for the same; empty where it prints none."""
        part = self.weakest or next((p for p in self.parts if p.paper is not None), None)
        if part is None or part.paper is None:
            return ""
        return f"{part.paper:{'+.2f' if part.unit == 'points' else '.4g'}} {part.unit}".strip()


def number(part: Part, signed: bool = False) -> str:
    """A part's value with its interval, its unit and the number of seeds."""
    value = part.value
    assert value is not None
    whole = value.value == round(value.value) and (value.n == 0 or not finite(value))
    form = f"{'+' if signed else ''}.{0 if whole else 2}f"
    interval = f" [{value.low:{form}}, {value.high:{form}}]" if finite(value) and value.low < value.high else ""
    seeds = f", n = {value.n}" if value.n else ""
    return f"{value.value:{form}}{interval} {part.unit}".rstrip() + seeds


@cache
def load() -> tuple[Claim, ...]:
    """All claims, in the order of the paper.

    Raises:
        RecipeError: one has an unknown key or check, or lacks one.
    """
    text = yaml.safe_load((paths.recipes() / "claims.yaml").read_text(encoding="utf-8"))
    try:
        return tuple(Claim.model_validate(entry) for entry in text["claims"])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecipeError(f"claims.yaml: {where}: {first['msg'].lower()}; see marsnb/report/claims.py") from None


def judge(profile: str) -> list[Judged]:
    """Every claim's evidence and verdict at a profile.

    Args:
        profile: name of the profile.
    """
    return list(_judge(profile, stamp(profile)))


@lru_cache(maxsize=4)
def _judge(profile: str, read: tuple[object, ...]) -> tuple[Judged, ...]:
    """``read`` is the state of the files that it comes from, so that a changed one is read again."""
    evidence = Evidence(profile)
    return tuple(judge_one(claim.for_profile(profile), evidence) for claim in load())


def judge_one(claim: Claim, evidence: Evidence) -> Judged:
    """One claim's evidence and verdict, at the profile of the evidence."""
    if evidence.scale == "synthetic" and "synthetic" not in MAY_TEST[claim.kind] and claim.check != "untested":
        return Judged(claim=claim, verdict=UNTESTED, parts=(), why=WHY_NOT["synthetic"])
    parts = tuple(CHECKS[claim.check](evidence, claim))
    data = "synthetic" if evidence.scale == "synthetic" else "real images"
    if evidence.scale not in MAY_TEST[claim.kind] and any(part.value for part in parts):
        shown = tuple(replace(part, verdict=UNTESTED) for part in parts if part.value)
        return Judged(claim=claim, verdict=UNTESTED, parts=shown, why=WHY_NOT[evidence.scale], data=data)
    verdict = combine([part.verdict for part in parts])
    why = reasons([part.why for part in parts if part.why])
    return Judged(claim=claim, verdict=verdict, parts=parts, why=why if verdict == UNTESTED else "", data=data)


def reasons(given: list[str]) -> str:
    """Reasons, each once, with the rows that it is the reason of."""
    rows: dict[str, list[str]] = {}
    for reason, _, row in (text.partition(": ") for text in given):
        rows.setdefault(reason, [])
        rows[reason] += [row] if row and row not in rows[reason] else []
    return "; ".join(f"{reason}: {_some(names)}" if names else reason for reason, names in rows.items())


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def frame(profile: str) -> pd.DataFrame:
    """Every claim in one line: ``id, section, kind, quote, paper, measured, verdict, why, n, data``."""
    found = []
    for item in judge(profile):
        part = item.weakest
        found.append({
            "id": item.claim.id, "section": item.claim.section, "kind": item.claim.kind, "quote": item.claim.plain,
            "paper": item.papers, "measured": item.measured, "verdict": item.verdict, "why": item.why,
            "n": part.value.n if part and part.value else None, "data": item.data,
        })  # fmt: skip
    return pd.DataFrame(found, columns=COLUMNS)


def tally(found: pd.DataFrame) -> pd.DataFrame:
    """Claims per section and verdict, with a line ``all``: sections by ``VERDICTS``.

    Args:
        found: what `frame` gives.
    """
    counts = pd.crosstab(found["section"], found["verdict"]).reindex(columns=list(VERDICTS), fill_value=0)
    return pd.concat([counts, counts.sum().to_frame("all").T])


def tally_markdown(profile: str) -> str:
    """How many claims hold, per section, with the rules, as Markdown."""
    counts = tally(frame(profile))
    text = [scale_note(profile), f"| Section | {' | '.join(f'{SYMBOLS[v]} {v}' for v in VERDICTS)} | Claims |"]
    text.append("|---|" + "---:|" * (len(VERDICTS) + 1))
    for section, line in counts.iterrows():
        mark = "**" if section == "all" else ""
        cells = [str(section), *(str(line[verdict]) for verdict in VERDICTS), str(line.sum())]
        text.append("| " + " | ".join(f"{mark}{cell}{mark}" for cell in cells) + " |")
    return "\n".join([*text, "", RULES])


def markdown(profile: str) -> str:
    """The claims one by one, as a Markdown table."""
    text = [scale_note(profile), "| § | The paper says | Paper | Measured | Verdict |", "|---|---|---:|---|---|"]
    for line in frame(profile).drop(columns="n").fillna("").to_dict("records"):
        evidence = "; ".join(filter(None, [str(line["measured"]), str(line["why"])]))
        quote = str(line["quote"]).replace("|", "\\|")
        verdict = f"{SYMBOLS[str(line['verdict'])]} {line['verdict']}"
        text.append(f"| {line['section']} | {quote} | {line['paper']} | {evidence} | {verdict} |")
    return "\n".join(text) + "\n"


def write_claims(profile: str) -> list[Path]:
    """Write ``claims.csv`` and ``claims.md`` into the profile's folder of figures; returns the two paths."""
    at = paths.figures(profile)
    return [write_csv(at / "claims.csv", frame(profile)), write_whole(at / "claims.md", markdown(profile))]
