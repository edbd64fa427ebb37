"""Copies of MSL v1, of PDS images and of lists as other systems and programs leave them: read, or said in one line."""

import codecs
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from marsnb.data.commands import app
from marsnb.data.msl import MSL, find_tree, open_msl, read_tree
from marsnb.data.pds import open_folder, parse_name
from marsnb.data.verify import verify_msl
from marsnb.errors import DataError
from marsnb.training.batches import open_arrays
from tests.fake.msl import FakeMsl, make_msl

runner = CliRunner()


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMsl:
    made = make_msl(tmp_path / "data", frames=1)
    made.install(monkeypatch)
    return made


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(DataError) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


# other files in the folder of images


def test_hidden_files_copies_and_pictures_of_ones_own_are_left_out(fake: FakeMsl) -> None:
    before = open_msl()
    images = fake.folder / MSL.images
    name = before.source.names[0]
    (images / f"._{name}").write_bytes(b"\0\5\26\7 a resource fork")
    for copy in (f"{Path(name).stem} - Copy.JPG", f"{Path(name).stem} (1).JPG", f"{Path(name).stem} copy.JPG"):
        shutil.copy(images / name, images / copy)
    shutil.copy(images / name, images / "my_photo.jpg")
    (images / ".DS_Store").write_bytes(b"x")
    (images / "Thumbs.db").write_bytes(b"x")
    after = open_msl()
    assert (after.fingerprint, after.source.fingerprint) == (before.fingerprint, before.source.fingerprint)
    assert after.unlabelled is not None and before.unlabelled is not None
    assert after.unlabelled.fingerprint == before.unlabelled.fingerprint
    assert f"Left out of calibrated: 1 hidden (._{name}); 4 not in the PDS naming (" in after.note
    assert "Left out" not in before.note
    assert verify_msl().problems == []
    result = runner.invoke(app, ["verify", "msl"])
    assert result.exit_code == 0 and f"1 hidden (._{name}); 4 not in the PDS naming" in result.output


def test_names_in_another_case_or_with_a_longer_ending(fake: FakeMsl) -> None:
    before = open_msl()
    pixels = [before.source.decode(index, 8) for index in range(6)]
    images = fake.folder / MSL.images
    change = (lambda p: p.with_suffix(".jpg"), lambda p: p.with_name(p.name.lower()), lambda p: p.with_suffix(".jpeg"))
    for number, path in enumerate(sorted(images.iterdir())):
        path.rename(change[number % len(change)](path))
    after = open_msl()
    assert after.fingerprint == before.fingerprint and after.source.names == before.source.names
    assert all((after.source.decode(index, 8) == image).all() for index, image in enumerate(pixels))
    assert after.unlabelled is not None and before.unlabelled is not None
    assert len(after.unlabelled.names) == len(before.unlabelled.names)
    assert verify_msl().problems == []


def test_of_two_files_with_one_name_the_published_one_is_read(fake: FakeMsl) -> None:
    before = open_msl()
    path = fake.folder / MSL.images / before.source.names[0]
    path.with_suffix(".jpg").write_bytes(path.read_bytes() + b"\0")
    after = open_msl()
    assert after.fingerprint == before.fingerprint
    assert f"1 second copy ({path.stem}.jpg)" in after.note


def test_case_of_a_product_name_does_not_matter() -> None:
    product = parse_name("0830mr0036510000500684e01_drcl.jpeg")
    assert product == parse_name("0830MR0036510000500684E01_DRCL.JPG")
    assert product.frame == "0830MR0036510000500684"


# lists


def rewritten(line: str, kind: str) -> str:
    path, number = line.split()
    name = path.rpartition("/")[2]
    return {
        "mark": f"{path} {number}",
        "utf-16": f"{path} {number}",
        "dot": f"./{path} {number}",
        "backslashes": f".\\calibrated\\{name} {number}",
        "absolute": f"/home/some one/msl-images/calibrated/{name} {number}",
        "drive": f"C:\\Users\\some one\\calibrated\\{name}\t{number}",
        "bare": f"{name} {number}",
        "lower": f"{path.lower()} {number}",
    }[kind]


@pytest.mark.parametrize("kind", ["mark", "utf-16", "dot", "backslashes", "absolute", "drive", "bare", "lower"])
def test_lists_of_other_systems(fake: FakeMsl, kind: str) -> None:
    before = open_msl()
    for split in MSL.lists:
        path = fake.folder / f"{split}-calibrated-shuffled.txt"
        text = "\r\n".join(rewritten(line, kind) for line in path.read_text().splitlines()) + "\r\n"
        coding = {"mark": "utf-8-sig", "utf-16": "utf-16"}.get(kind, "utf-8")
        path.write_bytes(text.encode(coding))
    assert open_msl().fingerprint == before.fingerprint
    assert verify_msl().problems == []


def test_list_in_an_unknown_coding(fake: FakeMsl) -> None:
    path = fake.folder / "val-calibrated-shuffled.txt"
    path.write_bytes(b"calibrated/\xe4.JPG 3\n")
    assert "UTF-8" in refusal(open_msl) and path.name in refusal(open_msl)
    assert any("UTF-8" in problem for problem in verify_msl().problems)


