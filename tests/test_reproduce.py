"""Running the notebooks: parameters, failures, and an end that leaves nothing behind."""

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from marsnb import paths, times
from marsnb import reproduce as notebooks
from marsnb.errors import NotebookError


def write(folder: Path, stem: str, *code: str, parameters: str = "length = 3") -> None:
    """A small notebook with a parameters cell."""
    first = new_code_cell(f'profile = "smoke"\n{parameters}', metadata={"tags": ["parameters"]})
    cells = [new_markdown_cell(f"# Title of {stem}"), first, *(new_code_cell(source) for source in code)]
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "x", "language": "python"},
        "marsnb": {"paper": "Fig. 1"},
    }
    nbformat.write(new_notebook(cells=cells, metadata=metadata), folder / f"{stem}.ipynb")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of notebooks in place of the project's, whose times nobody knows."""
    monkeypatch.setattr(paths, "notebooks", lambda: tmp_path)
    monkeypatch.setattr(paths, "docs", lambda: tmp_path / "docs")
    return tmp_path


LACKS = ("from marsnb.errors import NoDataError", 'raise NoDataError("no images: fetch them")')


@pytest.mark.parametrize("many", [1, 5], ids=["forks", "processes"])
def test_notebooks_run_in_this_python_at_the_root_and_those_without_images_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(notebooks, "MANY", many)
    write(folder, "02_lacks", *LACKS)
    seen = "os.getcwd(), profile, length, 'torch' in sys.modules, os.environ['TQDM_DISABLE']"
    write(folder, "01_good", "import os, sys", f"print(sys.executable, {seen})")
    assert notebooks.reproduce("smoke") == paths.build("smoke")
    executed = nbformat.read(paths.build("smoke") / "01_good.ipynb", as_version=4)
    printed = "".join(output.get("text", "") for cell in executed.cells for output in cell.get("outputs", []))
    assert printed.split() == [sys.executable, str(paths.ROOT), "smoke", "3", str(many == 1), "1"]
    assert times.times("smoke")["notebook"].tolist() == ["01_good"]
    assert "not drawn: 02_lacks: no images: fetch them" in capsys.readouterr().err
    assert [path.stem for path in paths.build("smoke").rglob("*.ipynb")] == ["01_good"]


def test_a_failure_names_the_cell_and_the_others_still_run(folder: Path) -> None:
    write(folder, "01_bad", "1 + 1", 'raise ValueError("first line\\nlast line")')
    write(folder, "02_good", "print(length)")
    write(folder, "03_lacks", *LACKS)  # who sets something wants it done
    write(folder, "04_wrong", "if True:\n    assert 1 == 1\n    assert length == 6")
    three = (
        "^notebook 01_bad failed in cell 4: ValueError: last line; notebook 03_lacks failed .*: no images: fetch them; "
        "notebook 04_wrong failed in cell 3: AssertionError: assert length == 6$"
    )
    with pytest.raises(NotebookError, match=three):
        notebooks.reproduce("smoke", parameters={"length": 5})
    build = paths.build("smoke")
    assert (build / "02_good.ipynb").is_file() and not (build / "01_bad.ipynb").exists()
    assert (build / "failed" / "01_bad.ipynb").is_file()
    assert times.times("smoke").empty  # other parameters than its own: no time to report


def test_an_unknown_parameter_stops_before_anything_runs(folder: Path) -> None:
    write(folder, "01_good", "print(length)")
    with pytest.raises(NotebookError, match="01_good has no parameter 'lenght'; known: length, profile"):
        notebooks.reproduce("smoke", parameters={"lenght": 5})
    assert not paths.build("smoke").exists()


def test_only_some(folder: Path) -> None:
    for stem in ("01_a", "02_b", "10_c"):
        write(folder, stem)
    assert [p.stem for p in notebooks.sources(["1", "10_c.ipynb"])] == ["01_a", "10_c"]
    with pytest.raises(NotebookError, match="no notebook '11'"):
        notebooks.sources(["11"])


def test_parameters_from_the_command_line() -> None:
    given = ["epochs=3", "lr=1e-4", "train=True", "method=cross_entropy", "start=None", "path=a=b"]
    assert notebooks.parse_parameters(given) == {
        "epochs": 3, "lr": 1e-4, "train": True, "method": "cross_entropy", "start": None, "path": "a=b",
    }  # fmt: skip
    for wrong in (["epochs"], ["a b=1"], ["a=1", "a=2"]):
        with pytest.raises(NotebookError):
            notebooks.parse_parameters(wrong)


