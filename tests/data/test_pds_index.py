"""Which products are taken: index tables as they are published, and the list made from them."""

import io
from collections import Counter
from pathlib import Path

import pytest

from marsnb.data import fetch_pds_index, pds_index
from marsnb.data.fetch_pds_index import INDEX, find_products
from marsnb.data.pds_index import Entry, choose, labelled_frames, read_columns, read_index, read_list, write_list
from marsnb.errors import DataError
from tests.fake.pds_archive import LABELLED, PdsArchive, exposure, label_of, table_row

LAST = 5  # sol; the third Mastcam volume has later ones


def find(archive: PdsArchive, root: Path, **options: object) -> list[Entry]:
    settings = {"max_sol": LAST, "address": archive.url, "interval": 0.0, "progress": False}
    return find_products(root, **(settings | options))  # type: ignore[arg-type]


def refusal(archive: PdsArchive, root: Path, **options: object) -> str:
    with pytest.raises(DataError) as error:
        find(archive, root, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def names(entries: list[Entry]) -> list[str]:
    return [entry.name for entry in entries]


# tables


@pytest.mark.parametrize("ends", [b"\r\n", b"\n"])
def test_a_padded_table_is_read_by_its_label(ends: bytes) -> None:
    wanted = f"{exposure(7, 'MR', 1)}E01_DRCL"
    rows = [
        table_row("MSLMST_0001", wanted, "MASTCAM_R0_CLEAR"),
        table_row("MSLMST_0001", wanted.replace("DRCL", "DRXX"), "MASTCAM_R0_CLEAR"),
        table_row("MSLMST_0001", f"{exposure(9, 'MR', 2)}E01_DRCL", "MASTCAM_R6_1013NM"),
        table_row("MSLMST_0001", f"{exposure(11, 'MR', 3)}E01_DRCL", "MASTCAM_R0_CLEAR", place="CRUISE"),
        table_row("MSLMST_0001", "0012MD0000000000000012E01_DRCL", ""),
    ]
    table = b"".join(rows).replace(b"\r\n", ends)
    index = read_index("MSLMST_0001", label_of(len(rows)).decode(), io.BytesIO(table))
    assert index.entries == (Entry("MSLMST_0001", wanted),)
    assert (index.last_sol, index.filters) == (9, True)


def test_columns_may_have_other_places_names_and_no_filter() -> None:
    columns = read_columns(label_of(3, {"MSL:PRODUCT_ID": (1, 30), "OTHER": (40, 2)}).decode())
    assert columns == {"PRODUCT_ID": slice(0, 30), "OTHER": slice(39, 41)}
    name = f"{exposure(2, 'MH', 1)}C00_DRCL"
    index = read_index(
        "MSLMHL_0001", label_of(1, {"PRODUCT_ID": (3, 30)}).decode(), io.BytesIO(f"  {name}\r\n".encode())
    )
    assert names(list(index.entries)) == [name] and not index.filters


@pytest.mark.parametrize("numbers", [("0", True), ("3", False), ("R0", True), ("L7", False), ("MAHLI", True)])
def test_filters_are_told_by_name_or_number(numbers: tuple[str, bool]) -> None:
    value, taken = numbers
    name = f"{exposure(2, 'ML', 1)}E01_DRCL"
    label = label_of(1, {"PRODUCT_ID": (1, 30), "FILTER_NUMBER": (32, 5)}).decode()
    index = read_index("MSLMST_0001", label, io.BytesIO(f"{name},{value:<5}\n".encode()))
    assert bool(index.entries) == taken


# what is taken


def test_colour_products_one_of_each_exposure_none_that_is_labelled(archive: PdsArchive, tmp_path: Path) -> None:
    found = find(archive, tmp_path)
    late = {name for name in archive.good if int(name[:4]) > LAST}
    assert late and set(names(found)) == archive.good - late | {archive.grey, archive.missing}
    assert len({name[:22] for name in names(found)}) == len(found)
    assert LABELLED not in {name[:22] for name in names(found)}
    assert all(
        entry.path("browse") in {path[1:] for path in archive.files} for entry in found if "905" not in entry.name
    )
    more = find(archive, tmp_path, thumbnails=True)
    assert set(names(more)) - set(names(found)) == {
        f"{exposure(sol, camera, 902)}I01_DRCL" for sol, camera in ((1, "ML"), (4, "ML"), (1, "MH"))
    }


def test_the_order_is_spread_over_sols_and_cameras_and_does_not_depend_on_the_index() -> None:
    entries = [
        Entry("MSLMST_0001", f"{exposure(sol, camera, number)}E01_DRCL")
        for sol, camera, each in ((1, "ML", 9), (1, "MH", 2), (2, "MR", 5), (40, "ML", 1))
        for number in range(each)
    ]
    order = choose(entries, exclude_frames=(), max_sol=99)
    assert choose(entries[::-1], exclude_frames=(), max_sol=99) == order
    groups = [(entry.product.sol, entry.product.instrument) for entry in order]
    assert len(set(groups[:4])) == 4
    assert Counter(groups[4:7]) == Counter({(1, "ML"): 1, (1, "MH"): 1, (2, "MR"): 1})
    assert groups[-4:] == [(1, "ML")] * 4
    assert [entry.name for entry in order if entry.product.sol == 2] != sorted(
        e.name for e in entries if "MR" in e.name
    )
    assert set(choose(entries, exclude_frames={order[0].product.frame}, max_sol=2)) == {
        entry for entry in order[1:] if entry.product.sol < 3
    }


def test_of_one_exposure_the_best_and_latest_version_is_taken() -> None:
    frame = exposure(1, "ML", 1)
    for kinds, best in ((("E01", "C00"), "C00"), (("E01", "E03", "E02"), "E03"), (("E01", "F01", "I01"), "F01")):
        entries = [Entry("MSLMST_0001", f"{frame}{kind}_DRCL") for kind in kinds]
        assert names(choose(entries, exclude_frames=(), max_sol=9, thumbnails=True)) == [f"{frame}{best}_DRCL"]


def test_labelled_exposures_are_those_of_msl_v1(tmp_path: Path) -> None:
    frames = labelled_frames(tmp_path, 564)
    assert LABELLED in frames and max(int(frame[:4]) for frame in frames) <= 564
    with pytest.raises(DataError, match="marsnb data fetch msl"):
        labelled_frames(tmp_path, 565)


@pytest.mark.real_data
def test_labelled_exposures_of_the_real_data(real_data: Path) -> None:
    frames = labelled_frames(real_data, 2000)
    assert len(frames) == 2389 + 949 + 820
    assert labelled_frames(Path("none"), 564) == {frame for frame in frames if int(frame[:4]) <= 564}


# reading the archive


def test_tables_are_read_once_and_no_further_than_needed(archive: PdsArchive, tmp_path: Path) -> None:
    said: list[str] = []
    first = find(archive, tmp_path, say=said.append)
    paths = [path for path, _, _ in archive.asked]
    assert len(paths) == len(set(paths)) == 2 * 5  # label and table of two and one, and of the next of each
    assert len(said) == 5 and "MSLMST_0003 (Mastcam)" in said[2]
    assert find(archive, tmp_path) == first
    assert len(archive.asked) == len(paths)
    assert not list((tmp_path / INDEX).glob("*.part"))
    archive.asked.clear()
    find(archive, tmp_path / "other", max_sol=2)
    assert {path.split("/")[1] for path, _, _ in archive.asked} == {"MSLMST_0001", "MSLMHL_0001"}


def test_a_volume_that_is_not_there_is_passed_over(
    archive: PdsArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pds_index, "RELEASES", 4)
    first = find(archive, tmp_path / "a", max_sol=500)
    assert {entry.volume for entry in first} == {path.split("/")[1] for path in archive.files}
    for ending in ("LBL", "TAB"):
        del archive.files[f"/MSLMST_0002/INDEX/RDRINDEX.{ending}"]
    second = find(archive, tmp_path / "b", max_sol=500)
    assert set(second) == {entry for entry in first if entry.volume != "MSLMST_0002"}


def test_a_table_goes_on_where_it_was_cut(archive: PdsArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marsnb.data._http.PIECE", 512)  # so that some come before a cut
    expected = find(archive, tmp_path / "a")
    archive.asked.clear()
    path = "/MSLMST_0001/INDEX/RDRINDEX.TAB"
    archive.plan[path] = ["cut", "cut"]
    part = tmp_path / "b" / INDEX / "MSLMST_0002.TAB.part"
    part.parent.mkdir(parents=True)
    content = archive.files[path.replace("0001", "0002")]
    part.write_bytes(content[:333])  # of a download that was killed
    whole = part.with_name("MSLMHL_0001.TAB.part")
    table = archive.files["/MSLMHL_0001/INDEX/RDRINDEX.TAB"]
    whole.write_bytes(table)
    assert find(archive, tmp_path / "b") == expected
    starts = [int(asked[6:-1]) if asked else 0 for name, asked, _ in archive.asked if name == path]
    assert len(starts) == 3 and 0 == starts[0] < starts[1] < starts[2]
    ranges = {name: asked for name, asked, _ in archive.asked if asked}
    assert ranges["/MSLMST_0002/INDEX/RDRINDEX.TAB"] == "bytes=333-"
    assert ranges["/MSLMHL_0001/INDEX/RDRINDEX.TAB"] == f"bytes={len(table)}-"


def test_a_busy_archive_is_waited_for(archive: PdsArchive, tmp_path: Path, pauses: list[float]) -> None:
    archive.plan = {"/MSLMST_0001/INDEX/RDRINDEX.LBL": ["busy", "down"], "/MSLMST_0001/INDEX/RDRINDEX.TAB": ["busy"]}
    find(archive, tmp_path)
    assert pauses == [7, 7, 7]


@pytest.mark.parametrize(
    ("file", "words", "message"),
    [
        ("LBL", ["forbidden"], "HTTP 403"),
        ("LBL", ["page"], "no label, it begins with '<!DOCTYPE html>"),
        ("LBL", ["busy"] * 9, "HTTP 429 again and again"),
        ("TAB", ["forbidden"], "HTTP 403"),
        ("TAB", ["page"], "has no product in it"),
        ("TAB", ["down"] * 99, "HTTP 503"),
    ],
)
def test_what_is_wrong_with_an_index_is_one_line(
    archive: PdsArchive, tmp_path: Path, pauses: list[float], file: str, words: list[str], message: str
) -> None:
    archive.plan[f"/MSLMST_0001/INDEX/RDRINDEX.{file}"] = words
    assert message in refusal(archive, tmp_path)
    archive.plan.clear()
    assert find(archive, tmp_path)


def test_archive_that_moved_or_changed(archive: PdsArchive, tmp_path: Path, pauses: list[float]) -> None:
    archive.files["/MSLMST_0001/INDEX/RDRINDEX.LBL"] = label_of(1, {"OTHER": (1, 2)})
    assert "no column PRODUCT_ID" in refusal(archive, tmp_path)
    del archive.files["/MSLMST_0001/INDEX/RDRINDEX.LBL"]
    assert "--address" in refusal(archive, tmp_path)
    archive.retry_after = "3600"
    archive.plan["/MSLMST_0001/INDEX/RDRINDEX.LBL"] = ["busy"]
    assert "asks to wait 3600 s" in refusal(archive, tmp_path)
    archive.server_close()
    assert "check the network" in refusal(archive, tmp_path)


# lists


def test_a_list_gives_the_same_products_in_the_same_order(archive: PdsArchive, tmp_path: Path) -> None:
    found = find(archive, tmp_path)
    path = write_list(tmp_path / "list.txt", found, "a few")
    assert read_list(path) == found
    archive.asked.clear()
    path.write_text(path.read_text() + f"MSLMST_0001 {LABELLED}E01_DRCL\nMSLMST_0003 {exposure(6, 'ML', 1)}E01_DRCL\n")
    assert find(archive, tmp_path / "b", listed=path) == found  # neither a labelled nor a late one
    assert archive.asked == []
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert find(archive, tmp_path / "b", listed=path) == found


def test_a_committed_list_is_what_a_run_with_no_option_takes(
    archive: PdsArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = write_list(tmp_path / "committed.txt", found := find(archive, tmp_path), "a few")
    monkeypatch.setattr(fetch_pds_index, "default_list", lambda: listed)
    archive.asked.clear()
    assert find(archive, tmp_path / "b", max_sol=564) == found and archive.asked == []
    assert find(archive, tmp_path / "b", max_sol=LAST, thumbnails=True) != found and archive.asked != []


@pytest.mark.parametrize("text", ["MSLMST_0001\n", "0161ML0001940020101833E01_DRCL\n", "MSLMST_1 0161ML\n", "a b\n"])
def test_bad_lists(archive: PdsArchive, tmp_path: Path, text: str) -> None:
    path = tmp_path / "list.txt"
    assert "--write-list" in refusal(archive, tmp_path, listed=path)
    path.write_text(text)
    assert refusal(archive, tmp_path, listed=path)
    path.write_text("# none\n")
    assert "no product up to sol 5" in refusal(archive, tmp_path, listed=path)


def test_what_was_kept_of_a_table_may_be_damaged(archive: PdsArchive, tmp_path: Path) -> None:
    find(archive, tmp_path)
    kept = tmp_path / INDEX / "MSLMST_0001.txt"
    assert pds_index.kept_index(kept) is not None and pds_index.kept_index(kept.with_name("none")) is None
    kept.write_text("something else\n")
    assert f"{kept} is not what was kept there: remove it" in refusal(archive, tmp_path)
