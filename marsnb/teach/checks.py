"""The exercises of the teaching notebooks: ``checks.NAME(answer)`` says what is wrong with an answer.

Every value here is computed from the formula, the wrong ones from the formula with one slip in it.
"""

from math import exp, log, log2, log10, radians

import numpy as np

from marsnb.teach.checks_elements import element_row as element_row
from marsnb.teach.checks_elements import pair_count as pair_count
from marsnb.teach.checks_elements import prototype as prototype
from marsnb.teach.exercise import Exercise

COSINES = np.array([[0.9, 0.6, 0.1, -0.2], [0.4, 0.8, 0.0, 0.1], [0.2, -0.1, 0.7, 0.6], [-0.3, 0.0, 0.6, 0.9]])
"""The 4 x 4 example of notebook 02. Row: anchor (first view); column: candidate (second view)."""

_AT_HALF = np.exp(COSINES / 0.5)
_ROW = _AT_HALF[0]
_TOTAL, _POSITIVE = float(_ROW.sum()), float(_ROW[0])
_HARD = np.exp(COSINES[0] / 0.1)
_PLAIN = np.exp(COSINES[0])

# Notebook 02
cosine = Exercise(
    right=24 / 25,
    slips=(
        (24.0, "that is the dot product; divide by both norms."),
        (24 / 5, "you divided by one norm only; the cosine takes both norms."),
        (1 - 24 / 25, "that is one minus the cosine, a distance; the similarity itself is asked for."),
        (0.2838, "that is the angle (in radians); its cosine is asked for."),
        (16.26, "that is the angle (in degrees); its cosine is asked for."),
        (2**0.5, "that is the distance of the two points; the cosine looks at the angle only."),
    ),
    praise="3 and 4 make a vector of length 5, so both norms are 5.",
)
info_nce_row = Exercise(
    right=-log(_POSITIVE / _TOTAL),
    slips=(
        (-log(float(_PLAIN[0] / _PLAIN.sum())), "you forgot to divide by the temperature."),
        (log(_POSITIVE / _TOTAL), "wrong sign: the loss is minus the logarithm, so it is never negative."),
        (_POSITIVE / _TOTAL, "that is the probability of the positive; the loss is minus its logarithm."),
        (-log(_POSITIVE / (_TOTAL - _POSITIVE)), "the sum lacks the positive: Eq. 1 adds over all candidates."),
        (-log(_POSITIVE / (_TOTAL + exp(2))), "the sum includes the anchor itself; its candidates are second views."),
        (-log2(_POSITIVE / _TOTAL), "take the natural logarithm, not that of base 2."),
        (-log10(_POSITIVE / _TOTAL), "take the natural logarithm, not that of base 10."),
        (
            -log(float(np.exp(0.5 * COSINES[0])[0] / np.exp(0.5 * COSINES[0]).sum())),
            "you multiplied by the temperature; divide by it.",
        ),
        (float(-np.log(np.diag(_AT_HALF) / _AT_HALF.sum(axis=1)).mean()), "that is the mean of all rows; row 1 alone."),
        (-log(_POSITIVE / float(_AT_HALF[:, 0].sum())), "you summed down a column; an anchor is a row."),
    ),
    praise="The mean of this over all anchors is the loss of the batch.",
)
chance = Exercise(
    right=log(16),
    slips=(
        (log(15), "the sum has all candidates in it: 15 negatives and the positive too."),
        (log2(16), "take the natural logarithm, not that of base 2."),
        (log10(16), "take the natural logarithm, not that of base 10."),
        (1 / 16, "that is the probability of the positive; the loss is minus its logarithm."),
        (0.0, "zero would mean that the positive is picked with certainty."),
        (16.0, "16 is the number of candidates; the loss is a logarithm."),
        (-log(16), "wrong sign: the loss is minus the logarithm of a probability."),
    ),
    praise="A loss that starts far from log N points to a mistake.",
)
hard_share = Exercise(
    right=float(_HARD[1] / _HARD[1:].sum()),
    slips=(
        (float(_HARD[1] / _HARD.sum()), "the sum includes the positive; the share is among the negatives."),
        (float(_PLAIN[1] / _PLAIN[1:].sum()), "you forgot to divide by the temperature."),
        (float(_HARD[2] / _HARD[1:].sum()), "that is another negative: the hardest has the largest cosine."),
        (float(_HARD[0] / _HARD.sum()), "that is the positive's probability; the hardest negative is asked for."),
        (0.6 / 0.7, "exponentiate the cosines over the temperature before you divide by their sum."),
        (1 / 3, "the negatives do not share equally: each counts with its exponential."),
    ),
    praise="At 0.1 one negative gets nearly all of the push.",
)
alignment_right_angle = Exercise(
    right=2.0,
    slips=(
        (2**0.5, "that is the distance; alignment squares it (squared distance)."),
        (0.0, "that is the cosine; alignment is the squared distance of the two points."),
        (4.0, "4 belongs to opposite points; the angle here is 90 degrees."),
        (1.0, "two points at a right angle: add the squares of both coordinates' differences."),
        (radians(90), "that is the angle; alignment is the squared distance along the chord."),
        (-2.0, "wrong sign: a squared distance is never negative."),
    ),
    praise="In general: alignment = 2 - 2 cos.",
)

