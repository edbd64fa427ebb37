"""What can be wrong with the server, the archive or the disk while AI4Mars is downloaded."""

import errno
import io
import re
import stat
import zipfile
from pathlib import Path

import pytest

from marsnb.data import _http
from marsnb.data import fetch_ai4mars as fetcher
from marsnb.data.ai4mars import AI4Mars, find_tree
from tests.fake.ai4mars import FakeAI4Mars
from tests.fake.navcam_archive import TREE, expected, failing, fetch_from, files, first_member
from tests.fake.zenodo import Archive


def test_wrong_crc(server: Archive, navcam: FakeAI4Mars, new_root: Path) -> None:
    fetch_from(server, new_root)
    member, good = first_member(new_root), server.content
    path = new_root / TREE / member.path
    path.unlink()
    server.content = good[: member.end - 9] + bytes(9) + good[member.end :]
    message = failing(server, new_root)
    assert member.name in message and "damaged and was removed" in message
    assert not list(path.parent.glob(f"{path.name}*"))
    server.content = good
    fetch_from(server, new_root)
    assert files(new_root) == expected(navcam)


def test_server_that_sends_whole_files_only(server: Archive, new_root: Path) -> None:
    server.plan = ["whole"] * 9
    message = failing(server, new_root)
    assert "does not send parts of a file" in message and AI4Mars.address in message
    assert len(server.ranges) == 1 and not new_root.exists()


def test_busy_server_is_waited_for(server: Archive, navcam: FakeAI4Mars, new_root: Path, waited: list[float]) -> None:
    server.record_plan, server.plan = ["busy"], ["busy", "", "busy"]
    fetch_from(server, new_root)
    assert waited == [7, 7, 7] and files(new_root) == expected(navcam)
    server.plan, server.retry_after = ["busy"], "3600"
    (find_tree(new_root) / AI4Mars.labels / f"{next(iter(navcam.sols))}.png").unlink()
    assert "HTTP 429 and asks to wait 3600 s" in failing(server, new_root)
    assert waited == [7, 7, 7]


def test_gives_up_where_nothing_arrives(server: Archive, new_root: Path, waited: list[float]) -> None:
    server.plan = ["", *["cut"] * 100]
    assert "stopped at byte" in failing(server, new_root)
    assert waited[-4:] == [1, 2, 4, 8]
    server.server_close()
    assert "check the network" in failing(server, new_root)


def with_member(content: bytes, name: str) -> bytes:
    """An archive with one more member, which is a link if its name says so."""
    buffer = io.BytesIO(content)
    member = zipfile.ZipInfo(name)
    if "link" in name:
        member.create_system, member.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(buffer, "a") as opened:
        opened.writestr(member, b"../../etc")
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["../{}/evil.JPG", "C:/{}/evil.JPG", "{}/a\\..\\..\\evil.JPG", "{}/link.JPG"])
def test_archive_that_climbs_out(server: Archive, new_root: Path, name: str) -> None:
    server.publish(with_member(server.content, name.format("msl/ncam/images/edr")))
    assert "unsafe member" in failing(server, new_root)
    assert not new_root.exists() and not list(new_root.parent.parent.rglob("evil.JPG"))


@pytest.mark.parametrize("name", ["../evil.JPG", "msl/ncam/images/edr/../../evil.JPG", "/tmp/evil.JPG", "mer/link"])
def test_odd_member_that_nobody_unpacks(server: Archive, navcam: FakeAI4Mars, new_root: Path, name: str) -> None:
    server.publish(with_member(server.content, name))
    fetch_from(server, new_root)
    assert files(new_root) == expected(navcam)
    assert not list(new_root.parent.parent.rglob("evil.JPG"))


def test_members_that_swell(server: Archive, new_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http, "MEMBERS", 9)
    assert "far more than its images" in failing(server, new_root)


def test_something_that_is_no_archive(server: Archive, new_root: Path) -> None:
    for size in (len(server.content) // 2, 0):
        server.publish(server.content[:size])
        assert "no archive that can be read" in failing(server, new_root)


def test_archive_without_navcam_pairs(server: Archive, navcam: FakeAI4Mars, new_root: Path) -> None:
    (navcam.folder / "images").rename(navcam.folder / "pictures")
    server.publish(navcam.packed())
    assert "no Navcam image with a label" in failing(server, new_root)


def test_member_packed_in_another_way(server: Archive, navcam: FakeAI4Mars, new_root: Path) -> None:
    server.publish(navcam.packed(method=zipfile.ZIP_BZIP2))
    assert "packed in an unknown way" in failing(server, new_root)


def test_full_disk_and_folder_that_cannot_be_made(
    server: Archive, new_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(fetcher, "_finish", full)
        assert re.search(r"full: [\d.]+ MiB are needed", failing(server, new_root))
    (new_root / "file").write_text("")
    assert "cannot write" in failing(server, new_root / "file")
