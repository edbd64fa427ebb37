"""The check of notebook 02's function: Eq. 1, written by the reader."""

import timeit

import torch
import torch.nn.functional as F
from torch import Tensor

from marsnb.losses.info_nce import info_nce
from marsnb.teach.written import Arguments, Function, Slips, Written, gradient

SLOW = 0.1  # seconds for the 120 things of the circle, above which a right function gets a word on loops
SLIPS = {
    "dot": "Cosine: your scores are plain dot products. Divide each embedding by its length first.",
    "only z1": "Cosine: only `z1` is normalised. Divide the embeddings of `z2` by their lengths too.",
    "only z2": "Cosine: only `z2` is normalised. Divide the embeddings of `z1` by their lengths too.",
    "batch": "Cosine: you normalised over the batch (`dim=0`). Each embedding, a row, gets length 1 (`dim=1`).",
    "no tau": "Temperature: it is missing. Divide the cosines by `tau` before the exponential.",
    "times tau": "Temperature: you multiplied by `tau`. Divide by it.",
    "fixed tau": "Temperature: you use 0.2 whatever `tau` is. Use the argument.",
    "axis": "Axis: the softmax runs down a column. An anchor is a row; its candidates lie along it (`dim=1`).",
    "both": "Anchors: you took both directions and their mean. In Eq. 1 only first views are anchors.",
    "own": "Candidates: the anchor's own first view is in the sum. Only second views are candidates.",
    "firsts": "Candidates: first views of the other images are in the sum. Only second views are candidates.",
    "no positive": "Candidates: the positive is missing in the denominator. It goes over all k.",
    "table": "Positive: you averaged over the whole table. Only the diagonal holds positive pairs.",
    "sign": "Sign: your loss is that of Eq. 1 times −1. It takes minus the logarithm.",
    "share": "Logarithm: it is missing. You have the share p of the positive; take minus its logarithm.",
    "minus share": "Logarithm: it is missing. You have minus the share p of the positive; take minus its logarithm.",
    "log of mean": "Order: you took the logarithm of the mean. Take the mean of the logarithms.",
    "sum": "Mean: you added up the anchors' losses. Take their mean, or a larger batch has a larger loss.",
}
COSINE = {"dot", "only z1", "only z2", "batch"}
CLASH = (COSINE, {"no tau", "times tau", "fixed tau"}, {"axis", "both"}, {"log of mean", "sum", "table"},
         {"log of mean", "share", "minus share", "sign"})  # fmt: skip


def units(z1: Tensor, z2: Tensor, slips: Slips) -> tuple[Tensor, Tensor]:
    """Embeddings of length 1, as far as the slips of ``COSINE`` let them be."""
    dim = 0 if "batch" in slips else 1
    z1 = z1 if slips & {"dot", "only z2"} else F.normalize(z1, dim=dim)
    return z1, z2 if slips & {"dot", "only z1"} else F.normalize(z2, dim=dim)


def variant(arguments: Arguments, slips: Slips, gone: Tensor | None = None) -> Tensor:
    """Eq. 1 with some of ``SLIPS`` in it, a scalar; ``gone``: candidates that are not in the sum, ``(N, N)``."""
    z1, z2, tau = arguments
    if "both" in slips:
        rest = slips - {"both"}
        return (variant((z1, z2, tau), rest) + variant((z2, z1, tau), rest)) / 2
    z1, z2 = units(z1, z2, slips)
    tau = 1 if "no tau" in slips else 1 / tau if "times tau" in slips else 0.2 if "fixed tau" in slips else tau
    scores, within = z1 @ z2.T / tau, z1 @ z1.T / tau  # (N, N) each
    scores, itself = scores.T if "axis" in slips else scores, torch.eye(len(z1), dtype=torch.bool)
    gone = itself & ("no positive" in slips) if gone is None else gone
    below = [scores.masked_fill(gone, 0.0 if "zero" in slips else -torch.inf)]
    left_out = {"own": ~itself, "firsts": itself}
    below += [within.masked_fill(left_out[name], -torch.inf) for name in sorted(left_out.keys() & slips)]
    log_p = scores - torch.cat(below, dim=1).logsumexp(dim=1, keepdim=True)  # (N, N)
    picked = log_p.flatten() if "table" in slips else log_p.diagonal()
    if "log of mean" in slips:
        return -picked.exp().mean().log()
    picked = picked.exp() if slips & {"share", "minus share"} else picked
    picked = picked if slips & {"share", "sign"} else -picked
    return picked.sum() if "sum" in slips else picked.mean()


def pairs(n: int, d: int) -> tuple[Tensor, Tensor]:
    """Embeddings of two views of ``n`` images, of any length, which ask for a gradient."""
    draw = torch.Generator().manual_seed(n)  # the global random state stays as it was
    z1, noise, lengths = (torch.randn(n, k, generator=draw) for k in (d, d, 1))
    return (lengths.exp() * z1).requires_grad_(), (z1 + 0.7 * noise).requires_grad_()


def _slow(fn: Function) -> str:
    took = timeit.timeit(lambda: fn(*pairs(120, 2), 0.2), number=1)
    return "" if took < SLOW else f" It takes {took:.1f} s for 120 images: a matrix product is faster."


check = Written(
    [(*pairs(6, 3), 0.5), (*pairs(5, 4), 0.3), (*pairs(7, 2), 0.8)],  # temperatures other than 0.2 and 1
    info_nce, variant, SLIPS, CLASH, "Your function gives Eq. 1 on every batch that was tried, and its gradient too.",
    more=lambda fn: gradient(fn, info_nce, (*pairs(6, 3), 0.5), {"z1": 0, "z2": 1}), note=_slow,
)  # fmt: skip
