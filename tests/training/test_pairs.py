"""Batches of images with masks: grey becomes colour, augmentation moves both alike, streams walk apart."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from marsnb.data.arrays import to_images as to_colour
from marsnb.data.augment import MaskedAugmentation
from marsnb.data.segmentation import UNLABELLED
from marsnb.training.pairs import PairArrays, PairBatches
from marsnb.training.spec import make_spec

SPEC = make_spec(
    task="segmentation", dataset="synthetic_terrain", image_size=32, method="cross_entropy", backbone="test_resnet",
    start="random", batch_labelled=4, steps_per_epoch=3,
)  # fmt: skip


def arrays(pairs=10):
    generator = np.random.default_rng(0)
    blocks = generator.choice([0, 1, 2, 3, UNLABELLED], (pairs, 4, 4))
    masks = blocks.repeat(8, 1).repeat(8, 2).astype(np.uint8)
    every = np.arange(pairs)
    return PairArrays(masks[..., None].copy(), masks, {"train": every[:6], "val": every[6:8], "test": every[8:]})


def batches_of(streams=("labelled",), epoch=0):
    module = PairBatches(arrays(), streams, SPEC)
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    module.trainer = SimpleNamespace(current_epoch=epoch, strategy=strategy)
    return module, list(module.train_dataloader())


def test_grey_gets_three_equal_channels_and_colour_stays():
    grey, colour = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1), np.zeros((1, 4, 4, 3), dtype=np.uint8)
    assert to_colour(grey).shape == to_colour(colour).shape == (1, 3, 4, 4)
    assert torch.equal(to_colour(grey)[:, 0], to_colour(grey)[:, 2])


def test_an_epoch_is_its_steps_of_training_pairs_alone():
    module, epoch = batches_of()
    assert len(epoch) == module.steps == 3
    fed = torch.cat([batch["labelled"]["masks"] for batch in epoch])
    known = {mask.tobytes() for mask in arrays().masks[:6]}
    assert {mask.numpy().tobytes() for mask in fed} == known  # 12 draws walk twice through 6 pairs


def test_epochs_go_on_where_the_last_one_ended_and_streams_walk_apart():
    _, first = batches_of(("labelled", "other"))
    _, second = batches_of(("labelled", "other"), epoch=1)
    assert [batch["step"] for batch in first + second] == list(range(6))
    assert not all(torch.equal(b["labelled"]["masks"], b["other"]["masks"]) for b in first)


def test_augmentation_is_a_function_of_the_step():
    module, epoch = batches_of()
    first, again = (module.on_after_batch_transfer(dict(epoch[0]), 0)["labelled"] for _ in range(2))
    torch.rand(3)
    assert torch.equal(first.images, again.images) and torch.equal(first.labels, again.labels)
    other = module.on_after_batch_transfer(dict(epoch[0], step=7), 0)["labelled"]
    assert not torch.equal(first.labels, other.labels)


def test_masks_move_with_their_images_and_no_class_is_made_up():
    torch.manual_seed(0)
    masks = torch.from_numpy(arrays(64).masks.copy())
    images = (masks[:, None] / 255).expand(-1, 3, -1, -1)
    changed, moved = MaskedAugmentation(32)(images, masks)
    assert changed.shape == (64, 3, 32, 32) and moved.dtype == torch.int64
    assert set(moved.unique().tolist()) == {0, 1, 2, 3, UNLABELLED}
    alike = ((changed[:, 0] * 255).round() == moved).float().mean()
    assert alike > 0.75  # all but the blended seams of 8-pixel blocks
    assert (moved != masks).any(dim=(1, 2)).float().mean() > 0.9


@pytest.mark.parametrize("value", [0, UNLABELLED])
def test_a_batch_of_one_value_stays_of_one_value(value):
    masks = torch.full((4, 32, 32), value, dtype=torch.uint8)
    _, moved = MaskedAugmentation(32)(torch.rand(4, 3, 32, 32), masks)
    assert (moved == value).all()
