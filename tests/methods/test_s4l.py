import time

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from marsnb.methods.classification._parts import Batch
from marsnb.methods.classification.s4l_jigsaw import crop_patches, max_hamming_permutations
from marsnb.methods.classification.s4l_rotation import rotated_copies, rotation_labels
from marsnb.training.classification import build_method
from marsnb.training.spec import make_spec


def build(name, **settings):
    spec = make_spec(
        dataset="synthetic", image_size=32, method=name, backbone="test_resnet", start="random", settings=settings
    )
    return build_method(spec, (4, 3, 2)).eval()


def batches(size=32):
    torch.manual_seed(0)
    return {
        "labelled": Batch(torch.rand(4, 3, size, size), torch.arange(4) % 3),
        "unlabelled": Batch(torch.rand(3, 3, size, size), torch.full((3,), -1)),
    }


def distances(orders):
    return [(a != b).sum() for i, a in enumerate(orders) for b in orders[:i]]


@pytest.mark.parametrize(("n", "size", "least"), [(20, 9, 6), (100, 9, 5), (6, 3, 2), (1, 9, 0), (24, 4, 2)])
def test_permutations_are_distinct_and_far_apart(n, size, least):
    orders = max_hamming_permutations(n, size, seed=0)
    assert orders.shape == (n, size) and orders.dtype == np.int64
    assert (np.sort(orders, axis=1) == np.arange(size)).all()
    assert len({tuple(order) for order in orders}) == n
    assert min(distances(orders), default=0) >= least
    if size == 9 and n > 1:
        plain = [np.random.default_rng(i).permutation(size) for i in range(n)]
        assert min(distances(orders)) > min(distances(plain))


def test_permutations_are_the_seeds():
    first, again, other = (max_hamming_permutations(30, 9, seed) for seed in (0, 0, 1))
    assert (first == again).all() and not (first == other).all()
    assert (max_hamming_permutations(10, 9, 0) == first[:10]).all()  # greedy: a longer set begins as a shorter one


def test_permutations_are_made_fast():
    start = time.process_time()
    max_hamming_permutations(100, 9, seed=0)
    assert time.process_time() - start < 2  # 0.1 s on an idle core


@pytest.mark.parametrize(("n", "size"), [(7, 3), (0, 9), (9000, 9)])
def test_more_permutations_than_there_are(n, size):
    with pytest.raises(ValueError, match="n must be 1 to"):
        max_hamming_permutations(n, size, seed=0)


@pytest.mark.parametrize("size", [33, 35])
def test_patches_without_jitter_make_up_the_image(size):
    images = torch.rand(2, 3, size, size)
    patches = crop_patches(images, 3, 0.0)
    assert patches.shape == (2, 9, 3, 11, 11)
    rows = [torch.cat(list(patches[:, 3 * r : 3 * r + 3].unbind(1)), dim=3) for r in range(3)]
    assert torch.equal(torch.cat(rows, dim=2), images[..., :33, :33])


def test_patches_come_from_their_cells():
    place = torch.arange(24.0)
    images = torch.stack(torch.meshgrid(place, place, indexing="ij"))[None].repeat(64, 1, 1, 1)  # row and column
    torch.manual_seed(0)
    patches = crop_patches(images, 3, 0.25)
    assert patches.shape == (64, 9, 2, 6, 6)
    for cell in range(9):
        for axis, corner in enumerate((8 * (cell // 3), 8 * (cell % 3))):
            first = patches[:, cell, axis, 0, 0] - corner
            assert set(first.tolist()) == {0, 1, 2}
            assert (patches[:, cell, axis].amax((1, 2)) - corner - first == 5).all()
    torch.manual_seed(0)
    assert torch.equal(patches, crop_patches(images, 3, 0.25))


def test_rotated_copies():
    images = torch.rand(3, 3, 8, 8)
    copies, labels = rotated_copies(images), rotation_labels(images)
    for i, turns in enumerate(labels.tolist()):
        assert torch.equal(copies[i], torch.rot90(images[i % 3], turns, (1, 2)))
    assert sorted(labels.tolist()) == 3 * [0] + 3 * [1] + 3 * [2] + 3 * [3]


def test_rotation_loss_is_the_naive_one():
    method, given = build("s4l_rotation", weight=0.5), batches()
    model, ce, rotations = method.model, [], {}
    for name, batch in given.items():
        for image, label in zip(batch.images, batch.labels, strict=True):
            for turns in range(4):
                features = model.features(torch.rot90(image, turns, (1, 2))[None])
                rotations.setdefault(name, []).append(-method.rotation_head(features).log_softmax(1)[0, turns])
                if name == "labelled":
                    ce.append(-model.head(features).log_softmax(1)[0, label])
    losses = method.step(**given)
    naive = (torch.stack(rotations["labelled"]).mean() + torch.stack(rotations["unlabelled"]).mean()) / 2
    torch.testing.assert_close(losses["rotation"], naive, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(losses["ce"], torch.stack(ce).mean(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(losses["loss"], losses["ce"] + 0.5 * losses["rotation"])


def test_jigsaw_loss_is_the_naive_one():
    """With all orders shown and no jitter nothing is left to chance."""
    method = build("s4l_jigsaw", weight=0.5, permutations=5, permutations_per_image=5, embed=7, jitter=0.0)
    method.order_head.eval()  # neither dropout nor statistics of the batch
    given = batches(33)
    terms = {}
    for name, batch in given.items():
        for image in batch.images:
            patches = [image[:, 11 * r : 11 * r + 11, 11 * c : 11 * c + 11] for r in range(3) for c in range(3)]
            enlarged = [F.interpolate(p[None], size=32, mode="bilinear") for p in patches]
            embedded = [method.embed_patch(method.model.features(p))[0] for p in enlarged]
            for k, order in enumerate(method.orders.tolist()):
                logits = method.order_head(torch.cat([embedded[i] for i in order])[None])[0]
                terms.setdefault(name, []).append(-logits.log_softmax(0)[k])
    losses = method.step(**given)
    naive = (torch.stack(terms["labelled"]).mean() + torch.stack(terms["unlabelled"]).mean()) / 2
    torch.testing.assert_close(losses["jigsaw"], naive, rtol=1e-4, atol=1e-5)
    ce = F.cross_entropy(method.model(given["labelled"].images), given["labelled"].labels)
    torch.testing.assert_close(losses["loss"], ce + 0.5 * naive, rtol=1e-4, atol=1e-5)


def test_the_head_compares_patches():
    """Of a head whose score is a sum over the places, what two places do together would be 0."""
    method = build("s4l_jigsaw", embed=7)
    head = method.order_head.eval()
    one, other = torch.randn(2, 1, 9 * 7).unbind()
    split = torch.arange(9 * 7) < 4 * 7
    mixed = torch.where(split, one, other), torch.where(split, other, one)
    together = head(one) + head(other) - head(mixed[0]) - head(mixed[1])
    assert together.abs().max() > 1e-3


def test_large_patches_are_not_resized(monkeypatch):
    method = build("s4l_jigsaw", jitter=0.0)
    monkeypatch.setattr(F, "interpolate", lambda *_, **__: pytest.fail("resized"))
    assert method.embed_patches(torch.rand(1, 3, 96, 96)).shape == (1, 9, 128)


def test_more_orders_per_image_than_there_are():
    assert build("s4l_jigsaw", permutations=4).step(**batches())["jigsaw"].isfinite()
