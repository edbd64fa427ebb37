"""Run the numbered notebooks with papermill and render them: ``build/<profile>/``, with an index page."""

import ast
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd

from marsnb import paths
from marsnb.errors import NotebookError
from marsnb.files import write_whole
from marsnb.report.files import write_csv
from marsnb.report.index_page import duration, write_index

KERNEL = "marsnb-this-python"
QUIET = {"PYDEVD_DISABLE_FILE_VALIDATION": "1", "TQDM_DISABLE": "1", "PYTHONWARNINGS": "ignore::UserWarning:zmq"}
FOLDERS = ("MARSNB_DATA", "MARSNB_RUNS", "MARSNB_FIGURES", "MARSNB_BUILD")
TIMES = ["notebook", "seconds", "date", "device"]


def sources(only: Sequence[str] | None = None) -> list[Path]:
    """The notebooks in order.

    Args:
        only: how the names to keep begin (``"07"``, ``"07_table_4"``); all by default.

    Raises:
        NotebookError: one of ``only`` is no notebook.
    """
    found = sorted(paths.notebooks().glob("[0-9][0-9]_*.ipynb"))
    if not only:
        return found
    wanted = []
    for name in only:
        stem = Path(name).name.removesuffix(".ipynb")
        stem = stem.zfill(2) if stem.isdecimal() else stem
        match = [path for path in found if path.stem.startswith(stem)] if stem else []
        if not match:
            raise NotebookError(f"there is no notebook {name!r}; known: {', '.join(p.stem for p in found)}")
        wanted += match
    return [path for path in found if path in wanted]


def parse_parameters(given: Sequence[str]) -> dict[str, Any]:
    """Parameters from ``NAME=VALUE``; a value that is no Python literal is text.

    Raises:
        NotebookError: one of them has no ``=``, or is given twice.
    """
    parsed: dict[str, Any] = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals or not name.strip().isidentifier():
            raise NotebookError(f"{item!r} is no notebook parameter: write NAME=VALUE")
        if name.strip() in parsed:
            raise NotebookError(f"notebook parameter {name.strip()!r} is given twice: give it once")
        try:
            parsed[name.strip()] = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError):
            parsed[name.strip()] = text.strip()
    return parsed


def check_parameters(chosen: Sequence[Path], parameters: Mapping[str, Any]) -> None:
    """Refuse a parameter that one of the notebooks does not have; papermill would only warn.

    Raises:
        NotebookError: names the parameter, the notebook and the parameters there are.
    """
    import papermill

    for path in chosen:
        known = papermill.inspect_notebook(str(path))
        unknown = sorted(set(parameters) - set(known))
        if unknown:
            raise NotebookError(
                f"notebook {path.stem} has no parameter {unknown[0]!r}; known: {', '.join(sorted(known)) or 'none'}"
            )


@contextmanager
def kernel() -> Iterator[str]:
    """A Jupyter kernel that is this very Python, whatever kernels the user has; yields its name.

    The folders that MARSNB variables name are made absolute: a notebook runs in the repository's root.
    """
    from ipykernel.kernelspec import write_kernel_spec

    with tempfile.TemporaryDirectory(prefix="marsnb-kernel-") as folder:
        at = Path(folder) / "kernels" / KERNEL
        # a kernel that is interrupted to be shut down calls that an error
        write_kernel_spec(str(at), overrides={"display_name": "marsnb"}, extra_arguments=["--log-level=CRITICAL"])
        search = os.pathsep.join(filter(None, [folder, os.environ.get("JUPYTER_PATH", "")]))
        absolute = {v: str(Path(os.environ[v]).expanduser().resolve()) for v in FOLDERS if os.environ.get(v)}
        changed = {**QUIET, **absolute, "JUPYTER_PATH": search}
        before = {name: os.environ.get(name) for name in changed}
        os.environ.update(changed)
        try:
            yield KERNEL
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _failure(path: Path, executed: Path, error: BaseException) -> str:
    """One line: which notebook, which of its cells, and the error's last line."""
    cell = ""
    if executed.is_file():
        notebook = nbformat.read(executed, as_version=4)
        order = {c["id"]: i for i, c in enumerate(nbformat.read(path, as_version=4).cells, start=1)}
        for executed_cell in notebook.cells:
            status = executed_cell.metadata.get("papermill", {})
            if status.get("exception"):
                number = order.get(executed_cell.get("id"))
                cell = f" in cell {number}" if number else " in the parameters"
                break
    name, value = getattr(error, "ename", type(error).__name__), str(getattr(error, "evalue", error))
    last = next((line.strip() for line in reversed(value.splitlines()) if line.strip()), "no message")
    return f"notebook {path.stem} failed{cell}: {name}: {last}"


