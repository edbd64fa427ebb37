"""Make the split lists of MSL v1 that are committed in ``splits/``: ``python -m marsnb.data.make_splits``.

It was run once; it refuses to overwrite a list.
"""

import random
from collections import Counter, defaultdict
from pathlib import Path

from marsnb import paths
from marsnb.data.msl import read_tree
from marsnb.data.pds import parse_name
from marsnb.errors import DataError

SEED = 2206_02180  # the paper's arXiv number
VAL_SHARE = 0.1  # departure: the paper says that train and val were reshuffled, not in which ratio


def split_by_frame(labels: dict[str, int], seed: int = SEED, val_share: float = VAL_SHARE) -> dict[str, str]:
    """Assign whole frames to ``train`` or ``val``, class by class; file name to split, sorted by name.

    A frame whose images have different labels goes with the rarest of them. Of a class with two frames or more at least
    one stays in train and one goes to val; a class of one frame stays in train.
    """
    frames: dict[str, list[str]] = defaultdict(list)
    for name in sorted(labels):
        frames[parse_name(name).frame].append(name)
    images = Counter(labels.values())
    strata: dict[int, list[str]] = defaultdict(list)
    for frame, names in frames.items():
        strata[min((labels[name] for name in names), key=lambda label: (images[label], label))].append(frame)

    generator = random.Random(seed)
    val: set[str] = set()
    for _, members in sorted(strata.items()):
        generator.shuffle(members)
        if len(members) > 1:
            val.update(members[: max(1, round(val_share * len(members)))])
    return {name: "val" if parse_name(name).frame in val else "train" for name in sorted(labels)}


def split_by_image(labels: dict[str, int], seed: int = SEED, val_share: float = VAL_SHARE) -> dict[str, str]:
    """Assign each image by itself, ignoring classes and frames; returns as ``split_by_frame``."""
    names = sorted(labels)
    shuffled = random.Random(seed).sample(names, len(names))
    val = set(shuffled[: round(val_share * len(names))])
    return {name: "val" if name in val else "train" for name in names}


def write_splits(folder: Path, root: Path | None = None, seed: int = SEED) -> list[Path]:
    """Write ``msl_v1_by_frame.txt`` and ``msl_v1_paper.txt``, a line ``<file name> <train|val>`` for each image.

    ``DataError`` where one of them is there already (nothing is written), or there is no data set in ``root``.
    """
    files = {protocol: folder / f"msl_v1_{protocol}.txt" for protocol in ("by_frame", "paper")}
    for path in files.values():
        if path.exists():
            raise DataError(f"{path} exists and results depend on it: write to another folder")
    tree = read_tree(root)
    labels = tree.lists["train"] | tree.lists["val"]
    folder.mkdir(parents=True, exist_ok=True)
    for (protocol, path), rule in zip(files.items(), (split_by_frame, split_by_image), strict=True):
        chosen = rule(labels, seed)
        count = Counter(chosen.values())
        counts = f"{count['train']} train, {count['val']} val"
        head = f"# MSL v1, protocol {protocol}, seed {seed}: {counts} (marsnb.data.make_splits)"
        path.write_text("\n".join([head, *(f"{name} {split}" for name, split in chosen.items())]) + "\n", "utf-8")
    return list(files.values())


if __name__ == "__main__":
    for written in write_splits(paths.splits()):
        print(written)
