"""Every method of the registry on a tiny network: its equation, its gradients, its seeds and its settings.

A new method is tested by the loops without a change here; a line in ``EQUATIONS`` adds the check of its weights.
"""

import copy
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from marsnb.data.streams import STREAMS
from marsnb.errors import RecipeError, TrainingError
from marsnb.losses.info_nce import info_nce
from marsnb.losses.inter_class import inter_class
from marsnb.losses.similarity import similarity
from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Batch, PairBatch, method_settings
from marsnb.training.classification import build_method
from marsnb.training.spec import make_spec

CLASSES = 4
SIZE = 32
SIZES = {"labelled": 8, "classes": CLASSES, "unlabelled": 6}
RATES = {"lr_head": 1e-3, "lr_projection": 1e-3, "lr_backbone": 1e-3}
COUNTS = (40, 20, 10, 5)
"""Training images of each class, as a run would count them."""
each_method = pytest.mark.parametrize("name", list(METHODS))
each_stage = pytest.mark.parametrize(
    ("name", "stage"), [(n, i) for n in METHODS for i in range(len(METHODS[n].stages))]
)

# Weight of each term at the paper's settings, and the parts that the whole gives a gradient to.
EQUATIONS = {
    "cross_entropy": ({"ce": 1}, {"head", "backbone"}),
    "strong_augmentation": ({"ce": 1}, {"head", "backbone"}),
    "class_balanced_sampling": ({"ce": 1}, {"head", "backbone"}),
    "linear_probe": ({"ce": 1}, {"head"}),
    "info_nce": ({"ce": 1, "info_nce": 1}, {"head", "backbone", "project_s"}),
    "inter_class": ({"ce": 1, "inter_class": 1}, {"head", "backbone", "project_s"}),
    "similarity": ({"ce": 1, "similarity": 0.2}, {"head", "backbone", "project_u"}),
    "semi_supervised": (
        {"ce": 1, "inter_class": 1, "similarity": 0.2},
        {"head", "backbone", "project_s", "project_u"},
    ),
}
# The parts that a stage of another method gives a gradient to, where it is not head and backbone.
LEARNS: dict[tuple[str, int], set[str]] = {
    ("sscl", 0): {"head", "backbone", "project_u"},
    **{(name, 1): {"head"} for name in ("crt", "lws", "supcon_linear")},
    **{(name, 0): {"backbone", "project_s"} for name in ("supcon_linear", "supcon_all")},
}
# Where a stage learns too little at 1e-3 for 15 steps to show it: only the scales of a random head.
FASTER = {("lws", 1): {"lr_head": 0.01}}
# The term that each weight among the settings belongs to; the only other setting is the temperature.
WEIGHT_OF = {"weight": "info_nce", "weight_s": "inter_class", "weight_u": "similarity"}


def spec_of(name, **fields):
    return make_spec(
        **{"dataset": "synthetic", "image_size": SIZE, "method": name, "backbone": "test_resnet", "start": "random"}
        | RATES
        | fields
    )


def build(name, **fields):
    return build_method(spec_of(name, **fields), COUNTS).train()


def at_stage(name, stage, **fields):
    """A method at the first epoch of one of its stages."""
    method = build(name, **fields)
    method.begin_epoch(sum(method.stage_epochs()[:stage]))
    assert (method.stage, method.epoch) == (stage, 0)
    return method


def pictures(labels, generator):
    """One flat colour per class, and noise."""
    colours = torch.rand(CLASSES, 3, 1, 1, generator=torch.Generator().manual_seed(5))
    noise = torch.rand(len(labels), 3, SIZE, SIZE, generator=generator)
    return 0.7 * colours[labels] + 0.3 * noise


def make_batches(method, seed=0):
    """What the method's streams would bring: ``Batch`` for one view, ``PairBatch`` for two; features for a probe."""
    generator = torch.Generator().manual_seed(seed)
    batches = {}
    for name in method.streams_of(method.stage):
        stream = STREAMS[name]
        labels = torch.arange(SIZES[stream.batch]) % CLASSES
        views = [pictures(labels, generator) for _ in range(stream.views)]
        if stream.source == "unlabelled":
            labels = torch.full_like(labels, -1)
        if method.precompute:
            with torch.no_grad():
                views = [copy.deepcopy(method.model.backbone).eval()(view) for view in views]
        batches[name] = PairBatch(*views, labels) if stream.views == 2 else Batch(views[0], labels)
    return batches


