"""Which runs of the ledger a table shows: those of one measurement, never of two copies of the data at once.

A ledger may hold runs of several copies of the data: the ones it came with, and those of a user who fetched the images
anew, with other files or fewer of them. Rows are compared only where their labelled images and test list are the same.
"""

from functools import lru_cache
from pathlib import Path

import pandas as pd

from marsnb.errors import RecipeError
from marsnb.training import ledger

COMMITTED, MINE, BOTH = "committed", "mine", "both"
_RUN = ["run_id", "key", "seed", "data", "fingerprint", "labelled", "device", "date"]


def read(profile: str) -> pd.DataFrame:
    """The ledger of a profile with two more columns; not to be changed by the caller.

    ``key`` is the part of a run's id that names its spec. ``labelled`` names the labelled images and their lists; where
    the ledger does not say, it is the data set's name with the number of scored images.
    """
    path = ledger.ledger_path(profile)
    state = path.stat() if path.is_file() else None
    return _read(path, profile, (state.st_mtime_ns, state.st_size) if state else None)


@lru_cache(maxsize=4)
def _read(path: Path, profile: str, state: object) -> pd.DataFrame:
    book = ledger.read(profile)
    book = book.assign(key=book["run_id"].str.split("-").str[0])
    counted = book["data"].astype(str) + ", " + book.groupby(["run_id", "split"])["n"].transform("max").astype(str)
    said = book["labelled"] if "labelled" in book else pd.Series(pd.NA, index=book.index, dtype=object)
    return book.assign(labelled=said.where(said.notna(), counted).astype(str))


def chosen(book: pd.DataFrame, keys: list[str], split: str, data: str = COMMITTED) -> pd.DataFrame:
    """The runs that stand behind some rows, each with ``whose`` measurement it is.

    The committed measurement is on the labelled images that most runs of these rows saw, the earliest dated of two that
    are equal; where a row saw several pools of unlabelled images beside them, the same rule holds among these. Mine is
    the newest of the others, filled up with the committed runs on the same labelled images; a run that was measured
    once more (``marsnb run --again``) is one of them.

    Args:
        book: what `read` gives.
        keys: of the rows' specs.
        split: whose scores are wanted.
        data: ``committed``, ``mine`` or ``both``; anything else raises ``RecipeError``.

    Returns:
        One line per run: ``run_id, key, seed, data, fingerprint, labelled, date, whose``; of two runs of one seed on
        the same data, the newest.
    """
    if data not in (COMMITTED, MINE, BOTH):
        raise RecipeError(f"data={data!r}: give 'committed', 'mine' or 'both'")
    runs = book.loc[book["key"].isin(keys) & (book["split"] == split), _RUN].drop_duplicates("run_id")
    runs = runs.assign(again=runs["run_id"].str.contains(ledger.AGAIN)).sort_values("date", kind="stable")
    runs = runs.drop_duplicates(["key", "seed", "fingerprint", "again"], keep="last")
    once = runs[~runs["again"].astype(bool)].drop(columns="again")
    first = _most(once, once, ["labelled"])
    first = _most(first, once, ["key", "fingerprint"])
    parts = [first.assign(whose=COMMITTED)] if data != MINE else []
    rest = runs.drop(first.index).drop(columns="again")
    if data != COMMITTED and len(rest):
        newest = rest.iloc[-1]["labelled"]
        own = rest[rest["labelled"] == newest]
        last = own.groupby("key")["fingerprint"].transform("last")
        own = own[own["fingerprint"] == last]
        if data == MINE:
            same = first[(first["labelled"] == newest) & ~first["key"].isin(own["key"])]
            own = pd.concat([own, same])
        parts.append(own.assign(whose=MINE))
    return pd.concat(parts) if parts else runs.iloc[:0].assign(whose=COMMITTED)


def _most(some: pd.DataFrame, runs: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Lines of ``some`` whose value in the last column of ``by`` most of ``runs`` have, for each of the others."""
    if some.empty:
        return some
    name = by[-1]
    rank = runs.groupby(name).agg(count=("run_id", "size"), first=("date", "min"))
    rank = rank.sort_values(["count", "first"], ascending=[False, True], kind="stable")
    place = some[name].map({value: i for i, value in enumerate(rank.index)})
    best = place.groupby([some[other] for other in by[:-1]]).transform("min") if by[:-1] else place.min()
    return some[place == best]
