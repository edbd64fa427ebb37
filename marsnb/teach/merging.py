"""The check of notebook 12's function: merging labels with pseudo labels."""

import torch
from torch import Tensor

from marsnb.models.pseudo_labels import merge_pseudo_labels
from marsnb.teach.written import Arguments, Function, NotYet, Slips, Written, shape

NONE = 255
SLIPS = {
    "overrule": "Labels: a sure prediction replaces a label in yours. A label is never overruled.",
    "labels lost": "Labels: the pixels that had a label lost it. Only those without one are filled.",
    "zero": "Unlabelled: you filled the pixels of class 0. Those without a label carry 255.",
    "holes": "Unlabelled: pixels that stay without a label carry 0 in yours, which is a class. They carry 255.",
    "below": "Threshold: the wrong way round. You filled where the network is unsure.",
    "at least": "Threshold: it must be exceeded; equal is not enough.",
    "no threshold": "Threshold: you filled every hole. Compare the confidence with `threshold`.",
    "logits": "Confidence: you compared the largest logit. Confidence is the largest probability: softmax first.",
    "sigmoid": "Confidence: you took a sigmoid. The classes exclude one another: softmax over the classes.",
    "images": "Axis: your softmax runs over the images (`dim=0`). It runs over the classes (`dim=1`).",
    "columns": "Axis: your softmax runs over the columns (`dim=-1`). It runs over the classes (`dim=1`).",
}
CONFIDENCES = {"logits", "sigmoid", "images", "columns"}
CLASH = ({"below", "at least", "no threshold"}, CONFIDENCES, {"overrule", "zero"}, {"labels lost", "holes"},
         {"labels lost", "zero"}, {"at least", "zero"}, {"at least", "logits"},
         *({"no threshold", x} for x in (*CONFIDENCES, "overrule", "holes")))  # fmt: skip


def variant(arguments: Arguments, slips: Slips) -> Tensor:
    """The merged labels with some of ``SLIPS`` in them, ``(B, H, W)``."""
    logits, labels, threshold = arguments
    dim = 0 if "images" in slips else -1 if "columns" in slips else 1
    chances = logits if "logits" in slips else logits.sigmoid() if "sigmoid" in slips else logits.softmax(dim=dim)
    confidence, predicted = chances.max(dim=1)  # (B, H, W)
    sure = confidence < threshold if "below" in slips else confidence > threshold
    sure = confidence >= threshold if "at least" in slips else sure | ("no threshold" in slips)
    bare = labels == (0 if "zero" in slips else NONE)
    fill = sure if "overrule" in slips else sure & bare
    kept = torch.full_like(labels, NONE) if "labels lost" in slips else labels
    kept = kept.masked_fill(labels == NONE, 0) if "holes" in slips else kept
    return torch.where(fill, predicted, kept)


def _run(fn: Function, arguments: Arguments) -> tuple[Tensor, str]:
    logits, labels, threshold = arguments
    given = labels.clone()
    if (out := fn(logits, given, threshold)) is None:
        raise NotYet("Nothing is written, or the last line lacks a `return`: the function gives `None`.")
    if not isinstance(out, Tensor) or out.shape != labels.shape:
        raise NotYet(
            f"It gives something {shape(out)}; merged labels have the shape of the labels, {list(labels.shape)}."
        )
    same = torch.equal(given, labels)
    return out.detach(), "" if same else "Labels: yours are changed in place. Cross entropy still needs them."


def _batch(seed: int, scale: float, threshold: float) -> Arguments:
    draw = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(3, 4, 6, 5, generator=draw)
    labels = torch.randint(0, 4, (3, 6, 5), generator=draw)
    return logits, labels.masked_fill(torch.rand(3, 6, 5, generator=draw) < 0.6, NONE), threshold


check = Written(
    [_batch(0, 2.0, 0.7), _batch(1, 1.0, 0.5), _batch(2, 40.0, 1.0)],  # at the last, many are exactly 1
    merge_pseudo_labels, variant, SLIPS, CLASH, "Every label stayed, and only sure predictions filled holes.", run=_run,
)  # fmt: skip