def test_class_names_and_split_lists_with_a_byte_order_mark(fake: FakeMsl) -> None:
    before = open_msl().fingerprint
    for path in (fake.folder / MSL.id_names, fake.splits / "msl_v1_by_frame.txt"):
        path.write_bytes(codecs.BOM_UTF8 + path.read_bytes().replace(b"\n", b"\r\n"))
    assert open_msl().fingerprint == before
    assert verify_msl().problems == []


# the folder of unlabelled images


@pytest.mark.parametrize("others", [(), (".IMG", ".LBL"), (".DAT", ".png")])
def test_folder_without_a_usable_unlabelled_image(fake: FakeMsl, others: tuple[str, ...]) -> None:
    folder = fake.root / "pds-browse" / "0040"
    folder.mkdir(parents=True)
    for suffix in others:
        (folder / f"0040ML0000000000000500C00_DRCL{suffix}").write_bytes(b"x")
    data = open_msl()
    assert "0 of 0 images in pds-browse" in data.note
    assert data.unlabelled is not None and list(data.unlabelled.names) == [fake.unlabelled[2]]  # of MSL v1 itself
    if others:
        assert all(f"1 {suffix}" in data.note for suffix in others) and "only JPEGs are read" in data.note
    assert runner.invoke(app, ["info", "msl"]).exit_code == 0
    message = refusal(lambda: open_folder(fake.root / "pds-browse"))
    assert "marsnb data fetch pds" in message
    assert ("only JPEGs are read" in message) == bool(others)
    assert "0 of 0 images in 0040" in refusal(lambda: open_msl(unlabelled="pds-browse/0040"))  # named, hence wanted


def test_no_unlabelled_image_stops_only_what_needs_one(fake: FakeMsl) -> None:
    (fake.root / "pds-browse").mkdir()
    for name in fake.unlabelled:
        (fake.folder / MSL.images / name).unlink()
    data = open_msl()
    assert data.unlabelled is None
    assert open_arrays(data, 8, unlabelled=False).unlabelled is None
    assert "no unlabelled images" in refusal(lambda: open_arrays(data, 8, unlabelled=True))


def test_unlabelled_names_in_lower_case_and_hidden_ones(fake: FakeMsl) -> None:
    folder = fake.root / "pds-browse"
    folder.mkdir()
    source = fake.folder / MSL.images / fake.unlabelled[2]
    labelled = next(iter(fake.labels["test"]))
    for name in ("0041ml0000000000000500c00_drcl.jpg", "0042ML0000000000000500C00_DRCL.Jpg", labelled.lower()):
        shutil.copy(source, folder / name)
    shutil.copy(source, folder / "0042ML0000000000000500C00_DRCL.JPG")
    (folder / "._0042ML0000000000000500C00_DRCL.JPG").write_bytes(b"x")
    files, note = open_folder(folder, exclude_frames={labelled[:22]})
    assert sorted(file.name for file in files) == [
        "0041ml0000000000000500c00_drcl.jpg",
        "0042ML0000000000000500C00_DRCL.JPG",
    ]
    assert note == "2 of 5 images in pds-browse (left out: 1 hidden, 1 of labelled frames, 1 second copy)"


# where the tree lies


@pytest.mark.parametrize(
    "place",
    ["msl-images/msl-images", "Downloads/msl-images", "a/b/MSL", "msl-images (1)", "data/msl-images/msl-images"],
)
def test_tree_is_found_where_programs_that_unpack_leave_it(fake: FakeMsl, tmp_path: Path, place: str) -> None:
    before = read_tree()
    root = tmp_path / "elsewhere"
    (root / place).parent.mkdir(parents=True)
    (root / "__MACOSX" / "msl-images" / MSL.images).mkdir(parents=True)
    shutil.move(fake.folder, root / place)
    assert find_tree(root) == root / place
    assert read_tree(root).lists == before.lists
    assert find_tree(root / place / MSL.images) == root / place  # one too low


@pytest.mark.parametrize("place", [".", "v2.1", "v2.1/v2.1"])
def test_other_version_is_named(tmp_path: Path, place: str) -> None:
    folder = tmp_path / place
    (folder / "images").mkdir(parents=True)
    (folder / "train-set-v2.1.txt").write_text("0003ML0000000110100026E01_DRCL-br.jpg 3\n")
    message = refusal(lambda: find_tree(tmp_path))
    assert "train-set-v2.1.txt" in message and "only v1 is read" in message and "marsnb data fetch msl" in message


def test_archive_that_nobody_unpacked_and_images_without_lists(tmp_path: Path) -> None:
    (tmp_path / MSL.file).write_bytes(b"PK")
    assert f"{tmp_path / MSL.file} is not unpacked" in refusal(lambda: find_tree(tmp_path))
    (tmp_path / MSL.file).unlink()
    (tmp_path / "x" / MSL.images).mkdir(parents=True)
    assert "has no train-calibrated-shuffled.txt" in refusal(lambda: find_tree(tmp_path))
