"""CCT: what each perturbation does, which parts its agreement trains, and that the main path stays as it is."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from marsnb.methods.segmentation import _perturbations as perturbations
from marsnb.methods.segmentation._consistency import ramp_up
from marsnb.methods.segmentation._perturbations import PERTURBATIONS, Scene, unit_step
from marsnb.methods.segmentation.cct import auxiliary_decoder
from tests.fake.masks import batch_of, labels_of, method_of

each_perturbation = pytest.mark.parametrize("name", list(PERTURBATIONS))


def scene(batch=3, edge=12):
    """Ground of class 1, an upright object of class 0 and a small one of class 3."""
    classes = torch.ones(batch, edge, edge, dtype=torch.int64)
    classes[:, 1:11, 2:6] = 0
    classes[:, 4:6, 8:10] = 3
    return Scene(classes, 4)


def features(batch=3, edge=12):
    torch.manual_seed(0)
    return torch.rand(batch, 16, edge, edge) + 0.1


def perturbed(name, z, decoder=None):
    return PERTURBATIONS[name][0](z, scene(len(z)), decoder or nn.Conv2d(16, 4, 1))


@each_perturbation
def test_it_changes_the_features_keeps_their_shape_and_lets_their_gradient_through(name):
    z = features().requires_grad_()
    out = perturbed(name, z)
    assert out.shape == z.shape and not torch.equal(out, z)
    out.sum().backward()
    assert z.grad.abs().sum() > 0
    if name not in ("feature_noise", "adversarial"):  # what is taken away has no gradient, what is left has
        assert torch.equal(z.grad != 0, out != 0)


@pytest.mark.parametrize("name", [n for n in PERTURBATIONS if n not in ("context_mask", "object_mask")])
def test_every_image_has_its_own_random_numbers(name):
    z = features(1).expand(3, -1, -1, -1)
    out = perturbed(name, z)
    assert not torch.equal(out[0], out[1]) and not torch.equal(out[1], out[2])


def test_the_masks_are_the_two_parts_of_the_features():
    z = features()
    context, objects = perturbed("object_mask", z), perturbed("context_mask", z)
    torch.testing.assert_close(context + objects, z)
    assert torch.equal((context != 0).all(dim=1), scene().classes == 1)


def test_noise_stays_within_its_bounds():
    share = perturbed("feature_noise", features()) / features() - 1
    assert share.abs().max() <= 0.3 + 1e-5 and share.abs().max() > 0.29 and share.mean().abs() < 0.01


def test_the_most_active_elements_are_dropped():
    z = features()
    out = perturbed("feature_drop", z)
    kept, activation = (out != 0).any(dim=1), z.mean(dim=1)
    for image in range(3):
        assert activation[image][~kept[image]].min() > activation[image][kept[image]].max()
        low = activation[image][~kept[image]].min() / activation[image].max()
        assert low >= 0.7


def test_the_share_of_the_most_active_elements_is_drawn_from_0_7_to_0_9():
    torch.manual_seed(0)
    z = torch.linspace(0.0, 1.0, 1001).expand(400, 1, 1, 1001)
    lows = torch.where(perturbed("feature_drop", z) == 0, z, 2.0)[:, 0, 0, 1:].amin(dim=1)
    assert 0.7 <= lows.min() < 0.705 and 0.895 < lows.max() <= 0.901 and abs(lows.mean() - 0.8) < 0.01


def test_half_of_the_channels_are_dropped_whole():
    z = torch.ones(8, 64, 4, 4)
    out = PERTURBATIONS["dropout"][0](z, scene(8, 12), nn.Identity())
    dropped = (out == 0).flatten(2)
    assert torch.equal(dropped.all(dim=2), dropped.any(dim=2))
    assert dropped.float().mean().item() == pytest.approx(0.5, abs=0.1)


def test_guided_holes_lie_in_the_boxes_of_objects():
    torch.manual_seed(0)
    z, seen = torch.ones(1, 16, 12, 12), torch.zeros(12, 12, dtype=torch.bool)
    allowed = torch.zeros(12, 12, dtype=torch.bool)
    allowed[1:11, 2:6] = allowed[4:6, 8:10] = True
    sizes = []
    for _ in range(600):
        hole = perturbed("guided_cutout", z)[0, 0] == 0
        assert not hole[~allowed].any()
        sizes.append(int(hole[1:11, 2:6].sum()))
        seen |= hole
    assert sum(sizes) / 600 == pytest.approx(0.4 * 10 * 0.4 * 4, rel=0.1)
    assert torch.equal(seen[1:11, 2:6], allowed[1:11, 2:6]) and seen[4:6, 8:10].any()
    ground = Scene(torch.ones(1, 12, 12, dtype=torch.int64), 4)
    assert torch.equal(PERTURBATIONS["guided_cutout"][0](z, ground, nn.Identity()), z)  # nothing to cut out


def test_the_adversarial_step_is_worse_than_a_random_one_and_leaves_the_decoder_alone():
    torch.manual_seed(0)
    z, decoder = features(), nn.Conv2d(16, 4, 1)

    def divergence(other):
        before = decoder(z).log_softmax(dim=1)
        return F.kl_div(decoder(other).log_softmax(dim=1), before, reduction="sum", log_target=True).item()

    out = perturbed("adversarial", z, decoder)
    torch.testing.assert_close((out - z).flatten(1).norm(dim=1), torch.full((3,), perturbations.RADIUS))
    random = [divergence(z + perturbations.RADIUS * unit_step(torch.randn_like(z))) for _ in range(10)]
    assert divergence(out) > 3 * max(random)
    assert all(p.grad is None for p in decoder.parameters())
    with torch.no_grad():  # also where no graph is kept
        assert perturbed("adversarial", z, decoder).isfinite().all()


def test_the_main_path_is_the_models():
    method, images = method_of("cct").eval(), batch_of().images
    z, small, logits = method.split(images)
    assert torch.equal(logits, method.model(images))
    assert z.shape == (3, 16, 2, 2) and small.shape == (3, 4, 8, 8)
    assert torch.equal(F.interpolate(small, scale_factor=4, mode="bilinear", align_corners=True), logits)


def gradients(method, loss, part):
    method.zero_grad()
    loss.backward(retain_graph=True)
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in part.parameters()]


def test_agreement_trains_encoder_and_auxiliary_decoders_and_never_the_main_decoder():
    method, fed = method_of("cct"), batch_of()
    z, small, _ = method.split(fed.images)
    agreement = method.agreement(z, small, fed.labels)
    model, decoder = method.model, method.model.decoder
    for part in (model.head, decoder.block1, decoder.block2):
        assert not any(g.abs().sum() > 0 for g in gradients(method, agreement, part))
    assert all(g.abs().sum() > 0 for g in gradients(method, agreement, method.auxiliary))
    assert any(g.abs().sum() > 0 for g in gradients(method, agreement, decoder.aspp))
    assert any(g.abs().sum() > 0 for g in gradients(method, agreement, model.encoder))


def test_the_main_decoders_gradient_is_that_of_cross_entropy_alone():
    method, plain, fed = method_of("cct", warmup=0.0), method_of("cross_entropy"), batch_of()
    method.step(labelled=fed)["loss"].backward()
    plain.step(labelled=fed)["loss"].backward()
    for part in ("head", "decoder.block1", "decoder.block2"):
        pairs = zip(
            method.model.get_submodule(part).parameters(), plain.model.get_submodule(part).parameters(), strict=True
        )
        for ours, theirs in pairs:
            torch.testing.assert_close(ours.grad, theirs.grad)
    assert not torch.allclose(method.model.network.conv1[0].weight.grad, plain.model.network.conv1[0].weight.grad)


def test_agreement_is_on_unlabelled_pixels_alone():
    method, fed = method_of("cct", decoders=1), batch_of()
    z, small, _ = method.split(fed.images)
    assert method.agreement(z, small, torch.zeros_like(fed.labels)) == 0
    z, small = torch.rand(3, 16, 2, 2), torch.randn(3, 4, 8, 8)
    method.auxiliary = nn.ModuleDict({"dropout": nn.ModuleList([nn.Identity()])})
    maps = torch.randn(3, 4, 8, 8, requires_grad=True)
    method.auxiliary["dropout"][0].forward = lambda z: maps
    loss, unlabelled = method.agreement(z, small, labels_of()), labels_of()[:, ::4, ::4] == 255
    loss.backward()
    assert torch.equal(maps.grad.abs().sum(dim=1) > 0, unlabelled)
    apart = (maps.detach().softmax(dim=1) - small.softmax(dim=1)).square().mean(dim=1)  # element by element
    torch.testing.assert_close(loss.detach(), apart[unlabelled].mean())


def test_it_is_its_equation():
    method, fed = method_of("cct", weight=5.0), batch_of()
    method.progress = 0.1  # a half of the ramp
    losses = method.step(labelled=fed)
    expected = losses["ce"] + ramp_up(0.05, 0.1) * 5.0 * losses["agreement"]
    assert losses["loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert 0 < losses["agreement"] < 1


def test_an_auxiliary_decoder_is_a_classifier_and_two_doublings():
    torch.manual_seed(0)
    decoder, z = auxiliary_decoder(16, 4), torch.randn(2, 16, 3, 5)
    kinds = [type(layer).__name__ for layer in decoder]
    assert kinds == ["Conv2d", "Conv2d", "ReLU", "PixelShuffle", "Conv2d", "ReLU", "PixelShuffle"]
    classify, *widen = (layer for layer in decoder if isinstance(layer, nn.Conv2d))
    assert classify.bias is None and classify.weight.shape == (4, 16, 1, 1)
    assert all(layer.weight.shape == (16, 4, 1, 1) and layer.bias is not None for layer in widen)
    at = classify(z)
    for layer in widen:  # a loop of its own: four channels in a row are the four pixels of an element
        wide, rows, columns = layer(at).relu(), at.shape[2], at.shape[3]
        larger = torch.zeros(2, 4, 2 * rows, 2 * columns)
        for row in range(2):
            for column in range(2):
                larger[:, :, row::2, column::2] = wide[:, 2 * row + column :: 4]
        at = larger
    torch.testing.assert_close(decoder(z), at)
    assert at.shape == (2, 4, 12, 20)
    with torch.no_grad():
        for layer in widen:
            layer.bias.zero_()
    grown = decoder(z)
    assert torch.equal(grown, grown[:, :, ::4, ::4].repeat_interleave(4, 2).repeat_interleave(4, 3))  # at first


def test_numbers_of_decoders():
    numbers = {name: len(decoders) for name, decoders in method_of("cct").auxiliary.items()}
    assert numbers == {name: number for name, (_, number) in PERTURBATIONS.items()} and sum(numbers.values()) == 30
    assert {len(decoders) for decoders in method_of("cct", decoders=1).auxiliary.values()} == {1}
