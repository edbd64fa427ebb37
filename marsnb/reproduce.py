"""Run the numbered notebooks with papermill: the executed copies go to ``build/<profile>/``.

Each notebook runs in a process of its own, ``python -m marsnb.reproduce REQUEST``, which ends with the command.
"""

import ast
import json
import os
import re
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from marsnb import forked, paths
from marsnb.errors import NoDataError, NotebookError
from marsnb.files import write_whole
from marsnb.processes import Processes, end_with_parent, stoppable, temporary_folder
from marsnb.times import cores, duration, gpu, keep_times, times

KERNEL = "marsnb-this-python"
QUIET = {"PYDEVD_DISABLE_FILE_VALIDATION": "1", "TQDM_DISABLE": "1", "PYTHONWARNINGS": "ignore::UserWarning:zmq"}
MANY = 5  # notebooks from which on the imports of all of them are worth a server that forks each
CLONE = "marsnb runs from a clone, which has the notebooks: in it, pip install -e ."
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_NONE = ("", "none", "null")
_COLOUR = re.compile(r"\x1b\[[\d;]*m")


class ParameterError(NotebookError):
    """A parameter that a notebook does not have, or not of this kind: nothing has run."""


def as_bool(value: Any, default: bool | None = None) -> bool | None:
    """A notebook's switch as true or false, however it was given: papermill's ``-p train false`` gives a text.

    ``None`` and ``"none"`` stand for ``default``.

    Raises:
        NotebookError: it is no word such as ``"false"`` or ``"yes"``, nor 0 or 1.
    """
    word = str(value).strip().lower()
    if value is None or word in _NONE:
        return default
    if word not in _WORDS:
        raise NotebookError(f"{value!r} is neither true nor false: give true, false or none")
    return _WORDS[word]


