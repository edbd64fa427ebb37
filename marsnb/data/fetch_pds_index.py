"""Which products of the Planetary Data System to fetch: a list, or what the index tables of its volumes give."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from marsnb import paths
from marsnb.data import pds_index
from marsnb.data._http import AGAIN, INTERVAL, Polite, space, whole
from marsnb.data._transfer import complete
from marsnb.data.msl import MSL
from marsnb.data.pds_index import Entry, Index
from marsnb.errors import DataError
from marsnb.files import clear_left_behind

ADDRESS = "https://planetarydata.jpl.nasa.gov/img/data/msl"
INDEX = "pds-index"  # folder of what was kept of the index tables


def default_list() -> Path:
    """The committed list of what a run with no option takes; it may be missing, and the index tables are read then."""
    return paths.splits() / "pds_unlabelled.txt"


def find_products(
    root: Path | None = None,
    *,
    max_sol: int | None = None,
    thumbnails: bool = False,
    listed: Path | None = None,
    address: str = ADDRESS,
    interval: float = INTERVAL,
    progress: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> list[Entry]:
    """Colour products that may be taken, one of each exposure, in the order in which they are: see ``choose``.

    No exposure that MSL v1 labels is among them.

    Args:
        root: folder of data sets; ``paths.data()`` by default.
        max_sol: last sol; by default that of the list, or 564, the last one before the test images of MSL v1.
        thumbnails: whether exposures of which there is a thumbnail alone are taken too.
        listed: a list of products to take in place of what the index tables give; it goes without ``thumbnails``.
        address: of the archive's volumes.
        interval: seconds between two requests.
        progress: whether to show a progress bar for each index table.
        say: told in a line what is done.

    Raises:
        DataError: network, disk, an unreadable list or table, or no product that may be taken.
    """
    root = paths.data() if root is None else root
    if listed is not None and thumbnails:
        raise DataError(f"{listed} says itself which thumbnails are taken: leave --thumbnails out, or the list")
    if listed is None and not thumbnails and max_sol in (None, MSL.last_sol) and default_list().is_file():
        listed, max_sol = default_list(), MSL.last_sol
    on_list = [] if listed is None else pds_index.read_list(listed)
    if max_sol is None:
        max_sol = max((entry.product.sol for entry in on_list), default=MSL.last_sol)
    excluded = pds_index.labelled_frames(root, max_sol)
    if listed is not None:
        found = [e for e in on_list if e.product.sol <= max_sol and e.product.frame not in excluded]
    else:
        entries = _indexed(root, max_sol, address, Polite(interval), progress, say)
        found = pds_index.choose(entries, exclude_frames=excluded, max_sol=max_sol, thumbnails=thumbnails)
    if not found:
        raise DataError(f"there is no product up to sol {max_sol} to take: give a later sol or another list")
    return found


def _indexed(
    root: Path, max_sol: int, address: str, server: Polite, progress: bool, say: Callable[[str], None]
) -> list[Entry]:
    """The colour corrected products of all volumes up to a sol."""
    entries: list[Entry] = []
    clear_left_behind(root / INDEX, age=0)
    for prefix, camera in pds_index.CAMERAS.items():
        for release in range(1, pds_index.RELEASES + 1):
            volume = f"{prefix}_{release:04d}"
            kept, part = root / INDEX / f"{volume}.txt", root / INDEX / f"{volume}.TAB.part"
            index = pds_index.kept_index(kept)
            if index is None or index.last_sol < 0:
                say(f"reading the index table of {volume} ({camera}), once; it may have 100 MB or more")
                with space(root, 0):
                    index = _read_volume(volume, part, address, server, progress)
                    if index.last_sol >= 0:  # one that is missing may come
                        pds_index.keep_index(kept, index)
            part.unlink(missing_ok=True)
            entries += index.entries
            if not index.filters:
                say(f"the index table of {volume} tells no filters: images through geology filters may be taken")
            if index.last_sol > max_sol:
                break  # the next one begins where this one ends
    return entries


def _read_volume(volume: str, part: Path, address: str, server: Polite, progress: bool) -> Index:
    """Ask for the index table of a volume."""
    url = f"{address}/{volume}/INDEX/RDRINDEX"
    with server.get(f"{url}.LBL") as response:
        if response.status_code == 404 and not volume.endswith("_0001"):
            return Index(-1, (), True)  # releases may be missing, and new ones come
        if not response.ok:
            raise DataError(
                f"{url}.LBL answered HTTP {response.status_code}: {AGAIN} later, or give another --address or a --list"
            )
        label = whole(response).decode("ascii", "replace")
    if "PDS_VERSION_ID" not in label[:1000]:
        raise DataError(f"{url}.LBL is no label, it begins with {label[:15]!r}: a page of a proxy? {AGAIN} later")
    part.parent.mkdir(parents=True, exist_ok=True)
    complete(part, f"{url}.TAB", partial(server.get, f"{url}.TAB"), progress=progress)
    try:
        with part.open("rb") as table:
            return pds_index.read_index(volume, label, table)
    except DataError:
        part.unlink()
        raise
