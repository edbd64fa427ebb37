"""What is wrong with a copy of AI4Mars's Navcam: every image, every label, and what the archive says they should be."""

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image as PilImage

from marsnb.data._images import PNG, SUFFIXES, CodeError, decode, decode_codes
from marsnb.data._tree import almost, files_by_stem, other_files
from marsnb.data.ai4mars import CLOCK, AI4Mars, cover_name, find_tree, no_pair, read_mask
from marsnb.data.fetch_ai4mars import Member, choose, read_directory
from marsnb.data.segmentation import UNLABELLED
from marsnb.data.verify import SHOWN, Verified, report
from marsnb.errors import DataError


def verify_ai4mars(
    root: Path | None = None, *, watch: Callable[[list[Path]], Iterable[Path]] = lambda files: files
) -> Verified:
    """Look for all that can be wrong with a copy of the Navcam's part, also a subset or resized; see ``verify_msl``."""
    folder = find_tree(root)
    images = files_by_stem(folder / AI4Mars.images, SUFFIXES)
    labels = {AI4Mars.labels: files_by_stem(folder / AI4Mars.labels, PNG)}
    for name in map(AI4Mars.gold_labels.format, AI4Mars.golds):
        labels[name] = files_by_stem(folder / name, PNG, "_merged")
    covers = {name: files_by_stem(folder / name, PNG) for name, _ in AI4Mars.covers}
    label_of = {path: stem for found in labels.values() for stem, path in found.items()}
    cover_of = {path: cover_name(stem, "EDR") for found in covers.values() for stem, path in found.items()}
    published = _published(folder)

    problems: dict[str, list[str]] = defaultdict(list)
    paired = images.keys() & label_of.values()
    problems["images without a clock in their name"] = [stem for stem in sorted(paired) if not CLOCK.match(stem)]
    for place, suffixes, read in ((AI4Mars.images, SUFFIXES, "JPEGs"), (AI4Mars.labels, PNG, "PNGs")):
        problems[f"files of {place} are left out, where only {read} are read"] = other_files(folder / place, suffixes)
    for name, found in labels.items():
        problems[f"labels without an image in {name}"] = sorted(found.keys() - images.keys())
    begun = {member.image for path, member in published.items() if path.exists()}
    problems["files missing of pairs that are there in part"] = [
        path.name
        for path, member in published.items()
        if member.image in begun and member.folder not in covers and not path.exists()
    ]
    values: set[int] = set()  # of all labels
    blank: list[Path] = []  # labels of images, without a labelled pixel
    for path in watch([*images.values(), *label_of, *cover_of]):
        if path in published and zlib.crc32(path.read_bytes()) != published[path].crc:
            problems["files that are not those of the archive"].append(path.name)
            continue
        try:
            if path in label_of:
                found_values = np.flatnonzero(np.bincount(read_mask(path).ravel())).tolist()
                values.update(found_values)
                blank += [path] if found_values == [UNLABELLED] and label_of[path] in paired else []
            elif path in cover_of:
                decode_codes(path, None, known=(0, 1), fix="")
            else:
                decode(path, 1, mode="L")
        except CodeError as error:
            values |= error.found if path in label_of else set()
            codes = ", ".join(map(str, error.stray[:SHOWN]))
            problems["masks with another code than there are"].append(f"{path.name} ({codes})")
            continue
        except DataError:
            problems["damaged files"].append(path.name)
            continue
        image = images.get(label_of.get(path, cover_of.get(path, "")))
        if image and _size(image) not in (_size(path), None):
            problems["masks of another size than their image"].append(path.name)

    every: dict[str, Path] = {stem: path for found in labels.values() for stem, path in found.items()}
    lines = [line for what, names in problems.items() for line in report(what, names)]
    if not paired:
        lines.append(no_pair(folder, images, every))
    elif example := almost(images, every):
        lines.append(f"names of an image and its label that differ, also in case: e.g. {example}")
    if paired and len(blank) == sum(stem in paired for stem in label_of.values()):
        lines.append(f"no label of the {len(paired):,} pairs has a labelled pixel: all are {UNLABELLED}")
    if len(AI4Mars.class_names) in values and UNLABELLED not in values:
        lines.append("the codes are 0 to 4 without 255: they seem to be counted from 1, with 0 for unlabelled pixels")
    golds = ", ".join(f"{len(labels[AI4Mars.gold_labels.format(gold)]):,} {gold}" for gold in AI4Mars.golds)
    train = len(labels[AI4Mars.labels].keys() & images.keys())
    note = f"{len(paired):,} pairs: {train:,} of the {AI4Mars.pairs:,} labels for training; of the experts {golds}"
    fix = "run `marsnb data fetch ai4mars` as before, which brings what it fetched once again, or mend it by hand"
    return Verified(folder, lines, f"every file decodes ({note})", fix)


def _published(folder: Path) -> dict[Path, Member]:
    """What the archive says of the files of a tree that was fetched; nothing for another one."""
    layout = next(name for name in AI4Mars.layouts if folder.as_posix().endswith(name))
    tree = folder.parents[layout.count("/")]
    return {tree / member.path: member for member in choose(read_directory(tree)[1], masks=True)}


def _size(path: Path) -> tuple[int, int] | None:
    """Width and height; ``None`` of a file that is no image."""
    try:
        with PilImage.open(path) as image:
            return image.size
    except (OSError, SyntaxError, ValueError):
        return None