def test_processes_get_absolute_folders_and_their_share_of_the_cores(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MARSNB_DATA", "somewhere")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = dict(os.environ)
    found = notebooks._environment(tmp_path, jobs=notebooks.cores())
    assert found["MARSNB_DATA"] == str(Path("somewhere").resolve()) and dict(os.environ) == before
    assert notebooks.cores() == 1 or found["OMP_NUM_THREADS"] == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert notebooks._environment(tmp_path / "other", jobs=2)["OMP_NUM_THREADS"] == "7"


@pytest.mark.parametrize(("value", "expected"), [
    (None, True), ("none", True), ("", True), (False, False), (0, False), ("false", False), (" No ", False),
    ("0", False), ("off", False), (True, True), (1, True), ("true", True), ("YES", True),
])  # fmt: skip
def test_a_switch_may_be_given_as_a_word(value: object, expected: bool) -> None:
    assert notebooks.as_bool(value, default=True) is expected


@pytest.mark.parametrize("value", ["maybe", 2, 0.5, []])
def test_what_is_no_switch_is_refused(value: object) -> None:
    with pytest.raises(NotebookError, match="neither true nor false"):
        notebooks.as_bool(value)


def test_texts_for_switches_are_read_or_refused(folder: Path) -> None:
    write(folder, "01_a", "print(repr(train), repr(start))", parameters="train = None\nstart = None\nshow = True")
    path = folder / "01_a.ipynb"

    def checked(**given: object) -> dict[str, object]:
        return notebooks.checked_parameters(path, given)

    assert checked(train="false", show="no", start="imagenet") == {"train": False, "show": False, "start": "imagenet"}
    assert checked(train="None", show=False) == {"train": None, "show": False} and checked(train="Yes")["train"] is True
    with pytest.raises(NotebookError, match="01_a: show='perhaps' is neither true nor false"):
        checked(show="perhaps")
    notebooks.reproduce("smoke", parameters={"train": "false"})
    executed = nbformat.read(paths.build("smoke") / "01_a.ipynb", as_version=4)
    assert executed.cells[-1].outputs[0].text == "False None\n"


def test_without_notebooks_it_says_that_it_runs_from_a_clone(folder: Path) -> None:
    with pytest.raises(NotebookError, match=r"marsnb runs from a clone.*: in it, pip install -e"):
        notebooks.reproduce("smoke")
    assert not paths.build("smoke").exists()


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


@pytest.mark.slow
@pytest.mark.parametrize(("signals", "code", "many"), [
    ((signal.SIGTERM,), 143, 1), ((signal.SIGINT, signal.SIGINT), 130, 5), ((signal.SIGKILL,), -signal.SIGKILL, 1),
    ((signal.SIGKILL,), -signal.SIGKILL, 5),
])  # fmt: skip
def test_whatever_ends_the_command_ends_its_kernels_and_leaves_nothing(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, signals: tuple[int, ...], code: int, many: int
) -> None:
    temporary = tmp_path_factory.mktemp("temporary")
    said = tmp_path_factory.mktemp("said") / "pid"
    write(folder, "01_long", f"import os, pathlib, time\npathlib.Path({str(said)!r}).write_text(str(os.getpid()))",
          "time.sleep(200)")  # fmt: skip
    code_to_run = (
        f"import sys, pathlib; from marsnb import cli, paths, reproduce; reproduce.MANY = {many}; "
        f"paths.notebooks = lambda: pathlib.Path({str(folder)!r}); "
        "sys.argv = ['marsnb', 'reproduce', '--jobs', '1']; cli.main()"
    )
    environment = {**os.environ, "TMPDIR": str(temporary)}
    command = subprocess.Popen([sys.executable, "-c", code_to_run], env=environment, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not said.is_file() or not said.read_text():
        assert command.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    started = [one.pid for one in psutil.Process(command.pid).children(recursive=True)]
    assert int(said.read_text()) in started and len(started) >= 2
    for number in signals:
        command.send_signal(number)
        time.sleep(0.05)
    assert command.wait(timeout=20) == code
    assert command.stderr is not None
    assert (signal.SIGINT in signals) == (b"stopped; what was measured is kept" in command.stderr.read())
    deadline = time.monotonic() + 10
    while alive(started):
        assert time.monotonic() < deadline, "a kernel or a worker lives on"
        time.sleep(0.1)
    assert signals == (signal.SIGKILL,) or list(temporary.glob("marsnb-*")) == []
    assert not (paths.build("smoke") / "01_long.ipynb").exists()


def test_several_profiles_run_one_after_the_other_with_the_time_to_go(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, "01_a", "print(profile)")
    assert notebooks.reproduce(["smoke", "lite"], jobs=1) == paths.build("lite")
    for profile in ("smoke", "lite"):
        assert f"{profile}\n" in (paths.build(profile) / "01_a.ipynb").read_text().replace("\\n", "\n")
        assert times.own_times(profile)["notebook"].tolist() == ["01_a"]
    lines = [line for line in capsys.readouterr().err.splitlines() if "01_a" in line]
    assert [line.split(":")[0] for line in lines] == ["smoke 01_a", "lite 01_a"]
    assert "(1 of 2, " in lines[0] and "to go)" in lines[0]
    assert "(2 of 2, " in lines[1] and "so far)" in lines[1] and "to go" not in lines[1]


@pytest.mark.parametrize("value", [
    "__import__('os').system('touch pwned')", "'; import os; x='", '"""\nimport os\n"""', "\\", "\\'", "a\nb\r\x00",
    "{x}", "%s", "\N{BULLET} \u2028", "None", "lambda: 0", "é✓",
])  # fmt: skip
def test_code_in_a_parameter_stays_a_text(value: str) -> None:
    """Alone, in a list, and as key and value of a table; what is injected is assignments of literals and no more."""
    from papermill.translators import translate_parameters

    given = notebooks.parse_parameters([f"start={value!r}"]) | {"rows": [value, 1], "more": {value: value}}
    assert given["start"] == value and notebooks.parse_parameters(["start=os.x()"]) == {"start": "os.x()"}
    cell = ast.parse(translate_parameters("python3", "python", given, "Parameters"))
    assert all(isinstance(line, ast.Assign) for line in cell.body) and len(cell.body) == len(given)
    found = {line.targets[0].id: ast.literal_eval(line.value) for line in cell.body}
    assert found == given


def test_a_worker_that_was_killed_is_one_line(tmp_path: Path) -> None:
    from marsnb.reproduce import _result

    (tmp_path / "errors.txt").write_text("")
    assert _result(Path("05_x.ipynb"), tmp_path, -9)["error"] == "notebook 05_x ended early: exit code -9"
