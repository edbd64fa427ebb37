"""Copies of AI4Mars as other systems and programs leave them: read as they are meant, or said in one line."""

import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from marsnb import paths
from marsnb.data._images import CodeError
from marsnb.data.ai4mars import AI4Mars, find_tree, open_ai4mars, read_mask
from marsnb.data.commands import app
from marsnb.data.segmentation import open_pairs, pixel_counts, require_labels
from marsnb.data.synthetic_terrain import open_synthetic_terrain
from marsnb.data.verify_ai4mars import verify_ai4mars
from marsnb.errors import DataError
from tests.fake.ai4mars import FakeAI4Mars, make_ai4mars

runner = CliRunner()
CODES = np.array([0, 1, 2, 3, 255], np.uint8)


@pytest.fixture
def fake() -> FakeAI4Mars:
    return make_ai4mars(paths.data())


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(DataError) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


# palettes


def saved_by_an_optimiser(path: Path, colours: int) -> None:
    """The same picture with a palette in an order of its own, as programs that make PNGs smaller write it."""
    with Image.open(path) as image:
        small = image.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE, colors=colours)
        assert small.convert("L").tobytes() == image.tobytes()  # what a viewer shows
        assert small.tobytes() != image.tobytes()  # what is stored
    small.save(path, optimize=True)


@pytest.mark.parametrize("colours", [8, 256])
def test_grey_palette_is_looked_up(fake: FakeAI4Mars, colours: int) -> None:
    stem = next(iter(fake.sols))
    before, counts = read_mask(fake.label(stem)), pixel_counts(open_ai4mars().source, 4)
    saved_by_an_optimiser(fake.label(stem), colours)
    with Image.open(fake.label(stem)) as image:
        assert image.mode == "P"
    assert (read_mask(fake.label(stem)) == before).all() and (read_mask(fake.label(stem), 8) == before[::2, ::2]).all()
    assert (pixel_counts(open_ai4mars().source, 4) == counts).all()
    assert verify_ai4mars().problems == []


def test_identity_palette_is_read_as_before(tmp_path: Path) -> None:
    codes = np.resize(CODES, (5, 5))
    image = Image.fromarray(codes).convert("L")
    image = Image.frombytes("P", (5, 5), image.tobytes())
    image.putpalette([value for grey in range(256) for value in (grey,) * 3])
    image.save(tmp_path / "a.png")
    assert (read_mask(tmp_path / "a.png") == codes).all()


@pytest.mark.parametrize("value", [0, 255])
def test_label_of_one_bit(tmp_path: Path, value: int) -> None:
    Image.new("1", (9, 7), value).save(tmp_path / "a.png")
    assert (read_mask(tmp_path / "a.png") == np.full((7, 9), value)).all()


def test_palette_of_colours_is_refused(fake: FakeAI4Mars) -> None:
    path = fake.label(next(iter(fake.sols)))
    with Image.open(path) as image:
        coloured = Image.frombytes("P", image.size, image.tobytes())
    coloured.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, *[0] * (252 * 3)])
    coloured.save(path)
    message = refusal(lambda: read_mask(path))
    assert path.name in message and "palette of colours" in message
    assert verify_ai4mars().problems == [f"1 damaged files: {path.name}"]


def test_palette_that_lacks_a_value(tmp_path: Path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 2, 2, 8, 3, 0, 0, 0)  # 2 x 2 pixels of 8 bits with a palette
    rows = zlib.compress(bytes([0, 0, 1, 0, 2, 3]))
    parts = (chunk(b"IHDR", head), chunk(b"PLTE", bytes([0] * 3 + [1] * 3)), chunk(b"IDAT", rows), chunk(b"IEND", b""))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    assert "palette lacks" in refusal(lambda: read_mask(tmp_path / "a.png"))


# pairs


def test_no_pair_fails_and_says_why(fake: FakeAI4Mars) -> None:
    for stem in fake.sols:
        with Image.open(fake.label(stem)) as image:
            image.save(fake.label(stem).with_suffix(".jpg"))
        fake.label(stem).unlink()
    _, problems, note, _ = verify_ai4mars()
    first = fake.label(min(fake.sols)).with_suffix(".jpg").name
    assert problems[0].startswith(f"12 files of {AI4Mars.labels} are left out, where only PNGs are read: {first}")
    assert "has a label" in problems[1] and first in problems[1] and "JPEG changes codes" in problems[1]
    assert note.startswith("every file decodes (0 pairs")
    result = runner.invoke(app, ["verify", "ai4mars"])
    assert isinstance(result.exception, DataError) and first in result.output
    assert first in refusal(open_ai4mars)


def test_no_file_at_all_is_no_success(fake: FakeAI4Mars) -> None:
    for stem in fake.sols:
        fake.label(stem).unlink()
        fake.image(stem).unlink()
    assert len(verify_ai4mars().problems) == 1
    assert isinstance(runner.invoke(app, ["verify", "ai4mars"]).exception, DataError)


