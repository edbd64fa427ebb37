"""The exercises of the teaching notebooks: ``checks.NAME(answer)`` says what is wrong with an answer.

Every value here is computed from the formula, the wrong ones from the formula with one slip in it.
"""

from math import exp, log

import numpy as np

from marsnb.teach.exercise import Exercise

# fmt: off
# Notebook 02
COSINES = np.array([[0.9, 0.6, 0.1, -0.2], [0.4, 0.8, 0.0, 0.1], [0.2, -0.1, 0.7, 0.6], [-0.3, 0.0, 0.6, 0.9]])
"""The 4 x 4 example. Row: anchor (first view); column: candidate (second view)."""
_AT_HALF, _PLAIN, _HARD = np.exp(COSINES / 0.5), np.exp(COSINES[0]), np.exp(COSINES[0] / 0.1)
_POSITIVE, _TOTAL, _TIMES = float(_AT_HALF[0, 0]), float(_AT_HALF[0].sum()), np.exp(0.5 * COSINES[0])

cosine = Exercise(24 / 25, "3 and 4 make a vector of length 5, so both norms are 5.",
    (24.0, "that is the dot product; divide by both norms."),
    (24 / 5, "you divided by one norm only; the cosine takes both norms."),
    (1 - 24 / 25, "that is one minus the cosine, a distance; the similarity itself is asked for."),
    (0.2838, "that is the angle (in radians); its cosine is asked for."),
    (16.26, "that is the angle (in degrees); its cosine is asked for."))
info_nce_row = Exercise(-log(_POSITIVE / _TOTAL), "The mean of this over all anchors is the loss of the batch.",
    (-log(float(_PLAIN[0] / _PLAIN.sum())), "you forgot to divide by the temperature."),
    (_POSITIVE / _TOTAL, "that is the probability of the positive; the loss is minus its logarithm."),
    (-log(_POSITIVE / (_TOTAL - _POSITIVE)), "the sum lacks the positive: Eq. 1 adds over all candidates."),
    (-log(_POSITIVE / (_TOTAL + exp(2))), "the sum includes the anchor itself; its candidates are second views."),
    (-log(float(_TIMES[0] / _TIMES.sum())), "you multiplied by the temperature; divide by it."),
    (float(-np.log(np.diag(_AT_HALF) / _AT_HALF.sum(axis=1)).mean()), "that is the mean of all rows; row 1 alone."))
chance = Exercise(log(16), "A loss that starts far from log N points to a mistake, unless the cosines spread widely.",
    (log(15), "the sum has all candidates in it: 15 negatives and the positive too."),
    (1 / 16, "that is the probability of the positive; the loss is minus its logarithm."),
    (0.0, "zero would mean that the positive is picked with certainty."),
    (16.0, "16 is the number of candidates; the loss is a logarithm."))
hard_share = Exercise(float(_HARD[1] / _HARD[1:].sum()), "At 0.1 one negative gets nearly all of the push.",
    (float(_HARD[1] / _HARD.sum()), "the sum includes the positive; the share is among the negatives."),
    (float(_PLAIN[1] / _PLAIN[1:].sum()), "you forgot to divide by the temperature."),
    (float(_HARD[2] / _HARD[1:].sum()), "that is another negative: the hardest has the largest cosine."),
    (0.6 / 0.7, "exponentiate the cosines over the temperature before you divide by their sum."),
    (1 / 3, "the negatives do not share equally: each counts with its exponential."))
alignment_right_angle = Exercise(2.0, "In general: alignment = 2 - 2 cos.",
    (2**0.5, "that is the distance; alignment squares it (squared distance)."),
    (0.0, "that is the cosine; alignment is the squared distance of the two points."),
    (4.0, "4 belongs to opposite points; the angle here is 90 degrees."),
    (1.0, "two points at a right angle: add the squares of both coordinates' differences."),
    (np.pi / 2, "that is the angle; alignment is the squared distance along the chord."))

# Notebook 03
same_class = Exercise(8 / 30, "More than a quarter of the negatives are false.",
    (14 / 36, "you counted each image as a negative of itself, in numerator and denominator."),
    (14 / 30, "you counted each image as a negative of itself."),
    (4 / 30, "each pair counts twice: either image can be the anchor."),
    (8.0, "that is the number of such negatives; divide by the number of all negatives."),
    (22 / 30, "that is the share of true negatives; the false ones are asked for."))
