"""The checks of notebook 04's functions: Eq. 3, and the effective rank that tells a collapse."""

import torch
import torch.nn.functional as F
from torch import Tensor

from marsnb.losses.similarity import similarity
from marsnb.models.diagnostics import effective_rank
from marsnb.teach import eq1
from marsnb.teach.written import Arguments, Slips, Written, gradient

SLIPS = {
    **{name: eq1.SLIPS[name] for name in eq1.SLIPS if name in eq1.COSINE},
    "tau": "Temperature: Eq. 3 has none. Do not divide by 0.2.",
    "table": "Pairs: you averaged over all pairs of images. Row i of `z1` belongs to row i of `z2` alone.",
    "sign": "Sign: you have the mean cosine. Eq. 3 is minus that: a step down the loss raises the cosine.",
    "one minus": "Form: you have 1 − K. Its gradient is the same, but Eq. 3 is −K, from −1 to 1.",
    "distance": "Form: you have the squared distance, 2 − 2K. Eq. 3 is −K.",
    "sum": "Mean: you added up the pairs. Take their mean.",
}
CLASH = (eq1.COSINE, {"sign", "one minus", "distance", "tau"}, {"table", "sum"})


def variant(arguments: Arguments, slips: Slips) -> Tensor:
    """Eq. 3 with some of ``SLIPS`` in it, a scalar."""
    z1, z2 = arguments
    z1, z2 = eq1.units(z1, z2, slips)
    cosines = z1 @ z2.T if "table" in slips else (z1 * z2).sum(dim=1)
    forms = {"sign": cosines, "one minus": 1 - cosines, "distance": 2 - 2 * cosines, "tau": -cosines / 0.2}
    losses = next((forms[name] for name in forms if name in slips), -cosines)
    return losses.sum() if "sum" in slips else losses.mean()


check_loss = Written(
    [eq1.pairs(6, 3), eq1.pairs(5, 4), eq1.pairs(7, 2)], similarity, variant, SLIPS, CLASH,
    "Both views get a gradient: there is no stop-gradient in Eq. 3.",
    more=lambda fn: gradient(fn, similarity, eq1.pairs(6, 3), {"z1": 0, "z2": 1}),
)  # fmt: skip

RANK_SLIPS = {
    "centred": "Rows: you subtracted their mean. The definition does not, so that equal rows have rank 1.",
    "unit": "Rows: you divided them by their lengths. Do that before the call, not inside.",
    "squared": "Singular values: yours are squared (or are eigenvalues of `z.T @ z`). They count as they are.",
    "unscaled": "Shares: divide the singular values by their sum first, so that they add up to 1.",
    "largest": "Shares: you divided by the largest singular value. Divide by the sum.",
    "entropy": "Exponential: it is missing. You have the entropy; the effective rank is its exponential.",
    "base 2": "Logarithm: yours has base 2 and the exponential base e. Take one base for both.",
    "inverse": "Sign: the exponent is minus the sum of q log q, which is not negative.",
    "count": "Rank: you counted the singular values that are not 0. The effective rank weighs them by their size.",
}
RANK_CLASH = ({"unscaled", "largest"}, *({"count", other} for other in RANK_SLIPS if other != "count"))


def rank_variant(arguments: Arguments, slips: Slips) -> Tensor:
    """The effective rank with some of ``RANK_SLIPS`` in it, a scalar."""
    (z,) = arguments
    if "count" in slips:
        return torch.linalg.matrix_rank(z).float()
    z = F.normalize(z, dim=1) if "unit" in slips else z
    z = z - z.mean(dim=0) if "centred" in slips else z
    values = torch.linalg.svdvals(z) ** (2 if "squared" in slips else 1)
    q = values if "unscaled" in slips else values / (values.max() if "largest" in slips else values.sum())
    entropy = torch.special.entr(q).sum() / (torch.tensor(2.0).log() if "base 2" in slips else 1)
    entropy = -entropy if "inverse" in slips else entropy
    return entropy if "entropy" in slips else entropy.exp()


check_rank = Written(
    [(eq1.pairs(6, 3)[0].detach() + 0.5,), (eq1.pairs(5, 4)[0].detach() + 0.5,), (torch.eye(4, 3) * torch.arange(3),)],
    effective_rank, rank_variant, RANK_SLIPS, RANK_CLASH, "It is right where a singular value is 0, too.",
)  # fmt: skip
