"""Some runs by the plain command, by Ray's and by processes side by side, undisturbed and with a worker killed: equal.

Ray needs the extra ``cluster``; about ten minutes on two cores.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from marsnb import paths

COMMAND = [sys.executable, "-m", "marsnb", "run", "--profile", "smoke", "--device", "cpu", "--table", "4"]
COMMAND += ["--row", "moco-strong", "--row", "moco-ls", "--row", "final"]
MACHINE = ["device", "seconds", "images_per_s", "peak_memory", "date"]


def measure(folder: Path, images: Path, *words: str, kills: int = 0) -> tuple[list[pd.DataFrame], str, int]:
    """Ledger and curves of the command, what it said, and the workers killed, each after its first epoch."""
    (folder / "runs").mkdir()
    (folder / "runs" / "cache").symlink_to(images)
    folders = {f"MARSNB_{name.upper()}": str(folder / name) for name in ("runs", "figures", "data")}
    environment = os.environ | folders | {"OMP_NUM_THREADS": "1"}
    begun, killed = time.monotonic(), set()
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen([*COMMAND, *words], cwd=paths.ROOT, env=environment, stdout=log, stderr=log)
        while process.poll() is None:
            time.sleep(0.05)
            for path in (folder / "runs").glob("*/running.json"):
                try:
                    said = json.loads(path.read_text())
                except (OSError, ValueError):
                    continue
                if len(killed) < kills and said["epoch"] > 1 and said["pid"] not in killed:
                    os.kill(said["pid"], signal.SIGKILL)
                    killed.add(said["pid"])
        log.seek(0)
        text = log.read()
    assert process.returncode == 0, text
    print(f"\n{' '.join(words) or 'plain'}: {time.monotonic() - begun:.0f} s, {len(killed)} killed\n{text}")
    frames = []
    for name, by in (("runs", ["run_id", "split", "metric"]), ("curves", ["run_id", "epoch", "metric"])):
        frame = pd.read_csv(folder / "figures" / "smoke" / f"{name}.csv")
        frames.append(frame.drop(columns=MACHINE, errors="ignore").sort_values(by, ignore_index=True))
    return frames, text, len(killed)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, images: Path) -> list[pd.DataFrame]:
    """Ledger and curves of the plain command, undisturbed."""
    frames, _, _ = measure(tmp_path_factory.mktemp("plain"), images)
    assert frames[0]["run_id"].nunique() == 3
    return frames


@pytest.mark.parametrize("kills", [0, 2])
@pytest.mark.parametrize("on", ["", "ray"])
def test_a_table_is_equal_however_it_is_spread_and_whatever_dies(
    tmp_path: Path, images: Path, expected: list[pd.DataFrame], on: str, kills: int
) -> None:
    if on:
        pytest.importorskip("ray", reason="needs Ray: pip install -e '.[cluster]'")
    words = ("--on", on, "--jobs", "2") if on else ("--jobs", "2")
    found, said, killed = measure(tmp_path, images, *words, kills=kills)
    for frame, other in zip(found, expected, strict=True):
        pd.testing.assert_frame_equal(frame, other, check_exact=True)
    assert killed == kills == " ".join(said.split()).count("taken up again")  # a terminal breaks lines
    ours = [one for one in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(one.info["cmdline"] or [])]
    assert ours == []
