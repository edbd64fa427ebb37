"""An epoch of data, without a network: from the cache with kornia, against decoding each JPEG anew with torchvision.

The reference is a plain loader: a folder of images, torchvision's v2 transforms image by image, in the training process
(the default of ``DataLoader``); the bound is held against it. Two loading processes, which the training then shares its
cores with, are measured beside it. All draw the same kind of augmentation at the same size. ``make bench`` runs it, on
MSL where its images are, else on synthetic Mars, written as JPEG. ``MARSNB_BENCH_IMAGES`` sets the number of images.
"""

import os
import statistics
import time
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from marsnb.data._images import image_files
from marsnb.data.arrays import to_images, to_unit
from marsnb.data.augment import AUGMENTATIONS
from marsnb.data.cache import open_cached
from marsnb.data.streams import shuffled
from marsnb.data.synthetic import open_synthetic
from marsnb.memory import keep_freed_memory
from tests.conftest import REAL_DATA

BOUND = 2.0
IMAGES = int(os.environ.get("MARSNB_BENCH_IMAGES", "1000"))
EPOCHS = 3
SIZE = 160  # of the profile lite
REAL = REAL_DATA / "msl-images" / "calibrated"


def reference(name: str) -> v2.Transform:
    """``marsnb.data.augment`` in torchvision: the same operations, ranges and probabilities, on 8-bit tensors."""
    if name == "ordinary":
        parts = [v2.RandomHorizontalFlip(), v2.RandomResizedCrop(SIZE, scale=(0.7, 1.0), ratio=(0.9, 1.1))]
    else:
        parts = [
            v2.RandomResizedCrop(SIZE, scale=(0.2, 1.0), ratio=(3 / 4, 4 / 3)),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.RandomRotation(30, interpolation=v2.InterpolationMode.BILINEAR)], p=0.5),
            v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            v2.RandomGrayscale(p=0.2),
            v2.RandomApply([v2.GaussianBlur(17, (0.1, 2.0))], p=0.5),
        ]
    return v2.Compose([v2.ToImage(), *parts, v2.ToDtype(torch.float32, scale=True)])


class Folder(Dataset):
    """Images of a folder, decoded each time one is asked for."""

    def __init__(self, files: list[Path], transform: v2.Transform) -> None:
        self.files, self.transform = files, transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.files[index]) as image:
            return self.transform(image.convert("RGB"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    if REAL.is_dir():
        every = sorted(path for path in REAL.iterdir() if path.suffix.lower() == ".jpg")
        return every[:: max(1, len(every) // IMAGES)][:IMAGES]
    source = open_synthetic(train=max(IMAGES, 480)).source
    folder = tmp_path_factory.mktemp("jpeg")
    for i in range(IMAGES):
        Image.fromarray(source.decode(i, 256)).save(folder / f"{i:05d}.jpg", quality=90)
    return sorted(folder.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("batch", [16, 96])
@pytest.mark.parametrize("name", ["ordinary", "strong"])
def bench_epoch(files: list[Path], name: str, batch: int) -> None:
    """One pass over the images, each augmented once."""
    keep_freed_memory()
    start = time.perf_counter()
    array = open_cached(image_files(files, "put a good copy in its place"), SIZE)
    once = time.perf_counter() - start
    change = AUGMENTATIONS[name](SIZE)
    folder = Folder(files, reference(name))
    plain = DataLoader(folder, batch, shuffle=True, drop_last=True)
    two = DataLoader(folder, batch, shuffle=True, drop_last=True, num_workers=2, persistent_workers=True)
    steps = len(plain)

    def from_cache(epoch: int) -> None:
        for step in range(steps * epoch, steps * (epoch + 1)):
            views = change(to_unit(to_images(array[shuffled(len(files), batch, step, 0)])))
            assert views.shape == (batch, 3, SIZE, SIZE)

    def from_files(loader: DataLoader) -> None:
        for views in loader:
            assert views.shape == (batch, 3, SIZE, SIZE)

    ways = {"cache": from_cache, "plain": lambda _: from_files(plain), "two": lambda _: from_files(two)}
    took: dict[str, list[float]] = {way: [] for way in ways}
    for epoch in range(1 + EPOCHS):  # the first warms up: processes start, pages are read
        for way, run in ways.items():
            start = time.perf_counter()
            run(epoch)
            took[way].append(time.perf_counter() - start)
    seconds = {way: statistics.median(times[1:]) for way, times in took.items()}
    images = steps * batch
    print(
        f"\nepoch of {images} images of {files[0].parent.name}, {name} augmentation, {SIZE} px, batch {batch}, "
        f"{torch.get_num_threads()} threads, medians of {EPOCHS}, interleaved:"
    )
    print(f"  from the cache with kornia         {images / seconds['cache']:8.1f} images/s (decoded in {once:.1f} s)")
    for way, words in (("plain", "plain loader      "), ("two", "2 loading processes")):
        ratio = seconds[way] / seconds["cache"]
        bound = f", bound {BOUND}" if way == "plain" else ""
        print(f"  from JPEG, {words:22}  {images / seconds[way]:8.1f} images/s (ratio {ratio:.2f}{bound})")
    assert seconds["plain"] >= BOUND * seconds["cache"]
