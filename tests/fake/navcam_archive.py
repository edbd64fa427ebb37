"""A download of AI4Mars from a server on this machine, and what should come of it."""

import re
from pathlib import Path

import pytest

from marsnb.data.ai4mars import AI4Mars
from marsnb.data.fetch_ai4mars import DIRECTORY, Member, choose, fetch_ai4mars, read_directory
from marsnb.errors import DataError
from tests.fake.ai4mars import FakeAI4Mars
from tests.fake.zenodo import Archive

TREE = Path(AI4Mars.file).stem


def fetch_from(server: Archive, root: Path, **options: object) -> Path:
    """Run the download."""
    return fetch_ai4mars(root, base_url=server.url, progress=False, **options)  # type: ignore[arg-type]


def failing(server: Archive, root: Path) -> str:
    """Run the download; the one line it fails with."""
    with pytest.raises(DataError) as error:
        fetch_from(server, root)
    assert "\n" not in str(error.value)
    return str(error.value)


def files(root: Path) -> dict[str, bytes]:
    """All that was fetched, by its path in the data set's folder."""
    tree = root / TREE
    found = (path for path in tree.rglob("*") if path.is_file() and path.name != DIRECTORY)
    return {path.relative_to(tree).as_posix(): path.read_bytes() for path in found}


def expected(fake: FakeAI4Mars, *, masks: bool = False) -> dict[str, bytes]:
    """What there is to fetch: neither Mastcam nor images without a label."""
    layout = fake.folder.relative_to(next(fake.root.iterdir())).as_posix()
    wanted = re.compile(rf"{layout}/(images/edr|labels|images/(mxy|rng-30m))/.*")
    stems = {*fake.sols, *fake.gold}
    found = {
        name: content
        for name, content in fake.files().items()
        if (match := wanted.fullmatch(name)) and (masks or not match[2])
    }
    return {name: content for name, content in found.items() if "/edr/" not in name or Path(name).stem in stems}


def first_member(root: Path) -> Member:
    """Of those that were fetched, the one that comes first in the archive."""
    return min(choose(read_directory(root / TREE)[1]), key=lambda member: member.start)
