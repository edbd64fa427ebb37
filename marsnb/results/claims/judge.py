"""Every claim's evidence and verdict at a profile, as a frame and as files."""

from collections import Counter
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from marsnb import paths, recipes
from marsnb.errors import RecipeError
from marsnb.results.claims import counts, courses, rows
from marsnb.results.claims.evidence import KEPT, Evidence
from marsnb.results.claims.model import FAILS, HOLDS, OPEN, UNTESTED, VERDICTS, Claim, Part, combine, load
from marsnb.results.output import write_frame

CHECKS = {
    "above": rows.above, "ordered": rows.ordered, "best": rows.best, "alike": rows.alike, "amount": rows.amount,
    "within": rows.between, "perfect": rows.perfect, "untested": rows.untested, "collapse": courses.collapse,
    "rescue": courses.rescue, "rises": courses.rises, "sooner": courses.sooner, "quick": courses.quick,
    "dip": courses.dip, "cost": counts.cost, "shares": counts.shares, "total": counts.total, "bank": counts.bank,
    "separated": counts.separated, "near": counts.near, "scattered": counts.scattered,
}  # fmt: skip
MAY_TEST = {
    "mechanism": ("synthetic", "reduced", "paper"),
    "direction": ("reduced", "paper"),
    "data": ("reduced", "paper"),
    "amount": ("paper",),
}
"""Kinds of claims, and the scales at which each can be tested."""
WHY_NOT = {
    "synthetic": "generated images say nothing about Mars",
    "reduced": "an amount is comparable at the paper's own settings only",
}
SYMBOLS = {HOLDS: "✓", FAILS: "✗", OPEN: "~", UNTESTED: "–"}
NAMED = 3  # rows that a reason names; more are only counted
COLUMNS = [
    "id", "section", "kind", "quote", "paper", "measured", "verdict", "why", "value", "low", "high", "unit", "n", "data"
]  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """A claim at a profile: its parts, and the verdict on all of them."""

    claim: Claim
    verdict: str
    parts: tuple[Part, ...]
    why: str = ""
    data: str = ""

    @property
    def weakest(self) -> Part | None:
        """The part that decides: the worst verdict, then the least room; ``None`` where nothing was measured."""
        rank = {FAILS: 0, UNTESTED: 1, OPEN: 2, HOLDS: 3}
        done = [(rank[part.verdict], part.room, i) for i, part in enumerate(self.parts) if part.value]
        return self.parts[min(done)[2]] if done else None

    @property
    def measured(self) -> str:
        """The evidence in figures; empty where there is none."""
        part = self.weakest
        if part is None:
            return ""
        text = figures(part)
        if len(self.parts) > 1:
            verdicts = Counter(p.verdict for p in self.parts)
            words = {HOLDS: "hold", FAILS: "do not", OPEN: "undecided", UNTESTED: "not tested"}
            counted = ", ".join(f"{verdicts[verdict]} {word}" for verdict, word in words.items() if verdicts[verdict])
            counted = f"of {len(self.parts)}" if len(verdicts) == 1 and part.verdict == UNTESTED else counted
            text = f"{counted}; {part.label}: {text}"
        note = part.note or self.claim.note
        return f"{text} ({note})" if note else text

    @property
    def papers(self) -> str:
        """The paper's number for the same; empty where it prints none."""
        part = self.weakest or next((p for p in self.parts if p.paper is not None), None)
        if part is None or part.paper is None:
            return ""
        return f"{part.paper:{'+.2f' if part.unit == 'points' else '.4g'}} {part.unit}".strip()


def figures(part: Part) -> str:
    """A part's value with its interval, its unit and the number of seeds."""
    value = part.value
    assert value is not None
    whole = value.value == round(value.value) and (value.n == 0 or not value.known)
    form = f"{'+' if part.unit in ('points', 'epochs', 'hundredths') else ''}.{0 if whole else 2}f"
    interval = f" [{value.low:{form}}, {value.high:{form}}]" if value.known and value.low < value.high else ""
    seeds = f", n = {value.n}" if value.n else ""
    return f"{value.value:{form}}{interval} {part.unit}".rstrip() + seeds


