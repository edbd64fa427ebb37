"""The checks of notebook 11's functions: the memory bank's update, and Eq. 7."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from marsnb.losses.element_wise import element_wise
from marsnb.teach.eq1 import pairs
from marsnb.teach.written import Arguments, Function, NotYet, Slips, Written, gradient, number, shape

Queues = list[list[Tensor]]
UPDATE_SLIPS = {
    "everything": "Class: your entry averages all elements of the image. Take those of the class alone.",
    "elements": "Average: every element became an entry. An image adds one entry to a class: their average.",
    "sum": "Average: you added the elements up. A large patch would count more than a small one.",
    "unit": "Length: you normalised the elements. The bank keeps averages of features as they are.",
    "unit entry": "Length: you normalised the entry. The bank keeps averages of features as they are.",
    "nan": "Absent: a class that the image does not show got an entry of `nan`. Its queue stays as it is.",
    "zero": "Absent: a class that the image does not show got an entry of zeros. Its queue stays as it is.",
    "no limit": "Full: your queue grows beyond `length`. A full queue drops its oldest entry.",
    "one more": "Full: your queue holds one entry more than `length`.",
    "stuck": "Full: your queue stops when it is full. The newest entry enters and the oldest leaves.",
    "reversed": "Order: your newest entry stands first. Append it at the end.",
}
UPDATE_CLASH = ({"no limit", "one more", "stuck"}, {"unit", "unit entry"}, {"everything", "nan", "zero"},
                {"sum", "nan"}, {"sum", "unit entry"},
                *({"elements", x} for x in ("everything", "sum", "unit entry", "nan", "zero")))  # fmt: skip


def update(queues: Queues, features: Tensor, labels: Tensor, length: int, slips: Slips = frozenset()) -> None:
    """Store the average feature of every class that an image shows: what `MemoryBank` does, on plain lists.

    Args:
        queues: entries of each class, ``(D,)`` each, oldest first; changed in place.
        features: of the image, ``(D, H, W)``.
        labels: class of each element, ``(H, W)``; 255 where there is none.
        length: entries that a queue holds at most.
        slips: some of ``UPDATE_SLIPS``.
    """
    features = F.normalize(features.detach(), dim=0) if "unit" in slips else features.detach()
    for c, queue in enumerate(queues):
        own = features[:, labels == c]  # (D, n)
        if own.shape[1] == 0 and not slips & {"nan", "zero"}:
            continue
        own = features.flatten(1) if "everything" in slips else own
        entry = own.sum(dim=1) if "sum" in slips else own.mean(dim=1)
        entry = entry.nan_to_num() if "zero" in slips else entry
        entry = F.normalize(entry, dim=0) if "unit entry" in slips else entry
        for new in own.T if "elements" in slips else [entry]:
            if not ("stuck" in slips and len(queue) == length):
                queue.insert(0 if "reversed" in slips else len(queue), new)
            while "no limit" not in slips and len(queue) > length + ("one more" in slips):
                queue.pop(-1 if "reversed" in slips else 0)


def _fill(fn: Function, arguments: Arguments) -> tuple[Tensor, str]:
    """Entries of all queues after some images, ``(C, 40, D)``, -9 where there is none, and a word on their gradient."""
    images, classes, length = arguments
    queues: Queues = [[] for _ in range(classes)]
    for features, labels in images:
        given = features.clone().requires_grad_()
        fn(queues, given, labels, length)
        if not any(queues):
            raise NotYet("Nothing is stored. Change `queues` in place, as with `queues[c].append(...)`.")
        if len(queues) != classes:
            raise NotYet(f"`queues` has {len(queues)} lists now; there are {classes} classes, and 255 is none.")
        if not torch.equal(given, features):
            raise NotYet("Your function changes `features`, which training still needs.")
    state, entries = torch.full((classes, 40, len(images[0][0])), -9.0), [entry for queue in queues for entry in queue]
    if odd := [entry for entry in entries if not isinstance(entry, Tensor) or entry.shape != state.shape[2:]]:
        raise NotYet(f"An entry is {shape(odd[0])}; it has one number for each channel, {list(state.shape[2:])}.")
    for c, queue in enumerate(queues):
        for k, entry in enumerate(queue[:40]):
            state[c, k] = entry.detach()
    held = any(entry.requires_grad for entry in entries)
    return state, "Gradient: the entries hold on to the graph of their step. Store `features.detach()`." if held else ""


def _images(classes: int, dim: int, *shown: list[int]) -> list[tuple[Tensor, Tensor]]:
    draw = torch.Generator().manual_seed(classes)
    labels = [torch.tensor(codes)[torch.randint(len(codes), (2, 4), generator=draw)] for codes in shown]
    return [(torch.randn(dim, 2, 4, generator=draw) + 1, label) for label in labels]


check_update = Written(
    [(_images(3, 3, [0, 1, 255], [0, 255], [0, 1], [0, 2, 255], [0, 1]), 3, 3),
     (_images(2, 4, [1, 255], [0, 1], [1], [255, 1, 0]), 2, 2)],
    update, lambda arguments, slips: _fill(partial(update, slips=slips), arguments)[0], UPDATE_SLIPS, UPDATE_CLASH,
    "No gradient flows into the bank, and a full queue forgets its oldest entry.", run=_fill,
)  # fmt: skip

SLIPS = {
    "elements": "Cosine: the elements are not normalised. Divide each by its length.",
    "prototypes": "Cosine: the prototypes are not normalised. Divide each by its length.",
    "no tau": "Temperature: it is missing. Divide the cosines by `tau`.",
    "times tau": "Temperature: you multiplied by `tau`. Divide by it.",
    "axis": "Axis: the softmax runs over the elements. The candidates of an element are the prototypes (`dim=1`).",
    "no positive": "Candidates: the own prototype is missing in the sum below the line. It goes over all classes.",
    "count": "Mean: you divided by all elements. Those without a label do not count.",
    "sum": "Mean: you added up the elements' losses. Take their mean.",
    "sign": "Sign: your loss is that of Eq. 7 times −1. It takes minus the logarithm.",
    "share": "Logarithm: it is missing. You have the share of the own prototype; take minus its logarithm.",
}
CLASH = ({"no tau", "times tau"}, {"count", "sum"}, {"sign", "share"})


def by_package(f: Tensor, classes: Tensor, prototypes: Tensor, tau: float) -> Tensor:
    """The package's Eq. 7 of one image: elements ``(N, D)``, their classes ``(N,)``, prototypes ``(C, D)``."""
    return element_wise(f.T[None, :, None], classes[None, None], prototypes, temperature=tau)


