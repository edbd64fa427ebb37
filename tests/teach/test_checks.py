import itertools
import re
from math import exp, log, log2
from typing import Any

import nbformat
import numpy as np
import pytest
import torch

from marsnb import paths
from marsnb.teach import checks
from marsnb.teach.exercise import Exercise, Verdict

TEACHING = ("02", "03", "04", "11", "12")

# Typical wrong answers, made as a student would make them, each with a word that the check must say.
WRONG: dict[str, list[tuple[Any, str]]] = {
    "cosine": [
        (3 * 4 + 4 * 3, "norm"),
        (24 / 5, "both norms"),
        (1 - 0.96, "distance"),
        (np.arccos(0.96), "angle"),
        (-0.96, "sign"),
    ],
    "info_nce_row": [
        (-log(exp(0.9) / sum(map(exp, (0.9, 0.6, 0.1, -0.2)))), "temperature"),
        (-0.6214, "sign"),
        (exp(-0.6219), "logarithm"),
        (-log(exp(1.8) / sum(map(exp, (1.2, 0.2, -0.4)))), "positive"),
        (-log(exp(1.8) / (exp(2) + sum(map(exp, (1.8, 1.2, 0.2, -0.4))))), "anchor itself"),
    ],
    "chance": [(log(15), "positive too"), (4, "base 2"), (1 / 16, "probability"), (0, "zero"), (16, "logarithm")],
    "hard_share": [
        (exp(6) / (exp(9) + exp(6) + exp(1) + exp(-2)), "positive"),
        (exp(0.6) / sum(map(exp, (0.6, 0.1, -0.2))), "temperature"),
        (exp(1) / (exp(6) + exp(1) + exp(-2)), "hardest"),
        (0.6 / (0.6 + 0.1), "exponentiate"),
        (1 / 3, "equally"),
    ],
    "alignment_right_angle": [(2**0.5, "square"), (0, "cosine"), (4, "opposite"), (np.pi / 2, "angle"), (-2, "sign")],
    "same_class": [
        (14 / 36, "itself"),
        (14 / 30, "itself"),
        (4 / 30, "twice"),
        (8, "divide"),
        (22 / 30, "true"),
    ],
    "expected_share": [(0.62, "differ"), (1 / 3, "equally"), (0.5, "largest"), (0.03, "squares"), (38, "percent")],
    "negatives": [
        ([0, 1, 1, 1, 1, 1], "Eq. 1"),
        ([1, 1, 0, 0, 1, 0], "inverted"),
        ([1, 0, 1, 1, 0, 1], "anchor itself"),
        ([1] * 6, "left out"),
        ([2, 3, 5], "6 numbers"),
    ],
    "class_batch": [
        ([24, 23], "two different"),
        ([48, 47], "first views"),
        ([48, 24], "positive"),
        ([24, 24], "two different"),
        ([23, 48], "order"),
    ],
    "collapsed_similarity": [(1, "sign"), (0, "right angles"), (-16, "mean"), (-5, "temperature"), (16, "sign")],
    "collapsed_inter_class": [
        (log(23), "positive"),
        (0, "alike"),
        (-1, "Eq. 3"),
        (1 / 24, "probability"),
        (log2(24), "base 2"),
    ],
    "effective_rank": [(1.0397, "exponential"), (1.5, "base 2"), (2.381, "squared"), (3, "rank"), (2, "entropy")],
    "full_loss": [
        (log(24), "forgot Eq. 3"),
        (log(24) + 0.2, "sign"),
        (log(24) - 1, "weight"),
        (-0.2, "forgot Eq. 2"),
        (0.2 * log(24) - 1, "swapped"),
    ],
    "merge": [
        ([1, 0, 255, 1, 255, 1], "keeps its label"),
        ([0, 0, 255, 1, 3, 1], "exceeded"),
        ([0, 0, 2, 1, 3, 1], "every hole"),
        ([1, 0, 2, 1, 3, 1], "prediction"),
        ([255, 0, 255, 255, 255, 1], "pseudo labels alone"),
    ],
    "coverage_precision": [
        ([3 / 4, 4 / 8], "order"),
        ([4, 3], "divide"),
        ([4 / 8, 3 / 8], "covered pixels, not of all"),
        ([4 / 8, 5 / 8], "accuracy"),
        ([4 / 8, 3 / 5], "recall"),
        ([4 / 8, 1 / 4], "wrong"),
    ],
    "logit_gap": [
        (log(0.9 / 0.1), "two classes"),
        (27, "logarithm"),
        (np.log10(27), "natural logarithm"),
        (0.9, "confidence"),
        (log(3), "half"),
        (-log(27), "sign"),
    ],
    "pair_count": [
        (128 * 128, "number of elements"),
        (16384 * 16383 / 2, "once"),
        (16384 * 16383, "with itself"),
        (128**3, "four numbers"),
        (512**4, "pixels of the image"),
        (16384 * 4, "Eq. 7"),
    ],
    "element_row": [
        (-log(exp(1.2) / (exp(1.2) + exp(1.6) + exp(0))), "itself out"),
        (-log((exp(1) + exp(0.6)) / (exp(1) + exp(0.6) + exp(0.8) + exp(0))), "temperature"),
        (-log(exp(2) / (exp(2) + exp(1.2) + exp(1.6) + exp(0))), "all elements of the class"),
        (-log((exp(2) + exp(1.2)) / (exp(1.6) + exp(0))), "own class too"),
        (log((exp(2) + exp(1.2)) / (exp(2) + exp(1.2) + exp(1.6) + exp(0))), "sign"),
        ((log(1 + exp(-0.8) + exp(-0.4) + exp(-2)) * 2 + 0.8) / 2, "one sum"),
    ],
    "prototype": [
        ((9 + 4 + 1 + 2 + 6) / 5, "drops"),
        (6, "newest alone"),
        ((9 + 4 + 1) / 3, "oldest"),
        (1 + 2 + 6, "sum"),
        (2, "median"),
    ],
}
EXERCISES = {name: value for name, value in vars(checks).items() if isinstance(value, Exercise)}


