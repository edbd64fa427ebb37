import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from marsnb.methods.classification._parts import Batch, Task
from marsnb.methods.classification.lws import ScaledLinear
from marsnb.models.classifier import Classifier
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
def test_second_stage_is_as_long_on_balanced_batches(name):
    method = build(name)
    assert method.stage_epochs() == [6, 6]
    assert [method.streams_of(stage) for stage in (0, 1)] == [("labelled",), ("labelled_balanced",)]
    method.prepare(Task(COUNTS, epochs=30, steps=2))
    assert method.stage_epochs() == [30, 30]


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


# What the second stage is for, on frozen features of a long tail: means of classes and noise.
IMAGES = tuple(round(2000 * (6 / 2000) ** (c / 9)) for c in range(10))
EPOCHS, STEPS, BATCH = 6, 336, 16


def features_of(labels, width, seed):
    """Features of images; the same means of classes whatever the seed."""
    means = torch.randn(len(IMAGES), width, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(len(labels), width, generator=torch.Generator().manual_seed(seed))
    return F.relu(0.5 * means[labels] + noise)


def long_tailed(name, monkeypatch):
    """The method before its second stage, with its optimizer, at the schedule of a run of six passes over MSL."""
    monkeypatch.setattr(Classifier, "features", lambda self, x: x)
    spec = make_spec(
        dataset="synthetic", image_size=32, method=name, backbone="test_resnet", start="random",
        epochs=EPOCHS, milestones=(4, 5),
    )  # fmt: skip
    method = build_method(spec, IMAGES, steps=STEPS).train()
    labels = torch.arange(len(IMAGES)).repeat_interleave(torch.tensor(IMAGES))
    features = features_of(labels, method.model.head.in_features, 1)
    optimizer = method.configure_optimizers()
    for epoch in range(EPOCHS):
        pass_over(method, optimizer, epoch, features, labels)
    return method, optimizer, features, labels


def pass_over(method, optimizer, epoch, features, labels):
    """An epoch of the run: shuffled images in the first stage, balanced classes in the second."""
    draw = torch.Generator().manual_seed(epoch)
    if epoch < EPOCHS:
        chosen = torch.randint(len(labels), (STEPS, BATCH), generator=draw)
    else:
        classes, sizes = torch.randint(len(IMAGES), (STEPS, BATCH), generator=draw), torch.tensor(IMAGES)
        place = (torch.rand(STEPS, BATCH, generator=draw) * sizes[classes]).long()
        chosen = (sizes.cumsum(0) - sizes)[classes] + place
    method.begin_epoch(epoch)
    method.train()
    for group in optimizer.param_groups:
        group["lr"] = method.rates(method.epoch)[group["name"]]
    (stream,) = method.streams_of(method.stage)
    for images in chosen:
        loss = method.step(**{stream: Batch(features[images], labels[images])})["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def balanced(logits, labels):
    """Cross entropy, a mean over classes of a class's mean."""
    losses = F.cross_entropy(logits, labels, reduction="none")
    return torch.stack([losses[labels == c].mean() for c in range(len(IMAGES))]).mean()


def best_scales(logits, labels):
    """Scales of the least balanced cross entropy, by another optimizer."""
    scale = torch.ones(len(IMAGES), requires_grad=True)
    search = torch.optim.LBFGS([scale], max_iter=300, line_search_fn="strong_wolfe")

    def closure():
        search.zero_grad()
        loss = balanced(scale * logits, labels)
        loss.backward()
        return loss

    search.step(closure)
    return scale.detach()


def test_scales_settle_near_their_best_at_their_own_rate_and_not_at_the_heads(monkeypatch):
    *trained, features, labels = long_tailed("lws", monkeypatch)
    with torch.no_grad():
        logits = trained[0].model.head(features)  # scales are 1
    best = best_scales(logits, labels)
    start, least = balanced(logits, labels), balanced(best * logits, labels)
    closed, away = {}, {}
    for rate in (10.0, 1.0):
        method, optimizer = copy.deepcopy(trained)
        assert method.rate_scale == 10.0  # the default
        method.rate_scale, scales = rate, []
        for epoch in range(EPOCHS, 2 * EPOCHS):
            pass_over(method, optimizer, epoch, features, labels)
            scales.append(method.scale.detach().clone())
        closed[rate] = ((start - balanced(scales[-1] * logits, labels)) / (start - least)).item()
        away[rate] = ((scales[-1] - best).norm() / best.norm()).item()
        assert (scales[-1] - scales[3]).norm() < 0.03 * scales[-1].norm()  # in the last third
    assert closed[10.0] > 0.99 and away[10.0] < 0.1
    assert closed[1.0] < 0.95 and away[1.0] > 0.3


def test_a_new_head_settles_in_a_stage_as_long_as_the_first(monkeypatch):
    method, optimizer, features, labels = long_tailed("crt", monkeypatch)
    fresh = torch.arange(len(IMAGES)).repeat_interleave(500)
    shown, right, losses = features_of(fresh, features.shape[1], 2), [], []
    for epoch in range(EPOCHS, 2 * EPOCHS):
        pass_over(method, optimizer, epoch, features, labels)
        with torch.no_grad():
            right.append((method.model.head(shown).argmax(dim=1) == fresh).float().mean().item())
            losses.append(balanced(method.model.head(features), labels).item())
    assert losses[-1] > 0.96 * losses[3] and abs(right[-1] - right[3]) < 0.002  # in the last third
    assert losses[1] > 1.5 * losses[-1]  # where a third of the length would have left it
