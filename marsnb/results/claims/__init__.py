"""The sentences of the paper as checks on what was measured, each with its evidence and a verdict.

A sentence **holds** where the whole 95 % interval of its evidence lies on the side that it claims, **does not hold**
where all of it lies on the other, is **undecided** where the interval has both sides in it or fewer than three seeds
stand behind it, and is **not tested** where a row was not run, two rows are one run, there is nothing to gain, or the
profile cannot say. An amount holds where the interval has it inside, and neither 0 nor more width than the paper's own.
"""

from marsnb.results.claims.evidence import Evidence
from marsnb.results.claims.judge import SYMBOLS, Judged, frame, judge, judge_one, tally, write_claims
from marsnb.results.claims.model import FAILS, HOLDS, OPEN, UNTESTED, VERDICTS, Claim, load

__all__ = [
    "FAILS", "HOLDS", "OPEN", "SYMBOLS", "UNTESTED", "VERDICTS", "Claim", "Evidence", "Judged", "frame", "judge",
    "judge_one", "load", "tally", "write_claims",
]  # fmt: skip
