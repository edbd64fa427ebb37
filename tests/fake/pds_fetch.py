"""A download of unlabelled images from a server on this machine, and what should come of it."""

from pathlib import Path

import pytest

from marsnb.data.fetch_pds import Fetched, fetch_pds
from marsnb.data.fetch_pds_index import find_products
from marsnb.errors import DataError
from tests.fake.pds_archive import PdsArchive

LAST = 5  # sol


def fetch(archive: PdsArchive, root: Path, count: int = 1000, max_sol: int = LAST, **options: object) -> Fetched:
    at = {"address": archive.url, "interval": 0.0, "progress": False}
    found = find_products(root, max_sol=max_sol, **at)[:count]  # type: ignore[arg-type]
    return fetch_pds(found, root, **(at | options))  # type: ignore[arg-type]


def refusal(archive: PdsArchive, root: Path, **options: object) -> str:
    with pytest.raises(DataError) as error:
        fetch(archive, root, **options)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    return str(error.value)


def early(archive: PdsArchive) -> set[str]:
    """Products that there is a good image of."""
    return {name for name in archive.good if int(name[:4]) <= LAST}


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder, hidden ones too, but for the tables that were kept."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
