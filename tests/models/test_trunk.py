"""Networks cut in two: the parts give what the whole gives, the trunk stays as it is, and a wrong name is one line."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn

from marsnb.errors import RecipeError
from marsnb.models import trunk as trunks
from marsnb.models.backbones import LITE, LITES, build_backbone
from marsnb.models.batchnorm import untracked_batchnorm
from marsnb.models.segmenter import build_segmenter

CUTS = [
    (LITE, "blocks.5"),
    ("resnet18", "layer3"),
    ("resnet50", "layer2"),
    ("test_resnet", "layer2"),
    ("test_efficientnet", "blocks.2"),
]


@pytest.fixture
def images():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=["plain", "folded"])
def alike(request, monkeypatch):
    """Whether two results are the same: to the bit, or up to rounding where batch normalisation is folded away."""
    if request.param == "folded":
        return lambda one, other: torch.allclose(one, other, rtol=0, atol=1e-5 * float(other.abs().max()))
    monkeypatch.setattr(trunks, "run_frozen", trunks.run)
    return torch.equal


@pytest.mark.parametrize(("name", "at"), CUTS)
def test_parts_give_what_the_whole_gives(name, at, images, alike):
    whole = build_backbone(name, seed=0).eval()
    cut = build_backbone(name, seed=0).cut_at(at).eval()
    deep = cut.trunk(images)
    assert deep.ndim == 4 and deep.shape[1] != 3 and not deep.requires_grad
    with torch.no_grad():
        assert alike(cut(images), whole(images))
        assert torch.equal(cut(deep), cut(images))


@pytest.mark.parametrize(("name", "at"), CUTS)
def test_the_trunk_never_learns_and_never_moves(name, at, images):
    backbone = build_backbone(name, seed=0).cut_at(at)
    before = {k: v.clone() for k, v in backbone.state_dict().items()}
    backbone.train().requires_grad_(True)
    optimizer = torch.optim.SGD([p for p in backbone.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        backbone(images).square().mean().backward()
        optimizer.step()
    changed = {k for k, v in backbone.state_dict().items() if not torch.equal(v, before[k])}
    trunk = tuple(f"network.{part}." for part in backbone.trunk_parts)
    assert not [k for k in changed if k.startswith(trunk)]
    assert [k for k in changed if k.endswith("weight")] and [k for k in changed if "running_mean" in k]
    assert all(not p.requires_grad for n, p in backbone.named_parameters() if n.startswith(trunk))


@pytest.mark.parametrize(("name", "at"), [c for c in CUTS if c[0] != "resnet50"])
def test_a_segmenter_takes_what_its_trunk_leaves(name, at, images, alike):
    whole = build_segmenter(name, 4, seed=0, decoder_channels=16).eval()
    cut = build_segmenter(name, 4, seed=0, decoder_channels=16).cut_at(at).eval()
    left = cut.trunk(images)
    assert left.low.shape[-1] == images.shape[-1] // 4
    with torch.no_grad():
        assert alike(cut(images), whole(images))
        assert torch.equal(cut(left), cut(images))
        assert alike(cut.embed(left), whole.embed(images))
        assert all(alike(one, other) for one, other in zip(cut.both(left), whole.both(images), strict=True))


def test_a_segmenters_trunk_and_frozen_batchnorm_stay(images):
    model = build_segmenter("test_resnet", 4, seed=0, decoder_channels=16, batchnorm="frozen").cut_at("layer2").train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model(images).square().mean().backward()
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed and not [k for k in changed if k.startswith("encoder")]  # statistics of the decoder alone
    learns = {n for n, p in model.named_parameters() if p.grad is not None}
    assert any(n.startswith("encoder.model.layer4") for n in learns)
    assert not any(n.startswith(("encoder.model.layer1", "encoder.model.conv1")) for n in learns)


@pytest.mark.parametrize(
    ("name", "at", "says"),
    [
        (LITE, "blocks.9", "known: blocks.0, .*blocks.6"),
        ("resnet18", "layer5", "known: layer1, layer2, layer3, layer4"),
        ("resnet18", "layer4", "nothing .* to learn: cut after layer3"),
        ("vgg16", "features", "cannot be cut"),
    ],
)
def test_a_wrong_name_is_one_line(name, at, says):
    with pytest.raises(RecipeError, match=says) as error:
        build_backbone(name, seed=0).cut_at(at)
    assert "\n" not in str(error.value)


def test_a_segmenter_is_not_cut_before_stride_4():
    with pytest.raises(RecipeError, match="stride 4"):
        build_segmenter(LITE, 4, seed=0, decoder_channels=16).cut_at("blocks.0")
    with pytest.raises(RecipeError, match=r"to learn: cut after blocks\.5"):
        build_segmenter(LITE, 4, seed=0, decoder_channels=16).cut_at("blocks.6")


@pytest.mark.parametrize("name", LITES)
def test_weights_from_packages_fit(name):
    backbone = build_backbone(name, "imagenet-lite").cut_at("blocks.5")
    assert backbone.num_features == 1280 and backbone.mean == (0.5, 0.5, 0.5)


def test_stages_of_networks_that_are_no_sequence():
    assert trunks.stages(build_backbone("test_vit", seed=0).network) == []


@pytest.mark.parametrize("around", [lambda module: nullcontext(), untracked_batchnorm])
@pytest.mark.parametrize(("name", "at"), [("tf_efficientnet_lite0", "blocks.5"), ("resnet18", "layer3")])
def test_folded_batchnorm_gives_what_the_trunk_gives(name, at, around):
    torch.manual_seed(0)
    backbone = build_backbone(name, "random", seed=0).cut_at(at)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.running_var, module.weight, module.bias):
                nn.init.uniform_(tensor, 0.5, 1.5)
    x = torch.rand(2, 3, 64, 64)
    names, network, whole = backbone.trunk_parts, backbone.network, (x - backbone.input_mean) / backbone.input_std
    for _ in range(2):  # the second time from what was kept
        wanted = trunks.run(network, names, whole)
        with around(backbone):  # as where mixed images pass, whose statistics are not to count
            found = backbone.trunk(x)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))
    folded = trunks._FOLDED[network][tuple(names)][1]
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())


def test_folded_batchnorm_follows_weights_that_are_loaded():
    backbone, other = (build_backbone("test_resnet", "random", seed=seed).cut_at("layer3") for seed in (0, 1))
    x = torch.rand(2, 3, 64, 64)
    before = backbone.trunk(x)
    backbone.load_state_dict(other.state_dict())
    assert not torch.allclose(backbone.trunk(x), before)
    torch.testing.assert_close(backbone.trunk(x), other.trunk(x))


def test_a_network_made_in_inference_mode_has_a_trunk_too(images):
    with torch.inference_mode():
        backbone = build_backbone("test_resnet", seed=0).cut_at("layer3")
        found = backbone.trunk(images)
    wanted = build_backbone("test_resnet", seed=0).cut_at("layer3").trunk(images)
    assert torch.equal(found, wanted)


def test_a_network_that_is_not_its_modules_in_their_order_is_left_as_it_is():
    class Twisted(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, x):
            return self.conv(self.norm(x))

    network = nn.Sequential(Twisted()).eval()
    nn.init.uniform_(network[0].norm.running_mean, 0.5, 1.5)
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(trunks.run_frozen(network, ["0"], x), network(x))