# Notebook 03
same_class = Exercise(
    right=8 / 30,
    slips=(
        (14 / 36, "you counted each image as a negative of itself, above and below the line."),
        (14 / 30, "you counted each image as a negative of itself."),
        (8 / 36, "an anchor has 5 negatives, not 6: the sum below the line includes the anchor itself."),
        (4 / 30, "each pair counts twice: either image can be the anchor."),
        (8.0, "that is the number of such negatives; divide by the number of all negatives."),
        (22 / 30, "that is the share of true negatives; the false ones are asked for."),
    ),
    praise="More than a quarter of the push goes the wrong way.",
)
expected_share = Exercise(
    right=0.38,
    slips=(
        (0.62, "that is the chance that the classes differ."),
        (1 / 3, "that would hold if the classes were equally frequent; these are not balanced."),
        (0.5, "that is the share of the largest class; average over all anchors."),
        (0.5 * 0.3 * 0.2, "add the squares instead of the product of the shares."),
        (1.0, "the shares add to 1; square each of them first."),
    ),
    praise="The less balanced the classes, the larger it is.",
)
negatives = Exercise(
    right=(0, 0, 1, 1, 0, 1),
    slips=(
        ((0, 1, 1, 1, 1, 1), "that is Eq. 1: images of the anchor's own class are still among your negatives."),
        ((1, 1, 0, 0, 1, 0), "that is inverted: 1 marks a negative."),
        ((1, 0, 1, 1, 0, 1), "the mask includes the anchor itself."),
        ((1, 1, 1, 1, 1, 1), "nothing is left out: the anchor itself and its class are no negatives."),
        ((0, 1, 0, 0, 1, 0), "you marked the positives: 1 marks a negative."),
    ),
    praise="Images 2 and 5 are positives instead.",
)
class_batch = Exercise(
    right=(48, 23),
    slips=(
        ((24, 23), "every class gives two different images, not one."),
        ((48, 47), "first views are not candidates: only second views are."),
        ((48, 24), "one of the 24 candidates is the positive, not a negative."),
        ((24, 24), "every class gives two different images, and the positive is not a negative."),
        ((23, 48), "the other order: images first, negatives second."),
    ),
    praise="And none of the 23 shares the anchor's class.",
)