def asked() -> list[str]:
    """Names of the checks that the answers of the notebooks are given to, each with a solution right after it."""
    found = []
    for number in TEACHING:
        for path in paths.notebooks().glob(f"{number}_*.ipynb"):
            for cell, after in itertools.pairwise(nbformat.read(path, as_version=4).cells):
                if called := re.search(r"^answer = None  # your answer\nchecks\.(\w+)\(answer\)\Z", cell.source, re.M):
                    assert after.source.startswith("<details><summary>Solution</summary>"), (path.stem, called[1])
                    found.append(called[1])
    return found


def test_every_exercise_stands_in_a_notebook_and_every_call_has_a_check() -> None:
    assert sorted(asked()) == sorted(EXERCISES) == sorted(WRONG)


@pytest.mark.parametrize("name", EXERCISES)
def test_other_forms_of_the_right_answer_are_right(name: str) -> None:
    check = EXERCISES[name]
    right = np.asarray(check.right, float)
    as_list = right.tolist() if right.size > 1 else float(right)
    one_more = list(map(np.float32, as_list)) if isinstance(as_list, list) else f"{as_list:.3f}"  # rounded, as text
    for form in (
        as_list,
        right,
        torch.tensor(as_list, requires_grad=True),
        [one_more] if right.size == 1 else one_more,
    ):
        verdict = check(form)
        assert verdict.right, f"{form!r}: {verdict.message}"


@pytest.mark.parametrize(("name", "answer", "word"), [(n, a, w) for n, cases in WRONG.items() for a, w in cases])
def test_a_typical_wrong_answer_gets_a_helpful_word(name: str, answer: Any, word: str) -> None:
    verdict = EXERCISES[name](answer)
    assert verdict.right is False
    assert word in verdict.message


@pytest.mark.parametrize("name", EXERCISES)
def test_every_exercise_has_five_typical_wrong_answers(name: str) -> None:
    assert len(WRONG[name]) >= 5


@pytest.mark.parametrize("name", EXERCISES)
def test_no_known_slip_is_right_and_no_two_slips_are_one(name: str) -> None:
    check = EXERCISES[name]
    for value, hint in check.slips:
        assert check(value).message == f"Not quite: {hint}"


@pytest.mark.parametrize("name", EXERCISES)
def test_no_answer_and_no_number(name: str) -> None:
    check = EXERCISES[name]
    assert check(None) == Verdict(None, "Not answered yet.")
    for nonsense in ("about two", object(), float("nan"), float("inf"), [], [1.0] * 9, lambda: 1):
        verdict = check(nonsense)
        assert verdict.right is False and "Give" in verdict.message


def test_an_unknown_wrong_answer_is_told_its_direction_or_place() -> None:
    assert "too large" in checks.cosine(0.99).message and "too small" in checks.cosine(0.5).message
    assert "number 2" in checks.class_batch([48, 20]).message


def test_the_verdict_is_a_sentence_in_a_notebook() -> None:
    verdict = checks.cosine(0.96)
    assert repr(verdict).startswith("Right.") and verdict.message in verdict._repr_html_()
