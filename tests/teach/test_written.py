"""The checks of the functions that a reader writes: right ones pass however written, wrong ones are named."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from marsnb.losses.inter_class import inter_class
from marsnb.models.memory_bank import MemoryBank
from marsnb.teach import eq1, eq2, eq3, eq7, merging
from marsnb.teach.written import Written, same

CHECKS: dict[str, Written] = {
    "eq1": eq1.check,
    "masked": eq2.check_loss,
    "eq3": eq3.check_loss,
    "rank": eq3.check_rank,
    "update": eq7.check_update,
    "eq7": eq7.check_loss,
    "merge": merging.check,
}


# Right solutions, written as different people would write them


def eq1_steps(z1: Tensor, z2: Tensor, tau: float) -> Tensor:
    powers = (F.normalize(z1, dim=1) @ F.normalize(z2, dim=1).T / tau).exp()
    return -(powers / powers.sum(dim=1, keepdim=True)).diagonal().log().mean()


def eq1_as_classes(z1: Tensor, z2: Tensor, tau: float) -> Tensor:
    table = torch.einsum("nd,md->nm", F.normalize(z1), F.normalize(z2))
    return F.cross_entropy(table / tau, torch.arange(len(table)))


def eq1_broadcast(z1: Tensor, z2: Tensor, tau: float) -> Tensor:
    table = F.cosine_similarity(z1[:, None], z2[None], dim=2) / tau
    return (table.logsumexp(dim=1) - table.diag()).sum() / len(z1)


def eq1_loops(z1: Tensor, z2: Tensor, tau: float) -> Tensor:
    losses = []
    for i in range(len(z1)):
        row = torch.stack([F.cosine_similarity(z1[i], z, dim=0) / tau for z in z2])
        losses.append(row.logsumexp(dim=0) - row[i])
    return torch.stack(losses).mean()


def masked_loops(z1: Tensor, z2: Tensor, classes: Tensor, tau: float) -> Tensor:
    total = torch.zeros(())
    for i, c in enumerate(classes):
        powers = [torch.exp(F.cosine_similarity(z1[i], z, dim=0) / tau) for z in z2]
        total = total - torch.log(powers[i] / sum(p for j, p in enumerate(powers) if j == i or classes[j] != c))
    return total / len(classes)


def masked_product(z1: Tensor, z2: Tensor, classes: Tensor, tau: float) -> Tensor:
    powers = torch.exp(F.normalize(z1, dim=1) @ F.normalize(z2, dim=1).T / tau)
    keep = (classes[:, None] != classes[None, :]).float() + torch.eye(len(classes))
    return -(powers.diag() / (powers * keep).sum(1)).log().mean()


def eq3_library(z1: Tensor, z2: Tensor) -> Tensor:
    return -F.cosine_similarity(z1, z2).mean()


def eq3_trace(z1: Tensor, z2: Tensor) -> Tensor:
    return -torch.trace(F.normalize(z1) @ F.normalize(z2).T) / len(z1)


def rank_masked(z: Tensor) -> Tensor:
    values = torch.linalg.svdvals(z)
    q = (values / values.sum())[values > 1e-9]
    return torch.exp(-(q * q.log()).sum())


def rank_power(z: Tensor) -> float:
    values = np.linalg.svd(z.numpy(), compute_uv=False)
    q = values / values.sum()
    return float(2 ** -(q * np.log2(q + 1e-12)).sum())


def update_unique(queues: eq7.Queues, features: Tensor, labels: Tensor, length: int) -> None:
    flat, codes = features.detach().flatten(1).T, labels.flatten()
    for c in codes[codes != 255].unique().tolist():
        queues[c].append(flat[codes == c].mean(dim=0))
        del queues[c][:-length]


def update_new_lists(queues: eq7.Queues, features: Tensor, labels: Tensor, length: int) -> None:
    with torch.no_grad():
        for c in range(len(queues)):
            mask = (labels == c).float()
            if mask.any():
                mean = torch.einsum("dhw,hw->d", features, mask) / mask.sum()
                queues[c] = [*queues[c], mean][-length:]


def eq7_steps(f: Tensor, classes: Tensor, prototypes: Tensor, tau: float) -> Tensor:
    known = classes != 255
    powers = (F.normalize(f[known], dim=1) @ F.normalize(prototypes.detach(), dim=1).T / tau).exp()
    return -(powers[range(int(known.sum())), classes[known]] / powers.sum(dim=1)).log().mean()


def eq7_library(f: Tensor, classes: Tensor, prototypes: Tensor, tau: float) -> Tensor:
    logits = F.cosine_similarity(f[:, None], prototypes.detach()[None], dim=2) / tau
    return F.cross_entropy(logits, classes, ignore_index=255)


def merge_pixels(logits: Tensor, labels: Tensor, threshold: float) -> Tensor:
    merged, chances = labels.clone(), logits.softmax(dim=1)
    for b, y, x in np.ndindex(*labels.shape):
        if labels[b, y, x] == 255 and chances[b, :, y, x].max() > threshold:
            merged[b, y, x] = chances[b, :, y, x].argmax()
    return merged


def merge_masks(logits: Tensor, labels: Tensor, threshold: float) -> Tensor:
    chances = torch.exp(logits - logits.logsumexp(dim=1, keepdim=True))
    fill = (labels == 255) * (chances.amax(dim=1) > threshold)
    return labels * ~fill + logits.argmax(dim=1) * fill


RIGHT: dict[str, tuple[Callable[..., Any], ...]] = {
    "eq1": (eq1_steps, eq1_as_classes, eq1_broadcast, eq1_loops),
    "masked": (masked_loops, masked_product),
    "eq3": (eq3_library, eq3_trace),
    "rank": (rank_masked, rank_power),
    "update": (update_unique, update_new_lists),
    "eq7": (eq7_steps, eq7_library),
    "merge": (merge_pixels, merge_masks),
}


@pytest.mark.parametrize("name", CHECKS)
def test_right_solutions_are_right_however_they_are_written(name: str) -> None:
    for right in (*RIGHT[name], CHECKS[name].right):
        verdict = CHECKS[name](right)
        assert verdict.right, f"{right.__name__}: {verdict}"


def test_a_slow_solution_is_told_so() -> None:
    assert "matrix product is faster" in eq1.check(eq1_loops).message
    assert "matrix product" not in eq1.check(eq1_steps).message


def test_the_masked_loss_is_eq_2_where_no_class_stands_twice() -> None:
    z1, z2 = eq1.pairs(6, 3)
    assert torch.allclose(eq2.masked_info_nce(z1, z2, torch.arange(6), 0.2), inter_class(z1, z2, 0.2))


def test_the_update_does_what_the_memory_bank_does() -> None:
    for images, classes, length in eq7.check_update.tried:
        queues: eq7.Queues = [[] for _ in range(classes)]
        bank = MemoryBank(classes, len(images[0][0]), length)
        for features, labels in images:
            eq7.update(queues, features, labels, length)
            bank.enqueue(features[None], labels[None])
        for c, queue in enumerate(queues):
            assert torch.allclose(torch.stack(queue), bank.entries(c))


# Wrong ones


@pytest.mark.parametrize("name", CHECKS)
def test_no_two_wrong_variants_have_the_same_values(name: str) -> None:
    variants = CHECKS[name].variants
    assert len(variants) > len(CHECKS[name].slips) + 1  # pairs too
    assert [(a, b) for a, b in combinations(variants, 2) if all(map(same, variants[a], variants[b]))] == []


@pytest.mark.parametrize("name", CHECKS)
def test_the_variant_without_a_slip_is_the_package(name: str) -> None:
    check = CHECKS[name]
    for arguments, value in zip(check.tried, check.variants[frozenset()], strict=True):
        assert same(check.run(check.right, arguments)[0], value)


def wrong(name: str, slips: frozenset[str]) -> Callable[..., Any]:
    """A reader's function with these slips."""
    if name == "update":
        return lambda *arguments: eq7.update(*arguments, slips)
    return lambda *arguments: CHECKS[name].variant(arguments, slips)


