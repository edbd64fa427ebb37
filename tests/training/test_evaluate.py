"""Scores by hand, the interval against a plain bootstrap, and diagnostics that disturb nothing."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from marsnb.data.base import ClassificationData, LabelledList
from marsnb.models.backbones import build_backbone
from marsnb.models.classifier import Classifier
from marsnb.training import evaluate
from marsnb.training.batches import Arrays
from marsnb.training.evaluate import Scores, diagnostics, forward_all, score, strong_views, write_predictions

CPU = torch.device("cpu")
NAMES = ("wheel", "drill", "turret", "scoop")
#                labels           predictions      wheel 2 of 3, drill 1 of 2, no turret, scoop 0 of 1
SCORES = Scores(np.array([0, 0, 0, 1, 1, 3]), np.array([0, 2, 0, 1, 0, 2]), np.linspace(0.4, 0.9, 6, dtype=np.float32))


def images(n, size=32):
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Classifier(build_backbone("test_resnet", seed=0), len(NAMES))


def test_metrics_by_hand():
    assert SCORES.top1 == 3 / 6
    metrics = SCORES.metrics(NAMES)
    assert list(metrics) == ["top1", "top1_low", "top1_high", "top1/wheel", "top1/drill", "top1/scoop"]
    assert metrics["top1"] == (0.5, 6)
    assert metrics["top1/wheel"] == (pytest.approx(2 / 3), 3)
    assert metrics["top1/drill"] == (0.5, 2)
    assert metrics["top1/scoop"] == (0.0, 1)
    assert (metrics["top1_low"][0], metrics["top1_high"][0]) == SCORES.interval()
    assert all(type(value) is float and type(n) is int for value, n in metrics.values())


def with_accuracy(correct, n):
    labels = np.zeros(n, np.int64)
    return Scores(labels, (np.arange(n) >= correct).astype(np.int64), np.ones(n, np.float32))


@pytest.mark.parametrize(("correct", "n"), [(80, 100), (1018, 1305), (3, 12), (290, 300)])
def test_interval_is_a_bootstrap_over_images(correct, n):
    scores = with_accuracy(correct, n)
    rng = np.random.default_rng(1)
    right = (scores.labels == scores.predictions).astype(float)
    means = [right[rng.integers(0, n, n)].mean() for _ in range(10_000)]
    low, high = np.quantile(means, [0.025, 0.975])
    ours = scores.interval()
    spread = np.sqrt(correct / n * (1 - correct / n) / n)
    assert ours == pytest.approx((low, high), abs=max(1.01 / n, 0.1 * spread))
    assert ours[0] < scores.top1 < ours[1]
    assert ours == scores.interval()


def test_interval_at_the_ends():
    assert with_accuracy(50, 50).interval() == (1.0, 1.0)
    assert with_accuracy(0, 50).interval() == (0.0, 0.0)


class Brightness(nn.Module):
    """Mean of each image, and whether it was asked in evaluation mode."""

    def forward(self, x):
        assert not self.training and not torch.is_grad_enabled()
        assert x.dtype == torch.float32 and x.min() >= 0 and x.max() <= 1
        return x.mean(dim=(1, 2, 3)).unsqueeze(1)


def test_forward_all_keeps_the_order():
    array = np.arange(200, dtype=np.uint8)[:, None, None, None].repeat(4, 1).repeat(4, 2).repeat(3, 3)
    indices = np.random.default_rng(0).permutation(200)[: 2 * evaluate.CHUNK + 5]
    out = forward_all(Brightness().train(), array, indices, CPU)
    assert out.shape == (len(indices), 1)
    np.testing.assert_allclose(out[:, 0].numpy() * 255, indices, atol=1e-3)


def test_forward_all_passes_features_as_they_are():
    features = np.random.default_rng(0).normal(size=(70, 5)).astype(np.float32)
    out = forward_all(nn.Identity(), features, np.array([69, 0, 3]), CPU)
    np.testing.assert_array_equal(out.numpy(), features[[69, 0, 3]])


def test_channels_are_not_mixed():
    array = np.zeros((1, 4, 4, 3), np.uint8)
    array[..., 1] = 255
    pooled = forward_all(nn.AdaptiveAvgPool2d(1), array, np.array([0]), CPU)
    assert pooled.flatten().tolist() == [0, 1, 0]


def test_score_is_the_argmax_of_the_model(model):
    arrays = Arrays(images(9), None, {})
    split = LabelledList(np.array([8, 2, 5]), np.array([0, 1, 2]))
    scores = score(model, arrays, split, CPU)
    x = torch.from_numpy(arrays.images[[8, 2, 5]]).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        probabilities = model.eval()(x).softmax(dim=1)
    assert scores.predictions.tolist() == probabilities.argmax(dim=1).tolist()
    np.testing.assert_allclose(scores.confidences, probabilities.max(dim=1).values, rtol=1e-5)
    assert scores.labels.tolist() == [0, 1, 2]


def test_score_of_features_needs_the_head_alone(model):
    features = np.random.default_rng(0).normal(size=(6, model.backbone.num_features)).astype(np.float32)
    scores = score(model, Arrays(features, None, {}), LabelledList(np.arange(6), np.zeros(6, np.int64)), CPU)
    assert scores.predictions.tolist() == model.head(torch.from_numpy(features)).argmax(dim=1).tolist()


def run_diagnostics(model, embedding="embed_s", n=12, **arrays):
    split = LabelledList(np.arange(n), np.zeros(n, np.int64))
    arrays = Arrays(**{"images": images(n), "unlabelled": None, "splits": {}} | arrays)
    return diagnostics(model, embedding, strong_views(arrays, split, 32, CPU))


@pytest.mark.parametrize("embedding", ["features", "embed_s", "embed_u"])
def test_diagnostics_are_numbers_of_the_features_and_the_embedding(model, embedding):
    values = run_diagnostics(model, embedding)
    names = {"alignment", "uniformity", "effective_rank"}
    assert set(values) == names | ({f"{embedding}/{name}" for name in names} if embedding != "features" else set())
    assert all(np.isfinite(value) for value in values.values())
    assert 0 <= values["alignment"] <= 4 and 1 <= values["effective_rank"] <= 12 and values["uniformity"] <= 0


def test_diagnostics_leave_the_random_state_and_the_weights_alone(model):
    torch.manual_seed(3)
    state, weights = torch.get_rng_state(), {key: value.clone() for key, value in model.state_dict().items()}
    first = run_diagnostics(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    torch.manual_seed(4)
    assert run_diagnostics(model) == first  # the same views whatever the state


def test_diagnostics_take_so_many_images_and_no_more(model, monkeypatch):
    monkeypatch.setattr(evaluate, "DIAGNOSTIC_IMAGES", 5)
    assert run_diagnostics(model, "features")["effective_rank"] <= 5


def test_a_collapsed_embedding_is_seen(model):
    collapsed = Classifier(model.backbone, len(NAMES))
    nn.init.zeros_(collapsed.project_u[2].weight)
    values = run_diagnostics(collapsed, "embed_u")
    assert values["embed_u/effective_rank"] == pytest.approx(1, abs=1e-3)
    assert values["embed_u/uniformity"] == pytest.approx(0, abs=1e-5)
    assert values["effective_rank"] > 1.2


def test_no_diagnostics_of_features(model):
    assert run_diagnostics(model, images=np.zeros((12, 7), np.float32)) == {}


class Named:
    names = tuple(f"{i}.jpg" for i in range(20))
    fingerprint = "x"


def test_predictions_are_written_per_image(tmp_path):
    test, none = LabelledList(np.array([7, 3, 5, 1, 0, 2]), SCORES.labels), LabelledList(np.arange(0), np.arange(0))
    data = ClassificationData("d", "p", Named(), none, test, test, None, NAMES, "f", True)
    write_predictions({"test": SCORES, "val": SCORES}, data, tmp_path / "predictions.csv")
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert list(table.columns) == ["split", "name", "label", "prediction", "confidence"]
    assert table["split"].tolist() == ["test"] * 6 + ["val"] * 6
    assert table["name"].tolist()[:6] == ["7.jpg", "3.jpg", "5.jpg", "1.jpg", "0.jpg", "2.jpg"]
    assert table["label"].tolist()[:6] == ["wheel", "wheel", "wheel", "drill", "drill", "scoop"]
    assert table["prediction"].tolist()[:6] == ["wheel", "turret", "wheel", "drill", "wheel", "turret"]
    assert table["confidence"].tolist()[:6] == pytest.approx(np.linspace(0.4, 0.9, 6), abs=1e-6)
