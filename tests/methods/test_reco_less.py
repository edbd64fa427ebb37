"""ReCo and LESS as methods: which pixels their contrast takes, and how LESS goes through its steps."""

import pytest
import torch
from torch.nn import functional as F

from marsnb.errors import RecipeError
from marsnb.losses._elements import labels_at
from marsnb.methods.segmentation import reco
from tests.fake.masks import at_step, batch_of, feed, labels_of, method_of


def seen_by(monkeypatch, module, name):
    """Arguments of every call of a function that a module uses."""
    calls, real = [], getattr(module, name)
    monkeypatch.setattr(module, name, lambda *args, **more: calls.append((args, more)) or real(*args, **more))
    return calls


def test_reco_contrasts_labelled_pixels_and_likely_pseudo_labels(monkeypatch):
    calls = seen_by(monkeypatch, reco, "draw_regions")
    method, fed = method_of("reco"), feed(method_of("reco"))
    method.weak = method.teacher(fed["unlabelled"].images).softmax(dim=1).amax(dim=1).median().item()
    method.step(**fed)
    (vectors, labels, confidence, classes), _ = calls[0]
    confident, predicted = method.teacher.average(fed["unlabelled"].images).softmax(dim=1).max(dim=1)
    likely = labels_at(torch.where(confident >= method.weak, predicted, 255), (8, 8))
    known = labels_at(fed["labelled"].labels, (8, 8))
    expected = torch.cat([known[known != 255], likely[likely != 255]])
    assert torch.equal(labels, expected) and classes == 4
    assert 0 < (likely != 255).sum() < likely.numel() and 0 < (known != 255).sum() < known.numel()
    assert len(vectors) == len(confidence) == len(labels) and vectors.shape[1] == method.model.embedding_dim


def test_reco_takes_vector_label_and_confidence_of_the_same_pixel(monkeypatch):
    calls = seen_by(monkeypatch, reco, "draw_regions")
    method, labels = method_of("reco"), labels_of(2)
    embeddings, logits = torch.randn(2, 128, 8, 8), torch.randn(2, 4, 32, 32)
    method.contrast_of(embeddings, logits, labels)
    (vectors, found, confidence, _), _ = calls[0]
    probabilities, place = logits.softmax(dim=1), 0
    for image in range(2):
        for row in range(8):
            for column in range(8):
                label = int(labels[image, 4 * row, 4 * column])
                if label != 255:
                    assert found[place] == label and torch.equal(vectors[place], embeddings[image, :, row, column])
                    expected = probabilities[image, label, 4 * row, 4 * column]
                    assert confidence[place].item() == pytest.approx(expected.item(), rel=1e-5)
                    place += 1
    assert place == len(found)


def test_reco_trains_both_heads_and_its_contrast_the_embedding_alone():
    method, fed = method_of("reco", weak=0.0), feed(method_of("reco"))
    losses = method.step(**fed)
    assert losses["loss"].item() == pytest.approx((losses["ce"] + losses["pseudo"] + losses["reco"]).item(), rel=1e-5)
    losses["reco"].backward(retain_graph=True)
    assert method.model.head[0].weight.grad is None
    assert (
        method.model.head_s[0].weight.grad.abs().sum() > 0 and method.model.network.conv1[0].weight.grad.abs().sum() > 0
    )
    losses["ce"].backward()
    assert method.model.head[0].weight.grad.abs().sum() > 0


def test_reco_weights_its_terms():
    method, fed = method_of("reco", weight=2.0, weight_reco=0.5, threshold=0.3), feed(method_of("reco"))
    losses = method.step(**fed)
    expected = losses["ce"] + 2.0 * losses["pseudo"] + 0.5 * losses["reco"]
    assert losses["loss"].item() == pytest.approx(expected.item(), rel=1e-5) and losses["pseudo"] > 0


def trained(method):
    return {n.split(".")[1] for n, p in method.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}


@pytest.mark.parametrize("pairs", ["within", "cross"])
def test_less_pretrains_then_fine_tunes(pairs):
    method, fed = at_step(method_of("less", pairs=pairs), 0), batch_of()
    losses = method.step(labelled=fed)
    losses["loss"].backward()
    assert set(losses) == {"loss", "pixel_contrast"} and losses["loss"] > 0
    assert trained(method) == {"encoder", "decoder_s", "head_s"}
    at_step(method, 1).zero_grad()
    losses = method.step(labelled=fed)
    losses["loss"].backward()
    assert set(losses) == {"loss", "ce"} and trained(method) == {"encoder", "decoder", "head"}


def test_less_has_no_contrast_from_unlabelled_pixels():
    method, labels = method_of("less", grid=8), labels_of()
    embeddings = torch.randn(3, 128, 8, 8, requires_grad=True)
    method.contrast_of(embeddings, labels).backward()
    assert torch.equal(embeddings.grad.abs().sum(dim=1) > 0, labels_at(labels, (8, 8)) != 255)


def test_less_pairs_an_image_with_another_of_the_batch(monkeypatch):
    from marsnb.methods.segmentation import less

    calls = seen_by(monkeypatch, less, "pixel_contrast")
    method = method_of("less", pairs="cross", grid=4)
    labels, embeddings = labels_of(), torch.randn(3, 128, 8, 8)
    for seed in range(8):
        torch.manual_seed(seed)
        method.contrast_of(embeddings, labels)
    partners = {tuple(more["partners"].tolist()) for _, more in calls}
    assert partners == {(2, 0, 1), (1, 2, 0)}  # never the image itself
    assert calls[0][0][0].shape == (3, 128, 4, 4)
    method.contrast_of(torch.randn(1, 128, 8, 8), labels_of(1))


def test_less_pseudo_labels_are_those_of_fine_tuning_and_stay():
    method, fed = at_step(method_of("less", threshold=0.0), 1), batch_of()
    with torch.no_grad():
        method.model.head[0].weight.normal_()
    kept = {key: value.clone() for key, value in method.model.state_dict().items()}
    at_step(method, 2)
    assert all(torch.equal(v, kept[k]) for k, v in method.labeller.average.state_dict().items())
    predicted = method.labeller.average(fed.images).argmax(dim=1)
    with torch.no_grad():
        method.model.head[0].weight.normal_()  # training goes on
    method.begin_epoch(5)  # and so does the step
    assert all(torch.equal(v, kept[k]) for k, v in method.labeller.average.state_dict().items())
    losses = method.step(labelled=fed)
    labels = torch.where(fed.labels == 255, predicted, fed.labels)
    assert losses["ce"].item() == pytest.approx(F.cross_entropy(method.model(fed.images), labels).item(), rel=1e-4)
    losses["loss"].backward()
    assert all(p.grad is None for p in method.labeller.parameters())


def test_less_with_a_threshold_that_nothing_exceeds_is_fine_tuning():
    method, fed = at_step(method_of("less", threshold=1.0), 2), batch_of()
    ce = method.cross_entropy(method.model(fed.images), fed.labels)
    assert method.step(labelled=fed)["loss"].item() == pytest.approx(ce.item(), rel=1e-5)


def test_unknown_pairs_name_the_known():
    with pytest.raises(RecipeError, match="'pairs' is 'between'; known: within, cross"):
        method_of("less", pairs="between")
