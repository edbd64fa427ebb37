import pytest

from marsnb.methods.classification import METHODS
from marsnb.methods.segmentation import METHODS as SEGMENTATION
from marsnb.training.cost import costs, step_costs
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
        found = step_costs(spec_of(name, epochs=6, batch_labelled=4))
        assert [stage.epochs for stage in found] == [max(1, round(6 * share)) for share in METHODS[name].stages]


def test_the_global_random_state_is_left_alone():
    import torch

    torch.manual_seed(3)
    before = torch.get_rng_state()
    step_costs(spec_of("similarity"))
    assert torch.equal(before, torch.get_rng_state())


def terrain_spec(method, **fields):
    base = {"task": "segmentation", "dataset": "none", "image_size": 32, "backbone": "test_resnet", "start": "random"}
    return make_spec(**(base | fields), method=method)


def test_steps_of_segmentation_are_counted_with_their_decoders():
    (one, two) = step_costs(terrain_spec("cross_entropy", epochs=5, batch_labelled=8))
    assert (one.step, one.epochs, one.trained, one.passed, one.decoded) == ("joint", 5, 8, 0, 8) and two == one
    found = step_costs(terrain_spec("semi_supervised", batch_labelled=8))
    assert [(c.step, c.trained, c.decoded) for c in found] == [("pretrain", 8, 8), ("joint", 8, 16), ("pseudo", 8, 16)]
    found = step_costs(terrain_spec("semi_supervised", batch_labelled=8, settings={"contrast": False}))
    assert [(c.step, c.decoded) for c in found] == [("pretrain", 8), ("joint", 8), ("joint", 8)]


@pytest.mark.parametrize("name", SEGMENTATION)
def test_every_method_of_segmentation_can_be_counted(name):
    found = step_costs(terrain_spec(name, batch_labelled=2, epochs=3))
    assert found and all(cost.trained > 0 and cost.decoded > 0 and cost.epochs == 3 for cost in found)


def test_a_method_is_counted_once_whatever_its_weights_and_length(monkeypatch):
    from marsnb.training import cost

    counted = []

    def count(spec):
        counted.append(spec.settings)
        return [cost.StepCost(spec.epochs // 2, spec.batch_labelled, 0)]

    monkeypatch.setattr(cost, "step_costs", count)
    cost._costs.cache_clear()
    for weight, epochs in ((0.1, 4), (0.2, 6)):
        (found,) = costs(terrain_spec("semi_supervised", settings={"weight_s": weight}, epochs=epochs))
        assert (found.trained, found.epochs) == (16, epochs / 2)
    assert costs(terrain_spec("semi_supervised", settings={"pretrain": False}, batch_labelled=4))[0].trained == 4
    assert counted == [{}, {"pretrain": False}]
    cost._costs.cache_clear()


@pytest.mark.parametrize("epochs", [1, 2, 5, 30])
def test_lengths_in_proportion_are_those_of_the_method(epochs):
    for name in ("crt", "cross_entropy", "supcon_all"):
        spec = spec_of(name, epochs=epochs)
        assert [c.epochs for c in costs(spec)] == [max(1, round(s * epochs)) for s in METHODS[name].stages]
