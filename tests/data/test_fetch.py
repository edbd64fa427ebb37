import errno
import io
import os
import shutil
import stat
import zipfile
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from marsnb import __version__
from marsnb.data import _http, fetch
from marsnb.data.fetch import fetch_msl, unpack
from marsnb.data.msl import MSL, open_msl
from marsnb.errors import DataError
from tests.fake.msl import FakeMsl, make_msl
from tests.fake.zenodo import Archive


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMsl:
    made = make_msl(tmp_path / "published")
    made.install(monkeypatch)
    return made


@pytest.fixture
def archive(fake: FakeMsl, tmp_path: Path, waited: list[float]) -> Iterator[Archive]:
    with Archive(fake.pack(tmp_path / "published.zip").read_bytes()).running() as server:
        yield server


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "new" / "data"


def failing(server: Archive, root: Path) -> str:
    with pytest.raises(DataError) as error:
        fetch_msl(root, base_url=server.url, progress=False)
    assert "\n" not in str(error.value)
    assert not (root / MSL.folder).exists()
    assert not list(root.glob(".unpack-*"))
    return str(error.value)


def rezip(content: bytes, *, extra: zipfile.ZipInfo | str | None = None, without: str = "") -> bytes:
    """The archive without a member, or with one more."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for member in old.infolist():
            if not without or without not in member.filename:
                new.writestr(member, old.read(member))
        if extra is not None:
            new.writestr(extra, b"../../etc")
    return buffer.getvalue()


# downloading


def test_plain(archive: Archive, fake: FakeMsl, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = fetch_msl(root, base_url=archive.url)
    assert folder == root / MSL.folder
    assert open_msl(root=root).fingerprint == open_msl(root=fake.root).fingerprint
    assert [path.name for path in root.iterdir()] == [MSL.folder]
    assert all(headers["User-Agent"].startswith(f"marsnb/{__version__}") for _, headers in archive.asked)
    assert "msl-images.zip" in capsys.readouterr().out
    asked = len(archive.asked)
    assert fetch_msl(root, base_url=archive.url) == folder
    assert len(archive.asked) == asked


def test_flat_layout(archive: Archive, fake: FakeMsl, root: Path, tmp_path: Path) -> None:
    archive.publish(fake.pack(tmp_path / "flat.zip", layout="flat").read_bytes())
    fetch_msl(root, base_url=archive.url, progress=False)
    assert open_msl(root=root).fingerprint == open_msl(root=fake.root).fingerprint
    assert [path.name for path in root.iterdir()] == [MSL.folder]


def test_goes_on_within_one_call(archive: Archive, root: Path, waited: list[float]) -> None:
    archive.plan = ["cut", "cut"]
    fetch_msl(root, base_url=archive.url, progress=False)
    first, *later = archive.ranges
    assert first is None
    starts = [int(text.removeprefix("bytes=").removesuffix("-")) for text in later if text]
    assert len(starts) == 2
    assert 0 < starts[0] < starts[1] < len(archive.content)
    assert waited == []  # each request brought new bytes


def test_goes_on_in_a_later_call(archive: Archive, root: Path) -> None:
    root.mkdir(parents=True)
    (root / f"{MSL.file}.part").write_bytes(archive.content[:1000])
    fetch_msl(root, base_url=archive.url, progress=False)
    assert archive.ranges == ["bytes=1000-"]


def test_starts_over_where_ranges_are_ignored(archive: Archive, root: Path) -> None:
    root.mkdir(parents=True)
    (root / f"{MSL.file}.part").write_bytes(archive.content[:4] + b"#" * 996)
    archive.plan = ["whole"]
    fetch_msl(root, base_url=archive.url, progress=False)
    assert archive.ranges == ["bytes=1000-"]


def test_complete_part_is_not_asked_for_again_and_too_long_one_is_dropped(archive: Archive, root: Path) -> None:
    root.mkdir(parents=True)
    part = root / f"{MSL.file}.part"
    part.write_bytes(archive.content)
    fetch_msl(root, base_url=archive.url, progress=False)
    assert archive.ranges == []
    shutil.rmtree(root / MSL.folder)
    part.write_bytes(archive.content + b"more")
    fetch_msl(root, base_url=archive.url, progress=False)
    assert archive.ranges == [None]


def test_gives_up_where_nothing_arrives(archive: Archive, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root.mkdir(parents=True)
    part = root / f"{MSL.file}.part"
    part.write_bytes(archive.content[:-1])
    archive.plan = ["cut"] * 100  # half of one byte is none
    assert f"stopped at byte {len(archive.content) - 1:,} (" in failing(archive, root)
    assert len(archive.ranges) == _http.TRIES
    assert part.stat().st_size == len(archive.content) - 1


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><html>Sign in</html>", b'{"message": "no"}', b"\n"])
def test_page_in_place_of_the_file(archive: Archive, root: Path, page: bytes) -> None:
    content, archive.content = archive.content, page + bytes(len(archive.content) - len(page))
    message = failing(archive, root)
    assert "something else than msl-images.zip" in message and repr(page[:5])[2:-1] in message
    assert (root / f"{MSL.file}.part").stat().st_size == 0
    (root / f"{MSL.file}.part").write_bytes(page)  # kept by an earlier version
    archive.content = content
    fetch_msl(root, base_url=archive.url, progress=False)
    assert archive.ranges == [None, None]


def test_unpacking_that_was_killed_is_cleared(archive: Archive, root: Path) -> None:
    for folder in (old := root / ".unpack-old", new := root / ".unpack-new"):
        (folder / "tree").mkdir(parents=True)
    os.utime(old, (0, 0))
    fetch_msl(root, base_url=archive.url, progress=False)
    assert not old.exists() and new.exists()  # the new one may be another process's


def test_wrong_checksum(archive: Archive, root: Path) -> None:
    archive.checksum = "md5:" + "0" * 32
    message = failing(archive, root)
    assert "md5" in message
    assert "was removed" in message
    assert list(root.iterdir()) == []


def test_busy_server_is_waited_for(archive: Archive, root: Path, waited: list[float]) -> None:
    archive.record_plan, archive.plan = ["busy"], ["busy", "busy"]
    fetch_msl(root, base_url=archive.url, progress=False)
    assert waited == [7, 7, 7]


def test_busy_server_with_a_date(archive: Archive, root: Path, waited: list[float]) -> None:
    archive.plan, archive.retry_after = ["busy"], formatdate(4e9, usegmt=True)
    assert "asks to wait" in failing(archive, root)
    assert waited == []
    archive.plan, archive.retry_after = ["busy"], formatdate(0, usegmt=True)
    fetch_msl(root, base_url=archive.url, progress=False)
    assert waited == [1]


def test_always_busy_server(archive: Archive, root: Path, waited: list[float]) -> None:
    archive.plan, archive.retry_after = ["busy"] * 100, "soon"
    assert "HTTP 429" in failing(archive, root)
    assert waited == [1, 2, 4, 8]


def test_missing_file_is_not_asked_for_again(archive: Archive, root: Path, waited: list[float]) -> None:
    archive.plan = ["gone"]
    assert "HTTP 404" in failing(archive, root)
    assert waited == []


def test_record_without_the_file(archive: Archive, root: Path) -> None:
    archive.key = "other.zip"
    assert f"does not describe {MSL.file}" in failing(archive, root)
    archive.key, archive.checksum = MSL.file, "none"
    assert f"does not describe {MSL.file}" in failing(archive, root)


def test_no_network(archive: Archive, root: Path, waited: list[float]) -> None:
    archive.server_close()
    assert "check the network" in failing(archive, root)
    assert len(waited) == _http.TRIES - 1


# disk


def test_full_disk_while_downloading(archive: Archive, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetch, "complete", full)
    message = failing(archive, root)
    assert "full" in message
    assert f"{len(archive.content) / 2**20:,.1f} MiB are needed" in message


def test_full_disk_while_unpacking_keeps_the_download(
    archive: Archive, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "extractall", full)
        assert "MiB are needed" in failing(archive, root)
    fetch_msl(root, base_url=archive.url, progress=False)
    assert len(archive.ranges) == 1


def test_folder_that_cannot_be_made(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot write" in failing(archive, tmp_path / "file" / "data")


def test_something_else_in_the_way(archive: Archive, root: Path) -> None:
    (root / MSL.folder).mkdir(parents=True)
    (root / MSL.folder / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="move it away"):
        fetch_msl(root, base_url=archive.url, progress=False)
    assert (root / MSL.folder / "notes.txt").read_text() == "mine"
    assert archive.asked == []


def test_incomplete_tree_is_not_touched(archive: Archive, fake: FakeMsl) -> None:
    next((fake.folder / MSL.images).iterdir()).unlink()
    with pytest.raises(DataError, match="not MSL v1 as published"):
        fetch_msl(fake.root, base_url=archive.url, progress=False)
    assert archive.asked == []


# unpacking


@pytest.mark.parametrize(
    "name", ["../evil.txt", "msl-images/../../evil.txt", "/tmp/evil.txt", "C:/evil.txt", "..\\evil.txt"]
)
def test_archive_that_climbs_out(archive: Archive, root: Path, name: str) -> None:
    archive.publish(rezip(archive.content, extra=name))
    assert "unsafe member" in failing(archive, root)
    assert list(root.iterdir()) == []
    assert not list(root.parent.rglob("evil.txt"))


def test_archive_with_a_link(archive: Archive, root: Path) -> None:
    link = zipfile.ZipInfo("msl-images/link")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.publish(rezip(archive.content, extra=link))
    assert "unsafe member" in failing(archive, root)


@pytest.mark.parametrize("keep", [0.5, 0.999])
def test_truncated_archive(archive: Archive, root: Path, keep: float) -> None:
    archive.publish(archive.content[: int(len(archive.content) * keep)])
    assert "damaged" in failing(archive, root)
    assert list(root.iterdir()) == []


def test_archive_with_a_flipped_byte(fake: FakeMsl, tmp_path: Path) -> None:
    path = fake.pack(tmp_path / "a.zip")
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as opened:
        member = max(opened.infolist(), key=lambda info: info.compress_size)
    content[member.header_offset + 60 + len(member.filename)] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        unpack(path, tmp_path)
    assert not path.exists()


@pytest.mark.parametrize(("without", "why"), [("calibrated", "no calibrated/"), ("E01_DRCL", "images in calibrated")])
def test_archive_of_something_else(archive: Archive, root: Path, without: str, why: str) -> None:
    archive.publish(rezip(archive.content, without=without))
    message = failing(archive, root)
    assert "not MSL v1" in message
    assert why in message
