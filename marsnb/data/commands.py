"""``marsnb data``: fetch a data set, verify it, show what is in it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marsnb.errors import DataError

if TYPE_CHECKING:
    from rich.table import Table

    from marsnb.data.base import ClassificationData
    from marsnb.data.segmentation import SegmentationData
    from marsnb.data.verify import Verified

app = typer.Typer(help="Fetch, verify and describe data sets.", no_args_is_help=True)

KNOWN = ("msl", "ai4mars")
FETCHED = (*KNOWN, "pds")
DESCRIBED = (*KNOWN, "synthetic_terrain")
Name = Annotated[str, typer.Argument(help=f"Data set: {', '.join(KNOWN)}.")]
Fetched = Annotated[str, typer.Argument(help=f"Data set: {', '.join(FETCHED)}.")]
Described = Annotated[str, typer.Argument(help=f"Data set: {', '.join(DESCRIBED)}.")]
Root = Annotated[Path | None, typer.Option("--data", help="Folder of data sets; MARSNB_DATA or ./data by default.")]


def _known(name: str, names: tuple[str, ...] = KNOWN) -> None:
    if name not in names:
        raise DataError(f"unknown data set {name!r}: choose one of {', '.join(names)}")


@app.command()
def fetch(
    name: Fetched = "msl",
    data: Root = None,
    limit: Annotated[int | None, typer.Option(help="ai4mars: that many pairs, spread over all sols.", min=1)] = None,
    masks: Annotated[bool, typer.Option("--masks", help="ai4mars: the rover and 30 m range masks too.")] = False,
    count: Annotated[
        int | None, typer.Option(help="pds: that many, of all sols and both cameras; 34000, or all of a --list.", min=1)
    ] = None,
    max_sol: Annotated[
        int | None,
        typer.Option(help="pds: the last sol; that of a --list, or 564, before the test images.", min=0),
    ] = None,
    size: Annotated[str | None, typer.Option(help="pds: browse (some 250 px, the default) or full.")] = None,
    thumbnails: Annotated[
        bool, typer.Option("--thumbnails", help="pds: exposures too of which there is a thumbnail alone.")
    ] = False,
    listed: Annotated[
        Path | None, typer.Option("--list", help="pds: take the products of this list, not of the index tables.")
    ] = None,
    write_list: Annotated[Path | None, typer.Option(help="pds: write the list of products, fetch no image.")] = None,
    again: Annotated[bool, typer.Option("--again", help="pds: ask again for what was missing or grey.")] = False,
    address: Annotated[str | None, typer.Option(help="pds: where the archive's volumes are, if they moved.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Download a data set unless it is there; what stopped goes on. msl: 58 MiB. ai4mars: some 6 GB.

    pds: the unlabelled images of L_u, Mastcam and MAHLI in colour, 34,000 of about 9 kB. Which ones is read from the
    archive's index tables, some hundred MB, once; the list of a default run is not part of the project. The
    same list gives two people the same images: write it with --write-list, take it with --list.
    """
    from rich.console import Console

    from marsnb.data.fetch import fetch_msl
    from marsnb.data.fetch_ai4mars import fetch_ai4mars

    _known(name, FETCHED)
    if name != "ai4mars" and (limit or masks):
        raise DataError(f"--limit and --masks are for ai4mars: leave them out of {name}")
    for_pds = {"count": count, "max_sol": max_sol, "size": size, "thumbnails": thumbnails or None, "listed": listed}
    for_pds |= {"write_list": write_list, "again": again or None, "address": address}
    given: dict[str, Any] = {option: value for option, value in for_pds.items() if value is not None}
    if name != "pds" and given:
        raise DataError(
            f"--{min(given).replace('_', '-').replace('listed', 'list')} is for pds: leave it out of {name}"
        )
    console = Console(highlight=False, soft_wrap=True)
    if name == "pds":
        line = _fetch_pds(data, partial(console.print, markup=False), not quiet, **given)
    elif name == "msl":
        line = f"msl is complete in {fetch_msl(data, progress=not quiet)}"
    else:
        folder = fetch_ai4mars(data, limit=limit, masks=masks, progress=not quiet)
        what = name if limit is None else f"{name}, limited to {limit:,} pairs,"
        line = f"{what} is complete in {folder}"
    console.print(line, markup=False)