expected_share = Exercise(0.38, "The less balanced the classes, the larger it is.",
    (0.62, "that is the chance that the classes differ."),
    (1 / 3, "that would hold if the classes were equally frequent; these are not balanced."),
    (0.5, "that is the share of the largest class; average over all anchors."),
    (0.5 * 0.3 * 0.2, "add the squares instead of the product of the shares."))
negatives = Exercise((0, 0, 1, 1, 0, 1), "Images 2 and 5 are neither pushed nor pulled.",
    ((0, 1, 1, 1, 1, 1), "that is Eq. 1: images of the anchor's own class are still among your negatives."),
    ((1, 1, 0, 0, 1, 0), "that is inverted: 1 marks a negative."),
    ((1, 0, 1, 1, 0, 1), "the mask includes the anchor itself."),
    ((1, 1, 1, 1, 1, 1), "nothing is left out: the anchor itself and its class are no negatives."),
    ((0, 1, 0, 0, 1, 0), "you marked the images of its class: 1 marks a negative."))
class_batch = Exercise((48, 23), "And none of the 23 shares the anchor's class.",
    ((24, 23), "every class gives two different images, not one."),
    ((48, 47), "first views are not candidates: only second views are."),
    ((48, 24), "one of the 24 candidates is the positive, not a negative."),
    ((24, 24), "every class gives two different images, and the positive is not a negative."),
    ((23, 48), "the other order: images first, negatives second."))

# Notebook 04
collapsed_similarity = Exercise(-1.0, "It is the lowest value there is, so a collapse is a global minimum.",
    (0.0, "0 belongs to right angles; two equal vectors have cosine 1."),
    (-16.0, "that is the sum; Eq. 3 takes the mean over the images."),
    (16.0, "wrong sign, and the mean is asked for, not the sum."),
    (-5.0, "Eq. 3 has no temperature: do not divide."))
collapsed_inter_class = Exercise(log(24), "The temperature cancels. A guess costs log 24: no minimum of Eq. 2.",
    (log(23), "the sum has all 24 candidates in it, the positive too."),
    (0.0, "zero would mean that the positive stands out; here all candidates are alike."),
    (-1.0, "that is Eq. 3; Eq. 2 has the negatives in its sum."),
    (1 / 24, "that is the probability of the positive; the loss is minus its logarithm."),
    (5.0, "that is one exponent, 1 over the temperature; it cancels, as all candidates have it."))
_RANK, _Q = 8**0.5, np.array([4, 1, 1]) / 6
effective_rank = Exercise(_RANK, "Three directions, one of them stronger: a little less than 3.",
    (log(_RANK), "that is the entropy; the effective rank is its exponential."),
    (1.5, "that is the entropy in base 2; take natural logarithms, then the exponential."),
    (exp(1.5), "the entropy is in base 2 but the exponential is natural: use one base for both."),
    (float(np.exp(-(_Q * np.log(_Q)).sum())), "you squared the singular values; here they are taken as they are."),
    (3.0, "that is the rank: it counts the values without their sizes."),
    (2.0, "that is the sum over the largest; the effective rank takes the entropy."))
full_loss = Exercise(log(24) - 0.2, "Telling the classes apart pays up to log 24; losing Eq. 3 costs at most 0.4.",
    (log(24), "you forgot Eq. 3: it adds its weight times -1."),
    (log(24) + 0.2, "wrong sign: Eq. 3 is -1 when all embeddings are equal."),
    (log(24) - 1, "you forgot the weight of Eq. 3."),
    (-0.2, "you forgot Eq. 2: guessing among 24 classes costs something."),
    (0.2 * log(24) - 1, "the weights are swapped: 1 for Eq. 2 and 0.2 for Eq. 3."))

# Notebook 11
ELEMENTS, CLASSES = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [-0.8, 0.6]]), np.array([0, 0, 1, 1])
"""A map of 2 x 2 elements of length 1, row by row, and their classes."""
_N, _POWERS = 128**2, np.exp(ELEMENTS @ ELEMENTS[1] / 0.5)  # of the second element, at temperature 0.5
_ALL, _ABOVE, _ITSELF = float(_POWERS.sum()), float(_POWERS[:2].sum()), float(_POWERS[1])

