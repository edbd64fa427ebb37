"""Which streams a method needs as images: from all others it hands what it gets to the model and looks at nothing."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from marsnb.methods.classification import METHODS
from marsnb.methods.segmentation import METHODS as SEGMENTATION
from marsnb.models.classifier import Classifier
from marsnb.models.segmenter import Segmenter
from tests.fake.masks import feed, method_of
from tests.methods.test_methods import SIZE, at_stage, make_batches

MIXED = [("reco", {"mixing": mixing}) for mixing in ("cutout", "cutmix", "classmix")]
stages = [
    (name, stage) for name in METHODS if not METHODS[name].precompute for stage in range(len(METHODS[name].stages))
]


@dataclass(frozen=True)
class Opaque:
    """Stands for a trunk's output, of which only the model knows what is in it."""

    images: Tensor


def losses_of(method: Any, batches: dict[str, Any]) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return method.step(**batches)


@pytest.mark.parametrize(("name", "stage"), stages)
def test_classification_looks_at_the_pixels_of_its_own_streams_alone(name, stage, monkeypatch):
    real = Classifier.features
    monkeypatch.setattr(
        Classifier, "features", lambda self, x: real(self, x.view(-1, 3, SIZE, SIZE) if x.ndim == 2 else x)
    )
    method = at_stage(name, stage)
    assert set(method.pixels) <= set(method.streams)
    plain = losses_of(method, make_batches(method))
    for stream, batch in make_batches(method).items():
        flat = {key: getattr(batch, key).flatten(1) for key in vars(batch) if key != "labels"}
        method = at_stage(name, stage)
        batches = make_batches(method) | {stream: replace(batch, **flat)}
        if stream in method.pixels and name != "fresh_views":  # which wants new ones, and does nothing to them
            with pytest.raises((IndexError, RuntimeError, ValueError)):
                losses_of(method, batches)
        else:
            found = losses_of(method, batches)
            assert all(torch.equal(found[part], plain[part]) for part in plain)


@pytest.mark.parametrize(("name", "settings"), [*((name, {}) for name in SEGMENTATION), *MIXED])
def test_segmentation_looks_at_the_pixels_of_its_own_streams_alone(name, settings, monkeypatch):
    real = Segmenter.features
    monkeypatch.setattr(Segmenter, "features", lambda self, x: real(self, x.images if isinstance(x, Opaque) else x))
    lengths = range(len(method_of(name, **settings).steps))
    for place in lengths:
        method = method_of(name, **settings)
        assert set(method.pixels) <= set(method.streams)
        method.begin_epoch(sum(method.stage_epochs()[:place]))
        plain = losses_of(method, feed(method))
        for stream in method.streams:
            method = method_of(name, **settings)
            method.begin_epoch(sum(method.stage_epochs()[:place]))
            batches = feed(method)
            batches[stream] = replace(batches[stream], images=Opaque(batches[stream].images))
            if stream in method.pixels:
                with pytest.raises((AttributeError, TypeError)):
                    losses_of(method, batches)
            else:
                found = losses_of(method, batches)
                assert all(torch.equal(found[part], plain[part]) for part in plain)
