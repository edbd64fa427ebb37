"""What every registered loss keeps to."""

import importlib
import inspect

import pytest
import torch
from torch import nn

from marsnb.losses import LOSSES


def test_the_papers_classification_losses_are_registered():
    assert {"info_nce", "inter_class", "similarity"} <= set(LOSSES)


@pytest.mark.parametrize("name", list(LOSSES))
def test_a_loss_is_a_documented_module(name):
    loss = LOSSES[name]
    assert issubclass(loss, nn.Module)
    assert inspect.getdoc(loss)


@pytest.mark.parametrize("name", ["info_nce", "inter_class", "similarity"])
def test_the_papers_losses_have_a_pure_function_of_the_same_name(name):
    module = importlib.import_module(f"marsnb.losses.{name}")
    function = getattr(module, name)
    assert list(inspect.signature(function).parameters)[:2] == ["z1", "z2"]
    z1, z2 = torch.randn(2, 5, 4)
    assert torch.equal(LOSSES[name]()(z1=z1, z2=z2), function(z1, z2))


def test_a_module_refuses_a_setting_that_its_function_lacks():
    for call in (lambda: LOSSES["info_nce"](tau=1.0), lambda: LOSSES["similarity"](0.2)):
        with pytest.raises(TypeError, match="has the settings"):
            call()
