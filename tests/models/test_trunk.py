"""Networks cut in two: the parts give what the whole gives, the trunk stays as it is, and a wrong name is one line."""

import pytest
import torch

from marsnb.errors import RecipeError
from marsnb.models import trunk as trunks
from marsnb.models.backbones import LITE, LITES, build_backbone
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


@pytest.mark.parametrize(("name", "at"), CUTS)
def test_parts_give_what_the_whole_gives(name, at, images):
    whole = build_backbone(name, seed=0).eval()
    cut = build_backbone(name, seed=0).cut_at(at).eval()
    deep = cut.trunk(images)
    assert deep.ndim == 4 and deep.shape[1] != 3 and not deep.requires_grad
    with torch.no_grad():
        assert torch.equal(whole(images), cut(images))
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
def test_a_segmenter_takes_what_its_trunk_leaves(name, at, images):
    whole = build_segmenter(name, 4, seed=0, decoder_channels=16).eval()
    cut = build_segmenter(name, 4, seed=0, decoder_channels=16).cut_at(at).eval()
    left = cut.trunk(images)
    assert left.low.shape[-1] == images.shape[-1] // 4
    with torch.no_grad():
        assert torch.equal(whole(images), cut(images))
        assert torch.equal(cut(left), cut(images))
        assert torch.equal(cut.embed(left), whole.embed(images))
        for one, other in zip(cut.both(left), whole.both(images), strict=True):
            assert torch.equal(one, other)


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
