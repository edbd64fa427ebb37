import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from marsnb.data._images import ImageFiles, image_files
from marsnb.data.pds import open_folder, parse_name
from marsnb.errors import DataError
from tests.fake.msl import product_name, write_image
from tests.fake.pds import NEW_SOL, OLD_SOL, make_pds


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_pds(tmp_path / "pds")
    return tmp_path / "pds"


def images_of(folder: Path, **options: object) -> tuple[ImageFiles, str]:
    files, note = open_folder(folder, **options)  # type: ignore[arg-type]
    return image_files(files, "put a good copy there"), note


def test_walks_into_subfolders_and_takes_both_endings(folder: Path) -> None:
    images, note = images_of(folder)
    assert len(images.names) == len(set(images.names)) == 6
    assert {Path(name).suffix for name in images.names} == {".JPG", ".jpg"}
    assert list(images.names) == sorted(images.names)
    assert note == "6 of 6 images in pds"


def test_decodes_after_pickling(folder: Path) -> None:
    images = pickle.loads(pickle.dumps(images_of(folder)[0]))
    for index in range(len(images.names)):
        image = images.decode(index, 12)
        assert image.shape == (12, 12, 3)
        assert image.dtype == np.uint8


def test_leaves_out_frames_and_their_twins(folder: Path) -> None:
    name = images_of(folder)[0].names[1]
    twin = name.replace("C01_", "I01_")
    write_image(folder / twin, 1)
    images, note = images_of(folder, exclude_frames={parse_name(name).frame})
    assert not {name, twin} & set(images.names)
    assert note == "5 of 7 images in pds (left out: 2 of labelled frames)"


def test_leaves_out_late_sols(folder: Path) -> None:
    early, note = images_of(folder, max_sol=OLD_SOL)
    assert {parse_name(name).sol for name in early.names} == {OLD_SOL}
    assert note == "3 of 6 images in pds (left out: 3 after sol 40)"
    assert len(open_folder(folder, max_sol=NEW_SOL)[0]) == 6


def test_leaves_out_what_it_cannot_name_and_second_copies(folder: Path) -> None:
    copied = next(folder.rglob("*.JPG"))
    (folder / "again").mkdir()
    shutil.copy(copied, folder / "again" / copied.name)
    shutil.copy(copied, folder / "holiday.jpg")
    (folder / "readme.txt").write_text("not an image")
    for place in (".thumbnails", "__MACOSX"):
        (folder / place).mkdir()
        write_image(folder / place / product_name(1, 1), 3)
    _, note = open_folder(folder)
    assert note == "6 of 10 images in pds (left out: 2 hidden, 1 not in the PDS naming, 1 second copy)"


def test_fingerprint_follows_names_and_sizes(folder: Path) -> None:
    first = images_of(folder)[0].fingerprint
    assert images_of(folder)[0].fingerprint == first
    assert images_of(folder, max_sol=OLD_SOL)[0].fingerprint != first
    write_image(folder / product_name(1, 1), 3)
    assert images_of(folder)[0].fingerprint != first


def test_missing_and_empty_folder(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .*none"):
        open_folder(tmp_path / "none")
    with pytest.raises(DataError, match=r"0 of 6 images in pds \(left out: 6 after sol 1\): add"):
        open_folder(folder, max_sol=1)


def test_damaged_image_names_its_file(folder: Path) -> None:
    images, _ = images_of(folder)
    path = next(folder.rglob(images.names[0]))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=f"{path.name} is damaged .*good copy") as error:
        images.decode(0, 8)
    assert "\n" not in str(error.value)


@pytest.mark.real_data("pds-browse")
def test_real_folder(real_data: Path) -> None:
    images, note = images_of(real_data / "pds-browse")
    assert note == "2,765 of 2,765 images in pds-browse"
    assert images.decode(2000, 64).shape == (64, 64, 3)