def _fetch_pds(
    root: Path | None,
    say: Callable[[str], None],
    progress: bool,
    count: int | None = None,
    size: str = "browse",
    write_list: Path | None = None,
    again: bool = False,
    **chosen: Any,
) -> str:
    """Fetch unlabelled images, or write the list of them; returns what was done."""
    from marsnb.data import pds_index
    from marsnb.data.fetch_pds import fetch_pds
    from marsnb.data.fetch_pds_index import find_products

    if count is None and "listed" not in chosen:
        count = pds_index.COUNT
    found = find_products(root, progress=progress, say=say, **chosen)
    if count is not None and len(found) < count:
        say(f"there are {len(found):,} products to take, not {count:,}")
    found = found[:count]
    if write_list is not None:
        about = ", ".join(f"{key} {value}" for key, value in chosen.items()) or "as by default"
        pds_index.write_list(write_list, found, f"{len(found):,} Mastcam and MAHLI products, {about}")
        return f"{len(found):,} products are listed in {write_list}"
    at = {key: chosen[key] for key in ("address",) if key in chosen}
    done = fetch_pds(found, root, size=size, again=again, progress=progress, say=say, **at)
    return (
        f"{done.images:,} images are in {done.folder}; {done.missing:,} that are listed are not in the archive, "
        f"{done.grey:,} are grey and left out; {done.others:,} others in the folder are read with them"
    )


@app.command()
def verify(name: Fetched = "msl", data: Root = None) -> None:
    """Decode every image, and compare files, class ids or codes, counts and split lists with what they should be.

    pds: compare what was fetched with the checksums of its manifest.
    """
    from rich.console import Console
    from rich.progress import track

    from marsnb.data.fetch_pds import verify_pds
    from marsnb.data.verify import verify_msl
    from marsnb.data.verify_ai4mars import verify_ai4mars

    _known(name, FETCHED)
    console = Console(highlight=False, soft_wrap=True)
    watch: Any = partial(track, description="reading", console=console, transient=True)
    look: dict[str, Callable[..., Verified]] = {"msl": verify_msl, "ai4mars": verify_ai4mars, "pds": verify_pds}
    folder, problems, good, fix = look[name](data, watch=watch)
    for problem in problems:
        console.print(problem, markup=False)
    if problems:
        raise DataError(f"{len(problems)} problem{'s' if len(problems) > 1 else ''} in {folder}: {fix}")
    console.print(f"{name} in {folder}: {good}", markup=False)


@app.command()
def info(name: Described = "msl", data: Root = None) -> None:
    """Show where a data set comes from, unless it is generated, and what is in it (msl: beside the paper's Table 1)."""
    from rich.console import Console

    from marsnb.data.ai4mars import AI4Mars, open_ai4mars
    from marsnb.data.msl import MSL, open_msl
    from marsnb.data.synthetic_terrain import open_synthetic_terrain

    _known(name, DESCRIBED)
    console = Console(highlight=False, soft_wrap=True)
    about: type[MSL] | type[AI4Mars] = MSL if name == "msl" else AI4Mars
    if name in KNOWN:
        console.print(f"Title:   {about.title}", markup=False)
        console.print(f"Address: {about.address} ({about.file}, {about.size:,} bytes)", markup=False)
        console.print(f"DOI:     {about.doi}\nLicence: {about.licence}\nCite:    {about.citation}", markup=False)
    if name == "msl":
        console.print(_table1(data))
    opens: dict[str, Callable[..., ClassificationData | SegmentationData]] = {
        "msl": partial(open_msl, root=data),
        "ai4mars": partial(open_ai4mars, root=data),
        "synthetic_terrain": open_synthetic_terrain,
    }
    for protocol in about.protocols:
        opened = opens[name](protocol)
        counts = f"{len(opened.train):,} train, {len(opened.val):,} val, {len(opened.test):,} test"
        console.print(f"{protocol + ':':<15}{counts}", markup=False)
    console.print(opens[name]().note, markup=False)


def _table1(root: Path | None) -> "Table":
    """Counts on disk beside the paper's, in red where they differ."""
    from rich.table import Table

    from marsnb.data.msl import paper_table1
    from marsnb.data.verify import table1

    found = table1(root).set_index("class")
    rows = {name: (*found.loc[name], *paper) for name, paper in paper_table1().items()}
    table = Table(title='Images per class ("paper": Table 1, its "mascam" read as mastcam)', show_footer=True)
    table.add_column("class", footer="sum")
    for column, title in ((0, "train+val"), (2, "paper"), (1, "test"), (3, "paper")):
        table.add_column(title, justify="right", footer=str(sum(row[column] for row in rows.values())))
    for name, (train_val, test, *paper) in rows.items():
        style = "" if [train_val, test] == paper else "bold red"
        table.add_row(name, *map(str, (train_val, paper[0], test, paper[1])), style=style)
    return table
