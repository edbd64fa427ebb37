"""The segmenter: shapes, which head learns from which output, start weights, and a batch of one."""

import pytest
import torch
from torch import nn

from marsnb.errors import DataError, RecipeError
from marsnb.models.backbones import LITE, build_backbone
from marsnb.models.segmenter import Segmenter, build_segmenter

SMALL = {"decoder_channels": 16}


def build(name="test_resnet", **settings):
    return build_segmenter(name, 4, seed=0, **{**SMALL, **settings})


@pytest.fixture
def images():
    return torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def gradients(part):
    return [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in part.parameters()]


@pytest.mark.parametrize("name", ["resnet18", LITE])
def test_shapes(name, images):
    model = build(name).eval()
    assert model(images).shape == (2, 4, 64, 96)
    assert model.embed(images).shape == (2, 128, 16, 24)
    logits, embeddings = model.both(images)
    assert torch.equal(logits, model(images))
    assert torch.equal(embeddings, model.embed(images))
    assert build(name, embedding_dim=8).eval().embed(images).shape == (2, 8, 16, 24)


def test_each_head_learns_from_its_own_output_only(images):
    for method, own, other in (("forward", "", "_s"), ("embed", "_s", "")):
        model = build()
        getattr(model, method)(images).square().sum().backward()
        assert any(gradients(getattr(model, f"head{own}")))
        assert not any(gradients(getattr(model, f"head{other}")))
        assert any(gradients(model.encoder))
        assert any(gradients(getattr(model, f"decoder{own}")))
        assert not any(gradients(getattr(model, f"decoder{other}")))


def test_a_batch_of_one_trains_and_leaves_the_statistics_of_the_pool_alone(images):
    model = build().train()
    model(images)  # so that there are statistics
    pool = next(layer for key, layer in model.decoder.named_modules() if key.endswith("convs.4.2"))
    assert isinstance(pool, nn.BatchNorm2d)
    mean = pool.running_mean.clone()
    logits = model(images[:1])
    logits.sum().backward()
    assert logits.isfinite().all()
    assert torch.equal(pool.running_mean, mean)
    model(images)
    assert not torch.equal(pool.running_mean, mean)


def test_a_plain_batch_of_two_is_that_of_torch(images):
    """The batch normalisation after pooling differs from torch's on a batch of one only."""
    model = build(dropout=0.0).train()
    plain = build(dropout=0.0).train()
    for decoder in (plain.decoder, plain.decoder_s):
        key = next(key for key, _ in decoder.named_modules() if key.endswith("convs.4.2"))
        layer = nn.BatchNorm2d(16)
        layer.load_state_dict(decoder.get_submodule(key).state_dict())
        decoder.set_submodule(key, layer)
    assert torch.equal(model(images), plain(images))
    with pytest.raises(ValueError, match="more than 1 value"):
        plain(images[:1])


def test_normalises_inside(images):
    model, moved = build().eval(), build().eval()
    moved.input_mean.zero_()
    moved.input_std.fill_(1)
    mean, std = model.input_mean, model.input_std
    assert torch.equal(model(images), moved((images - mean) / std))
    assert {"input_mean", "input_std"} <= set(model.state_dict())


def test_lite_starts_from_the_weights_of_the_package(images):
    model, backbone = build_segmenter(LITE, 4, "imagenet-lite", **SMALL), build_backbone(LITE, "imagenet-lite")
    assert model.input_mean.flatten().tolist() == [0.5, 0.5, 0.5]
    theirs = backbone.network.state_dict()
    for key, tensor in model.encoder.state_dict().items():
        assert torch.equal(tensor, theirs[key.removeprefix("model.")])
    # The same network up to stride 16, where dilation sets in.
    x = (images - model.input_mean) / model.input_std
    model.eval(), backbone.eval()
    stem = backbone.network.bn1(backbone.network.conv_stem(x))
    torch.testing.assert_close(model.features(images)[4], backbone.network.blocks[:5](stem))


def test_starts_from_a_file_of_a_backbone(tmp_path):
    backbone = build_backbone("resnet18", seed=7)
    torch.save(backbone.state_dict(), tmp_path / "backbone.pt")
    model = build_segmenter("resnet18", 4, str(tmp_path / "backbone.pt"), **SMALL)
    assert torch.equal(model.encoder.conv1.weight, backbone.network.conv1.weight)


def test_equal_seeds_equal_weights_and_the_random_state_stays():
    state = torch.get_rng_state()
    first, second, other = build(), build(), build_segmenter("test_resnet", 4, seed=1, **SMALL)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.network.conv1[0].weight, other.network.conv1[0].weight)


def test_state_round_trips(images):
    first, second = build().eval(), build_segmenter("test_resnet", 4, seed=5, **SMALL).eval()
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(images), second(images))


def test_twenty_steps_lower_both_losses(images):
    model = build(dropout=0.0).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    target = (images.mean(dim=1) > 0.5).long()
    values = []
    for _ in range(20):
        logits, embeddings = model.both(images)
        loss = nn.functional.cross_entropy(logits, target) + embeddings.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < 0.8 * values[0]


def test_wrong_input_raises(images):
    with pytest.raises(ValueError, match="multiples of 16"):
        build()(images[..., :60, :])
    with pytest.raises(RecipeError, match="unknown backbone"):
        build("resnet19")
    for name in ("vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"):
        with pytest.raises(RecipeError, match=r"cannot be the backbone of DeepLabv3\+ \(.{10,}\): choose"):
            build(name)
    with pytest.raises(RecipeError, match="imagenet-lite"):
        build_segmenter("resnet18", 4, "imagenet-lite")


def test_weights_of_another_network_raise(tmp_path):
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(DataError):
        build_segmenter("resnet18", 4, str(tmp_path / "other.pt"))
    assert isinstance(build(), Segmenter)
