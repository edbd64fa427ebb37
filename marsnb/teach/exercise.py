"""An exercise that knows its right answer, and what went wrong on the way to a wrong one."""

import html
import re
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marsnb.plots import GREEN, GREY, RED

TOLERANCE = 5e-3
"""Relative: an answer rounded to three digits is right."""

Numbers = NDArray[np.float64]
Answer = float | tuple[float, ...]


@dataclass(frozen=True)
class Verdict:
    """What a check says of an answer (``right``: ``None`` where there is none); a notebook shows it in colour.

    Code in ``message`` and ``faults``, sentences for the student, stands between backticks.
    """

    right: bool | None
    message: str
    faults: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "\n- ".join([self.message, *self.faults])

    def _repr_html_(self) -> str:
        colour = {True: GREEN, False: RED, None: GREY}[self.right]
        text = html.escape(self.message, quote=False)
        text += "".join(f"<li>{html.escape(fault, quote=False)}</li>" for fault in self.faults)
        text = re.sub("`([^`]+)`", r"<code>\1</code>", text)
        return f'<div style="border-left: 4px solid {colour}; padding-left: 0.6em">{text}</div>'


class Exercise:
    """Call it with an answer: a number or several, as float, list, numpy array, torch tensor or text.

    Args:
        right: the right answer.
        praise: what is worth adding once the answer is right.
        slips: wrong answers, each with a sentence on the slip; a wrong sign, percent and another logarithm are known.
    """

    def __init__(self, right: Answer, praise: str, *slips: tuple[Answer, str]) -> None:
        self.right, self.praise, self.slips = np.asarray(right, float), praise, slips

    def __call__(self, answer: Any) -> Verdict:
        """A `Verdict` on ``answer``, which notebooks display as a sentence."""
        if answer is None:
            return Verdict(None, "Not answered yet.")
        wanted = "one number" if self.right.size == 1 else f"{self.right.size} numbers, in a list"
        try:
            given = as_numbers(answer)
        except (TypeError, ValueError):
            return Verdict(False, f"Not quite: {type(answer).__name__} is not a number. Give {wanted}.")
        if given.size == 0 or not np.isfinite(given).all():
            return Verdict(False, f"Not quite: the answer must be finite. Give {wanted}.")
        if given.size != self.right.size:
            return Verdict(False, f"Not quite: you gave {given.size} number{'s'[: given.size != 1]}. Give {wanted}.")
        given = given.reshape(self.right.shape)
        slipped = any(np.array_equal(given, np.asarray(value, float)) for value, _ in self.slips)
        if same(given, self.right).all() and not slipped:  # a slip may round to what is right
            return Verdict(True, f"Right. {self.praise}")
        return Verdict(False, "Not quite: " + self._slip(given))

    def _slip(self, given: Numbers) -> str:
        for value, hint in self.slips:
            if same(given, np.asarray(value, float)).all():
                return hint
        for factor, hint in (
            (-1, "the size is right, the sign is wrong."),
            (100, "that is in percent; give it as a share."),
            (1 / log(2), "take the natural logarithm, not that of base 2."),
            (1 / log(10), "take the natural logarithm, not that of base 10."),
        ):
            if same(given, factor * self.right).all():
                return hint
        if self.right.size > 1:
            wrong = ", ".join(str(i + 1) for i in np.flatnonzero(~same(given, self.right)))
            return f"look again at number {wrong} of your answer."
        return f"your answer is too {'large' if given > self.right else 'small'}."


def as_numbers(answer: Any) -> Numbers:
    """``answer`` as an array of float64, wherever it lives; TypeError or ValueError where it is not numbers."""
    if hasattr(answer, "detach"):  # a tensor, maybe with a gradient, maybe on an accelerator, maybe in bfloat16
        answer = answer.detach().cpu().double().numpy()
    elif isinstance(answer, list | tuple):
        answer = [as_numbers(part).item() for part in answer]
    return np.asarray(answer, float)


def same(a: Any, b: Any) -> NDArray[np.bool_]:
    """Whether numbers are equal up to rounding to three digits, one by one."""
    return np.abs(a - b) <= TOLERANCE * np.abs(b) + 1e-9