@pytest.mark.parametrize("change", ["lower", "_label", "_merged"])
def test_names_that_differ_give_an_example_of_each_side(fake: FakeAI4Mars, change: str) -> None:
    for stem in fake.sols:
        path = fake.label(stem)
        path.rename(path.with_name(f"{stem.lower()}.png" if change == "lower" else f"{stem}{change}.png"))
    label = min((fake.folder / AI4Mars.labels).iterdir()).name
    image = next(f"{stem}.JPG" for stem in fake.sols if label.lower().startswith(stem.lower()))
    for message in (refusal(open_ai4mars), verify_ai4mars().problems[-1]):
        assert f"{image} and {label}" in message and "also in case" in message and "6 GB" not in message
        assert "fetch" not in message


def test_one_name_that_differs_is_shown_beside_its_image(fake: FakeAI4Mars) -> None:
    stem = list(fake.sols)[3]
    fake.label(stem).rename(fake.label(stem.lower()))
    assert verify_ai4mars().problems[-1].endswith(f"e.g. {stem}.JPG and {stem.lower()}.png")
    assert len(open_ai4mars().names) == 11


def test_images_of_another_kind_are_named(fake: FakeAI4Mars) -> None:
    for stem in fake.sols:
        fake.image(stem).rename(fake.image(stem).with_suffix(".png"))
    first = fake.image(min(fake.sols)).with_suffix(".png").name
    message = refusal(open_ai4mars)
    assert first in message and "save them as JPEG" in message
    assert first in verify_ai4mars().problems[0]


# codes


def relabel(fake: FakeAI4Mars, change: Callable[[np.ndarray], np.ndarray]) -> None:
    for stem in fake.sols:
        with Image.open(fake.label(stem)) as image:
            mask = np.asarray(image)
        Image.fromarray(change(mask).astype(np.uint8)).save(fake.label(stem))


def test_nothing_labelled_is_said_before_training(fake: FakeAI4Mars) -> None:
    data = open_ai4mars()
    _, masks = open_pairs(data.source, 8)
    require_labels(data, masks)
    test_only = np.where(np.isin(np.arange(len(masks)), data.test)[:, None, None], masks, 255)
    assert "train list of ai4mars" in refusal(lambda: require_labels(data, test_only))
    require_labels(data, test_only, ["test", "val"])  # val is empty under this protocol
    train_only = np.where(np.isin(np.arange(len(masks)), data.train)[:, None, None], masks, 255)
    assert "4 masks of the test list" in refusal(lambda: require_labels(data, train_only))
    require_labels(open_synthetic_terrain(train=4, test=4), np.zeros((8, 4, 4), np.uint8))

    relabel(fake, lambda mask: np.full_like(mask, 255))
    problems = verify_ai4mars().problems
    assert problems == ["no label of the 12 pairs has a labelled pixel: all are 255"]
    assert isinstance(runner.invoke(app, ["verify", "ai4mars"]).exception, DataError)


def test_some_labels_without_a_pixel_are_no_problem(fake: FakeAI4Mars) -> None:
    for stem in list(fake.sols)[1:]:
        Image.fromarray(np.full((16, 16), 255, np.uint8)).save(fake.label(stem))
    assert verify_ai4mars().problems == []


def test_codes_counted_from_1_are_named(fake: FakeAI4Mars) -> None:
    relabel(fake, lambda mask: np.where(mask == 255, 0, mask + 1))
    with pytest.raises(CodeError) as error:
        read_mask(fake.label(next(iter(fake.sols))))
    assert (error.value.stray, error.value.found) == ((4,), {0, 1, 2, 3, 4})
    first, second = verify_ai4mars().problems
    assert first.startswith("12 masks with another code than there are: ") and f"{min(fake.sols)}.png (4)" in first
    assert "counted from 1" in second


# where the tree lies


@pytest.mark.parametrize("version", ["0.1", "0.6"])
@pytest.mark.parametrize("place", ["{}/{}", "ai4mars/{}", "ai4mars-dataset-merged (1)", "Downloads/data/{}"])
def test_tree_is_found_where_programs_that_unpack_leave_it(tmp_path: Path, version: str, place: str) -> None:
    fake = make_ai4mars(tmp_path / "made", version=version)
    name = f"ai4mars-dataset-merged-{version}"
    root, target = tmp_path / "elsewhere", tmp_path / "elsewhere" / place.format(name, name)
    target.parent.mkdir(parents=True)
    shutil.move(tmp_path / "made" / name, target)
    expected = target / fake.folder.relative_to(tmp_path / "made" / name)
    assert find_tree(root) == find_tree(expected) == find_tree(target / "msl") == expected
    assert len(open_ai4mars(root=root).names) == 12
    assert verify_ai4mars(root).problems == []


@pytest.mark.parametrize(
    ("place", "word"),
    [
        ("AI4MARS/data/train-00000-of-00013.parquet", "parquet"),
        ("ai4mars-dataset-merged-0.6/mer/images/eff/a.JPG", "mer"),
        ("ai4mars-dataset-merged-0.6/m2020/images/ecm/a.JPG", "m2020"),
        ("ai4mars-dataset-merged-0.6/msl/mcam/images/a.JPG", "mcam"),
        ("ai4mars-dataset-merged-0.6.zip", "not unpacked"),
    ],
)
def test_what_is_there_instead_is_named(tmp_path: Path, place: str, word: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_bytes(b"x")
    message = refusal(lambda: find_tree(tmp_path))
    assert message.startswith("no AI4Mars in") and word in message and "marsnb data fetch ai4mars" in message
    assert "only the Navcam's images and labels of msl/ are read" in message