def train(method, batches, steps):
    """Losses of ``steps`` steps on one batch."""
    optimizer = method.configure_optimizers()
    losses = []
    for i in range(steps):
        loss = method.training_step(batches, i)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def parts_with_gradient(method):
    model = method.model
    parts = {"head": model.head, "backbone": model.backbone, "project_s": model.project_s, "project_u": model.project_u}
    return {
        name
        for name, part in parts.items()
        if any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
    }


def pairs_of(method):
    return [name for name in method.streams if STREAMS[name].views == 2]


def term(name, method, batches, temperature=0.2):
    """A term of the equation, computed here from the model's maps and the losses."""
    model = method.model
    if name == "ce":
        labelled = batches[next(stream for stream in method.streams if STREAMS[stream].views == 1)]
        logits = model.head(labelled.images) if method.precompute else model(labelled.images)
        return F.cross_entropy(logits, labelled.labels)
    stream = {"info_nce": "image_pairs", "inter_class": "class_pairs", "similarity": "unlabelled_pairs"}[name]
    pair, embed = batches[stream], model.embed_u if name == "similarity" else model.embed_s
    if name == "similarity":
        return similarity(embed(pair.view1), embed(pair.view2))
    contrast = {"info_nce": info_nce, "inter_class": inter_class}[name]
    return contrast(embed(pair.view1), embed(pair.view2), temperature)


@each_stage
def test_losses_are_finite_scalars(name, stage):
    method = at_stage(name, stage)
    torch.manual_seed(0)
    losses = method.step(**make_batches(method))
    assert "loss" in losses and losses["loss"].requires_grad
    assert all(value.shape == () and value.isfinite() for value in losses.values())
    torch.manual_seed(0)
    method = at_stage(name, stage)
    torch.manual_seed(0)
    assert method.training_step(make_batches(method), 0).item() == pytest.approx(losses["loss"].item(), rel=1e-5)
    assert set(method.epoch_losses) == set(losses)


@pytest.mark.parametrize("name", list(EQUATIONS))
def test_loss_is_the_equations_weighted_sum(name):
    method = build(name)
    batches, weights = make_batches(method), EQUATIONS[name][0]
    losses = method.step(**batches)
    assert set(losses) == {"loss", *weights}
    for part in weights:
        torch.testing.assert_close(losses[part], term(part, method, batches), rtol=1e-4, atol=1e-5)
    total = sum(weight * losses[part] for part, weight in weights.items())
    torch.testing.assert_close(losses["loss"], total)


