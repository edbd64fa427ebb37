"""The exercises of notebook 11, element-wise contrast; `marsnb.teach.checks` brings them to the notebook."""

from math import log, log2, log10

import numpy as np

from marsnb.teach.exercise import Exercise

ELEMENTS = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [-0.8, 0.6]])
"""The map of 2 x 2 elements of notebook 11, row by row; all have length 1."""
CLASSES = np.array([0, 0, 1, 1])
"""Their classes."""
TAU = 0.5
QUEUE, ARRIVED = 3, (9, 4, 1, 2, 6)
"""Length of the queue of exercise 3, and what arrives in it."""

_SIDE = 128
_N = _SIDE**2
_COSINES = ELEMENTS @ ELEMENTS[1]  # of the second element, which exercise 2 is about
_POWERS = np.exp(_COSINES / TAU)
_OWN = np.equal(CLASSES, CLASSES[1])
_TOTAL, _ABOVE, _ITSELF = float(_POWERS.sum()), float(_POWERS[_OWN].sum()), float(_POWERS[1])
_PLAIN = np.exp(_COSINES)
_KEPT = ARRIVED[-QUEUE:]

pair_count = Exercise(
    right=float(_N**2),
    slips=(
        (float(_N), "that is the number of elements; each of them meets every one."),
        (_N**2 / 2, "you counted each pair once; the sums of Eq. 6 go over all elements for each anchor."),
        (float(_SIDE**3), "both elements of a pair have a row and a column: four numbers, each from 1 to 128."),
        (float(512**4), "those are the pixels of the image; the map has a quarter of its height and width."),
        (4.0 * _N, "that is Eq. 7: every element against 4 prototypes."),
        (2.0 * _N, "each element meets every element, so multiply the two counts; you added them."),
        (268.0, "give the number itself, not millions."),
    ),
    praise=f"Eq. 7 takes 4 per element instead, which is {_N // 4:,} times fewer.",
)
element_row = Exercise(
    right=-log(_ABOVE / _TOTAL),
    slips=(
        (
            -log((_ABOVE - _ITSELF) / (_TOTAL - _ITSELF)),
            "you left the element itself out; Eq. 6 has it above and below the line.",
        ),
        (-log((_ABOVE - _ITSELF) / _TOTAL), "the sum above the line lacks the element itself: it is of its own class."),
        (-log(_ABOVE / (_TOTAL - _ITSELF)), "the sum below the line lacks the element itself."),
        (-log(_ITSELF / _TOTAL), "the sum above the line goes over all elements of the class, not the anchor alone."),
        (-log(_ABOVE / (_TOTAL - _ABOVE)), "the sum below the line goes over all elements, the own class too."),
        (-log(float(_PLAIN[_OWN].sum() / _PLAIN.sum())), "you forgot to divide by the temperature."),
        (_ABOVE / _TOTAL, "that is the share of the own class; the loss is minus its logarithm."),
        (log(_ABOVE / _TOTAL), "wrong sign: the loss is minus the logarithm, so it is never negative."),
        (
            -float(np.log(_POWERS[_OWN] / _TOTAL).mean()),
            "you took the mean of two logarithms; Eq. 6 takes the logarithm of one sum.",
        ),
        (-log2(_ABOVE / _TOTAL), "take the natural logarithm, not that of base 2."),
        (-log10(_ABOVE / _TOTAL), "take the natural logarithm, not that of base 10."),
    ),
    praise="If all cosines were equal it would be log 2: half of the elements are of its class.",
)
prototype = Exercise(
    right=sum(_KEPT) / QUEUE,
    slips=(
        (sum(ARRIVED) / len(ARRIVED), "that is the average of all; a full queue drops its oldest."),
        (float(ARRIVED[-1]), "that is the newest alone; the prototype is the average of the queue."),
        (sum(ARRIVED[:QUEUE]) / QUEUE, "those are the three oldest: first in, first out."),
        (float(sum(_KEPT)), "that is the sum; the prototype is the average."),
        (float(np.median(_KEPT)), "that is the median; the prototype is the average."),
        (sum(ARRIVED) / QUEUE, "you divided all five by the queue's length: two of them are gone."),
        (sum(sorted(ARRIVED)[-QUEUE:]) / QUEUE, "those are the three largest; the queue keeps the three newest."),
    ),
    praise="The two that came first are forgotten.",
)
