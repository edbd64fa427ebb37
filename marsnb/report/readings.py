"""The verdict on one sentence of the paper, for notebooks that show what it is about: as notebook 19 gives it."""

from marsnb.errors import RecipeError
from marsnb.report import claims
from marsnb.report.claim_checks import UNTESTED, combine


def reading(profile: str, claim_id: str, metric: str = "") -> str:
    """What notebook 19 says of a claim, in a few words of Markdown: verdict, number and interval, or why not tested.

    Args:
        profile: name of the profile.
        claim_id: of the claim, in ``claims.yaml``.
        metric: the one curve of a claim about several that is asked for, such as ``miou``; by default all.

    Raises:
        RecipeError: there is no such claim, or it is not about that curve.
    """
    item = next((one for one in claims.judge(profile) if one.claim.id == claim_id), None)
    if item is None or metric not in ("", *item.claim.metrics):
        raise RecipeError(f"no claim {claim_id!r} about {metric or 'anything'}: see claims.yaml")
    parts = tuple(part for part in item.parts if not metric or part.metric == metric)
    verdict = combine([part.verdict for part in parts])
    if verdict == UNTESTED:
        return f"**{UNTESTED} here**, since {claims.reasons([part.why for part in parts if part.why]) or item.why}"
    found = item.model_copy(update={"parts": parts}).weakest
    shown = f" ({claims.number(found, signed=True)})" if found else ""
    return f"**{verdict} here**{shown}"
