"""Systems, disks and terminals of other people, simulated: no fcntl, no locks, no section sign, nothing to write to."""

import ast
import errno
import io
import os
import platform
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from marsnb import cli, memory, paths
from marsnb.errors import MarsnbError, one_line
from marsnb.files import locked
from marsnb.training import ledger

OF_ONE_SYSTEM = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "winreg", "msvcrt", "_winapi"}


def failing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception) -> str:
    """What the command line says of an error."""

    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    said = capsys.readouterr().err
    assert stop.value.code == 1 and said.startswith("marsnb: ") and said.count("\n") == 1
    return said


def test_no_module_needs_what_one_system_has() -> None:
    for path in paths.PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not OF_ONE_SYSTEM & set(names), path


def test_memory_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    process = SimpleNamespace(memory_info=lambda: SimpleNamespace(peak_wset=12_345))
    monkeypatch.setitem(sys.modules, "psutil", SimpleNamespace(Process=lambda: process))
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda *_: pytest.fail("the C library was asked for"))
    assert memory.peak_memory() == 12_345
    memory.keep_freed_memory()


def test_memory_here() -> None:
    assert 2**24 < memory.peak_memory() < 2**40


def test_a_disk_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(MarsnbError, match="is on a disk without locks: set MARSNB_RUNS"), locked(tmp_path / "a.lock"):
        pytest.fail("it was held")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOTDIR])
def test_folders_that_may_not_be_written_to(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = failing(monkeypatch, capsys, OSError(number, os.strerror(number), "/clone/runs"))
    assert f"cannot use /clone/runs ({os.strerror(number)})" in said and "MARSNB_RUNS, MARSNB_FIGURES" in said


def test_a_ledger_that_may_not_be_written_to_is_found_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.check_writable("smoke")
    assert list(paths.figures("smoke").iterdir()) == []
    monkeypatch.setenv("MARSNB_FIGURES", str(paths.figures("smoke") / "file"))
    paths.figures("smoke").parent.write_text("a file")
    with pytest.raises(NotADirectoryError):
        ledger.check_writable("smoke")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_without_a_section_sign_or_a_tick(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(cli, "app", lambda **_: print("§ 5.2 ✓ ━"))
    with pytest.raises(SystemExit) as stop:
        cli.main()
    terminal.flush()
    assert stop.value.code == 0 and "5.2" in terminal.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


def test_no_terminal_obeys_a_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    said = failing(monkeypatch, capsys, MarsnbError("a\x1b[31m\x07b\u202ec\nd\udcff é"))
    assert said == "marsnb: a\\x1b[31m\\x07b\\u202ec d\\udcff é\n"
    assert one_line("Märs § ✓") == "Märs § ✓"
