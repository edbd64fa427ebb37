"""The two augmentations: range, parameters per image, repeatable, and one stronger than the other."""

import pytest
import torch

from marsnb.data.augment import AUGMENTATIONS, ordinary, strong

SIZE = 32
each_augmentation = pytest.mark.parametrize("name", sorted(AUGMENTATIONS))


def scenes(n=8, size=SIZE, dtype=torch.float32):
    """Smooth random pictures: augmentation of noise would differ by resampling alone."""
    coarse = torch.rand(n, 3, 5, 5, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear", align_corners=True)


def augmented(name, images, seed=0, size=SIZE):
    torch.manual_seed(seed)
    return AUGMENTATIONS[name](size)(images)


@each_augmentation
@pytest.mark.parametrize(("before", "after"), [(32, 32), (48, 32), (20, 12)])
def test_shape_and_range(name, before, after):
    images = scenes(size=before)
    images[0], images[1] = 0, 1
    kept = images.clone()
    views = augmented(name, images, size=after)
    assert views.shape == (8, 3, after, after)
    assert views.isfinite().all() and views.min() >= 0 and views.max() <= 1
    assert torch.equal(images, kept)  # not changed in place


@each_augmentation
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_type_and_device_stay(name, dtype):
    views = augmented(name, scenes(dtype=dtype))
    assert (views.dtype, views.device.type) == (dtype, "cpu")


@pytest.mark.accelerator
@each_augmentation
def test_runs_where_the_batch_is(name):
    views = augmented(name, scenes().cuda())
    assert (views.dtype, views.device.type) == (torch.float32, "cuda")
    assert torch.equal(views, augmented(name, scenes().cuda()))


@each_augmentation
def test_parameters_are_drawn_per_image(name):
    views = augmented(name, scenes(1).expand(8, -1, -1, -1).contiguous())
    apart = (views[:, None] - views[None]).abs().mean(dim=(2, 3, 4))  # (8, 8)
    assert (apart + torch.eye(8) > 1e-3).all()


@each_augmentation
def test_repeatable_under_a_seed(name):
    first = augmented(name, scenes())
    assert torch.equal(first, augmented(name, scenes()))
    assert not torch.equal(first, augmented(name, scenes(), seed=1))
    change = AUGMENTATIONS[name](SIZE)  # and one object draws anew at each call
    assert not torch.equal(change(scenes()), change(scenes()))


@each_augmentation
def test_numbers_come_from_torchs_generator_alone(name):
    import random

    import numpy as np

    before = random.getstate(), np.random.get_state()[1].copy()
    augmented(name, scenes())
    assert random.getstate() == before[0]
    assert (np.random.get_state()[1] == before[1]).all()


def test_strong_is_stronger_than_ordinary():
    images = scenes(64)
    distance = {name: (augmented(name, images) - images).abs().mean().item() for name in AUGMENTATIONS}
    assert distance["strong"] > 1.2 * distance["ordinary"] > 0


def test_grey_stays_grey_and_only_strong_changes_a_flat_colour():
    grey = scenes().mean(dim=1, keepdim=True).expand(-1, 3, -1, -1).contiguous()
    for change in (ordinary(SIZE), strong(SIZE)):  # grey stays grey
        torch.manual_seed(0)
        views = change(grey)
        assert (views - views.mean(dim=1, keepdim=True)).abs().max() < 1e-5
    flat = torch.full((8, 3, SIZE, SIZE), 0.25)
    assert (ordinary(SIZE)(flat) - flat).abs().max() < 1e-5
    assert (strong(SIZE)(flat) - flat).abs().max() > 0.01
