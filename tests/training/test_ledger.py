"""The ledger: nothing is lost, doubled or half-written, and other runs' lines stay as they are, byte for byte."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from marsnb import paths
from marsnb.files import locked
from marsnb.training import ledger

RUN = {
    "recipe": "table04/final", "task": "classification", "method": "m", "backbone": "b", "start": "s", "data": "msl",
    "fingerprint": "0123456789012345", "epochs": 5, "steps": 250, "device": "cpu x2 (Some CPU, 2.00GHz)",
    "seconds": 61.25, "images_per_s": 50.5, "peak_memory": 12_345_678_901, "versions": "python=3.11 torch=2",
    "commit": "012345678901", "date": "2026-01-01T00:00:00Z",
}  # fmt: skip
METRICS = {"top1": (0.875, 1305), "top1_low": (0.8570123456789, 1305), "top1/drt front": (1.0, 60)}


def lines(run_id, metrics=None, **changes):
    run = {**RUN, "run_id": run_id, "seed": int(run_id.rsplit("-s")[-1]), **changes}
    return [
        {**run, "split": split, "metric": metric, "value": value, "n": n}
        for split in ("val", "test")
        for metric, (value, n) in (metrics or METRICS).items()
    ]


def curve(run_id, epochs=3):
    return [{"run_id": run_id, "epoch": e, "metric": "loss", "value": 1 / e} for e in range(1, epochs + 1)]


def add(run_id, metrics=None, profile="smoke", **changes):
    ledger.append(profile, lines(run_id, metrics, **changes), curve(run_id))


def files():
    return [ledger.ledger_path("smoke"), ledger.curves_path("smoke")]


def lines_of(run_id, path):
    return [line for line in path.read_bytes().splitlines(keepends=True) if line.startswith(f"{run_id},".encode())]


def test_an_absent_ledger_is_empty_with_its_columns():
    frame, curves = ledger.read("smoke"), ledger.read_curves("smoke")
    assert list(frame.columns) == ledger.COLUMNS and frame.empty
    assert list(curves.columns) == ledger.CURVE_COLUMNS and curves.empty
    assert ledger.measured("smoke") == set()


def test_what_is_written_is_read():
    add("a-d-s0")
    add("b-d-s3", recipe="")
    frame = ledger.read("smoke")
    assert list(frame.columns) == ledger.COLUMNS
    mine = frame[frame["run_id"] == "a-d-s0"]
    assert len(mine) == 6
    for given, (_, got) in zip(lines("a-d-s0"), mine.iterrows(), strict=True):
        for column, value in given.items():
            wanted = pytest.approx(value, rel=1e-7) if isinstance(value, float) else value
            assert got[column] == wanted, column
    assert set(frame[frame["run_id"] == "b-d-s3"]["seed"]) == {3}
    assert frame["fingerprint"].iloc[0] == "0123456789012345"  # text, with its zero
    assert ledger.measured("smoke") == {"a-d-s0", "b-d-s3"}
    curves = ledger.read_curves("smoke")
    assert curves[curves["run_id"] == "a-d-s0"]["value"].tolist() == pytest.approx([1, 1 / 2, 1 / 3], rel=1e-7)


def test_profiles_are_apart():
    add("a-d-s0")
    add("b-d-s0", profile="lite")
    assert (ledger.measured("smoke"), ledger.measured("lite")) == ({"a-d-s0"}, {"b-d-s0"})


def test_a_run_measured_again_is_replaced():
    for run_id in ("a-d-s0", "b-d-s0", "c-d-s0"):
        add(run_id)
    before = [lines_of(run_id, path) for run_id in ("a-d-s0", "c-d-s0") for path in files()]
    ledger.append("smoke", lines("b-d-s0", {"top1": (0.5, 10)}), curve("b-d-s0", epochs=1))
    frame = ledger.read("smoke")
    again = frame[frame["run_id"] == "b-d-s0"]
    assert again[["metric", "value", "n"]].values.tolist() == [["top1", 0.5, 10]] * 2
    assert (ledger.read_curves("smoke")["run_id"] == "b-d-s0").sum() == 1
    assert [lines_of(run_id, path) for run_id in ("a-d-s0", "c-d-s0") for path in files()] == before


def test_other_runs_keep_their_bytes():
    rng = np.random.default_rng(0)
    kept: dict[str, list[list[bytes]]] = {}
    odd = ['class "a", b', "größe", " spaces ", "top1/1e5", "007", "n/a of it", "None of it", "#"]
    for i in range(12):
        run_id = f"{i:x}e{i}-d-s{i}"  # looks like a number here and there
        values = [*(10.0 ** rng.uniform(-12, 4, 4)), 0.0, 1.0, float(rng.integers(0, 5)), 1 / 3]
        metrics = {name: (value, int(rng.integers(1, 2000))) for name, value in zip(odd, values, strict=True)}
        changes = {
            "seconds": [3.0, 61.25, 123456.7][i % 3],
            "recipe": ["", "table04/final"][i % 2],
            "commit": ["unknown", "123456789012", "1234567e8901+"][i % 3],
            "fingerprint": ["0123456789012345", "1e10", "abc"][i % 3],
        }
        add(run_id, metrics, **changes)
        for other, bytes_before in kept.items():
            assert [lines_of(other, path) for path in files()] == bytes_before, other
        kept[run_id] = [lines_of(run_id, path) for path in files()]
        assert len(kept[run_id][0]) == 2 * len(odd) and len(kept[run_id][1]) == 3
    assert set(ledger.read("smoke")["metric"].dropna()) >= {"top1/1e5", "007"}


def test_it_is_text_with_one_line_a_metric():
    add("a-d-s0")
    for path in files():
        text = path.read_text(encoding="utf-8")
        assert text.endswith("\n") and "\r" not in text
    assert files()[0].read_text().splitlines()[0] == ",".join(ledger.COLUMNS)
    assert files()[1].read_text().splitlines()[0] == ",".join(ledger.CURVE_COLUMNS)
    assert sorted(path.name for path in paths.figures("smoke").iterdir()) == ["curves.csv", "runs.csv"]
    assert "pickle" not in Path(ledger.__file__).read_text()


APPEND = """
import sys
from marsnb.training import ledger
from tests.training.test_ledger import curve, lines
for i in range(12):
    run_id = f"{sys.argv[1]}{i}-d-s{i}"
    ledger.append("smoke", lines(run_id), curve(run_id))
