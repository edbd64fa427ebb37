import math

import pytest
import torch

from marsnb.methods.classification._parts import Batch, PairBatch, Task
from marsnb.training.classification import build_method
from marsnb.training.spec import make_spec

COUNTS = (4, 3, 2)
each_supcon = pytest.mark.parametrize("name", ["supcon_linear", "supcon_all"])


def build(name, settings=None, **fields):
    spec = make_spec(
        **{"dataset": "synthetic", "image_size": 32, "method": name, "backbone": "test_resnet", "start": "random"}
        | {"lr_head": 1e-2, "lr_projection": 1e-2, "lr_backbone": 1e-2, "settings": settings or {}}
        | fields
    )
    method = build_method(spec, COUNTS).train()
    method.prepare(Task(COUNTS, epochs=2, steps=2))
    return method


def pairs(labels):
    torch.manual_seed(0)
    labels = torch.tensor(labels)
    return PairBatch(torch.rand(len(labels), 3, 32, 32), torch.rand(len(labels), 3, 32, 32), labels)


def naive(embeddings, labels, temperature):
    """Eq. 2 of the SupCon paper as it is written."""
    z = [[float(x) for x in row] for row in embeddings]
    z = [[x / math.sqrt(sum(y * y for y in row)) for x in row] for row in z]
    total = 0.0
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        dots = {a: sum(x * y for x, y in zip(z[i], z[a], strict=True)) / temperature for a in others}
        below = sum(math.exp(dots[a]) for a in others)
        positives = [a for a in others if labels[a] == labels[i]]
        total -= sum(math.log(math.exp(dots[p]) / below) for p in positives) / len(positives)
    return total / len(z)


@each_supcon
@pytest.mark.parametrize("labels", [[0, 1, 2], [0, 1, 1, 2, 0, 0], [2, 2, 0, 2]])
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_contrast_is_the_naive_double_loop(name, labels, temperature):
    method, batch = build(name, {"temperature": temperature}), pairs(labels)
    method.model.backbone.eval()
    with torch.no_grad():
        losses = method.step(image_pairs=batch)
        embeddings = torch.cat([method.model.embed_s(batch.view1), method.model.embed_s(batch.view2)])
    assert set(losses) == {"loss", "supcon"}
    expected = naive(embeddings.double(), labels * 2, temperature)
    assert losses["loss"].item() == pytest.approx(expected, rel=1e-4)


def test_both_views_pass_the_network_together():
    method, batch, seen = build("supcon_all"), pairs([0, 1, 2]), []
    assert build("supcon_all").contrast.temperature == 0.1
    method.model.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    method.step(image_pairs=batch)
    assert len(seen) == 1 and torch.equal(seen[0], torch.cat([batch.view1, batch.view2]))


def test_a_batch_of_one_class_has_no_loss():
    method = build("supcon_all")
    loss = method.step(image_pairs=pairs([1, 1, 1]))["loss"]
    assert loss.item() == 0
    loss.backward()


def run(method, optimizer, epochs):
    """Epochs as Lightning runs them: the hook, then training mode, then zeroed gradients before each step."""
    torch.manual_seed(0)
    images, labels = torch.rand(6, 3, 32, 32), torch.arange(6) % 3
    batches = {"labelled": Batch(images, labels), "image_pairs": PairBatch(images, images.flip(3), labels)}
    for epoch in epochs:
        method.begin_epoch(epoch)
        method.train()
        for i in range(2):
            loss = method.training_step({s: batches[s] for s in method.streams_of(method.stage)}, i)
            optimizer.zero_grad(set_to_none=False)  # the harder case: gradients of 0 instead of none
            loss.backward()
            optimizer.step()


def moved(method, before):
    now = method.model.state_dict()
    return {key.split(".")[0] for key in before if not torch.equal(before[key], now[key])}


def state(method):
    return {key: value.clone() for key, value in method.model.state_dict().items()}


@each_supcon
@pytest.mark.parametrize("batchnorm", ["train", "frozen"])
def test_frozen_parts_are_bit_equal_over_each_stage(name, batchnorm):
    method = build(name, batchnorm=batchnorm, weight_decay=0.1)
    optimizer = method.configure_optimizers()
    assert method.stage_epochs() == [2, 2]
    before = state(method)
    run(method, optimizer, [0, 1])
    assert moved(method, before) == {"backbone", "project_s"}
    before = state(method)
    run(method, optimizer, [2, 3])
    assert moved(method, before) == ({"head"} if name == "supcon_linear" else {"head", "backbone"})
    before = state(method)
    run(method, optimizer, [0])  # and it thaws
    assert moved(method, before) == {"backbone", "project_s"}


@each_supcon
def test_a_resumed_run_freezes_the_same(name):
    method = build(name, batchnorm="frozen")
    method.begin_epoch(1)
    assert {key.split(".")[0] for key, p in method.model.named_parameters() if p.requires_grad} == {
        "backbone",
        "project_s",
    }
    method.begin_epoch(3)
    learns = {key.split(".")[0] for key, p in method.model.named_parameters() if p.requires_grad}
    assert learns == ({"head"} if name == "supcon_linear" else {"head", "backbone"})
    norms = [m for m in method.model.backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms and not any(m.weight.requires_grad or m.training for m in norms)


@each_supcon
def test_the_contrast_is_in_single_precision_under_autocast(name):
    method, batch = build(name), pairs([0, 1, 0, 2])
    embeddings = torch.randn(8, 128)
    method.model.embed_s = lambda images: embeddings.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = method.supcon(batch)
    method.model.embed_s = lambda images: embeddings.bfloat16().float()
    assert found.dtype == torch.float32 and torch.equal(found, method.supcon(batch))
