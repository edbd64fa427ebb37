"""The download of a part of a large archive, from a server on this machine."""

import io
import mmap
import zipfile
from pathlib import Path

import pytest

from marsnb.data import _http
from marsnb.data import fetch_ai4mars as fetcher
from marsnb.data.ai4mars import AI4Mars, cover_name, find_tree, open_ai4mars
from marsnb.data.fetch_ai4mars import BRIDGE, DIRECTORY, TAIL, Member, fetch_ai4mars, read_directory
from marsnb.errors import DataError
from tests.fake.ai4mars import FakeAI4Mars, make_ai4mars, navcam_stem
from tests.fake.navcam_archive import TREE, expected, failing, fetch_from, files, first_member
from tests.fake.zenodo import Archive


@pytest.mark.parametrize("version", ["0.1", "0.6"])
@pytest.mark.parametrize("prefix", ["", "ai4mars-dataset-merged/"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_navcam_pairs_alone(
    server: Archive, new_root: Path, tmp_path: Path, version: str, prefix: str, method: int
) -> None:
    navcam = make_ai4mars(tmp_path / version, version=version, gold=True, covers=True)
    server.publish(navcam.packed(prefix=prefix, method=method))
    folder = fetch_from(server, new_root)
    assert files(new_root) == expected(navcam)
    assert folder == find_tree(new_root)
    opened = open_ai4mars(root=new_root)
    assert opened.fingerprint == open_ai4mars(root=navcam.root).fingerprint
    assert "0 images without a label, 0 labels without an image" in opened.note


def test_masks_if_asked_for(server: Archive, navcam: FakeAI4Mars, new_root: Path) -> None:
    fetch_from(server, new_root)
    sent = server.sent
    fetch_from(server, new_root, masks=True)
    assert files(new_root) == expected(navcam, masks=True) != expected(navcam)
    assert server.sent - sent < 2 * sum(map(len, files(new_root).values()))  # neither pairs nor directory again
    fetched, published = (open_ai4mars(root=root, covered=True) for root in (new_root, navcam.root))
    assert fetched.fingerprint == published.fingerprint


def test_little_of_the_archive_is_transferred(
    server: Archive, new_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch_ai4mars(new_root, base_url=server.url)
    content = sum(map(len, files(new_root).values()))
    assert content < server.sent < TAIL + 3 * content < len(server.content) / 50
    assert len(server.ranges) <= 1 + 5  # the directory, and one request per folder of images or labels
    assert "ai4mars" in capsys.readouterr().out
    asked = len(server.asked)
    fetch_from(server, new_root)
    assert len(server.asked) == asked


def test_near_members_come_with_one_request(server: Archive, navcam: FakeAI4Mars, new_root: Path) -> None:
    server.publish(navcam.packed(other=BRIDGE // 8))
    fetch_from(server, new_root)
    assert len(server.ranges) == 2
    assert files(new_root) == expected(navcam)


def test_zip64(server: Archive, navcam: FakeAI4Mars, new_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:  # as if 100 bytes were 4 GiB, and ten files 65,535
        patch.setattr(zipfile, "ZIP64_LIMIT", 100)
        patch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 10)
        server.publish(navcam.packed())
    assert b"PK\6\6" in server.content and b"PK\6\7" in server.content
    fetch_from(server, new_root)
    assert files(new_root) == expected(navcam)


def test_archive_of_more_than_4_gib(server: Archive, navcam: FakeAI4Mars, new_root: Path, tmp_path: Path) -> None:
    with (tmp_path / "sparse.zip").open("w+b") as file:
        file.seek(5 * 2**30)  # a hole, which takes no room on the disk
        navcam.pack(file)
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            server.content = content  # type: ignore[assignment]
            fetch_from(server, new_root)
    assert first_member(new_root).start > 2**32
    assert files(new_root) == expected(navcam)
    assert server.sent < 2**20


def test_as_many_members_as_are_published(server: Archive, new_root: Path) -> None:
    buffer, stems = io.BytesIO(), [navcam_stem(number) for number in range(18_127)]
    wanted = [f"msl/ncam/{AI4Mars.images}/{stem}.JPG" for stem in stems]
    wanted += [f"msl/ncam/{AI4Mars.labels}/{stem}.png" for stem in stems[:16_064]]
    wanted += [f"msl/ncam/{place}/{cover_name(stem, word)}.png" for place, word in AI4Mars.covers for stem in stems]
    with zipfile.ZipFile(buffer, "w") as opened:
        for name in (*wanted, *(f"mer/images/{number}.JPG" for number in range(146_179 - len(wanted)))):
            opened.writestr(name, b"")
    server.publish(buffer.getvalue())
    fetch_from(server, new_root, limit=1)
    assert len(files(new_root)) == 2 and len(read_directory(new_root / TREE)[1]) == len(wanted)


def test_directory_larger_than_the_first_request(
    server: Archive, navcam: FakeAI4Mars, new_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetcher, "TAIL", 200)
    fetch_from(server, new_root)
    assert files(new_root) == expected(navcam)


def test_limit_takes_whole_pairs_and_a_higher_one_the_same_and_more(
    server: Archive, navcam: FakeAI4Mars, new_root: Path
) -> None:
    before: dict[str, bytes] = {}
    for limit in (1, 4, 9, 99):
        fetch_from(server, new_root, limit=limit)
        found = files(new_root)
        assert before.items() <= found.items() <= expected(navcam).items()
        assert len(open_ai4mars(root=new_root).names) == min(limit, len(navcam.sols) + len(navcam.gold))
        assert "0 images without a label, 0 labels without an image" in open_ai4mars(root=new_root).note
        before = found
    assert before == expected(navcam)


def test_limit_is_spread_over_the_sols(server: Archive, new_root: Path) -> None:
    stems = [navcam_stem(sol) for sol in range(1000)]
    where = ((AI4Mars.images, "JPG"), (AI4Mars.labels, "png"))
    members = [Member("msl", folder, f"{stem}.{end}", 0, 9, 9, 0, 0) for stem in stems for folder, end in where]
    chosen = {member.image for member in fetcher.choose(members, 100)}
    assert len(chosen) == 100
    assert all(15 <= len(chosen.intersection(stems[at : at + 250])) <= 35 for at in range(0, 1000, 250))
    with pytest.raises(DataError, match="limit of 1 or more"):
        fetch_from(server, new_root, limit=0)


# going on


def test_goes_on_within_one_call(
    server: Archive, navcam: FakeAI4Mars, new_root: Path, waited: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_http, "PIECE", 100)
    server.plan = ["cut", "", "cut", "cut"]
    fetch_from(server, new_root)
    assert files(new_root) == expected(navcam)
    assert waited == []  # each request brought new bytes


def test_goes_on_within_a_member(
    server: Archive, navcam: FakeAI4Mars, new_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.plan = ["", "cut", *["gone"] * 9]
    monkeypatch.setattr(_http, "PIECE", 100)
    assert "HTTP 404" in failing(server, new_root)
    came = files(new_root)
    part = next(name for name in came if name.endswith(".part"))
    assert len(came[part]) > 0 and len(came) > 2
    server.plan.clear()
    server.asked.clear()
    fetch_from(server, new_root)
    assert files(new_root) == expected(navcam)
    member = next(m for m in read_directory(new_root / TREE)[1] if f"{m.path}.part" == part)
    first = server.ranges[0]
    assert first is not None and first.startswith(f"bytes={member.start + len(came[part])}-")


@pytest.mark.parametrize("damage", ["gone", "shorter", "other bytes"])
def test_only_what_is_not_whole_is_fetched_again(
    server: Archive, navcam: FakeAI4Mars, new_root: Path, damage: str
) -> None:
    fetch_from(server, new_root)
    member = first_member(new_root)
    path = new_root / TREE / member.path
    content = path.read_bytes()
    path.write_bytes(content[:-1] if damage == "shorter" else bytes(len(content)))
    if damage == "gone":
        path.unlink()
    server.asked.clear()
    fetch_from(server, new_root)
    assert server.ranges == [f"bytes={member.start}-{member.end - 1}"]
    assert files(new_root) == expected(navcam)


@pytest.mark.parametrize("extra", [0, 1])
def test_part_that_is_whole_or_too_long(server: Archive, navcam: FakeAI4Mars, new_root: Path, extra: int) -> None:
    fetch_from(server, new_root)
    member = first_member(new_root)
    path = new_root / TREE / member.path
    path.unlink()
    path.with_name(f"{path.name}.part").write_bytes(server.content[member.start : member.end] + b"#" * extra)
    server.asked.clear()
    fetch_from(server, new_root)
    assert len(server.ranges) == extra
    assert files(new_root) == expected(navcam)


def test_other_archive_of_the_same_name(server: Archive, navcam: FakeAI4Mars, new_root: Path) -> None:
    fetch_from(server, new_root, limit=2)
    server.publish(navcam.packed(other=1234))  # everything lies elsewhere in it
    fetch_from(server, new_root)
    assert files(new_root) == expected(navcam)


def test_directory_that_cannot_be_read_is_fetched_anew(server: Archive, navcam: FakeAI4Mars, new_root: Path) -> None:
    fetch_from(server, new_root)
    (new_root / TREE / DIRECTORY).write_text('{"checksum": 1')
    server.asked.clear()
    fetch_from(server, new_root)
    assert len(server.ranges) == 1 and files(new_root) == expected(navcam)
