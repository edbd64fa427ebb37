"""Mixing takes everything of a pixel along; teachers, ramps and pseudo labels reach what they should."""

import copy

import pytest
import torch
from torch.nn import functional as F

from marsnb.errors import RecipeError
from marsnb.methods.segmentation._consistency import PseudoBatch, ramp_up, squared_difference
from marsnb.methods.segmentation._mixing import MIXINGS, half_the_classes, outside_boxes
from tests.fake.masks import batch_of, feed, labels_of, method_of

TEACHERS = ["pseudo_teacher", "cutout", "cutmix", "classmix", "reco"]
each_mixing = pytest.mark.parametrize("name", list(MIXINGS))


def numbered(labels):
    """An image whose value says which pixel of which image it is, 0 nowhere."""
    return torch.arange(1, labels.numel() + 1).view(labels.shape)


@each_mixing
def test_every_pixel_keeps_its_label_and_255_stays_255(name):
    labels = labels_of(4)
    ids = numbered(labels)
    known = torch.cat([torch.tensor([255]), labels.flatten()])  # by id; 0 is the blank
    torch.manual_seed(1)
    mix = MIXINGS[name](labels, 4)
    images, mixed = mix(ids[:, None].float().expand(-1, 3, -1, -1), torch.zeros(3, 1, 1)), mix(labels, 255)
    logits = mix(F.one_hot(labels.clamp_max(4), 5).movedim(3, 1).float(), 0.0)
    shown = images[:, 0].long()
    assert torch.equal(mixed, known[shown])
    assert torch.equal(logits.sum(dim=1) > 0, shown > 0)
    assert torch.equal(logits.argmax(dim=1)[mixed != 255], mixed[mixed != 255])
    assert (mixed == 255).any() and mixed.dtype == labels.dtype
    own, partner = shown == ids, shown == ids.roll(1, 0)
    assert torch.equal(own, mix.keep)
    assert (own | partner).all() if name != "cutout" else torch.equal(~own, shown == 0)
    assert own.all() == (name == "none")
    assert torch.equal(ids, numbered(labels))  # the batch itself is left alone


def test_a_box_is_one_rectangle_of_half_the_image_at_any_place():
    torch.manual_seed(0)
    inside = ~outside_boxes(torch.zeros(300, 40, 60))
    share = inside.float().mean(dim=(1, 2))
    assert share.mean().item() == pytest.approx(0.5, abs=0.01) and share.min() > 0.4 and share.max() < 0.6
    rows, columns = inside.any(dim=2), inside.any(dim=1)
    assert torch.equal(inside, rows[:, :, None] & columns[:, None, :])  # a rectangle ...
    assert ((rows.int().diff(dim=1) != 0).sum(dim=1) <= 2).all()  # ... without a gap
    quarters = inside.float().mean(dim=0)[[10, 10, 30, 30], [15, 45, 15, 45]]
    assert quarters.max() - quarters.min() < 0.15 and quarters.max() < 1  # no side is preferred
    assert rows.sum(dim=1).min() < 24 and rows.sum(dim=1).max() > 36  # flat ones and tall ones


def test_half_the_classes_are_taken_whole_and_rounded_down():
    torch.manual_seed(0)
    for classes in (1, 2, 3, 4):
        labels = torch.randint(0, classes, (20, 8, 8))
        labels[:, 0] = 255
        keep = half_the_classes(labels, 4)
        for own, kept in zip(labels, keep, strict=True):
            chosen = set(own[kept].tolist())
            assert len(chosen) == classes // 2 and 255 not in chosen
            assert torch.equal(kept, torch.isin(own, torch.tensor(sorted(chosen))))
    assert {tuple(sorted(set(o[k].tolist()))) for o, k in zip(labels, keep, strict=True)} >= {(0, 1), (2, 3)}


def test_ramps_hit_their_ends():
    assert ramp_up(0.0, 0.1) == pytest.approx(torch.exp(torch.tensor(-5.0)).item())
    assert ramp_up(0.1, 0.1) == ramp_up(1.0, 0.1) == ramp_up(0.0, 0.0) == 1.0
    assert ramp_up(0.05, 0.1) == pytest.approx(torch.exp(torch.tensor(-1.25)).item())
    values = [ramp_up(t / 100, 0.5) for t in range(60)]
    assert values == sorted(values)


def test_done_counts_over_all_steps():
    method, found = method_of("mean_teacher"), []
    method.training_step = lambda batch, i: None
    for epoch in range(4):
        method.begin_epoch(epoch)
        found.append(method.done)
    assert found == [0.0, 0.25, 0.5, 0.75]
    method.progress = 0.75  # of the second step
    assert method.done == pytest.approx(0.875)


def test_squared_difference_is_a_mean_and_leaves_the_target_alone():
    torch.manual_seed(0)
    logits, other = (torch.randn(2, 4, 3, 5, requires_grad=True) for _ in range(2))
    target = other.softmax(dim=1)
    loss = squared_difference(logits, target)
    assert loss.item() == pytest.approx(F.mse_loss(logits.softmax(dim=1), target).item(), rel=1e-6)
    counted = torch.zeros(2, 3, 5, dtype=torch.bool)
    counted[1, 2] = True
    squared_difference(logits, target, counted).backward()
    assert other.grad is None
    assert torch.equal(logits.grad.abs().sum(dim=1) > 0, counted)
    assert squared_difference(logits, target, torch.zeros_like(counted)) == 0


