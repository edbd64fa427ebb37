import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from marsnb.methods.classification._parts import Batch, Task
from marsnb.methods.classification.lws import ScaledLinear
from marsnb.training.classification import build_method
from marsnb.training.spec import make_spec

COUNTS = (4, 3, 2)
each_decoupled = pytest.mark.parametrize("name", ["crt", "lws"])


def build(name, **fields):
    spec = make_spec(
        **{"dataset": "synthetic", "image_size": 32, "method": name, "backbone": "test_resnet", "start": "random"}
        | {"lr_head": 1e-2, "lr_projection": 1e-2, "lr_backbone": 1e-2}
        | fields
    )
    method = build_method(spec, COUNTS).train()
    method.prepare(Task(COUNTS, epochs=6, steps=2))
    return method


def run(method, optimizer, epochs):
    """Epochs as Lightning runs them: the hook, then training mode, then zeroed gradients before each step."""
    torch.manual_seed(0)
    images, labels = torch.rand(6, 3, 32, 32), torch.arange(6) % 3
    for epoch in epochs:
        method.begin_epoch(epoch)
        method.train()
        for i in range(2):
            (stream,) = method.streams_of(method.stage)
            loss = method.training_step({stream: Batch(images, labels)}, i)
            optimizer.zero_grad(set_to_none=False)  # the harder case: gradients of 0 instead of none
            loss.backward()
            optimizer.step()


def state(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@each_decoupled
def test_second_stage_is_a_third_on_balanced_batches(name):
    method = build(name)
    assert method.stage_epochs() == [6, 2]
    assert [method.streams_of(stage) for stage in (0, 1)] == [("labelled",), ("labelled_balanced",)]
    method.prepare(Task(COUNTS, epochs=30, steps=2))
    assert method.stage_epochs() == [30, 10]


@each_decoupled
@pytest.mark.parametrize("batchnorm", ["train", "frozen"])
def test_backbone_is_bit_equal_over_the_second_stage(name, batchnorm):
    method = build(name, batchnorm=batchnorm, weight_decay=0.1)
    optimizer = method.configure_optimizers()
    start = state(method.model.backbone)
    run(method, optimizer, range(6))
    before, head = state(method.model.backbone), state(method.model.head)
    assert not equal(start, before)
    run(method, optimizer, range(6, 8))
    assert equal(state(method.model.backbone), before)
    assert not equal(state(method.model.head), head)
    run(method, optimizer, [0])  # and it thaws
    assert not equal(state(method.model.backbone), before)


def test_new_head_at_the_first_epoch_of_the_second_stage_alone():
    method = build("crt")
    run(method, method.configure_optimizers(), range(6))
    old = state(method.model.head)
    method.begin_epoch(6)
    new = state(method.model.head)
    assert not equal(old, new) and not torch.equal(old["weight"], new["weight"])
    assert new["weight"].abs().max() <= method.model.head.in_features**-0.5  # a fresh draw, which has seen no image
    run(method, method.configure_optimizers(), [6])
    trained = state(method.model.head)
    assert not equal(trained, new)
    method.begin_epoch(7)
    assert equal(state(method.model.head), trained)
    resumed = build("crt")
    resumed.load_state_dict(method.state_dict())
    resumed.begin_epoch(7)
    assert equal(state(resumed.model.head), trained)
    assert [key for key, p in resumed.model.named_parameters() if p.requires_grad] == ["head.weight", "head.bias"]


def test_new_head_is_the_same_when_resumed_between_the_stages():
    heads = []
    for epochs in (range(6), []):
        method = build("crt")
        run(method, method.configure_optimizers(), epochs)
        method.begin_epoch(6)
        heads.append(state(method.model.head))
    assert equal(*heads)
    assert not equal(heads[0], state(build("crt").model.head))
    other = build("crt", seed=1)
    other.begin_epoch(6)
    assert not equal(heads[0], state(other.model.head))


def test_scales_learn_in_the_second_stage_alone():
    method = build("lws", weight_decay=0.1)
    optimizer, head = method.configure_optimizers(), method.model.head
    run(method, optimizer, range(6))
    assert torch.equal(head.scale, torch.ones(3))
    weight, bias = head.weight.clone(), head.bias.clone()
    run(method, optimizer, range(6, 8))
    assert torch.equal(head.weight, weight) and torch.equal(head.bias, bias)
    assert (head.scale != 1).all()
    resumed = build("lws")
    resumed.load_state_dict(method.state_dict())
    resumed.begin_epoch(7)
    assert torch.equal(resumed.model.head.scale, head.scale)
    assert [key for key, p in resumed.model.named_parameters() if p.requires_grad] == ["head.scale"]


def test_scales_multiply_the_logits_and_are_part_of_the_model():
    linear = nn.Linear(5, 3)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    scaled, x = ScaledLinear(linear), torch.ones(2, 5)
    assert torch.equal(before, torch.get_rng_state())
    assert (scaled.in_features, scaled.out_features) == (5, 3)
    assert torch.equal(scaled(x), linear(x)) and scaled.weight is linear.weight
    with torch.no_grad():
        scaled.scale.copy_(torch.tensor([1.0, 2.0, 0.5]))
    torch.testing.assert_close(copy.deepcopy(scaled)(x), linear(x) * torch.tensor([1.0, 2.0, 0.5]))
    method, images = build("lws").eval(), torch.rand(2, 3, 32, 32)
    logits = method.model(images)
    assert torch.equal(logits, build("cross_entropy").eval().model(images))
    with torch.no_grad():
        method.model.head.scale.fill_(2)
    torch.testing.assert_close(method.model(images), 2 * logits)


@each_decoupled
def test_second_stage_is_cross_entropy_of_the_model_as_scored(name):
    method, labels = build(name), torch.arange(3)
    images = torch.rand(3, 3, 32, 32)
    method.begin_epoch(6)
    loss = method.step(labelled_balanced=Batch(images, labels))["loss"]
    torch.testing.assert_close(loss, F.cross_entropy(method.eval().model(images), labels))
