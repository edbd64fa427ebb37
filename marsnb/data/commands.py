"""``marsnb data``: fetch a data set, verify it, show what is in it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marsnb.errors import DataError

if TYPE_CHECKING:
    from rich.table import Table

    from marsnb.data.base import ClassificationData
    from marsnb.data.segmentation import SegmentationData

app = typer.Typer(help="Fetch, verify and describe data sets.", no_args_is_help=True)

KNOWN = ("msl", "ai4mars")
DESCRIBED = (*KNOWN, "synthetic_terrain")
Name = Annotated[str, typer.Argument(help=f"Data set: {', '.join(KNOWN)}.")]
Described = Annotated[str, typer.Argument(help=f"Data set: {', '.join(DESCRIBED)}.")]
Root = Annotated[Path | None, typer.Option("--data", help="Folder of data sets; MARSNB_DATA or ./data by default.")]


def _known(name: str, names: tuple[str, ...] = KNOWN) -> None:
    if name not in names:
        raise DataError(f"unknown data set {name!r}: choose one of {', '.join(names)}")


@app.command()
def fetch(
    name: Name = "msl",
    data: Root = None,
    limit: Annotated[int | None, typer.Option(help="ai4mars: that many pairs, spread over all sols.", min=1)] = None,
    masks: Annotated[bool, typer.Option("--masks", help="ai4mars: the rover and 30 m range masks too.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Download a data set (58 MiB for msl, some 6 GB for ai4mars) unless it is there; one that stopped goes on."""
    from rich.console import Console

    from marsnb.data.fetch import fetch_msl
    from marsnb.data.fetch_ai4mars import fetch_ai4mars

    _known(name)
    if name == "msl" and (limit or masks):
        raise DataError("--limit and --masks are for ai4mars: leave them out, msl is fetched whole")
    if name == "msl":
        folder = fetch_msl(data, progress=not quiet)
    else:
        folder = fetch_ai4mars(data, limit=limit, masks=masks, progress=not quiet)
    what = name if limit is None else f"{name}, limited to {limit:,} pairs,"
    Console(highlight=False, soft_wrap=True).print(f"{what} is complete in {folder}", markup=False)


@app.command()
def verify(name: Name = "msl", data: Root = None) -> None:
    """Decode every image, and compare files, class ids or codes, counts and split lists with what they should be."""
    from rich.console import Console
    from rich.progress import track

    from marsnb.data import ai4mars, msl
    from marsnb.data._tree import left_out
    from marsnb.data.pds import product_files
    from marsnb.data.verify import verify_msl
    from marsnb.data.verify_ai4mars import verify_ai4mars

    _known(name)
    console = Console(highlight=False, soft_wrap=True)
    watch = partial(track, description="decoding", console=console, transient=True)
    if name == "msl":
        folder, problems = msl.find_tree(data), verify_msl(data, watch=watch)
        good = "every file is there, decodes and is counted as in Table 1"
        if others := left_out(product_files(folder / msl.MSL.images)[1]):
            good += f"; left out of {msl.MSL.images}: {others}"
        fix = "move it away and run `marsnb data fetch msl`"
    else:
        folder, (problems, note) = ai4mars.find_tree(data), verify_ai4mars(data, watch=watch)
        good = f"every file decodes ({note})"
        fix = "run `marsnb data fetch ai4mars` as before, which brings what it fetched once again, or mend it by hand"
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
    facts = {
        "Title": about.title,
        "Address": f"{about.address} ({about.file}, {about.size:,} bytes)",
        "DOI": about.doi,
        "Licence": about.licence,
        "Cite": about.citation,
    }
    for key, value in facts.items() if name in ("msl", "ai4mars") else ():
        console.print(f"{key + ':':<9}{value}", markup=False)
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
    """Counts on disk beside the paper's."""
    from rich.table import Table

    from marsnb.data.verify import paper_table1, table1

    paper = paper_table1()
    table = Table(title='Images per class ("paper": Table 1, its "mascam" read as mastcam)', show_footer=True)
    counts = [(row["class"], row["train_val"], row["test"]) for row in table1(root).to_dict("records")]
    rows = [(name, train_val, paper[name][0], test, paper[name][1]) for name, train_val, test in counts]
    totals = [sum(column) for column in list(zip(*rows, strict=True))[1:]]
    table.add_column("class", footer="sum")
    for title, total in zip(("train+val", "paper", "test", "paper"), totals, strict=True):
        table.add_column(title, justify="right", footer=str(total))
    for row in rows:
        differs = row[1] != row[2] or row[3] != row[4]
        table.add_row(*map(str, row), style="bold red" if differs else "")
    return table