def test_pseudo_cross_entropy_weighs_an_image_by_its_sure_share():
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 4, 4, 4, requires_grad=True), torch.randint(0, 4, (2, 4, 4))
    labels[0, 0] = 255
    confidence = torch.full((2, 4, 4), 0.5).masked_fill(labels == 255, 0.0)
    confidence[0, 1], confidence[1, :2] = 0.99, 0.97
    loss, sure = PseudoBatch(torch.rand(2, 3, 4, 4), labels, confidence).cross_entropy(logits, 0.97)
    means = [F.cross_entropy(z[None], y[None], ignore_index=255) for z, y in zip(logits, labels, strict=True)]
    assert loss.item() == pytest.approx((4 / 12 * means[0] + 8 / 16 * means[1]).item() / 2, rel=1e-5)
    assert sure.item() == pytest.approx((4 / 12 + 8 / 16) / 2)
    loss.backward()
    assert torch.equal(logits.grad.abs().sum(dim=1) > 0, labels != 255)  # sure or not, but shown


@pytest.mark.parametrize("name", TEACHERS)
def test_the_teacher_sees_whole_images_and_the_student_mixed_ones(name):
    method, fed = method_of(name, **({"mixing": "cutmix"} if name == "reco" else {})), batch_of()
    torch.manual_seed(3)
    pseudo = method.pseudo_batch(fed)
    logits = method.teacher.average(fed.images)
    torch.manual_seed(3)
    confidence, labels = logits.softmax(dim=1).max(dim=1)
    mix = MIXINGS[method.mixing](labels, 4)
    assert torch.equal(pseudo.labels, mix(labels, 255)) and torch.equal(pseudo.confidence, mix(confidence, 0.0))
    assert torch.equal(pseudo.images, mix(fed.images, method.model.input_mean))
    assert torch.equal(pseudo.images, fed.images) == (name == "pseudo_teacher")  # nothing is mixed into its images


@pytest.mark.parametrize("name", TEACHERS)
def test_the_second_stream_is_used_without_its_labels(name):
    found = []
    for labels in (labels_of(), torch.full_like(labels_of(), 255)):
        method, fed = method_of(name, threshold=0.0), feed(method_of(name))
        fed["unlabelled"] = type(fed["unlabelled"])(fed["unlabelled"].images, labels)
        torch.manual_seed(5)
        found.append(method.step(**fed))
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])
    assert found[0]["pseudo"] > 0 and found[0]["sure"] == 1 if name != "cutout" else found[0]["pseudo"] > 0


@pytest.mark.parametrize("name", [*TEACHERS, "mean_teacher"])
def test_without_any_label_the_unlabelled_term_trains_the_student_and_never_the_teacher(name):
    method = method_of(name, **({} if name == "mean_teacher" else {"threshold": 0.0}))
    blank = batch_of(torch.full_like(labels_of(), 255))
    losses = method.step(**dict.fromkeys(method.streams, blank))
    losses["loss"].backward()
    assert losses["ce"] == 0
    assert (
        method.model.head[0].weight.grad.abs().sum() > 0 and method.model.network.conv1[0].weight.grad.abs().sum() > 0
    )
    assert all(p.grad is None for p in method.teacher.parameters())
    learnt = {id(p) for group in method.configure_optimizers().param_groups for p in group["params"]}
    assert not learnt & {id(p) for p in method.teacher.parameters()}
    assert learnt == {id(p) for p in method.model.parameters()}


def test_mean_teacher_is_its_equation():
    method, fed = method_of("mean_teacher", noise=0.0, weight=7.0), batch_of()
    method.progress = 0.02  # of the first of two steps: 0.01 of training, a tenth of the ramp
    found = method.step(labelled=fed)
    logits, target = method.model(fed.images), method.teacher.average(fed.images).softmax(dim=1)
    difference = F.mse_loss(logits.softmax(dim=1), target)
    assert found["difference"].item() == pytest.approx(difference.item(), rel=1e-3)
    ramp = ramp_up(0.01, 0.1)
    assert found["loss"].item() == pytest.approx((found["ce"] + ramp * 7.0 * found["difference"]).item(), rel=1e-5)
    torch.manual_seed(0)
    noise = method_of("mean_teacher", noise=0.5).noisy(fed.images) - fed.images
    assert (noise / method.model.input_std).std().item() == pytest.approx(0.5, rel=0.1)


def test_the_teacher_follows_the_student_by_its_decay():
    method, fed = method_of("cutmix", decay=0.5), feed(method_of("cutmix"))
    first = method.model.head[0].weight.detach().clone()
    method.step(**fed)
    assert torch.equal(method.teacher.average.head[0].weight, first)
    with torch.no_grad():
        method.model.head[0].weight += 1
    method.step(**fed)
    torch.testing.assert_close(method.teacher.average.head[0].weight.data, first + 0.5)


@pytest.mark.parametrize(
    ("name", "settings"),
    [*((name, {}) for name in TEACHERS), *(("reco", {"mixing": m}) for m in MIXINGS if m != "none")],
)
def test_running_statistics_are_those_of_the_labelled_batch_alone(name, settings):
    method, fed = method_of(name, **settings), feed(method_of(name))
    before, other = copy.deepcopy(method.model.state_dict()), copy.deepcopy(method.model)
    method.step(**fed)["loss"].backward()
    other.both(fed["labelled"].images) if name == "reco" else other(fed["labelled"].images)
    ours, theirs = method.model.state_dict(), other.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert any(not torch.equal(ours[key], before[key]) for key in ours if key.endswith("running_mean"))


def test_an_unknown_mixing_names_the_known():
    with pytest.raises(RecipeError, match="'mixing' is 'mosaic'; known: none, cutout, cutmix, classmix"):
        method_of("reco", mixing="mosaic")
