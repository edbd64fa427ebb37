"""The command line: ``marsnb data | run | status | answers | claims | predict | export | reproduce | site | readme``.

Heavy imports wait for the command that needs them.
"""

import errno
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

import marsnb
from marsnb import paths
from marsnb.data.commands import app as data_app
from marsnb.errors import MarsnbError, NotebookError, one_line
from marsnb.processes import STOPPED

app = typer.Typer(
    name="marsnb",
    help="Regenerate every table and figure of a Mars imagery paper, on real images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(data_app, name="data", help="Fetch, verify and describe the data sets.")

Profile = Annotated[str, typer.Option("--profile", "-p", help="Scale: smoke, lite or paper.")]
BESIDE = "Notebooks beside each other; one more than cores and at most 4 by default, on a GPU 1."
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]


@app.command()
def run(
    table: Annotated[
        list[str], typer.Option(help="Number of a table, a key such as 'choice', or 'all'; may be given again.")
    ],
    profile: Profile = "smoke",
    row: Annotated[list[str] | None, typer.Option(help="Only this row of a table; may be given again.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Runs per row; the profile's number by default.")] = None,
    seed: Annotated[list[int] | None, typer.Option(min=0, help="Only this seed; may be given again.")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Runs side by side, each a process of its own; 1, with Ray all it can.")
    ] = None,
    on: Annotated[str | None, typer.Option(help="ray: spread the runs over a Ray cluster's machines.")] = None,
    address: Annotated[str | None, typer.Option(help="Of the cluster; a Ray on this machine by default.")] = None,
    per_gpu: Annotated[int, typer.Option(min=1, help="With Ray, runs that share a GPU.")] = 1,
    again: Annotated[bool, typer.Option("--again", help="Train also what the ledger has, beside it.")] = False,
    device: Device = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Devices that share each run, which has its batch split.")] = 1,
    score_every: Annotated[int, typer.Option(min=1, help="Score every so many epochs; the last always.")] = 1,
) -> None:
    """Train the rows of tables that the ledger lacks, every row's seed 0 first.

    A run that was stopped goes on from its last epoch, and what the ledger has is not trained again.
    """
    from marsnb.recipes import load_profile
    from marsnb.training.queue import run_queue
    from marsnb.training.run import How
    from marsnb.training.spec import jobs_of

    if row and len(table) > 1:
        raise MarsnbError("--row goes with one --table: give one")
    if on not in (None, "ray"):
        raise MarsnbError(f"--on {on} is unknown: give --on ray, or leave it out")
    if not on and (address or per_gpu > 1):
        raise MarsnbError("--address and --per-gpu are Ray's: give --on ray with them")
    if seed and seeds:
        raise MarsnbError("--seed names the seeds and --seeds counts them: give one of the two")
    if devices > 1 and (on or (jobs or 1) > 1):
        raise MarsnbError("--devices shares one run at a time: leave --jobs and --on out")
    wanted = jobs_of(table, profile, row, seed if seed else range(seeds or load_profile(profile).seeds))
    how, workers = How(profile, device, score_every, again, devices), None
    if on:
        from marsnb.training.cluster import OnRay

        workers = OnRay(how, jobs, address, per_gpu)
    typer.echo("\n".join(run_queue(wanted, how, side_by_side=jobs or 1, workers=workers)))


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="A run id, a checkpoint, or best:TABLE of the profile.")],
    images: Annotated[list[str], typer.Argument(help="Files, folders or patterns of JPEG, PNG or TIFF.")],
    profile: Profile = "lite",
    out: Annotated[Path, typer.Option(help="Folder of what is written.")] = Path("predictions"),
    low: Annotated[float, typer.Option(min=0, max=1, help="Confidence below which an answer is flagged.")] = 0.5,
) -> None:
    """Use a trained model on images of your own: classes as a CSV, or masks, overlays and shares of area."""
    from marsnb.predict import predict as run_predict
    from marsnb.training.load import load_model

    typer.echo(run_predict(load_model(model, profile), images, out, low=low))


@app.command()
def export(
    model: Annotated[str, typer.Argument(help="A run id, a checkpoint, or best:TABLE of the profile.")],
    out: Annotated[Path, typer.Argument(help="The file.")],
    to: Annotated[str, typer.Option(help="onnx or safetensors.")] = "onnx",
    profile: Profile = "lite",
) -> None:
    """Write a trained model for use elsewhere, with class names, size and normalisation inside."""
    from marsnb.export import export as run_export
    from marsnb.training.load import load_model

    typer.echo(run_export(load_model(model, profile), out, to))


@app.command()
def status(profile: Annotated[str | None, typer.Option("--profile", "-p", help="Only this profile.")] = None) -> None:
    """What is measured and what is missing, per table and profile, with time so far and time to go; what runs where."""
    from rich.console import Console

    from marsnb.training.status import running_table, status_table

    now = running_table(profile)
    Console().print(status_table(profile), *([now] if now.row_count else []))