def sources(only: Sequence[str] | None = None) -> list[Path]:
    """The notebooks in order; ``only`` those whose names begin so (``"07"``, ``"07_table_4"``).

    Raises:
        NotebookError: there are none here, or one of ``only`` is no notebook.
    """
    found = sorted(paths.notebooks().glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise NotebookError(f"no notebooks in {paths.notebooks()}: {CLONE}")
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
        ParameterError: one of them has no ``=``, or is given twice.
    """
    parsed: dict[str, Any] = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals or not name.strip().isidentifier():
            raise ParameterError(f"{item!r} is no notebook parameter: write NAME=VALUE")
        if name.strip() in parsed:
            raise ParameterError(f"notebook parameter {name.strip()!r} is given twice: give it once")
        try:
            parsed[name.strip()] = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError):
            parsed[name.strip()] = text.strip()
    return parsed


def checked_parameters(path: Path, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of one notebook, as it will get them: papermill would only warn of one that it does not have.

    A text for a parameter whose default is true, false or none is read as such; ``"false"`` alone would be true.

    Raises:
        ParameterError: names the parameter, the notebook and the parameters there are, or the value that is no switch.
    """
    import papermill

    known = papermill.inspect_notebook(str(path))
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise ParameterError(
            f"notebook {path.stem} has no parameter {unknown[0]!r}; known: {', '.join(sorted(known)) or 'none'}"
        )
    found = dict(parameters)
    for name, value in parameters.items():
        default = str(known[name]["default"])
        word = value.strip().lower() if isinstance(value, str) else None
        if word is not None and re.fullmatch(r"-?[\d_.]+(e-?\d+)?", default):
            raise ParameterError(f"notebook {path.stem}: {name}={value!r} is no number, as {default} is")
        if default in ("True", "False") and word is not None and word not in _WORDS:
            raise ParameterError(f"notebook {path.stem}: {name}={value!r} is neither true nor false")
        if default in ("True", "False", "None") and word is not None and word in (*_WORDS, *_NONE):
            found[name] = as_bool(value)
    return found


def _environment(folder: Path, jobs: int, forks: bool = False) -> dict[str, str]:
    """Of the processes: a kernel that is this very Python, absolute folders, and each its share of the cores."""
    from ipykernel.kernelspec import write_kernel_spec

    # a kernel that is interrupted to be shut down calls that an error
    quiet = ["--log-level=CRITICAL"]
    overrides: dict[str, Any] = {"display_name": "marsnb"}
    if forks:
        overrides["metadata"] = {"kernel_provisioner": {"provisioner_name": forked.KERNEL}}
    write_kernel_spec(str(folder / "kernels" / KERNEL), overrides=overrides, extra_arguments=quiet)
    search = os.pathsep.join(filter(None, [str(folder), os.environ.get("JUPYTER_PATH", "")]))
    absolute = {v: str(Path(os.environ[v]).expanduser().resolve()) for v in paths.FOLDERS if os.environ.get(v)}
    threads = {} if jobs == 1 else {"OMP_NUM_THREADS": str(max(1, cores() // jobs))}
    runtime = {"JUPYTER_PATH": search, "JUPYTER_RUNTIME_DIR": str(folder / "runtime")}
    return {**threads, **os.environ, **QUIET, **absolute, **runtime}


def _execute(path: Path, folder: Path, parameters: dict[str, Any]) -> None:
    """Execute one notebook in this process, into ``folder``, and say in ``result.json`` how it went."""
    import papermill

    executed, error, start = folder / path.name, "", time.perf_counter()
    try:
        papermill.execute_notebook(
            str(path), str(executed), parameters=parameters, kernel_name=KERNEL, cwd=str(paths.ROOT),
            progress_bar=False, log_output=False,
        )  # fmt: skip
    except Exception as failed:  # whatever it was, the caller gets one line and the copy as far as it came
        error = _failure(path, executed, failed)
    result = {"seconds": time.perf_counter() - start, "error": error}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


def _failure(path: Path, executed: Path, error: BaseException) -> str:
    """One line: which notebook, which of its cells, and the error's last line."""
    import nbformat

    cell = ""
    if executed.is_file():
        order = {c["id"]: i for i, c in enumerate(nbformat.read(path, as_version=4).cells, start=1)}
        for one in nbformat.read(executed, as_version=4).cells:
            if one.metadata.get("papermill", {}).get("exception"):
                number = order.get(one.get("id"))
                cell = f" in cell {number}" if number else " in the parameters"
                break
    name, value = getattr(error, "ename", type(error).__name__), str(getattr(error, "evalue", error))
    said = value.splitlines()
    if not any(said):  # a bare assert: the line that the traceback points at
        said = re.findall(r"^-+> +\d+ (.+)", _COLOUR.sub("", "\n".join(getattr(error, "traceback", ()))), re.MULTILINE)
    last = next((line.strip() for line in reversed(said) if line.strip()), "no message")
    return f"notebook {path.stem} failed{cell}: {name}: {last}"


def _result(path: Path, folder: Path, code: int) -> dict[str, Any]:
    """``seconds`` and ``error`` of a notebook whose process has ended, and which data set it ``lacks``."""
    if code == 0:
        result = dict(json.loads((folder / "result.json").read_text(encoding="utf-8")))
        return result | {"lacks": result["error"].partition(f"{NoDataError.__name__}: ")[2]}
    lines = (folder / "errors.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    error = f"notebook {path.stem} ended early: {lines[-1] if lines else f'exit code {code}'}"
    return {"seconds": 0.0, "error": error, "lacks": ""}


def jobs_here() -> int:
    """Notebooks that run beside each other by default: one more than there are cores, at most four; one on a GPU."""
    return min(4, cores() + 1) if gpu() is None else 1


def reproduce(
    profiles: str | Sequence[str],
    only: Sequence[str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    jobs: int | None = None,
) -> Path:
    """Run the notebooks, each in a process of its own; the copies appear whole or not at all.

    A notebook that fails leaves its copy, with the outputs up to the failure, in ``build/<profile>/failed/``. One that
    needs a data set which is not on this machine is left out and named, unless parameters were given.

    Args:
        profiles: name of a profile, or of several, one after the other; every notebook gets it as a parameter.
        only: numbers or names of the notebooks to run; all by default.
        parameters: more parameters, for every notebook that runs.
        jobs: how many run beside each other; see ``jobs_here``. Two that want the same run train it once.

    Returns:
        Path of the folder of executed notebooks, of the last profile.

    Raises:
        NotebookError: a parameter that a notebook does not have (before anything runs), or the ones that failed.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from marsnb.recipes import load_profile

    names = [profiles] if isinstance(profiles, str) else list(profiles)
    for profile in names:
        load_profile(profile)  # an unknown profile fails here
    given, jobs = dict(parameters or {}), jobs or jobs_here()
    if "profile" in given:
        raise ParameterError("the profile is no parameter among others: give it as --profile")
    first, *rest = sources(only)  # the first of them sums up what the others write
    chosen, waiting, taken = {}, {}, dict[tuple[str, Path], float]()
    for profile in names:  # the longest first, so that none is left alone at the end
        known = times(profile).set_index("notebook")["seconds"]
        for path in (*sorted(rest, key=lambda path: -known.get(path.stem, 0.0)), first):
            chosen[profile, path] = checked_parameters(path, {"profile": profile, **given})
            waiting[profile, path] = known.get(path.stem)
    failures: list[str] = []
    without: dict[str, list[str]] = {}  # data set: notebooks that need it
    columns, start = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()), time.monotonic()
    with ExitStack() as stack:
        stack.enter_context(stoppable())
        progress = stack.enter_context(Progress(*columns, console=Console(stderr=True)))
        task = progress.add_task(f"0 of {len(chosen)} notebooks", total=len(chosen))
        for profile, path, seconds, error, lacks in stack.enter_context(closing(_run(chosen, jobs))):
            if error:
                failures.append(error if len(names) == 1 else f"{profile}: {error}")
            elif lacks:
                without.setdefault(lacks, []).append(path.stem)
            else:
                taken[profile, path] = seconds
            del waiting[profile, path]
            state = _so_far(time.monotonic() - start, len(chosen), list(waiting.values()), list(taken.values()), jobs)
            label = path.stem if len(names) == 1 else f"{profile} {path.stem}"
            how = "failed" if error else "needs images" if lacks else duration(seconds)
            progress.console.print(f"{label}: {how} ({state})", highlight=False)
            progress.update(task, advance=1, description=f"{len(chosen) - len(waiting)} of {len(chosen)} notebooks")
        for lacks, stems in without.items():
            said = f"not drawn: {', '.join(stems)}: {lacks}"
            progress.console.print(said, highlight=False, markup=False, soft_wrap=True)
    for profile in names if not given else ():
        keep_times(profile, {path.stem: seconds for (of, path), seconds in taken.items() if of == profile})
    if failures:
        raise NotebookError("; ".join(sorted(failures)))
    return paths.build(names[-1])


def _so_far(passed: float, total: int, waiting: Sequence[float | None], ended: Sequence[float], jobs: int) -> str:
    """How many are done, the time so far and about the time to go: a time that is not known is the others' mean."""
    said = f"{total - len(waiting)} of {total}, {duration(passed)} so far"
    mean = sum(ended) / len(ended) if ended else 0.0
    to_go = sum(mean if seconds is None else seconds for seconds in waiting) / jobs
    return f"{said}, about {duration(to_go)} to go" if waiting and to_go else said


def _run(
    chosen: Mapping[tuple[str, Path], dict[str, Any]], jobs: int
) -> Generator[tuple[str, Path, float, str, str], None, None]:
    """Execute notebooks, some beside each other; each with its seconds and what went wrong as soon as it has ended."""
    waiting, by_name = list(chosen), {f"{profile}/{path.stem}": (profile, path) for profile, path in chosen}
    # a library may have asked for the GPU before the fork
    forks = forked.AVAILABLE and len(chosen) >= MANY and gpu() is None
    kind = forked.Forked if forks else Processes
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        environment = _environment(folder, jobs, forks)
        if forks and jobs > 1 and not forked.compiled():
            helper = stack.enter_context(Processes(environment, paths.ROOT))
            helper.start("imports", [sys.executable, "-m", "marsnb.preloaded"], errors=folder / "imports.txt")
        processes = stack.enter_context(kind(environment, paths.ROOT))
        while waiting or processes.running:
            while waiting and len(processes.running) < jobs:
                profile, path = waiting.pop(0)
                at = folder / profile / path.stem
                at.mkdir(parents=True)
                given = json.dumps([str(path), str(at), chosen[profile, path]])
                command = [sys.executable, "-m", "marsnb.reproduce", given]
                processes.start(f"{profile}/{path.stem}", command, errors=at / "errors.txt")
            for name, code in processes.ended().items():
                profile, path = by_name[name]
                result = _result(path, folder / name, code)
                lacks = result["lacks"] if set(chosen[profile, path]) == {"profile"} else ""
                error = "" if lacks else result["error"]
                build, executed = paths.build(profile), folder / name / path.name
                if executed.is_file() and not lacks:
                    write_whole((build / "failed" if error else build) / path.name, executed.read_bytes())
                if not error:
                    (build / "failed" / path.name).unlink(missing_ok=True)
                yield profile, path, result["seconds"], error, lacks
            time.sleep(0.05)


if __name__ == "__main__":
    _path, _folder, _parameters = json.loads(sys.argv[1])
    forked.hold(Path(_folder) / "kernel.txt")
    end_with_parent()
    _execute(Path(_path), Path(_folder), _parameters)
    forked.release()
