"""The download of unlabelled images: against a server on this machine that has an archive of the published layout."""

import csv
import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from marsnb import __version__
from marsnb.data import _http
from marsnb.data import fetch_pds as module
from marsnb.data.commands import app
from marsnb.data.fetch_pds import IN_A_ROW, LEFT_OUT, MANIFEST, Fetched, fetch_pds, read_manifest
from marsnb.data.fetch_pds_index import find_products
from marsnb.data.pds import open_folder
from marsnb.data.verify_pds import find_fetched, verify_pds
from marsnb.errors import DataError
from tests.fake.pds_archive import PdsArchive

LAST = 5  # sol
runner = CliRunner()


@pytest.fixture
def archive() -> Iterator[PdsArchive]:
    with PdsArchive().running() as server:
        yield server


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that all requests would have waited."""
    seconds: list[float] = []
    monkeypatch.setattr(_http.Polite, "_pause", lambda self, wait: seconds.append(wait))
    return seconds


def fetch(archive: PdsArchive, root: Path, count: int = 1000, max_sol: int = LAST, **options: object) -> Fetched:
    at = {"address": archive.url, "interval": 0.0, "progress": False}
    found = find_products(root, max_sol=max_sol, **at)[:count]  # type: ignore[arg-type]
    return fetch_pds(found, root, **(at | options))  # type: ignore[arg-type]


def refusal(archive: PdsArchive, root: Path, **options: object) -> str:
    with pytest.raises(DataError) as error:
        fetch(archive, root, **options)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    return str(error.value)


def early(archive: PdsArchive) -> set[str]:
    """Products that there is a good image of."""
    return {name for name in archive.good if int(name[:4]) <= LAST}


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder, hidden ones too, but for the tables that were kept."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# what is brought


def test_images_manifest_and_what_is_left_out(archive: PdsArchive, tmp_path: Path) -> None:
    said: list[str] = []
    done = fetch(archive, tmp_path, say=said.append)
    folder = tmp_path / "pds-browse"
    assert done == Fetched(folder, len(early(archive)), 1, 1, 0)
    files = contents(folder)
    images = {f"{name[:4]}/{name}.JPG": archive.files[archive.path_of(name)] for name in early(archive)}
    assert {path: content for path, content in files.items() if path.endswith(".JPG")} == images
    assert files.keys() == images.keys() | {MANIFEST, LEFT_OUT}
    rows = list(csv.reader((folder / MANIFEST).read_text().splitlines()))
    assert rows[0] == ["product", "volume", "bytes", "sha256"]
    assert [row[0] for row in rows[1:]] == sorted(early(archive))
    for name, volume, size, digest in rows[1:]:
        content = images[f"{name[:4]}/{name}.JPG"]
        assert (int(size), digest) == (len(content), hashlib.sha256(content).hexdigest())
        assert archive.path_of(name).startswith(f"/{volume}/")
    left_out = dict(line.split(" ", 1) for line in (folder / LEFT_OUT).read_text().splitlines())
    assert left_out == {archive.grey: "grey", archive.missing: "missing, HTTP 404"}
    assert f"{len(images) + 2} images, 0 of them" in said[0] and "MiB" in said[0] and "minutes" in said[0]
    assert list(open_folder(folder).names) == sorted(f"{name}.JPG" for name in early(archive))


def test_nothing_is_asked_for_twice(archive: PdsArchive, tmp_path: Path) -> None:
    first = fetch(archive, tmp_path)
    before = contents(tmp_path)
    asked = len(archive.asked)
    assert fetch(archive, tmp_path) == first
    assert len(archive.asked) == asked and contents(tmp_path) == before
    assert len({path for path, _, _ in archive.asked}) == asked
    fetch(archive, tmp_path, again=True)
    assert sorted(path.rpartition("/")[2] for path, _, _ in archive.asked[asked:]) == sorted(
        f"{name}.JPG" for name in (archive.grey, archive.missing)
    )


def test_a_higher_count_takes_the_same_and_more(archive: PdsArchive, tmp_path: Path) -> None:
    fetch(archive, tmp_path, count=9)
    some = {path.stem for path in tmp_path.rglob("*.JPG")}
    assert len({name[:6] for name in some}) >= 8  # of all cameras and sols first
    more = fetch(archive, tmp_path, count=14)
    assert some < {path.stem for path in tmp_path.rglob("*.JPG")} and more.images + more.missing + more.grey == 14
    assert max(count for name, count in archive.requests.items() if name in some) == 1
    fewer = fetch(archive, tmp_path, count=5)
    assert fewer.others == more.images - fewer.images
    assert set(read_manifest(more.folder)) == {path.stem for path in tmp_path.rglob("*.JPG")}


def test_full_size_goes_into_a_folder_of_its_own(archive: PdsArchive, tmp_path: Path) -> None:
    done = fetch(archive, tmp_path, count=3, size="full")
    assert done.folder == tmp_path / "pds-full" and not (tmp_path / "pds-browse").exists()
    assert all("/FULL/" in path for path, _, _ in archive.asked if path.endswith(".JPG"))
    assert "choose one of browse, full" in refusal(archive, tmp_path, size="large")


def test_who_asks_how_many_at_a_time_and_how_often(archive: PdsArchive, tmp_path: Path) -> None:
    archive.delay = 0.02
    fetch(archive, tmp_path)
    assert 1 < archive.most_open <= 4
    server, begun, times = _http.Polite(0.01), time.monotonic(), []

    def ask() -> None:
        for _ in range(4):
            server._wait()
            times.append(time.monotonic() - begun)

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(moment >= 0.01 * number for number, moment in enumerate(sorted(times)))
    assert _http.Polite().interval == 0.2
    assert _http.open_session().headers["User-Agent"].startswith(f"marsnb/{__version__}")


def test_a_server_that_asks_to_wait_is_waited_for_by_all() -> None:
    server, begun = _http.Polite(0.0), time.monotonic()
    server._pause(0.1)
    server._pause(0.05)
    server._wait()
    assert time.monotonic() - begun >= 0.1
    server._pause(100)
    threading.Timer(0.05, server.stop).start()
    with pytest.raises(DataError, match="stopped"):
        server._wait()
    assert time.monotonic() - begun < 10


# what a server does


def test_busy_cut_and_damaged_answers_are_asked_for_again(
    archive: PdsArchive, tmp_path: Path, pauses: list[float]
) -> None:
    first, second, third, fourth, *_ = sorted(early(archive))
    archive.plan = {
        archive.path_of(first): ["busy", "down"],
        archive.path_of(second): ["cut", "cut", "busy"],
        archive.path_of(third): ["half"],
        archive.path_of(fourth): ["page", "page"],
    }
    assert fetch(archive, tmp_path).images == len(early(archive))
    assert [archive.requests[name] for name in (first, second, third, fourth)] == [3, 4, 2, 3]
    assert pauses == [7, 7, 7]
    for name in (first, second, third, fourth):
        assert (tmp_path / "pds-browse" / name[:4] / f"{name}.JPG").read_bytes() == archive.files[archive.path_of(name)]


def test_one_image_that_is_refused_is_left_out(archive: PdsArchive, tmp_path: Path) -> None:
    name = min(early(archive))
    archive.plan[archive.path_of(name)] = ["forbidden"]
    assert fetch(archive, tmp_path).missing == 2
    assert f"{name} missing, HTTP 403" in (tmp_path / "pds-browse" / LEFT_OUT).read_text()


def test_one_image_that_never_comes_is_named_and_asked_for_next_time(
    archive: PdsArchive, tmp_path: Path, pauses: list[float]
) -> None:
    broken, cut = sorted(early(archive))[:2]
    archive.plan = {archive.path_of(broken): ["down"] * 5, archive.path_of(cut): ["cut"] * 5}
    message = refusal(archive, tmp_path)
    assert message.startswith("2 of ") and "run the same command again" in message
    assert (broken in message and "HTTP 503" in message) or (cut in message and "cut" in message)
    assert len(list(tmp_path.rglob("*.JPG"))) == len(early(archive)) - 2 == len(read_manifest(tmp_path / "pds-browse"))
    asked = len(archive.asked)
    assert fetch(archive, tmp_path).images == len(early(archive))
    assert {path for path, _, _ in archive.asked[asked:]} == {archive.path_of(broken), archive.path_of(cut)}


@pytest.mark.parametrize(("word", "sign"), [("forbidden", "HTTP 403"), ("page", "<!DOCTYPE"), ("down", "HTTP 503")])
def test_a_server_that_refuses_all_is_left_alone(tmp_path: Path, pauses: list[float], word: str, sign: str) -> None:
    with PdsArchive(each=4).running() as archive:
        assert len(early(archive)) > IN_A_ROW + 4
        archive.plan = {archive.path_of(name): [word] * 9 for name in early(archive)}
        archive.plan |= {archive.path_of(archive.grey): [word] * 9}
        message = refusal(archive, tmp_path)
        assert f"{IN_A_ROW} images in a row did not come" in message and sign in message and archive.url in message
        assert not (tmp_path / "pds-browse" / LEFT_OUT).exists()  # it is not said of any that the archive lacks it
        archive.plan = {}
        assert fetch(archive, tmp_path).images == len(early(archive))


def test_a_server_that_is_gone_or_asks_to_wait_for_an_hour(
    archive: PdsArchive, tmp_path: Path, pauses: list[float]
) -> None:
    found = find_products(tmp_path, max_sol=LAST, address=archive.url, interval=0.0, progress=False)
    archive.retry_after = "3600"
    archive.plan = {archive.path_of(name): ["busy"] for name in early(archive)}
    assert "asks to wait 3600 s" in refusal(archive, tmp_path)
    archive.server_close()
    with pytest.raises(DataError, match="check the network"):
        fetch_pds(found, tmp_path, address=archive.url, interval=0.0, progress=False)


# disk


def test_too_little_room_is_said_before(archive: PdsArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    assert "GiB are free" in refusal(archive, tmp_path)
    assert not any(path.endswith(".JPG") for path, _, _ in archive.asked)


def test_full_disk_is_one_line(archive: PdsArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes, *, sync: bool = True) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_whole", full)
        assert "is full" in refusal(archive, tmp_path)
    assert fetch(archive, tmp_path).images == len(early(archive))


# resumed


def test_an_image_that_was_damaged_later_comes_again(archive: PdsArchive, tmp_path: Path) -> None:
    folder = fetch(archive, tmp_path).folder
    before = contents(folder)
    short, empty, lost = sorted(folder.rglob("*.JPG"))[:3]
    short.write_bytes(short.read_bytes()[:-1])
    empty.write_bytes(b"")
    lost.unlink()
    problems, _ = verify_pds(folder)
    assert problems == [
        f"1 images missing: {lost.name}",
        f"2 images that are not those that were fetched: {short.name}, {empty.name}",
    ]
    fetch(archive, tmp_path)
    assert contents(folder) == before and verify_pds(folder)[0] == []


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
        find_fetched(tmp_path / "none")


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
    result = runner.invoke(app, [*pds, "--data", data, "--address", archive.url, "--list", str(listed)])
    assert result.exit_code == 0 and "there are 12 products to take, not 34,000" in result.output
    assert "12 images, 0 of them in" in result.output and "images are in" in result.output
    assert len(archive.asked) == 12 and all(path.endswith(".JPG") for path, _, _ in archive.asked)
    result = runner.invoke(app, ["verify", "pds", "--data", data])
    assert result.exit_code == 0 and "images in pds-browse as its manifest.csv has them, 0 others" in result.output
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