@pytest.mark.parametrize("name", CHECKS)
def test_every_wrong_variant_is_named(name: str) -> None:
    check = CHECKS[name]
    for slips in check.variants:
        if slips:
            verdict = check(wrong(name, slips))
            assert verdict.right is False
            assert set(verdict.faults) == {check.slips[slip] for slip in slips}, slips


def keep(*arguments: Any) -> None:
    """A function of which only the form matters."""


FORMS: list[tuple[str, Callable[..., Any], str]] = [
    ("eq1", keep, "`return`"),
    ("eq1", lambda z1, z2, tau: z1 @ z2, "RuntimeError"),
    ("eq1", lambda *a: eq1_steps(*a).item(), "no gradient"),
    ("eq1", lambda z1, z2, tau: eq1_steps(z1.detach(), z2, tau), "gradient of `z1`"),
    ("eq1", lambda *a: eq1_steps(*a).expand(len(a[0])), "shape [6]"),
    ("eq1", lambda *a: eq1_steps(*a) * torch.nan, "`nan`"),
    ("eq1", lambda z1, z2, tau: z1.sum() + 7, "step by step"),
    ("masked", keep, "`return`"),
    ("masked", lambda z1, z2, c, tau: masked_product(z1, z2.detach(), c, tau), "gradient of `z2`"),
    ("eq3", lambda z1, z2: eq3_library(z1, z2.detach()), "gradient of `z2`"),
    ("eq3", lambda z1, z2: -F.cosine_similarity(z1, z2), "take the mean"),
    ("rank", lambda z: (lambda q: torch.exp(-(q * q.log()).sum()))(F.normalize(torch.linalg.svdvals(z), p=1, dim=0)),
     "logarithm of 0"),
    ("update", keep, "in place"),
    ("update", lambda q, f, y, n: q[0].append(f.mean()), "shape []"),
    ("update", lambda q, f, y, n: q.append([f[:, 0, 0]]), "255 is none"),
    ("update", lambda q, f, y, n: q[0].append(0.0), "float"),
    ("update", lambda q, f, y, n: [queue.append(f[:, y == c].mean(1)) for c, queue in enumerate(q) if (y == c).any()],
     "graph of their step"),
    ("update", lambda q, f, y, n: (f.detach().zero_(), q[0].append(f[:, 0, 0])), "changes `features`"),
    ("eq7", keep, "`return`"),
    ("eq7", lambda f, c, p, tau: F.cross_entropy(F.normalize(f) @ F.normalize(p).T / tau, c, ignore_index=255),
     "flows into `prototypes`"),
    ("eq7", lambda f, c, p, tau: (F.normalize(f) @ F.normalize(p).T / tau).log_softmax(1)[range(len(c)), c].mean(),
     "255 is no class"),
    ("eq7", lambda f, c, p, tau: eq7_steps(f.detach(), c, p, tau), "no gradient"),
    ("merge", keep, "`return`"),
    ("merge", lambda logits, labels, t: logits.softmax(1), "shape of the labels"),
    ("merge", lambda logits, labels, t: labels.copy_(merge_masks(logits, labels, t)), "in place"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fn", "word"), FORMS, ids=[f"{name}-{word}" for name, _, word in FORMS])
def test_what_is_no_slip_of_the_formula_gets_a_word_too(name: str, fn: Callable[..., Any], word: str) -> None:
    verdict = CHECKS[name](fn)
    assert verdict.right is False and word in repr(verdict), verdict


def test_a_check_leaves_the_random_state_and_shows_code_and_faults() -> None:
    state = torch.random.get_rng_state()
    verdict = eq1.check(wrong("eq1", frozenset({"sum", "no tau"})))
    assert torch.equal(state, torch.random.get_rng_state())
    shown = verdict._repr_html_()
    assert shown.count("<li>") == 2 and "<code>tau</code>" in shown and "`" not in shown


# The sampler of class-paired batches


def by_class(labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    pairs = []
    for c in np.unique(labels):
        images = np.flatnonzero(labels == c)
        pairs.append(rng.choice(images, 2, replace=len(images) < 2))
    first, second = np.array(pairs).T
    return first, second


def by_permutation(labels: np.ndarray, rng: np.random.Generator) -> list[list[int]]:
    members = [rng.permutation(np.flatnonzero(labels == c)).tolist() for c in sorted(set(labels.tolist()))]
    return [[some[0] for some in members], [some[min(1, len(some) - 1)] for some in members]]


def one_each(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.array([rng.choice(np.flatnonzero(labels == c)) for c in np.unique(labels)])


def within(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.array([rng.integers((labels == c).sum()) for c in np.unique(labels)])


def shuffled(labels: np.ndarray, rng: np.random.Generator) -> Any:
    rng.shuffle(labels)
    return by_class(labels, rng)


def neighbours(labels: np.ndarray, rng: np.random.Generator) -> Any:
    where = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    at = [rng.integers(len(w)) for w in where]
    return [np.array([w[(a + k) % len(w)] for w, a in zip(where, at, strict=True)]) for k in (0, 1)]


SAMPLERS: list[tuple[Callable[..., Any], tuple[str, ...]]] = [
    (keep, ("`return`",)),
    (lambda labels, rng: (np.unique(labels),) * 2, ("you return the classes",)),
    (lambda labels, rng: (rng.choice(len(labels), 5, replace=False),) * 2, ("Go through the classes",)),
    (lambda labels, rng: (rng.choice(len(labels), 24),) * 2, ("Rows: 24; 5 classes",)),
    (lambda labels, rng: (one_each(labels, rng), one_each(labels, rng)), ("the same image twice",)),
    (lambda labels, rng: (within(labels, rng), within(labels, rng)), ("count within the class",)),
    (lambda labels, rng: (by_class(labels, rng)[0] + 1, by_class(labels, rng)[1]), ("Count from 0",)),
    (lambda labels, rng: (by_class(labels, rng)[0], rng.permutation(by_class(labels, rng)[1])), ("another order",)),
    (lambda labels, rng: (by_class(labels, rng)[0], rng.choice(len(labels), 5)), ("of another class",)),
    (lambda labels, rng: by_class(labels, np.random.default_rng(1)), ("never first", "never second")),
    (lambda labels, rng: (np.sort(by_class(labels, rng), axis=0)), ("Do not sort the two",)),
    (neighbours, ("always meets the same partner",)),
    (lambda labels, rng: by_class(labels, np.random.default_rng()), ("draw from `rng` alone",)),
    (lambda labels, rng: [rng.choice(np.flatnonzero(labels == c), 2, replace=False) for c in np.unique(labels)],
     ("paired with itself",)),
    (lambda labels, rng: list(zip(*by_class(labels, rng), strict=True)), ("two arrays",)),
    (shuffled, ("changes `labels`",)),
]  # fmt: skip


@pytest.mark.parametrize("sampler", [by_class, by_permutation, eq2.class_pairs])
def test_right_samplers_are_right(sampler: Callable[..., Any]) -> None:
    verdict = eq2.check_pairs(sampler)
    assert verdict.right, verdict


@pytest.mark.parametrize(("sampler", "words"), SAMPLERS, ids=[words[0] for _, words in SAMPLERS])
def test_wrong_samplers_are_told_why(sampler: Callable[..., Any], words: tuple[str, ...]) -> None:
    verdict = eq2.check_pairs(sampler)
    assert verdict.right is False and all(word in repr(verdict) for word in words), verdict