# Notebook 04
collapsed_similarity = Exercise(
    right=-1.0,
    slips=(
        (1.0, "wrong sign: Eq. 3 has a minus in front of the cosine."),
        (0.0, "0 belongs to right angles; two equal vectors have cosine 1."),
        (-16.0, "that is the sum; Eq. 3 takes the mean over the images."),
        (16.0, "wrong sign, and the mean is asked for, not the sum."),
        (-5.0, "Eq. 3 has no temperature: do not divide."),
    ),
    praise="It is the lowest value there is, so a collapse is a global minimum.",
)
collapsed_inter_class = Exercise(
    right=log(24),
    slips=(
        (log(23), "the sum has all 24 candidates in it, the positive too."),
        (0.0, "zero would mean that the positive stands out; here all candidates are alike."),
        (-1.0, "that is Eq. 3; Eq. 2 has the negatives in its sum."),
        (1 / 24, "that is the probability of the positive; the loss is minus its logarithm."),
        (5.0, "that is one exponent, 1 over the temperature; it cancels, as all candidates have it."),
        (log2(24), "take the natural logarithm, not that of base 2."),
        (log10(24), "take the natural logarithm, not that of base 10."),
    ),
    praise="The temperature cancels. Guessing costs log 24, so a collapse is no minimum of Eq. 2.",
)
_P = np.array([0.5, 0.25, 0.25])
_Q = np.array([4, 1, 1]) / 6
effective_rank = Exercise(
    right=float(np.exp(-(_P * np.log(_P)).sum())),
    slips=(
        (float(-(_P * np.log(_P)).sum()), "that is the entropy; the effective rank is its exponential."),
        (1.5, "that is the entropy in base 2; take natural logarithms, then the exponential."),
        (exp(1.5), "the entropy is in base 2 but the exponential is natural: use one base for both."),
        (float(np.exp(-(_Q * np.log(_Q)).sum())), "you squared the singular values; here they are taken as they are."),
        (3.0, "that is the rank: it counts the values without their sizes."),
        (2.0, "that is the sum over the largest; the effective rank takes the entropy."),
        (1 / float(np.exp(-(_P * np.log(_P)).sum())), "wrong sign in the exponent: entropy is not negative."),
    ),
    praise="Three directions, one of them stronger: a little less than 3.",
)
full_loss = Exercise(
    right=log(24) - 0.2,
    slips=(
        (log(24), "you forgot Eq. 3: it adds its weight times -1."),
        (log(24) + 0.2, "wrong sign: Eq. 3 is -1 when all embeddings are equal."),
        (log(24) - 1, "you forgot the weight of Eq. 3."),
        (-0.2, "you forgot Eq. 2: guessing among 24 classes costs something."),
        (0.2 * log(24) - 1, "the weights are swapped: 1 for Eq. 2 and 0.2 for Eq. 3."),
    ),
    praise="Pulling the classes apart pays up to log 24; losing Eq. 3 would cost at most 0.4.",
)

# Notebook 12
merge = Exercise(
    right=(0, 0, 255, 1, 255, 1),
    slips=(
        ((1, 0, 255, 1, 255, 1), "a labelled pixel keeps its label, however sure the network is of another class."),
        ((0, 0, 255, 1, 3, 1), "the threshold must be exceeded: 0.9 itself is not enough."),
        ((1, 0, 255, 1, 3, 1), "a labelled pixel keeps its label, and the threshold must be exceeded."),
        ((0, 0, 2, 1, 3, 1), "you filled every hole: predictions at or below the threshold are left out."),
        ((1, 0, 2, 1, 3, 1), "that is the prediction: it only fills holes, and only where it is sure."),
        ((255, 0, 255, 255, 255, 1), "those are the pseudo labels alone; the labels that were there stay."),
        ((0, 255, 255, 1, 255, 255), "that is the label as it was: nothing is filled yet."),
    ),
    praise="Pixel 1 keeps its label against a sure prediction; pixel 5 does not exceed the threshold.",
)
_CONFIDENCE = np.array([0.99, 0.96, 0.94, 0.91, 0.8, 0.7, 0.6, 0.55])
_RIGHT = np.array([1, 1, 0, 1, 1, 0, 1, 0], bool)
_SURE = _CONFIDENCE > 0.9
_COVERAGE, _PRECISION = float(_SURE.mean()), float(_RIGHT[_SURE].mean())
coverage_precision = Exercise(
    right=(_COVERAGE, _PRECISION),
    slips=(
        ((_PRECISION, _COVERAGE), "the other order: coverage first, precision second."),
        ((4.0, 3.0), "those are numbers of pixels; divide each by what it is a share of."),
        ((_COVERAGE, 3 / 8), "precision is a share of the covered pixels, not of all."),
        ((_COVERAGE, float(_RIGHT.mean())), "that is the accuracy of all pixels; precision looks at the covered ones."),
        ((_COVERAGE, 3 / 5), "that is the share of the right pixels that is covered (recall), not precision."),
        ((_COVERAGE, 1 - _PRECISION), "that is the share that is wrong; precision is the share that is right."),
        ((3 / 8, _PRECISION), "coverage counts every pixel above the threshold, right or wrong."),
    ),
    praise="One covered pixel in four is wrong here, though the network is more than 90 % sure of each.",
)
logit_gap = Exercise(
    right=log(27),
    slips=(
        (log(9), "that is for two classes; here three other classes share the sum."),
        (log(36), "three other classes share the sum, not four."),
        (27.0, "that is the ratio of exponentials; its logarithm is asked for."),
        (log10(27), "softmax has the natural exponential: take the natural logarithm."),
        (log2(27), "softmax has the natural exponential: take the natural logarithm, not base 2."),
        (log(3), "that gives a confidence of a half; 0.9 is asked for."),
        (0.9, "that is the confidence; the difference of logits is asked for."),
    ),
    praise="A gap of 3.3 is quickly reached: confidence says how far apart logits are, not how often they are right.",
)
