"""The download of unlabelled images taken up again: after damage, after kills, from the command line."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from marsnb.data.commands import app
from marsnb.data.fetch_pds import MANIFEST, read_manifest, verify_pds
from marsnb.errors import DataError
from tests.fake.pds_archive import PdsArchive
from tests.fake.pds_fetch import LAST, contents, early, fetch, refusal

runner = CliRunner()


def test_an_image_that_was_damaged_later_comes_again(archive: PdsArchive, tmp_path: Path) -> None:
    folder = fetch(archive, tmp_path).folder
    before = contents(folder)
    short, empty, lost = sorted(folder.rglob("*.JPG"))[:3]
    short.write_bytes(short.read_bytes()[:-1])
    empty.write_bytes(b"")
    lost.unlink()
    assert verify_pds(tmp_path).problems == [
        f"pds-browse: 1 images missing: {lost.name}",
        f"pds-browse: 2 images that are not those that were fetched: {short.name}, {empty.name}",
    ]
    fetch(archive, tmp_path)
    assert contents(folder) == before and verify_pds(tmp_path).problems == []


def test_manifest_of_something_else(archive: PdsArchive, tmp_path: Path) -> None:
    folder = fetch(archive, tmp_path).folder
    (folder / MANIFEST).write_text("product,volume\na,b\n")
    assert f"{folder / MANIFEST} is not what was written there: remove it" in refusal(archive, tmp_path)
    (folder / MANIFEST).unlink()
    asked = len(archive.asked)
    half, text, *_ = sorted(folder.rglob("*.JPG"))
    half.write_bytes(half.read_bytes()[:-9] + bytes(9))  # as after a power cut
    text.write_text("no image")
    fetch(archive, tmp_path)
    assert sorted(path.rpartition("/")[2] for path, _, _ in archive.asked[asked:]) == [half.name, text.name]
    assert len(read_manifest(folder)) == len(early(archive))
    with pytest.raises(DataError, match="marsnb data fetch pds"):
        verify_pds(tmp_path / "none")


SCRIPT = """
import os, sys
from pathlib import Path
from marsnb.data.fetch_pds import fetch_pds
from marsnb.data.fetch_pds_index import find_products
address, root = sys.argv[1], Path(sys.argv[2])
for line in sys.stdin:
    child = os.fork()  # a process that pays no import
    if not child:
        found = find_products(root, max_sol=5, address=address, interval=0.002, progress=False)
        fetch_pds(found, root, address=address, interval=0.002, progress=False)
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_killed_ten_times_it_leaves_the_same_and_asks_for_nothing_complete(tmp_path: Path) -> None:
    draw = random.Random(16)
    root = tmp_path / "killed"
    kills: list[tuple[int, set[str]]] = []  # requests before, and what was complete then
    with PdsArchive(each=10).running() as archive:
        fetch(archive, tmp_path / "quiet")
        archive.asked.clear()
        archive.delay = 0.01
        command = [sys.executable, "-c", SCRIPT, archive.url, str(root)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as parent:
            assert parent.stdin is not None and parent.stdout is not None
            for _ in range(10):
                until = len(archive.asked) + draw.randint(2, 12)
                parent.stdin.write("again\n")
                child = int(parent.stdout.readline())
                while len(archive.asked) < until:
                    time.sleep(0.001)
                os.kill(child, signal.SIGKILL)
                assert int(parent.stdout.readline()) == -signal.SIGKILL
                complete = {path.name for path in root.rglob("*.JPG")} | {p.stem for p in root.glob("pds-index/*.txt")}
                kills.append((len(archive.asked), complete))
            parent.stdin.close()
        fetch(archive, root)
        asked = [(path.rpartition("/")[2], path.split("/")[1]) for path, _, _ in archive.asked]
    assert contents(root) == contents(tmp_path / "quiet")
    assert len({len(complete) for _, complete in kills}) > 5 and len(kills[-1][1]) < len(contents(root)) - 9
    for before, complete in kills:
        for file, volume in asked[before:]:
            assert (volume if file.startswith("RDRINDEX") else file) not in complete


# commands


def test_fetch_verify_and_lists_from_the_command_line(archive: PdsArchive, tmp_path: Path) -> None:
    common = ["--data", str(tmp_path / "a"), "--address", archive.url]
    listed = tmp_path / "list.txt"
    pds = ["fetch", "pds", "--quiet", "--max-sol", str(LAST)]
    result = runner.invoke(app, [*pds, *common, "--write-list", str(listed), "--count", "12"])
    assert result.exit_code == 0 and f"12 products are listed in {listed}" in result.output
    assert "reading the index table of MSLMST_0001 (Mastcam)" in result.output
    assert listed.read_text().startswith("# 12 Mastcam and MAHLI products, max_sol 5") and not list(
        tmp_path.rglob("*.JPG")
    )
    archive.asked.clear()
    data = str(tmp_path / "b")
    again = ["fetch", "pds", "--quiet", "--data", data, "--address", archive.url, "--list", str(listed)]
    result = runner.invoke(app, again)  # the list's own last sol, and all of it
    assert result.exit_code == 0 and "products to take" not in result.output
    assert "12 images, 0 of them in" in result.output and "images are in" in result.output
    assert len(archive.asked) == 12 and all(path.endswith(".JPG") for path, _, _ in archive.asked)
    result = runner.invoke(app, ["verify", "pds", "--data", data])
    assert result.exit_code == 0 and "images in pds-browse as its manifest.csv has them, 0 others" in result.output
    archive.asked.clear()
    result = runner.invoke(app, [*again, "--count", "40"])
    assert result.exit_code == 0 and "there are 12 products to take, not 40" in result.output
    assert not archive.asked
    result = runner.invoke(app, [*again, "--thumbnails"])
    assert isinstance(result.exception, DataError) and "leave --thumbnails out" in str(result.exception)
    result = runner.invoke(app, [*again, "--size", "full", "--count", "2"])
    assert result.exit_code == 0 and "to fetch: 2, about 2 MiB" in result.output and "pds-full" in result.output
    result = runner.invoke(app, ["verify", "pds", "--data", data])
    assert result.exit_code == 0 and "in pds-browse as" in result.output and "in pds-full as" in result.output
    gone = next(Path(data).rglob("*.JPG"))
    gone.unlink()
    result = runner.invoke(app, ["verify", "pds", "--data", data])
    assert isinstance(result.exception, DataError) and gone.name in result.output


@pytest.mark.parametrize("option", ["--count 3", "--max-sol 3", "--size full", "--thumbnails", "--list a", "--again"])
def test_options_of_one_data_set_are_refused_with_another(option: str) -> None:
    for name in ("msl", "ai4mars"):
        result = runner.invoke(app, ["fetch", name, *option.split()])
        assert isinstance(result.exception, DataError) and f"{option.split()[0]} is for pds" in str(result.exception)
    result = runner.invoke(app, ["fetch", "pds", "--limit", "3"])
    assert isinstance(result.exception, DataError) and "for ai4mars" in str(result.exception)