@app.command()
def answers(
    run_id: Annotated[list[str] | None, typer.Argument(help="Ids of runs.")] = None,
    table: Annotated[str | None, typer.Option(help="Number or key of a table, in the place of ids.")] = None,
    row: Annotated[list[str] | None, typer.Option(help="Only this row of the table; may be given again.")] = None,
    profile: Profile = "lite",
) -> None:
    """Keep what runs answered to each test image beside the ledger, so that notebooks need neither models nor images.

    What runs leave on this machine is copied to figures/PROFILE/answers/RUN_ID.csv: names, labels and answers.
    """
    from marsnb.recipes import load_table
    from marsnb.results import table as table_of
    from marsnb.results.images import keep_answers

    wanted = list(run_id or [])
    if table is not None:
        rows = [load_table(table).row(name).id for name in row or []]
        found = table_of(table, profile)
        wanted += list(found[found["row"].isin(rows or set(found["row"])) & (found["run_id"] != "")]["run_id"].unique())
    if not wanted:
        raise MarsnbError("there is no run to copy from: give run ids, or --table with rows that were run")
    missing = []
    for name in wanted:
        try:
            typer.echo(keep_answers(name, profile))
        except MarsnbError as error:
            missing.append(str(error))
    if missing:
        raise MarsnbError(missing[0] + (f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""))


@app.command()
def claims(profile: Profile = "lite") -> None:
    """The sentences of the paper, the evidence for each, and whether it holds at a profile."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from marsnb.results import claims as engine

    found = engine.frame(profile)
    view = Table("§", "The paper says", "Paper", "Measured, with 95 % interval", "Verdict", show_lines=True)
    for line in found[["section", "quote", "paper", "measured", "why", "verdict"]].to_dict("records"):
        evidence = "\n".join(filter(None, (line["measured"], line["why"])))
        verdict = f"{engine.SYMBOLS[line['verdict']]} {line['verdict']}"
        view.add_row(*(escape(text) for text in (line["section"], line["quote"], line["paper"], evidence, verdict)))
    counts = Table("§", *engine.VERDICTS, title=f"How many hold at profile {profile}")
    for section, numbers in engine.tally(found).iterrows():
        counts.add_row(str(section), *map(str, numbers))
    Console().print(view, counts)


@app.command()
def reproduce(
    profile: Annotated[
        list[str] | None, typer.Option("--profile", "-p", help="smoke (default), lite or paper; may be given again.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only notebooks whose name begins so, e.g. 07.")] = None,
    parameter: Annotated[list[str] | None, typer.Option("--set", help="A notebook parameter: NAME=VALUE.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help=BESIDE)] = None,
) -> None:
    """Run the notebooks through papermill, build the site, and name the page to open."""
    from marsnb import site as pages
    from marsnb.pages import SHOWN
    from marsnb.reproduce import ParameterError, parse_parameters, sources
    from marsnb.reproduce import reproduce as run_notebooks

    profiles, given = profile or ["smoke"], parse_parameters(parameter or [])
    first = sources(only)[0].stem if only else ""
    failed = None
    try:
        run_notebooks(profiles, only, given, jobs)
    except ParameterError:
        raise  # nothing ran
    except NotebookError as error:
        failed = error
    typer.echo("building the site", err=True)
    try:
        pages.build()
    except MarsnbError as error:
        raise MarsnbError("; ".join(map(str, filter(None, (failed, error))))) from error
    if failed:
        raise failed
    typer.echo(f"open {pages.html(profiles[0] if only else SHOWN, first)}")


@app.command()
def site(
    draw: Annotated[bool, typer.Option(help="Draw notebooks that have no copy, or one older than the ledger.")] = True,
    jobs: Annotated[int | None, typer.Option(min=1, help=BESIDE)] = None,
) -> None:
    """Draw the notebooks at lite from the ledger and build the site from them."""
    from marsnb import site as pages
    from marsnb.pages import SHOWN
    from marsnb.reproduce import reproduce as run_notebooks

    stale = pages.outdated() if draw else []
    if stale:
        run_notebooks(SHOWN, stale, {}, jobs)
    typer.echo(f"open {pages.build()}")


@app.command()
def readme(check: Annotated[bool, typer.Option("--check", help="Only say whether it is up to date.")] = False) -> None:
    """Rewrite the generated part of README.md, with the notebooks' times as measured last on this machine."""
    from marsnb.readme import take_times, update

    if not check:
        take_times()
    stale = update(paths.ROOT / "README.md", check=check)
    if check and stale:
        raise MarsnbError("README.md is out of date: run `marsnb readme`")


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,
) -> None:
    """Regenerate every table and figure of a Mars imagery paper, on real images."""
    if show:
        typer.echo(f"marsnb {marsnb.__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point: a user's mistake is one line on standard error and exit code 1, without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # not every terminal has a section sign
    try:
        code = app(standalone_mode=False)
        if code == STOPPED:
            raise KeyboardInterrupt  # typer has caught it, and gives back its code
    except MarsnbError as error:
        _fail(error)
    except (typer.Abort, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # an impatient second Ctrl-C would change how the process ends
        _fail("stopped; what was measured is kept, and the same command goes on from there", code=STOPPED)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        if not (full or error.filename) or os.environ.get("MARSNB_TRACEBACK"):
            raise
        where = f" while writing {error.filename}" if error.filename else ""
        if full:
            _fail(f"the disk is full{where}: free some space and run the same command again; what was measured is kept")
        _fail(f"cannot use {error.filename} ({error.strerror}): mend that, or set {', '.join(paths.FOLDERS)} to others")
    except Exception as error:
        if not hasattr(error, "exit_code") or not hasattr(error, "format_message"):
            raise
        _fail(f"{error.format_message()} (see `marsnb --help`)")
    else:
        sys.exit(code or 0)


def _fail(message: object, code: int = 1) -> NoReturn:
    sys.stderr.write(f"marsnb: {one_line(message)}\n")
    sys.exit(code)
