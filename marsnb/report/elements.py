"""Features of single elements, from the two trained segmenters that Figs 12 and 13 compare."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from marsnb.data.arrays import to_images as to_colour
from marsnb.data.arrays import to_unit
from marsnb.data.segmentation import SegmentationData
from marsnb.errors import RecipeError
from marsnb.losses._elements import labels_at
from marsnb.models.segmenter import FEATURE_STRIDE, OUTPUT_STRIDE, Segmenter
from marsnb.report.measured import Line, lines
from marsnb.training import segmentation
from marsnb.training.load import trained_segmenter
from marsnb.training.pairs import PairArrays, open_pair_arrays
from marsnb.training.pixels import CHUNK

PAIR = {"baseline": "baseline", "ours": "final"}
"""The two rows of Table 9 that are compared."""
LAYERS = {
    "encoder": "encoder, last layer",
    "decoder": "decoder, before the classifier",
    "embedding": "embedding by $H^s_{seg}$",
}
"""Where features are taken. The paper shows the first; the baseline does not train the last."""
PER_IMAGE, IMAGES = 3, 80
"""Elements of a class in an image, and images for each class, at most."""
SEED = 0


@dataclass(frozen=True)
class Sample:
    """Elements of test images: the same for both models and all layers.

    Attributes:
        at: position of each element's image in the data set, ``(n,)``.
        row, column: of each element, on the grid of the encoder.
        classes: of each.
        features: by model and layer, ``(n, D)``, float32.
        data: name of the data set.
        names, class_names: of each element's image; of the classes.
    """

    at: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    classes: NDArray[np.int64]
    features: dict[tuple[str, str], NDArray[np.float32]]
    data: str
    names: tuple[str, ...]
    class_names: tuple[str, ...]


def pair(profile: str) -> dict[str, Line]:
    """The lines of Table 9 that are compared, by ``baseline`` and ``ours``.

    Raises:
        RecipeError: one of them was not run.
    """
    by_id = {line.row.id: line for line in lines(9, profile)}
    found = {series: by_id[row] for series, row in PAIR.items()}
    if any(line.measured is None for line in found.values()):
        command = f"marsnb run --table 9 --profile {profile} " + " ".join(f"--row {row}" for row in PAIR.values())
        raise RecipeError(f"the two rows of Table 9 were not run at profile {profile}: run `{command}`")
    return found


def trained_pair(profile: str) -> tuple[SegmentationData, PairArrays, dict[str, Segmenter]]:
    """The data set as the two runs saw it, and their models, of the first seed.

    Raises:
        RecipeError: one of them was not run.
        DataError: the images or a model are not on this machine.
    """
    found = pair(profile)
    spec = found["ours"].spec
    data = segmentation.open_data(spec)
    models = {series: trained_segmenter(line.spec, data) for series, line in found.items()}
    return data, open_pair_arrays(data, spec), models


def choose(
    masks: NDArray[np.uint8], candidates: NDArray[np.int64], classes: int, seed: int = SEED
) -> tuple[NDArray[np.int64], ...]:
    """Elements to look at: for each class up to ``IMAGES`` images, and up to ``PER_IMAGE`` elements of each.

    Args:
        masks: codes on the grid of the encoder.
        candidates: image of each mask.
        classes: C.
        seed: of the images' order, and of the elements.

    Shape:
        ``masks``: ``(N, h, w)``; ``candidates``: ``(N,)``; the results: ``(n,)`` each.

    Returns:
        Image, row, column and class of each element, in the order of the images.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(masks))
    found = []
    for label in range(classes):
        for k in [k for k in order if (masks[k] == label).any()][:IMAGES]:
            places = np.argwhere(masks[k] == label)
            for row, column in places[rng.permutation(len(places))[:PER_IMAGE]]:
                found.append((candidates[k], row, column, label))
    table = np.array(sorted(found), dtype=np.int64).reshape(-1, 4)
    return tuple(table.T)


def sample(profile: str) -> Sample:
    """The elements of a profile with their features, computed once per process.

    Raises:
        RecipeError: one of the two rows was not run.
        DataError: the images or a model are not on this machine, or no test image has a label.
    """
    runs = tuple(line.measured.run_ids[0] for line in pair(profile).values() if line.measured is not None)
    return _sample(profile, runs)


@cache
def _sample(profile: str, runs: tuple[str, ...]) -> Sample:
    data, arrays, models = trained_pair(profile)
    test = arrays.splits["test"]
    edge = arrays.masks.shape[1] // OUTPUT_STRIDE
    grid = labels_at(torch.from_numpy(np.ascontiguousarray(arrays.masks[test])), (edge, edge)).numpy()
    at, row, column, classes = choose(grid, test, len(data.class_names))
    features = {}
    for series, model in models.items():
        for layer, values in _features(model, arrays, at, row, column).items():
            if (series, layer) != ("baseline", "embedding"):  # its head is still random
                features[series, layer] = values
    names = tuple(data.names[i] for i in at)
    return Sample(at, row, column, classes, features, data.name, names, data.class_names)


def _features(
    model: Segmenter, arrays: PairArrays, at: NDArray[np.int64], row: NDArray[np.int64], column: NDArray[np.int64]
) -> dict[str, NDArray[np.float32]]:
    """Features of the elements in each layer; maps of a finer grid are read where their grid meets the encoder's."""
    finer = OUTPUT_STRIDE // FEATURE_STRIDE
    parts: dict[str, list[torch.Tensor]] = {layer: [] for layer in LAYERS}
    images = np.unique(at)
    with torch.inference_mode():
        for start in range(0, len(images), CHUNK):
            chosen = images[start : start + CHUNK]
            mine = np.isin(at, chosen)  # elements are in the order of the images
            k, i, j = np.searchsorted(chosen, at[mine]), row[mine], column[mine]
            deep = model.features(to_unit(to_colour(arrays.images[chosen])))
            fused = model.decoder(deep)  # (B, channels, H / 4, W / 4)
            fused_s = fused if model.decoder_s is None else model.decoder_s(deep)
            parts["encoder"].append(deep[-1][k, :, i, j])
            parts["decoder"].append(fused[k, :, finer * i, finer * j])
            parts["embedding"].append(model.head_s(fused_s)[k, :, finer * i, finer * j])
    return {layer: torch.cat(found).float().numpy() for layer, found in parts.items()}
