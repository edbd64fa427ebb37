"""A trained model on images of one's own: classes with their probabilities, or masks, overlays and shares of area."""

import csv
import itertools
from collections.abc import Iterator, Sequence
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw, UnidentifiedImageError
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.nn import functional as F

from marsnb.data._images import ANY, eight_bits
from marsnb.data.arrays import to_images, to_unit
from marsnb.errors import DataError
from marsnb.training.load import Model

BATCH = 16  # images per forward pass
LOW = 0.5  # confidence of the first class below which an answer is flagged
TOP = 3
COLOURS = ((204, 121, 167), (0, 114, 178), (240, 228, 66), (213, 94, 0), (0, 158, 115), (86, 180, 233), (230, 159, 0))
STRENGTH = 0.45


def image_paths(names: Sequence[str]) -> list[Path]:
    """Image files of names of files, folders and patterns, each once, in their order; hidden files are left out.

    Raises:
        DataError: a name matches nothing, or no image is there at all.
    """
    found: dict[Path, None] = {}
    for name in names:
        path = Path(name).expanduser()
        if path.is_file():
            found.setdefault(path)
            continue
        inside = path.rglob("*") if path.is_dir() else map(Path, glob(str(path), recursive=True))  # noqa: PTH207  any pattern
        images = sorted(p for p in inside if p.is_file() and p.suffix.lower() in ANY and not p.name.startswith("."))
        if not images:
            endings = ", ".join(sorted(ANY))
            raise DataError(f"no image at {name}: name a file, a folder or a pattern of files ending in {endings}")
        found.update(dict.fromkeys(images))
    return list(found)


def stems(files: Sequence[Path]) -> dict[Path, str]:
    """A name for what is written of each file: its own without the ending, numbered where two would be alike."""
    found: dict[str, Path] = {}
    for path in files:
        names = itertools.chain([path.stem], (f"{path.stem}-{number}" for number in itertools.count(2)))
        found[next(name for name in names if name not in found)] = path
    return {path: name for name, path in found.items()}


