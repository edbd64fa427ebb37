"""AI4Mars: names, layouts, splits, codes, and what a tree can have wrong."""

import pickle
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from marsnb import paths
from marsnb.data import SEGMENTATION_DATASETS
from marsnb.data.ai4mars import AI4Mars, find_tree, open_ai4mars, read_mask, sol_of
from marsnb.data.segmentation import open_pairs, pixel_counts
from marsnb.errors import DataError, MarsnbError, RecipeError
from tests.fake.ai4mars import EARLY, LATE, FakeAI4Mars, make_ai4mars, navcam_stem, write_pair

SUFFIX = "EDR_F0020000AUT_04096M1.JPG"


@pytest.fixture
def fake() -> FakeAI4Mars:
    return make_ai4mars(paths.data())


def one_line(error: pytest.ExceptionInfo[MarsnbError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def put(path: Path, mask: np.ndarray) -> None:
    Image.fromarray(mask).save(path)


# names


@pytest.mark.parametrize(
    ("clock", "sol"),
    [(397586934, 1), (397681339, 2), (614294342, 2442), (529454673, 1486), (529454675, 1487), (626486015, 2579)],
)
def test_sol_from_the_clock(clock: int, sol: int) -> None:
    assert {sol_of(f"{eye}_{clock}{SUFFIX}") for eye in ("NLA", "NLB", "NRA", "NRB")} == {sol}


@pytest.mark.parametrize("name", ["", f"NLC_397681339{SUFFIX}", f"NLA_39768133{SUFFIX}", "0003ML0000.JPG", "a.JPG"])
def test_names_without_a_clock_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="clock") as error:
        sol_of(name)
    one_line(error)


# layouts


@pytest.mark.parametrize("version", ["0.1", "0.3", "0.6"])
def test_both_layouts(version: str) -> None:
    fake = make_ai4mars(paths.data(), version=version)
    data = SEGMENTATION_DATASETS["ai4mars"]()
    assert [Path(name).stem for name in data.names] == list(fake.sols)
    assert data.source.sols.tolist() == list(fake.sols.values()) == sorted([*EARLY, *LATE])
    assert find_tree() == fake.folder
    assert "no gold labels" in data.note and "0 images without a label, 0 labels without an image" in data.note


def test_mastcam_alone_is_no_navcam() -> None:
    make_ai4mars(paths.data(), version="0.6")
    (paths.data() / "ai4mars-dataset-merged-0.6" / "msl" / "ncam").rename(paths.data() / "elsewhere")
    with pytest.raises(DataError, match=r"no AI4Mars.*zenodo.*MARSNB_DATA") as error:
        open_ai4mars()
    one_line(error)


def test_newest_version_wins_and_the_tree_itself_may_be_named(fake: FakeAI4Mars) -> None:
    newer = make_ai4mars(paths.data(), version="0.6")
    assert find_tree() == newer.folder
    assert find_tree(fake.folder.parent) == fake.folder


def test_gold_labels_join_and_land_on_both_sides() -> None:
    fake = make_ai4mars(paths.data(), gold=True)
    data = open_ai4mars()
    assert len(data.names) == len(fake.sols) + 2
    assert "2 of them with gold labels min3" in data.note
    train = {data.names[i] for i in data.train}
    assert [f"{stem}.JPG" in train for stem in fake.gold] == [True, False]
    assert len(open_ai4mars(gold=None).names) == len(fake.sols)
    put(fake.folder / AI4Mars.gold_labels.format("min1") / f"{fake.gold[0]}_merged.png", np.full((16, 16), 3, np.uint8))
    first = open_ai4mars(gold="min1")
    assert (first.source.mask(list(first.names).index(f"{fake.gold[0]}.JPG"), 4) == 3).all()
    with pytest.raises(RecipeError, match="min1, min2, min3"):
        open_ai4mars(gold="min4")


# splits


def test_splits(fake: FakeAI4Mars) -> None:
    sols = np.array(list(fake.sols.values()))
    by_sol, choice, by_time = (open_ai4mars(protocol) for protocol in ("sol", "choice", "time"))
    assert sols[by_sol.train].tolist() == list(EARLY) and sols[by_sol.test].tolist() == list(LATE)
    assert len(by_sol.val) == 0
    assert sols[choice.train].tolist() == list(EARLY[:6]) and sols[choice.val].tolist() == list(EARLY[6:])
    assert choice.test.tolist() == by_sol.test.tolist()
    assert len(by_time.train) == 7 and len(by_time.test) == 5  # 60 % of twelve, to whole sols
    for data in (by_sol, choice, by_time):
        everything = np.concatenate([data.train, data.val, data.test])
        assert everything.dtype == np.int64 and everything.tolist() == list(range(len(sols)))
        parts = [set(sols[part]) for part in (data.train, data.val, data.test)]
        assert sum(map(len, parts)) == len(set(sols))  # no sol is on two sides
    assert len({data.fingerprint for data in (by_sol, choice, by_time)}) == 3
    with pytest.raises(RecipeError, match="sol, time, choice"):
        open_ai4mars("by_frame")


@pytest.mark.parametrize("sols", [EARLY, LATE])
@pytest.mark.parametrize("protocol", AI4Mars.protocols)
def test_any_subset_of_pairs(fake: FakeAI4Mars, sols: tuple[int, ...], protocol: str) -> None:
    for stem, sol in fake.sols.items():
        if sol not in sols:
            fake.image(stem).unlink()
            fake.label(stem).unlink()
    data = open_ai4mars(protocol)
    assert len(data.train) + len(data.val) + len(data.test) == len(data.names) == len(sols)


# pixels


def test_images_are_grey_and_masks_keep_their_codes(fake: FakeAI4Mars) -> None:
    source = open_ai4mars().source
    assert (source.decode(0, 8).shape, source.decode(0, 8).dtype) == ((8, 8, 1), np.uint8)
    mask = source.mask(0, 8)
    assert mask[:, 4:].tolist() == [[row // 2] * 4 for row in range(8)] and (mask[:, :4] == 255).all()
    assert set(np.unique(source.mask(0, 7))) <= {0, 1, 2, 3, 255}  # nothing in between
    assert source.mask(0).shape == (16, 16)
    copy = pickle.loads(pickle.dumps(source))
    assert np.array_equal(copy.decode(3, 8), source.decode(3, 8))


def test_colour_files_with_equal_channels_give_the_same(fake: FakeAI4Mars) -> None:
    grey = open_ai4mars().source.decode(0, 16)
    path = fake.image(next(iter(fake.sols)))
    Image.open(path).convert("RGB").save(path.with_suffix(".png"))
    path.with_suffix(".png").rename(path)  # without loss, so that only the channels change
    assert np.array_equal(open_ai4mars().source.decode(0, 16), grey)


def test_decoded_once(fake: FakeAI4Mars) -> None:
    data = open_ai4mars()
    images, masks = open_pairs(data.source, 8)
    assert (images.shape, masks.shape) == ((12, 8, 8, 1), (12, 8, 8))
    assert np.array_equal(masks[5], data.source.mask(5, 8)) and np.array_equal(images[5], data.source.decode(5, 8))
    for stem in fake.sols:
        fake.label(stem).write_bytes(b"")
        fake.image(stem).write_bytes(b"")
    again, _ = open_pairs(data.source, 8)
    assert np.array_equal(again, images)


def test_pixels_are_counted_once_at_their_own_size(fake: FakeAI4Mars) -> None:
    stem = list(fake.sols)[2]
    put(fake.label(stem), np.full((20, 20), 255, np.uint8))  # nothing is labelled: kept, counted
    data = open_ai4mars()
    counts = pixel_counts(data.source, 4)
    assert len(data.names) == 12
    assert counts[2].tolist() == [0, 0, 0, 0, 400]
    assert counts[0].tolist() == [32, 32, 32, 32, 128]
    fake.label(stem).unlink()
    assert np.array_equal(pixel_counts(data.source, 4), counts)
    kept = next(paths.cache().glob("*-pixels.npy"))
    kept.write_bytes(kept.read_bytes()[:50])
    with pytest.raises(DataError, match="missing"):  # half a file is counted again
        pixel_counts(data.source, 4)


# fingerprint


def test_fingerprint_follows_images_and_labels(fake: FakeAI4Mars) -> None:
    first, stem = open_ai4mars(), next(iter(fake.sols))
    assert open_ai4mars().fingerprint == first.fingerprint
    put(fake.label(stem), np.zeros((90, 90), np.uint8))
    second = open_ai4mars()
    fake.image(stem).write_bytes(fake.image(stem).read_bytes() + b"\0")
    assert len({first.fingerprint, second.fingerprint, open_ai4mars().fingerprint}) == 3


# what can be wrong


def test_lone_files_are_left_out_and_counted(fake: FakeAI4Mars) -> None:
    stems = list(fake.sols)
    for stem in stems[:2]:
        fake.label(stem).unlink()
    fake.image(stems[-1]).unlink()
    write_pair(fake.image("no clock but no label either"), fake.root / "aside.png")
    data = open_ai4mars()
    assert [Path(name).stem for name in data.names] == stems[2:-1]
    assert "left out: 3 images without a label, 1 labels without an image" in data.note


def test_pair_without_a_clock(fake: FakeAI4Mars) -> None:
    write_pair(fake.image("IMG_0001"), fake.label("IMG_0001"))
    with pytest.raises(DataError, match=r"IMG_0001.*clock") as error:
        open_ai4mars()
    one_line(error)


def test_no_pair_at_all(fake: FakeAI4Mars) -> None:
    for stem in fake.sols:
        fake.label(stem).unlink()
    with pytest.raises(DataError, match="has a label") as error:
        open_ai4mars()
    one_line(error)


@pytest.mark.parametrize("size", [None, 2])
def test_stray_value_names_the_file_at_any_size(fake: FakeAI4Mars, size: int | None) -> None:
    path = fake.label(navcam_stem(2, 1))
    mask = np.zeros((16, 16), np.uint8)
    mask[0, 0] = 4  # one pixel, which a small mask would not show
    put(path, mask)
    with pytest.raises(DataError, match=rf"{path.name} has the value 4, not one of 0, 1, 2, 3, 255") as error:
        read_mask(path, size)
    one_line(error)
    with pytest.raises(DataError, match=path.name):
        pixel_counts(open_ai4mars().source, 4)


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "gone", "colour"])
def test_damaged_label(fake: FakeAI4Mars, damage: str) -> None:
    path = fake.label(navcam_stem(2, 1))
    content = path.read_bytes()
    if damage == "colour":
        put(path, np.zeros((16, 16, 3), np.uint8))
    else:
        path.write_bytes({"truncated": content[: len(content) // 2], "text": b"no image"}.get(damage, b""))
    if damage == "gone":
        path.unlink()
    with pytest.raises(DataError, match=path.name) as error:
        read_mask(path)
    assert "put a good copy" in one_line(error)


# the real pairs


@pytest.mark.real_data("ai4mars-dataset-merged-0.1")
def test_real_pairs() -> None:
    start = time.process_time()
    data = open_ai4mars()
    assert time.process_time() - start < 3
    assert len(data.names) == 6000
    assert round(100 * len(data.train) / len(data.names), 1) == 60.2
    assert (data.source.sols.min(), data.source.sols.max()) == (2, 2578)
    choice = open_ai4mars("choice")
    assert len(choice.val) / (len(choice.train) + len(choice.val)) == pytest.approx(0.25, abs=0.01)
    assert data.source.sols[choice.val].max() <= 1486


@pytest.mark.real_data("ai4mars-dataset-merged-0.1")
def test_real_shares_are_near_table_2() -> None:
    areas = yaml.safe_load((paths.recipes() / "table02.yaml").read_text(encoding="utf-8"))["rows"]
    data = open_ai4mars()
    every = 4  # of the pairs, so that it takes seconds: 1,500 masks
    for part, column in ((data.train, 0), (data.test, 1)):
        total = np.zeros(256, dtype=np.int64)
        for i in part[::every]:
            total += np.bincount(data.source.mask(int(i), None).ravel(), minlength=256)
        paper = np.array([areas[name][column] for name in data.class_names])
        assert np.abs(100 * total[:4] / total[:4].sum() - 100 * paper / paper.sum()).max() < 2
