"""A disk that fills at every write in turn: one line, and after some room was made the same command ends as ever."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from marsnb.data.ai4mars import AI4Mars
from marsnb.data.fetch_ai4mars import BRIDGE
from tests.campaigns.kills import fetch_ai4mars, fetch_msl
from tests.campaigns.tools import (
    append_runs,
    build_bank,
    command,
    decode,
    differences,
    folders,
    function_as_command,
    left,
    small_disk,
    train,
    undisturbed,
)
from tests.fake.ai4mars import make_ai4mars
from tests.fake.msl import make_msl
from tests.fake.zenodo import Archive
from tests.forked import start

PAGE = 4096
BIG = 2**28


def campaign(tmp_path: Path, points: int, function: Callable[..., object], *arguments: Any) -> None:
    undisturbed(tmp_path / "whole", function, *arguments)
    expected = left(tmp_path / "whole")
    needed = sum(-(-p.stat().st_size // PAGE) * PAGE for p in (tmp_path / "whole").rglob("*") if p.is_file())
    disk, log, full, strange = tmp_path / "disk", tmp_path / "log", 0, {}
    for point in range(points):
        size = max(PAGE, int(needed * 1.05 * point / points) // PAGE * PAGE)
        with small_disk(disk, size) as mount:
            process = start(function_as_command, str(log), function, *arguments, environment=folders(disk))
            process.join()
            said = log.read_text().strip()
            if process.exitcode:
                full += 1
                said = "\n".join(line for line in said.splitlines() if line.startswith("marsnb:") or "Error" in line)
                if process.exitcode != 1 or said.count("\n") or "full" not in said or "Traceback" in log.read_text():
                    strange[size] = log.read_text()[-800:]
            partial = [str(p.relative_to(disk)) for p in disk.rglob("*partial*") if p.is_file() and p.stat().st_size]
            mount(f"size={BIG}")
            process = start(function_as_command, str(log), function, *arguments, environment=folders(disk))
            process.join()
            if process.exitcode or (found := differences(expected, left(disk))):
                strange[size] = ("afterwards", log.read_text()[-800:] if process.exitcode else found, partial)
    print(f"\n{function.__name__}: full at {full} of {points} sizes up to {needed:,} bytes; strange: {strange}")
    assert full and not strange


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_runs(tmp_path: Path, task: str) -> None:
    campaign(tmp_path, 16, train, task)


def test_banks(tmp_path: Path) -> None:
    campaign(tmp_path, 16, build_bank, 1)


def test_the_cache(tmp_path: Path) -> None:
    campaign(tmp_path, 10, decode)


def test_the_ledger(tmp_path: Path) -> None:
    campaign(tmp_path, 16, append_runs, "a", 25)


def test_fetching_msl(tmp_path: Path) -> None:
    fake = make_msl(tmp_path / "published")
    with Archive(fake.pack(tmp_path / "published.zip").read_bytes()).running() as server:
        campaign(tmp_path, 20, fetch_msl, fake, server.url)


def test_fetching_ai4mars(tmp_path: Path) -> None:
    packed = make_ai4mars(tmp_path / "published", version="0.6", gold=True, covers=True).packed(other=BRIDGE + 1)
    with Archive(packed, AI4Mars.record, AI4Mars.file).running() as server:
        campaign(tmp_path, 16, fetch_ai4mars, server.url)


COMMANDS = {
    "run": ["run", "--table", "4", "--row", "linear-probe", "--device", "cpu"],
    "two runs": ["run", "--table", "4", "--row", "linear-probe", "--row", "baseline", "--jobs", "2", "--device", "cpu"],
    "reproduce": ["reproduce", "--only", "00"],
    "predict": ["predict", "{run}", "{photo}", "--profile", "smoke", "--out", "{disk}/predictions"],
    "export": ["export", "{run}", "{disk}/model.safetensors", "--to", "safetensors", "--profile", "smoke"],
    "export to onnx": ["export", "{run}", "{disk}/model.onnx", "--profile", "smoke"],
    "fetch": ["data", "fetch", "msl", "--quiet"],
    "answers": ["answers", "{run}", "--profile", "smoke"],
    "site": ["site", "--no-draw"],
}
READING = {"status": ["status", "--profile", "smoke"], "claims": ["claims", "--profile", "smoke"]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    undisturbed(root, train, "classification")
    return root


@pytest.mark.parametrize("name", [*COMMANDS, *READING])
@pytest.mark.parametrize("how", ["read-only", "full"])
def test_commands(tmp_path: Path, trained: Path, name: str, how: str) -> None:
    """On a disk that may not be written to, or that is full to the last byte; what only reads works."""
    from PIL import Image

    Image.new("RGB", (40, 30)).save(tmp_path / "photo.png")
    run_id = next(path.parent.name for path in (trained / "runs").glob("*/last.ckpt"))
    disk, log = tmp_path / "disk", tmp_path / "log"
    with small_disk(disk, PAGE) as mount:
        (disk / "filler").write_bytes(b"x" * PAGE)
        mount("nr_inodes=2" if how == "full" else "ro")
        words = {**COMMANDS, **READING}[name]
        words = [word.format(run=run_id, photo=tmp_path / "photo.png", disk=disk) for word in words]
        environment = folders(disk)
        if "{run}" in str(COMMANDS.get(name)):
            environment["MARSNB_RUNS"] = str(trained / "runs")
        process = start(command, str(log), *words, environment=environment)
        process.join()
    said = log.read_text().strip()
    print(f"\n{how}: {' '.join(words[:3])}: {process.exitcode} {said[-300:] if name in COMMANDS else ''}")
    assert "Traceback" not in said
    if name in COMMANDS:
        assert process.exitcode == 1 and said.splitlines()[-1].startswith("marsnb: ")
    else:
        assert process.exitcode == 0
