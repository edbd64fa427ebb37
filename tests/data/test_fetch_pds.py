"""The download of unlabelled images: against a server on this machine that has an archive of the published layout."""

import csv
import errno
import hashlib
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from marsnb import __version__
from marsnb.data import _http
from marsnb.data import fetch_pds as module
from marsnb.data.fetch_pds import IN_A_ROW, LEFT_OUT, MANIFEST, Fetched, fetch_pds, read_manifest
from marsnb.data.fetch_pds_index import find_products
from marsnb.data.pds import open_folder
from marsnb.errors import DataError
from tests.fake.pds_archive import PdsArchive
from tests.fake.pds_fetch import LAST, contents, early, fetch, refusal

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
    assert [file.name for file in open_folder(folder)[0]] == sorted(f"{name}.JPG" for name in early(archive))


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