def run_notebook(path: Path, profile: str, parameters: Mapping[str, Any], kernel_name: str) -> float:
    """Execute one notebook in a process of its own and render it; the results appear whole or not at all.

    A notebook that fails leaves its copy, with the outputs up to the failure, in ``build/<profile>/failed/``.

    Returns:
        Seconds it took.

    Raises:
        NotebookError: a cell failed.
    """
    import papermill

    from marsnb.report.page import render

    build = paths.build(profile)
    with tempfile.TemporaryDirectory(prefix="marsnb-notebook-") as folder:
        executed = Path(folder) / path.name
        start = time.perf_counter()
        try:
            papermill.execute_notebook(
                str(path), str(executed), parameters={"profile": profile, **parameters}, kernel_name=kernel_name,
                cwd=str(paths.ROOT), progress_bar=False, log_output=False,
            )  # fmt: skip
        except Exception as error:  # whatever it was, the caller gets one line and the copy as far as it came
            if executed.is_file():
                (build / "failed").mkdir(parents=True, exist_ok=True)
                shutil.copy(executed, build / "failed" / path.name)
            raise NotebookError(_failure(path, executed, error)) from error
        seconds = time.perf_counter() - start
        write_whole(build / f"{path.stem}.html", render(executed))
        write_whole(build / path.name, executed.read_bytes())
        (build / "failed" / path.name).unlink(missing_ok=True)
    return seconds


def device_name() -> str:
    """What the notebooks ran on, in words."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name(0)
    return f"{cores()} CPU cores"


def times(profile: str) -> pd.DataFrame:
    """Seconds that each notebook took when it last ran with its own parameters: ``notebook, seconds, date, device``."""
    path = paths.figures(profile) / "notebooks.csv"
    return pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=TIMES)


def _keep_times(profile: str, taken: Mapping[str, float]) -> None:
    device = device_name()
    new = [[name, round(seconds, 1), date.today().isoformat(), device] for name, seconds in taken.items()]
    old = times(profile)
    kept = old[~old["notebook"].isin(list(taken))].to_numpy().tolist()
    rows = pd.DataFrame(kept + new, columns=TIMES).sort_values("notebook")
    write_csv(paths.figures(profile) / "notebooks.csv", rows.astype({"seconds": float}))


def jobs_here() -> int:
    """Notebooks that run beside each other by default: two on a processor of two cores or more, one on a GPU."""
    import torch

    return 1 if torch.cuda.is_available() else min(2, cores())


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def threads_of(jobs: int) -> Iterator[None]:
    """Each of ``jobs`` processes that start inside has its share of the cores, unless the user has said otherwise."""
    if jobs == 1 or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    os.environ["OMP_NUM_THREADS"] = str(max(1, cores() // jobs))
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]


def reproduce(
    profile: str,
    only: Sequence[str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    jobs: int | None = None,
) -> Path:
    """Run the notebooks, each in a process of its own, and write the index page.

    Args:
        profile: name of the profile; every notebook gets it as a parameter.
        only: numbers or names of the notebooks to run; all by default.
        parameters: more parameters, for every notebook that runs.
        jobs: how many run beside each other; see ``jobs_here``. Two that want the same run train it once.

    Returns:
        Path of ``index.html``.

    Raises:
        NotebookError: a parameter that a notebook does not have (before anything runs), or, once all have run, the ones
            that failed.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from marsnb.recipes import load_profile

    load_profile(profile)  # an unknown profile fails here
    chosen, parameters = sources(only), dict(parameters or {})
    check_parameters(chosen, {"profile": profile, **parameters})
    taken: dict[str, float] = {}
    failures: list[str] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    jobs = jobs or jobs_here()
    with ExitStack() as stack:
        name = stack.enter_context(kernel())
        stack.enter_context(threads_of(jobs))
        progress = stack.enter_context(Progress(*columns, console=Console(stderr=True)))
        pool = stack.enter_context(ProcessPoolExecutor(jobs, mp_context=get_context("spawn")))
        task = progress.add_task(f"0 of {len(chosen)} notebooks", total=len(chosen))
        running = {pool.submit(run_notebook, path, profile, parameters, name): path for path in chosen}
        for done in as_completed(running):
            stem = running[done].stem
            try:
                taken[stem] = done.result()
                progress.console.print(f"{stem}: {duration(taken[stem])}", highlight=False)
            except NotebookError as error:
                failures.append(str(error))
                progress.console.print(f"{stem}: failed", highlight=False)
            progress.update(task, advance=1, description=f"{len(taken) + len(failures)} of {len(chosen)} notebooks")
    if taken and not parameters:
        _keep_times(profile, taken)
    index = write_index(profile, sources(), times(profile), failures)
    if failures:
        raise NotebookError("; ".join(sorted(failures)))
    return index