@pytest.mark.parametrize(
    ("name", "setting"),
    [(name, setting) for name in EQUATIONS for setting in method_settings(METHODS[name], {})],
)
def test_a_setting_changes_its_term_and_nothing_else(name, setting):
    method = build(name, settings={setting: 0.5})
    batches, weights = make_batches(method), dict(EQUATIONS[name][0])
    if setting != "temperature":
        weights[WEIGHT_OF[setting]] = 0.5
    losses = method.step(**batches)
    for part in weights:
        ours = term(part, method, batches, 0.5 if setting == "temperature" else 0.2)
        torch.testing.assert_close(losses[part], ours, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(losses["loss"], sum(weight * losses[part] for part, weight in weights.items()))


@each_stage
def test_gradient_where_it_belongs(name, stage):
    method = at_stage(name, stage)
    method.step(**make_batches(method))["loss"].backward()
    found = parts_with_gradient(method)
    assert found == LEARNS.get((name, stage), EQUATIONS.get(name, (None, {"head", "backbone"}))[1])
    if len(method.stages) == 1 and method.embedding != "features":
        assert method.embedding.replace("embed", "project") in found


@each_stage
def test_only_what_learns_is_moved(name, stage):
    method = at_stage(name, stage)
    before = {key: value.clone() for key, value in method.model.named_parameters()}
    batches = make_batches(method)
    train(method, batches, 2)
    found = parts_with_gradient(method)
    moved = {key.split(".")[0] for key, value in method.model.named_parameters() if not torch.equal(value, before[key])}
    assert moved == found


@each_stage
def test_frozen_batchnorm_stays(name, stage):
    method = at_stage(name, stage, batchnorm="frozen")
    before = copy.deepcopy(method.model.backbone.state_dict())
    train(method, make_batches(method), 2)
    layers = [key.rpartition(".")[0] for key in before if key.endswith("running_mean")]
    assert layers
    after = method.model.backbone.state_dict()
    for key in before:
        if key.rpartition(".")[0] in layers:
            assert torch.equal(before[key], after[key]), key


@each_stage
def test_fifteen_steps_lower_the_loss(name, stage):
    method = at_stage(name, stage, **FASTER.get((name, stage), {}))
    losses = train(method, make_batches(method), 15)
    assert np.mean(losses[-3:]) < losses[0] - 0.01


@each_method
def test_state_goes_round(name):
    method = build(name)
    train(method, make_batches(method), 2)
    file = io.BytesIO()
    torch.save(method.state_dict(), file)
    file.seek(0)
    other = build(name, seed=1)
    batches = make_batches(method, seed=3)
    assert not torch.equal(method.eval().step(**batches)["loss"], other.eval().step(**batches)["loss"])
    other.load_state_dict(torch.load(file, weights_only=True))
    torch.manual_seed(0)
    ours = method.step(**batches)
    torch.manual_seed(0)
    theirs = other.step(**batches)
    assert all(torch.equal(ours[part], theirs[part]) for part in ours)


@each_method
def test_equal_seeds_are_equal(name):
    curves = []
    for seed in (0, 0, 1):
        method = build(name, seed=seed)
        curves.append(train(method, make_batches(method), 3))
    assert curves[0] == curves[1] != curves[2]


@each_stage
def test_a_broken_image_stops_the_run_and_names_the_step(name, stage):
    for stream in build(name).streams_of(stage):
        method = at_stage(name, stage)
        batches = make_batches(method)
        field = "view2" if STREAMS[stream].views == 2 else "images"
        broken = getattr(batches[stream], field).clone()
        broken[0] = float("nan")
        batches[stream] = replace(batches[stream], **{field: broken})
        with pytest.raises(TrainingError, match=r"became nan at step 0 \(epoch 0\); lower the learning") as caught:
            method.training_step(batches, 0)
        assert "\n" not in str(caught.value)


@each_method
def test_an_unknown_setting_names_the_known(name):
    known = method_settings(METHODS[name], {})
    with pytest.raises(RecipeError, match=f"'wieght' is unknown to {METHODS[name].__name__}; known: ") as caught:
        spec_of(name, settings={"wieght": 1})
    assert all(setting in str(caught.value) for setting in known or ["none"])
    assert method_settings(METHODS[name], {}) == known  # and a look at the defaults changes none


@each_method
def test_streams_are_there_and_one_is_labelled(name):
    streams = [STREAMS[stream] for stream in METHODS[name].streams]
    assert any(stream.source == "train" and stream.views == 1 for stream in streams)
    assert METHODS[name].embedding in ("features", "embed_s", "embed_u")
    assert METHODS[name].__doc__


@each_method
def test_one_group_of_parameters_for_each_rate(name):
    method = build(name, lr_head=1e-3, lr_projection=2e-6, lr_backbone=1e-6, weight_decay=0.5)
    optimizer = method.configure_optimizers()
    assert isinstance(optimizer, torch.optim.Adam)
    rates = {group["name"]: group["lr"] for group in optimizer.param_groups}
    every = {"head": 1e-3, "projection": 2e-6, "backbone": 1e-6, **({"scale": 1e-2} if name == "lws" else {})}
    if name in ("supcon_linear", "supcon_all", "sscl"):  # a head of their own, not the paper's
        every["projection"] = 1e-3
    assert rates == ({"head": 1e-3} if METHODS[name].precompute else every)
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.5}
    grouped = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {p for p in method.parameters() if p.requires_grad}


def running_statistics(model):
    return {key: value.clone() for key, value in model.state_dict().items() if "running" in key or "tracked" in key}


@pytest.mark.parametrize("mode", ["train", "labelled"])
@pytest.mark.parametrize("name", [name for name in METHODS if len(METHODS[name].streams_of(0)) > 1])
def test_running_statistics_follow_the_labelled_stream_alone_where_the_model_says_so(name, mode):
    method, seen = build(name), []
    method.model.batchnorm = mode
    other = copy.deepcopy(method.model)
    method.model.backbone.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].detach()))
    method.step(**make_batches(method))
    other.features(seen[0])  # what cross entropy is on
    after, labelled = running_statistics(method.model), running_statistics(other)
    alone = all(torch.equal(after[key], labelled[key]) for key in labelled)
    assert alone == (mode == "labelled" or name == "pseudo_label")  # which leaves them alone in any case
    assert len(seen) > 1 and len(seen[0]) % SIZES["labelled"] == 0


@pytest.mark.parametrize("name", [name for name in METHODS if len(METHODS[name].streams_of(0)) == 1])
def test_running_statistics_follow_an_only_stream_in_either_mode(name):
    found = []
    for mode in ("train", "labelled"):
        method = build(name)
        before = running_statistics(method.model)
        method.model.batchnorm = mode
        torch.manual_seed(0)
        method.step(**make_batches(method))
        found.append(running_statistics(method.model))
        assert any(not torch.equal(found[-1][key], before[key]) for key in before) != method.precompute
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])
