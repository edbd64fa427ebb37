"""What a killed process left is cleared, what a living one writes is not."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from marsnb import paths
from marsnb.data.cache import open_cached
from marsnb.files import LEFT_ALONE, clear_left_behind, write_whole
from marsnb.processes import DAY, temporary_folder


def aged(path: Path, seconds: float = 2 * LEFT_ALONE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes(b"half")
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))
    return path


def number_of_a_dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_old_files_of_dead_processes_are_removed(tmp_path: Path) -> None:
    dead = number_of_a_dead_process()
    old, nameless = aged(tmp_path / f"a.{dead}.partial"), aged(tmp_path / "b.partial")
    fresh = write_whole(tmp_path / f"c.{dead}.partial", "half")
    own, other = aged(tmp_path / f"d.{os.getpid()}.partial"), aged(tmp_path / "e.npy")
    below = aged(tmp_path / "below" / "f.partial")
    assert clear_left_behind(tmp_path) == [old, nameless]
    assert all(path.exists() for path in (fresh, own, other, below))
    assert not old.exists() and not nameless.exists()
    assert clear_left_behind(tmp_path / "none") == []


def test_folders_and_what_may_not_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aged(tmp_path / ".unpack-x" / "tree" / "a.JPG")
    folder = aged(tmp_path / ".unpack-x")
    kept = aged(tmp_path / "b.partial")

    def refuse(*_: object) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        assert clear_left_behind(tmp_path, [".unpack-*", "*.partial"]) == [folder]
    assert kept.exists() and not folder.exists()


def test_folders_of_commands_that_were_killed_go_after_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with temporary_folder() as folder:
        old = aged(tmp_path / f"marsnb-a.{number_of_a_dead_process()}.partial" / "x.ipynb", 0).parent
        young, other = tmp_path / f"marsnb-b.{number_of_a_dead_process()}.partial", tmp_path / "of-others.1.partial"
        young.mkdir()
        aged(other, 2 * DAY)
        aged(old, 2 * DAY)
        aged(folder, 2 * DAY)
        with temporary_folder():
            assert not old.exists() and all(path.exists() for path in (folder, young, other))
    assert not folder.exists()


class Two:
    """Two black images."""

    names, fingerprint = ("a", "b"), "two"

    def decode(self, index: int, size: int) -> np.ndarray:
        return np.zeros((size, size, 3), np.uint8)


def test_the_cache_clears_what_a_killed_run_left() -> None:
    left = aged(paths.cache() / f"0123-224px.{number_of_a_dead_process()}.partial")
    open_cached(Two(), 4)
    assert not left.exists() and [path.suffix for path in paths.cache().iterdir()] == [".npy"]