pair_count = Exercise(float(_N**2), f"Eq. 7 takes 4 per element instead, which is {_N // 4:,} times fewer.",
    (float(_N), "that is the number of elements; each of them meets every one."),
    (_N * (_N - 1.0), "you left out each element with itself; Eq. 6 has it in both sums."),
    (_N**2 / 2, "you counted each pair once; the sums of Eq. 6 go over all elements for each anchor."),
    (128.0**3, "both elements of a pair have a row and a column: four numbers, each from 1 to 128."),
    (512.0**4, "those are the pixels of the image; the map has a quarter of its height and width."),
    (4.0 * _N, "that is Eq. 7: every element against 4 prototypes."),
    (268.0, "give the number itself, not millions."))
element_row = Exercise(-log(_ABOVE / _ALL), "If all cosines were equal it would be log 2: half are of its class.",
    (-log((_ABOVE - _ITSELF) / (_ALL - _ITSELF)), "you left the element itself out; Eq. 6 has it in both sums."),
    (-log((_ABOVE - _ITSELF) / _ALL), "the numerator lacks the element itself: it is of its own class."),
    (-log(_ITSELF / _ALL), "the numerator goes over all elements of the class, not the anchor alone."),
    (-log(_ABOVE / (_ALL - _ABOVE)), "the denominator goes over all elements, the own class too."),
    (-log(float((_POWERS**0.5)[:2].sum() / (_POWERS**0.5).sum())), "you forgot to divide by the temperature."),
    (_ABOVE / _ALL, "that is the share of the own class; the loss is minus its logarithm."),
    (-float(np.log(_POWERS[:2] / _ALL).mean()), "you took the mean of two logarithms; Eq. 6 takes that of one sum."))
prototype = Exercise(3.0, "The two that came first are forgotten.",  # of 9, 4, 1, 2, 6 in a queue of three
    (22 / 5, "that is the average of all; a full queue drops its oldest."),
    (6.0, "that is the newest alone; the prototype is the average of the queue."),
    (14 / 3, "those are the three oldest: first in, first out."),
    (9.0, "that is the sum; the prototype is the average."),
    (2.0, "that is the median; the prototype is the average."))

# Notebook 12
merge = Exercise((0, 0, 255, 1, 255, 1), "Pixel 1 keeps its label against a sure prediction; pixel 5 is not above 0.9.",
    ((1, 0, 255, 1, 255, 1), "a labelled pixel keeps its label, however sure the network is of another class."),
    ((0, 0, 255, 1, 3, 1), "the threshold must be exceeded: 0.9 itself is not enough."),
    ((0, 0, 2, 1, 3, 1), "you filled every hole: predictions at or below the threshold are left out."),
    ((1, 0, 2, 1, 3, 1), "that is the prediction: it only fills holes, and only where it is sure."),
    ((255, 0, 255, 255, 255, 1), "those are the pseudo labels alone; the labels that were there stay."))
coverage_precision = Exercise((1 / 2, 3 / 4), "One covered pixel in four is wrong, though the network is sure of each.",
    ((3 / 4, 1 / 2), "the other order: coverage first, precision second."),
    ((4.0, 3.0), "those are numbers of pixels; divide each by what it is a share of."),
    ((1 / 2, 3 / 8), "precision is a share of the covered pixels, not of all."),
    ((1 / 2, 5 / 8), "that is the accuracy of all pixels; precision looks at the covered ones."),
    ((1 / 2, 3 / 5), "that is the share of the right pixels that is covered (recall), not precision."),
    ((1 / 2, 1 / 4), "that is the share that is wrong; precision is the share that is right."))
logit_gap = Exercise(log(27), "A gap of 3.3 is quickly reached: confidence is no promise of being right.",
    (log(9), "that is for two classes; here three other classes share the sum."),
    (27.0, "that is the ratio of exponentials; its logarithm is asked for."),
    (log(3), "that gives a confidence of a half; 0.9 is asked for."),
    (0.9, "that is the confidence; the difference of logits is asked for."))