"""


def start(script, *arguments):
    return subprocess.Popen([sys.executable, "-c", script, *arguments], cwd=paths.ROOT, env=dict(os.environ))


def test_two_processes_lose_nothing():
    writers = [start(APPEND, name) for name in ("a", "b")]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert ledger.measured("smoke") == {f"{name}{i}-d-s{i}" for name in "ab" for i in range(12)}
    assert len(ledger.read("smoke")) == 2 * 12 * 6
    assert len(ledger.read_curves("smoke")) == 2 * 12 * 3


@pytest.mark.parametrize(("owner", "name"), [(os, "fsync"), (Path, "replace")])
def test_a_writer_that_fails_leaves_the_old_ledger(monkeypatch, owner, name):
    add("a-d-s0")
    before = [path.read_bytes() for path in files()]

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fail)
        with pytest.raises(OSError, match="No space"):
            add("b-d-s0")
    assert [path.read_bytes() for path in files()] == before
    assert sorted(path.name for path in paths.figures("smoke").iterdir()) == ["curves.csv", "runs.csv"]
    add("b-d-s0")  # the lock was let go
    assert ledger.measured("smoke") == {"a-d-s0", "b-d-s0"}


DIE = """
import os, signal, sys
from marsnb.training import ledger
from tests.training.test_ledger import curve, lines
calls = 0
def fsync(_):
    global calls
    calls += 1
    if calls == int(sys.argv[1]): os.kill(os.getpid(), signal.SIGKILL)
os.fsync = fsync
ledger.append("smoke", lines("b-d-s0"), curve("b-d-s0"))
"""


@pytest.mark.parametrize("file", ["1", "2"])  # while the curves are written, and while the ledger is
def test_a_writer_that_is_killed_leaves_the_old_ledger(file):
    add("a-d-s0")
    before = ledger.ledger_path("smoke").read_bytes()
    assert start(DIE, file).wait() == -signal.SIGKILL
    assert ledger.ledger_path("smoke").read_bytes() == before
    assert ledger.measured("smoke") == {"a-d-s0"}
    add("b-d-s0")  # the lock went with its holder, and nothing is there twice
    assert ledger.measured("smoke") == {"a-d-s0", "b-d-s0"}
    assert len(ledger.read("smoke")) == 2 * 6
    assert pd.Series(ledger.read_curves("smoke")["run_id"]).value_counts().to_dict() == {"a-d-s0": 3, "b-d-s0": 3}


def test_a_lock_has_one_holder(tmp_path, capsys):
    path, order = tmp_path / "new" / "x.lock", []

    def second():
        with locked(path, "held: waiting"):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(path, "held: waiting"):
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert capsys.readouterr().err == "held: waiting\n"  # said by the one that waited