def read_image(path: Path, size: int) -> tuple[NDArray[np.uint8], PilImage.Image]:
    """An image squashed to ``size`` x ``size`` as in training, RGB, and as it is; 16-bit grey is brought to 8 bits.

    Raises:
        DataError: why it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            image = eight_bits(PilImage.open(stream)).convert("RGB")
            return np.array(image.resize((size, size), PilImage.Resampling.BILINEAR)), image
    except UnidentifiedImageError:
        raise DataError("no image of a kind that is known") from None
    except (OSError, SyntaxError, ValueError, PilImage.DecompressionBombError) as error:
        raise DataError(" ".join(str(error).split()) or type(error).__name__) from None


def _batches(files: Sequence[Path], size: int, broken: list[str]) -> Iterator[tuple[list[Path], Tensor, list[Any]]]:
    """Read images in batches; never more than one batch of them is in memory."""
    for start in range(0, len(files), BATCH):
        read = {}
        for path in files[start : start + BATCH]:
            try:
                read[path] = read_image(path, size)
            except DataError as error:
                broken.append(f"{path} ({error})")
        if read:
            small, whole = zip(*read.values(), strict=True)
            images = to_unit(to_images(np.stack(small))).contiguous(memory_format=torch.channels_last)
            yield list(read), images, list(whole)


def predict(model: Model, names: Sequence[str], out: Path, *, low: float = LOW, quiet: bool = False) -> Path:
    """Predict for images and write what was found into the folder ``out``; returns the CSV.

    Of a classifier that is ``classes.csv``: file, the three most probable classes with their probabilities, and whether
    the first is below ``low``. Of a segmenter it is ``areas.csv``, each class's share of the image, and for each image
    ``NAME_mask.png`` with the data set's codes at the image's own size and ``NAME_overlay.png`` with a legend.

    Args:
        model: see ``load_model``.
        names: files, folders or patterns.
        out: a folder.
        low: probability below which an answer is flagged.
        quiet: show no progress.

    Raises:
        DataError: nothing is there to read, or some files could not be read; the others are then done all the same.
    """
    files = image_paths(names)
    broken: list[str] = []
    out.mkdir(parents=True, exist_ok=True)
    segments, written_as = model.spec.task == "segmentation", stems(files)
    table = out / ("areas.csv" if segments else "classes.csv")
    partial = table.with_suffix(".partial")
    write = _masks if segments else _classes
    try:
        with partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file, torch.inference_mode():
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow(_heading(model))
            batches, console = _batches(files, model.spec.image_size, broken), Console(stderr=True)
            steps, quiet = -(-len(files) // BATCH), quiet or not console.is_terminal
            bar = track(batches, "images", total=steps, console=console, transient=True, disable=quiet)
            for paths, images, whole in bar:
                lines.writerows(
                    write(model, {p: out / written_as[p] for p in paths}, model.module(images).float(), whole, low)
                )
        partial.replace(table)
    finally:
        partial.unlink(missing_ok=True)
    if broken:
        some = "; ".join(broken[:5]) + ("; ..." if len(broken) > 5 else "")
        raise DataError(f"{len(broken)} of {len(files)} files could not be read: {some}; the others are in {table}")
    return table


def _heading(model: Model) -> list[str]:
    if model.spec.task == "segmentation":
        return ["file", *model.class_names]
    shown = range(1, min(TOP, len(model.class_names)) + 1)
    return ["file", *(f"{what}{i}" for i in shown for what in ("class", "probability")), "low_confidence"]


def _classes(
    model: Model, files: dict[Path, Path], logits: Tensor, whole: list[PilImage.Image], low: float
) -> list[list[object]]:
    probabilities, classes = logits.softmax(dim=1).topk(min(TOP, logits.shape[1]), dim=1)
    return [
        [str(path), *(v for c, p in zip(cs, ps, strict=True) for v in (model.class_names[c], f"{p:.4f}")), ps[0] < low]
        for path, cs, ps in zip(files, classes.tolist(), probabilities.tolist(), strict=True)
    ]


def _masks(
    model: Model, files: dict[Path, Path], logits: Tensor, whole: list[PilImage.Image], low: float
) -> list[list[object]]:
    lines: list[list[object]] = []
    for (path, out), one, image in zip(files.items(), logits, whole, strict=True):
        size = (image.height, image.width)
        codes = F.interpolate(one[None], size=size, mode="bilinear", align_corners=False)[0].argmax(dim=0)
        mask = codes.to(torch.uint8).numpy()
        PilImage.fromarray(mask).save(out.with_name(f"{out.name}_mask.png"))
        overlay(image, mask, model.class_names).save(out.with_name(f"{out.name}_overlay.png"))
        counts = np.bincount(mask.ravel(), minlength=len(model.class_names)) / mask.size
        lines.append([str(path), *(f"{share:.4f}" for share in counts)])
    return lines


def overlay(image: PilImage.Image, mask: NDArray[np.uint8], class_names: Sequence[str]) -> PilImage.Image:
    """An RGB image with each class's colour over it, ``mask`` its codes, ``(H, W)``, and a legend below."""
    colours = np.array(COLOURS)[np.arange(len(class_names)) % len(COLOURS)]
    painted = (1 - STRENGTH) * np.asarray(image.convert("RGB")) + STRENGTH * colours[mask]  # (H, W, 3)
    edge = max(14, image.height // 24)
    at: list[tuple[int, int]] = []  # of each name in the legend, which breaks into lines
    left, line = edge // 2, 0
    for name in class_names:
        wide = 2 * edge + int(ImageDraw.Draw(image).textlength(name, font_size=edge))
        left, line = (edge // 2, line + 1) if at and left + wide > image.width else (left, line)
        at.append((left, image.height + edge // 2 + 3 * edge // 2 * line))
        left += wide
    canvas = PilImage.new("RGB", (image.width, at[-1][1] + 3 * edge // 2), "white")
    canvas.paste(PilImage.fromarray(painted.astype(np.uint8)))
    draw = ImageDraw.Draw(canvas)
    for name, colour, (left, top) in zip(class_names, colours.tolist(), at, strict=True):
        draw.rectangle((left, top, left + edge, top + edge), fill=tuple(colour))
        draw.text((left + edge + edge // 3, top), name, fill="black", font_size=edge)
    return canvas