def variant(arguments: Arguments, slips: Slips) -> Tensor:
    """Eq. 7 with some of ``SLIPS`` in it, a scalar."""
    f, classes, prototypes, tau = arguments
    tau, known = 1 if "no tau" in slips else 1 / tau if "times tau" in slips else tau, classes != 255
    f, own = f[known] if "elements" in slips else F.normalize(f[known], dim=1), F.one_hot(classes[known]).bool()
    scores = f @ (prototypes if "prototypes" in slips else F.normalize(prototypes, dim=1)).T / tau  # (n, C)
    below = scores.masked_fill(own & ("no positive" in slips), -torch.inf)
    log_p = (scores - below.logsumexp(dim=0 if "axis" in slips else 1, keepdim=True))[own]  # (n,)
    picked = log_p if "sign" in slips else log_p.exp() if "share" in slips else -log_p
    return picked.sum() / (1 if "sum" in slips else len(classes) if "count" in slips else len(f))


def _elements(n: int, d: int, codes: list[int], tau: float) -> Arguments:
    f, prototypes = pairs(n, d)
    return f, torch.tensor(codes), prototypes[: len(set(codes) - {255})], tau


def _loss(fn: Function, arguments: Arguments) -> tuple[Tensor, str]:
    try:
        return number(fn, arguments)
    except IndexError as error:
        raise NotYet(f"`IndexError: {error}`: 255 is no class. Leave those elements out first.") from None


_TRIED = [_elements(6, 3, [0, 1, 255, 1, 2, 0], 0.5), _elements(7, 4, [255, 1, 1, 0, 255, 0, 1], 0.3),
          _elements(5, 2, [2, 0, 1, 255, 2], 0.8)]  # fmt: skip
check_loss = Written(
    _TRIED, by_package, variant, SLIPS, CLASH, "The gradient reaches the elements and not the bank.", run=_loss,
    more=lambda fn: gradient(fn, by_package, _TRIED[0], {"f": 0, "prototypes": 2}),
)  # fmt: skip
