"""What is wrong with the unlabelled images that were fetched: their files, against the manifest beside them."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from marsnb import paths
from marsnb.data.fetch_pds import FOLDERS, MANIFEST, file_of, read_manifest
from marsnb.data.verify import report
from marsnb.errors import DataError


def find_fetched(root: Path | None = None) -> list[Path]:
    """Folders of images that were fetched, of whatever size.

    Raises:
        DataError: there is none.
    """
    root = paths.data() if root is None else root
    found = [root / name for name in FOLDERS.values() if (root / name / MANIFEST).is_file()]
    if not found:
        raise DataError(f"no {MANIFEST} in {root / FOLDERS['browse']}: run `marsnb data fetch pds`")
    return found


def verify_pds(
    folder: Path, *, watch: Callable[[list[str]], Iterable[str]] = lambda names: names
) -> tuple[list[str], str]:
    """Compare the images that were fetched with their manifest.

    Args:
        folder: where they are.
        watch: handed the list of products and iterated over in its place, for a progress bar.

    Returns:
        One line per problem, and what there is in a few words.

    Raises:
        DataError: the manifest cannot be read.
    """
    manifest = read_manifest(folder)
    missing: list[str] = []
    changed: list[str] = []
    for name in watch(sorted(manifest)):
        path = file_of(folder, name)
        if not path.is_file():
            missing.append(path.name)
        elif hashlib.sha256(path.read_bytes()).hexdigest() != manifest[name].digest:
            changed.append(path.name)
    others = len({path.stem for path in folder.rglob("*.JPG")} - manifest.keys())
    note = f"{len(manifest):,} images in {folder.name} as its {MANIFEST} has them, {others:,} others"
    return report("images missing", missing) + report("images that are not those that were fetched", changed), note
