import copy

import pytest
import torch
from torch.nn import functional as F

from marsnb.methods.classification._parts import Batch, PairBatch
from marsnb.methods.classification.sscl import calibrated, class_aware_contrast, update_momentum
from marsnb.training.classification import build_method
from marsnb.training.spec import make_spec

CLASSES, BATCH = 3, 5


def build(seed=0, batchnorm="train", **settings):
    spec = make_spec(
        dataset="synthetic",
        image_size=32,
        method="sscl",
        backbone="test_resnet",
        start="random",
        batchnorm=batchnorm,
        seed=seed,
        settings=settings,
    )
    return build_method(spec, (4, 3, 2)).train()


def batches(seed=0):
    g = torch.Generator().manual_seed(seed)
    x, a, b = (torch.rand(n, 3, 32, 32, generator=g) for n in (6, BATCH, BATCH))
    none = torch.full((BATCH,), -1)
    return {"labelled": Batch(x, torch.arange(6) % CLASSES), "unlabelled_pairs": PairBatch(a, b, none)}


def unit(*shape):
    return F.normalize(torch.randn(*shape, dtype=torch.float64), dim=-1)


def test_contrast_against_a_loop():
    torch.manual_seed(0)
    queries, keys, out = unit(4, 6), unit(9, 6), torch.rand(4, 9) > 0.5
    total = 0.0
    for i in range(4):
        kept = [j for j in range(9) if j == i or not out[i, j]]
        every = sum(torch.exp(queries[i] @ keys[j] / 0.2) for j in kept)
        total -= torch.log(torch.exp(queries[i] @ keys[i] / 0.2) / every)
    torch.testing.assert_close(class_aware_contrast(queries, keys, 0.2, out), total / 4)


def test_contrast_without_negatives_is_nought():
    queries = unit(4, 6)
    assert class_aware_contrast(queries, unit(4, 6), 0.2, torch.ones(4, 4, dtype=torch.bool)) == 0


def test_calibration():
    torch.manual_seed(0)
    p, theirs, queries, keys = torch.rand(4, 3).double().softmax(1), torch.eye(3).double(), unit(4, 6), unit(3, 6)
    mixed = calibrated(p, queries, keys, theirs, 0.2, 0.25)
    torch.testing.assert_close(mixed.sum(1), torch.ones(4).double())
    for i in range(4):
        w = torch.stack([torch.exp(queries[i] @ key / 0.2) for key in keys])
        torch.testing.assert_close(mixed[i], 0.75 * p[i] + 0.25 * (w / w.sum()))  # one-hot neighbours
    assert torch.equal(calibrated(p, queries, keys[:0], theirs[:0], 0.2, 0.25), p)


def test_momentum_copy_after_k_steps():
    """With a query that stands still at q, k steps leave the copy at m^k first + (1 - m^k) q."""
    method = build(momentum=0.9)
    first = [p.detach().clone() for p in method.key.parameters()]
    with torch.no_grad():
        for p in method.model.parameters():
            p.add_(1)
    still = [p.detach().clone() for p in method.model.parameters()]
    for k in range(3):
        method.step(**batches(k))
    for mine, old, query in zip(method.key.parameters(), first, still, strict=True):
        torch.testing.assert_close(mine, 0.9**3 * old + (1 - 0.9**3) * query)


