"""An exercise that knows its right answer, and what went wrong on the way to a wrong one."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marsnb.report.style import GREEN, GREY, RED

TOLERANCE = 5e-3
"""Relative: an answer rounded to three digits is right."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Verdict:
    """What a check says of an answer.

    Attributes:
        right: ``None`` where nothing has been answered.
        message: one sentence for the student.
    """

    right: bool | None
    message: str

    def __repr__(self) -> str:
        return self.message

    def _repr_html_(self) -> str:
        colour = {True: GREEN, False: RED, None: GREY}[self.right]
        return f'<p style="border-left: 4px solid {colour}; padding-left: 0.6em">{self.message}</p>'


@dataclass(frozen=True)
class Exercise:
    """Call it with an answer: a number or several, as float, list, numpy array, torch tensor or text.

    Attributes:
        right: the right answer.
        slips: wrong answers that a known slip leads to, each with a sentence on that slip.
        praise: what is worth adding once the answer is right.
    """

    right: float | tuple[float, ...]
    slips: tuple[tuple[float | tuple[float, ...], str], ...]
    praise: str = ""

    def __call__(self, answer: Any) -> Verdict:
        """A `Verdict` on ``answer``, which notebooks display as a sentence."""
        if answer is None:
            return Verdict(None, "Not answered yet.")
        right = np.asarray(self.right, float)
        try:
            given = as_numbers(answer)
        except (TypeError, ValueError):
            return Verdict(False, f"Not quite: {type(answer).__name__} is not a number. Give {_wanted(right)}.")
        if given.size == 0 or not np.isfinite(given).all():
            return Verdict(False, f"Not quite: the answer must be finite. Give {_wanted(right)}.")
        if given.size != right.size:
            return Verdict(False, f"Not quite: you gave {given.size} numbers. Give {_wanted(right)}.")
        given = given.reshape(right.shape)
        if same(given, right):
            return Verdict(True, f"Right. {self.praise}".strip())
        return Verdict(False, "Not quite: " + self._slip(given, right))

    def _slip(self, given: Numbers, right: Numbers) -> str:
        for value, hint in self.slips:
            if same(given, np.asarray(value, float)):
                return hint
        if same(-given, right):
            return "the size is right, the sign is wrong."
        if same(given, 100 * right):
            return "that is in percent; give it as a share."
        if right.size > 1:
            wrong = ", ".join(str(i + 1) for i in np.flatnonzero(~_close(given, right)))
            return f"look again at number {wrong} of your answer."
        return f"your answer is too {'large' if given > right else 'small'}."


def as_numbers(answer: Any) -> Numbers:
    """``answer`` as an array of float64, wherever it lives.

    Raises:
        TypeError, ValueError: it is not numbers.
    """
    if hasattr(answer, "detach"):  # a tensor, maybe with a gradient, maybe on an accelerator, maybe in bfloat16
        answer = answer.detach().cpu().double().numpy()
    elif isinstance(answer, list | tuple):
        answer = [as_numbers(part).item() for part in answer]
    return np.asarray(answer, float)


def _close(a: Numbers, b: Numbers) -> NDArray[np.bool_]:
    return np.abs(a - b) <= TOLERANCE * np.abs(b) + 1e-9


def same(a: Numbers, b: Numbers) -> bool:
    """Whether ``a`` is ``b`` up to rounding to three digits."""
    return a.shape == b.shape and bool(_close(a, b).all())


def _wanted(right: Numbers) -> str:
    return "one number" if right.size == 1 else f"{right.size} numbers, in a list"