def judge(profile: str) -> list[Judged]:
    """Every claim's evidence and verdict at a profile.

    Raises:
        RecipeError: ``claims.yaml`` has a mistake.
    """
    kept = (paths.figures(profile) / name for name in ("runs.csv", "curves.csv", *(f"{stem}.csv" for stem in KEPT)))
    files = [*kept, *paths.recipes().glob("*.yaml"), *paths.recipes().glob("profiles/*.yaml")]
    return list(_judge(profile, tuple((str(path), path.stat().st_mtime_ns) for path in files if path.is_file())))


@lru_cache(maxsize=4)
def _judge(profile: str, read: tuple[object, ...]) -> tuple[Judged, ...]:
    """``read`` is the state of the files that it comes from, so that a changed one is read again."""
    evidence = Evidence(profile)
    return tuple(judge_one(claim.for_profile(profile), evidence) for claim in load())


def judge_one(claim: Claim, evidence: Evidence) -> Judged:
    """One claim's evidence and verdict, at the profile of the evidence."""
    if claim.check not in CHECKS:
        raise RecipeError(f"claims.yaml: {claim.id}: unknown check {claim.check!r}; known: {', '.join(CHECKS)}")
    if evidence.scale == "synthetic" and "synthetic" not in MAY_TEST[claim.kind] and claim.check != "untested":
        return Judged(claim, UNTESTED, (), WHY_NOT["synthetic"])
    parts = tuple(CHECKS[claim.check](evidence, claim))
    data = "synthetic" if evidence.scale == "synthetic" else "real images"
    if evidence.scale not in MAY_TEST[claim.kind] and any(part.value for part in parts):
        shown = tuple(replace(part, verdict=UNTESTED) for part in parts)
        return Judged(claim, UNTESTED, shown, WHY_NOT[evidence.scale], data)
    verdict = combine([part.verdict for part in parts])
    return Judged(claim, verdict, parts, reasons([p.why for p in parts if p.why and p.verdict == verdict]), data)


def reasons(given: list[str]) -> str:
    """Reasons, each once, with the rows that it is the reason of, or how many there are."""
    by_reason: dict[str, dict[str, None]] = {}
    for reason, _, row in (text.partition(": ") for text in given):
        by_reason.setdefault(reason, {}).update({row: None} if row else {})
    found = []
    for reason, rows_ in by_reason.items():
        more = f" and {len(rows_) - NAMED} more" if len(rows_) > NAMED else ""
        found.append(f"{reason}: {', '.join(list(rows_)[:NAMED])}{more}" if rows_ else reason)
    return "; ".join(found)


def frame(profile: str) -> pd.DataFrame:
    """Every claim in one line: the columns of ``COLUMNS``.

    ``paper`` and ``measured`` are texts; ``value, low, high, unit, n`` are those of the part that decides.
    """
    found = []
    for item in judge(profile):
        part = item.weakest
        numbers = asdict(part.value) if part and part.value else {}
        found.append({
            "id": item.claim.id, "section": item.claim.section, "kind": item.claim.kind, "quote": item.claim.plain,
            "paper": item.papers, "measured": item.measured, "verdict": item.verdict, "why": item.why, **numbers,
            "unit": part.unit if part else "", "data": item.data,
        })  # fmt: skip
    return pd.DataFrame(found, columns=COLUMNS).replace([np.inf, -np.inf], np.nan)


def tally(found: pd.DataFrame) -> pd.DataFrame:
    """Claims of a `frame` per section and verdict, with a line ``all``: sections by ``VERDICTS``."""
    counted = pd.crosstab(found["section"], found["verdict"]).reindex(columns=list(VERDICTS), fill_value=0)
    return pd.concat([counted, counted.sum().to_frame("all").T])


def write_claims(profile: str) -> list[Path]:
    """Write ``claims.csv`` and ``claims.md`` into the profile's folder of figures; returns the two paths."""
    found = frame(profile)
    evidence = ["; ".join(filter(None, both)) for both in zip(found["measured"], found["why"], strict=True)]
    texts = {
        "§": found["section"], "The paper says": found["quote"], "Kind": found["kind"], "Paper": found["paper"],
        "Measured": evidence,
        "Verdict": [f"{SYMBOLS[verdict]} {verdict}" for verdict in found["verdict"]],
    }  # fmt: skip
    return write_frame("claims", profile, found, pd.DataFrame(texts), recipes.load_profile(profile).says)
