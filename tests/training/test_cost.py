import pytest

from marsnb.methods.classification import METHODS
from marsnb.training.cost import step_costs
from marsnb.training.spec import make_spec


def spec_of(method: str, **fields):
    base = {"dataset": "synthetic", "image_size": 32, "backbone": "test_resnet", "start": "random"}
    return make_spec(**(base | fields), method=method)


@pytest.mark.parametrize(
    ("method", "images"), [("cross_entropy", 16), ("inter_class", 16 + 48), ("semi_supervised", 16 + 48 + 32)]
)
def test_images_of_a_step_are_counted(method, images):
    (cost,) = step_costs(spec_of(method))
    assert (cost.trained, cost.passed) == (images, 0)


def test_a_frozen_backbone_whose_features_are_there_costs_nothing():
    (cost,) = step_costs(spec_of("linear_probe"))
    assert cost.images == 0


def test_batch_sizes_and_stages_count():
    (cost,) = step_costs(spec_of("cross_entropy", batch_labelled=4, epochs=7))
    assert (cost.images, cost.epochs) == (4, 7)
    for name in METHODS:
        found = step_costs(spec_of(name, epochs=6))
        assert [stage.epochs for stage in found] == [max(1, round(6 * share)) for share in METHODS[name].stages]


def test_the_global_random_state_is_left_alone():
    import torch

    torch.manual_seed(3)
    before = torch.get_rng_state()
    step_costs(spec_of("similarity"))
    assert torch.equal(before, torch.get_rng_state())
