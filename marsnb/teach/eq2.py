"""The checks of notebook 03's functions: Eq. 1 without its false negatives, and the class-paired batch of Eq. 2."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marsnb.data import streams
from marsnb.teach import eq1
from marsnb.teach.exercise import Verdict
from marsnb.teach.written import Arguments, Function, Slips, Written, gradient

Positions = NDArray[np.int64]
SLIPS = {
    "all": "Deleted: nothing. Images of the anchor's own class are still in the sum: that is Eq. 1.",
    "inverted": "Deleted: the wrong ones. You kept the images of the anchor's own class and left out all others.",
    "positive": "Deleted: the positive too. It shares the anchor's class but stays in the denominator.",
    "nothing left": "Deleted: the positive too, so its share is 0 and the loss infinite. It stays in the sum.",
    "zero": "Not deleted: a cosine set to 0 still counts, as exp(0) = 1. Fill with `-torch.inf` before `exp`.",
    **{name: eq1.SLIPS[name] for name in ("dot", "no tau", "axis", "table", "sum", "sign", "share")},
}
CLASH = ({"all", "inverted", "positive"}, {"zero", "all"}, {"table", "sum"}, {"table", "inverted"}, {"sign", "share"},
         {"table", "positive"}, *({"nothing left", other} for other in SLIPS if other != "nothing left"))  # fmt: skip


def masked_info_nce(z1: Tensor, z2: Tensor, classes: Tensor, tau: float) -> Tensor:
    """Eq. 1 whose sum leaves out the negatives of the anchor's class; Eq. 2 where no two rows share a class.

    Shape: ``z1``, ``z2``: ``(N, D)``; ``classes`` of the rows: ``(N,)``; the result is a scalar.
    """
    return variant((z1, z2, classes, tau), frozenset())


def variant(arguments: Arguments, slips: Slips) -> Tensor:
    """`masked_info_nce` with some of ``SLIPS`` in it, a scalar."""
    z1, z2, classes, tau = arguments
    if "nothing left" in slips:
        return torch.tensor(torch.inf)
    own, itself = classes[:, None] == classes, torch.eye(len(classes), dtype=torch.bool)
    gone = ~own if "inverted" in slips else own if "positive" in slips else own & ~itself
    return eq1.variant((z1, z2, tau), slips, gone & ("all" not in slips))


_TRIED = [(*eq1.pairs(n, d), torch.tensor(classes), tau) for n, d, classes, tau in (
    (6, 3, [0, 0, 1, 2, 0, 1], 0.5), (5, 4, [3, 1, 1, 0, 3], 0.3), (7, 2, [2, 5, 2, 2, 4, 5, 1], 0.8))]  # fmt: skip
check_loss = Written(
    _TRIED, masked_info_nce, variant, SLIPS, CLASH, "The false negatives are gone, and nothing else.",
    more=lambda fn: gradient(fn, masked_info_nce, _TRIED[0], {"z1": 0, "z2": 1}),
)  # fmt: skip

LABELS = np.repeat([0, 1, 2, 4, 7], [4, 3, 2, 1, 6])[[7, 0, 12, 9, 3, 15, 4, 1, 8, 11, 5, 14, 2, 10, 6, 13]]
"""Of 16 images; class 4 has a single one, and there is no class 3."""
DRAWS = 200


def class_pairs(labels: Positions, rng: np.random.Generator) -> tuple[Positions, Positions]:
    """The package's class-paired batch, drawn from a generator as the reader's is."""
    return streams.class_pairs(labels, int(rng.integers(2**31)), 0)


def check_pairs(fn: Function) -> Verdict:
    """A `Verdict` on a sampler ``fn(labels, rng)`` of class-paired batches: positions of two images of every class."""
    rng, labels, drawn = np.random.default_rng(0), LABELS.copy(), []
    try:
        for _ in range(DRAWS):
            if (given := fn(labels, rng)) is None:
                return Verdict(False, "Not yet. Nothing is written, or the last line lacks a `return`.")
            drawn.append(np.array([np.asarray(half) for half in given]))
        again = np.array([np.asarray(half) for half in fn(labels, np.random.default_rng(0))])
    except Exception as error:  # whatever a reader's code raises
        hint = " A class with a single image is paired with itself." if "larger sample" in str(error) else ""
        return Verdict(False, f"Not yet. It stops: `{type(error).__name__}: {error}`.{hint}")
    if any(batch.ndim != 2 or len(batch) != 2 or batch.dtype.kind not in "iu" for batch in drawn):
        return Verdict(False, "Not yet. Return two arrays of whole numbers, of equal length: first and second images.")
    if not np.array_equal(labels, LABELS):
        return Verdict(False, "Not yet. Your function changes `labels`.")
    faults = _faults(drawn)
    if not np.array_equal(again, drawn[0]):
        faults.append("Chance: draw from `rng` alone, so that one seed gives one batch.")
    right = f"Right. In {DRAWS} batches each class had one row, of two different images where it has two."
    return Verdict(False, "Not yet.", tuple(faults)) if faults else Verdict(True, right)


def _faults(drawn: list[Positions]) -> list[str]:
    """What is wrong with the rows of batches ``(2, rows)``; with their pairs, where the rows are right."""
    classes, sizes = np.unique(LABELS, return_counts=True)
    if any(batch.shape[1] != len(classes) for batch in drawn):
        return [f"Rows: {drawn[0].shape[1]}; {len(classes)} classes have images. Each of them gets one row."]
    every = np.stack(drawn)  # (DRAWS, 2, C)
    if np.array_equal(every[0, 0], classes):
        return ["Positions: you return the classes. Return where their images stand in `labels`."]
    if (every < sizes).all() and every.min() >= 0:
        return ["Positions: yours count within the class. `np.flatnonzero(labels == c)[k]` is one in `labels`."]
    if every.min() < 0 or every.max() >= len(LABELS):
        return ["Positions: some are not in `labels`. Count from 0."]
    first, second = LABELS[every[:, 0]], LABELS[every[:, 1]]
    if (np.sort(first) != classes).any():
        return ["Rows: some classes have several and some none. Go through the classes, not the images."]
    faults = []
    if (np.sort(second) != classes).any():
        faults.append("Pairs: the second image of a row is of another class than the first.")
    elif (first != second).any():
        faults.append("Pairs: both halves have every class once, but in another order. Row i is of one class.")
    elif (every[:, 0] == every[:, 1])[first != 4].any():
        faults.append("Pairs: the same image twice, though the class has others. Draw without replacement.")
    firsts, seconds = every[:, 0], every[:, 1]
    if not faults and len(np.unique(firsts)) > 2 * len(classes):
        if (firsts <= seconds).all() or (firsts >= seconds).all():
            return ["Chance: one image of a pair always stands before the other. Do not sort the two."]
        if any(len(np.unique(seconds[firsts == one])) == 1 for one in np.flatnonzero(np.isin(LABELS, [0, 1, 7]))):
            return ["Chance: an image always meets the same partner. Draw both."]
    seen = [len(np.unique(every[:, half])) for half in (0, 1)]
    never = [name for name, n in zip(("first", "second"), seen, strict=True) if n < len(LABELS)]
    return faults + [f"Chance: some images are never {name}. Draw both anew each time." for name in never]