def test_momentum_copy_moves_to_the_query_itself():
    method = build()
    with torch.no_grad():
        for p in method.model.parameters():
            p.add_(1)
    update_momentum(method.model, method.key, 0.0)
    pairs = zip(method.model.parameters(), method.key.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_no_gradient_to_the_momentum_copy():
    method = build()
    method.step(**batches())["loss"].backward()
    assert all(p.grad is None and not p.requires_grad for p in method.key.parameters())
    assert not method.keys.requires_grad and not method.chances.requires_grad
    optimised = {p for group in method.configure_optimizers().param_groups for p in group["params"]}
    assert not optimised & set(method.key.parameters())
    shared = {p.data_ptr() for p in method.model.parameters()} & {p.data_ptr() for p in method.key.parameters()}
    assert not shared


def test_queue_is_first_in_first_out():
    method = build(queue=12)
    width = method.keys.shape[1]
    for i in range(4):
        method.enqueue(torch.full((5, width), float(i)), torch.full((5, CLASSES), float(i)))
        assert method.filled == min(12, 5 * (i + 1))
        held = [float(value) for value in range(i, -1, -1) for _ in range(5)][:12]
        assert method.keys[: len(held), 0].tolist() == held
        assert method.chances[: len(held), 0].tolist() == held
    method.enqueue(torch.full((20, width), 9.0), torch.full((20, CLASSES), 9.0))  # a batch larger than the queue
    assert (method.keys == 9).all() and method.filled == 12


def test_a_step_remembers_its_keys_and_their_classes():
    method = build(queue=12)
    given = batches()
    method.step(**given)
    assert method.filled == BATCH
    torch.testing.assert_close(method.keys[:BATCH].norm(dim=1), torch.ones(BATCH))
    torch.testing.assert_close(method.chances[:BATCH].sum(1), torch.ones(BATCH))
    assert (method.keys[BATCH:] == 0).all()
    before = method.keys.clone()
    method.step(**batches(1))
    assert torch.equal(method.keys[BATCH : 2 * BATCH], before[:BATCH])


def test_empty_queue_is_plain_contrast_within_the_batch():
    method = build(threshold=1.1).eval()
    given = batches()
    losses = method.step(**given)
    pair = given["unlabelled_pairs"]
    queries, keys = F.normalize(method.model.embed_u(pair.view1)), F.normalize(method.key.embed_u(pair.view2))
    expected = F.cross_entropy(queries @ keys.T / 0.2, torch.arange(BATCH))
    torch.testing.assert_close(losses["contrast"], expected)
    assert losses["pseudo"] == 0


def test_the_queue_changes_labels_and_negatives():
    method = build(threshold=0.6, mix=0.9).eval()
    given = batches()
    assert method.step(**given)["pseudo"] == 0  # the untrained head alone is not sure
    method.enqueue(F.normalize(torch.randn(8, method.keys.shape[1])), F.one_hot(torch.full((8,), 2), CLASSES).float())
    losses = method.step(**given)
    p = method.model(given["unlabelled_pairs"].view1).log_softmax(1)
    torch.testing.assert_close(losses["pseudo"], -p[:, 2].mean())
    # All of the queue is surely of the anchor's class, so only the batch's keys are left.
    method.filled.zero_()
    torch.testing.assert_close(losses["contrast"], method.step(**given)["contrast"])


def test_terms_and_weights():
    losses = build(threshold=0.0, weight_pseudo=0.5, weight_contrast=0.3).step(**batches())
    assert losses["pseudo"] > 0
    total = losses["ce"] + 0.5 * losses["pseudo"] + 0.3 * losses["contrast"]
    torch.testing.assert_close(losses["loss"], total)


def test_evaluation_changes_nothing():
    method = build().eval()
    before = copy.deepcopy(method.state_dict())
    method.step(**batches())
    assert all(torch.equal(before[key], value) for key, value in method.state_dict().items())


def test_state_goes_round():
    method, other = build(), build(seed=1)
    for k in range(2):
        method.step(**batches(k))
    other.load_state_dict(method.state_dict())
    assert other.filled == 2 * BATCH
    ours, theirs = method.step(**batches(7)), other.step(**batches(7))
    assert all(torch.equal(ours[part], theirs[part]) for part in ours)


@pytest.mark.parametrize("batchnorm", ["train", "frozen"])
def test_batchnorm_of_the_copy(batchnorm):
    method = build(batchnorm=batchnorm)
    before = {key: value.clone() for key, value in method.key.named_buffers() if "running" in key}
    method.step(**batches())
    same = [torch.equal(before[key], value) for key, value in method.key.named_buffers() if key in before]
    assert same and (all(same) if batchnorm == "frozen" else not any(same))
