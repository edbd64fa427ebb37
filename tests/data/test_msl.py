import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from marsnb.data import DATASETS
from marsnb.data._images import decode
from marsnb.data.base import ClassificationData, LabelledList
from marsnb.data.msl import MSL, open_msl, parse_name
from marsnb.data.verify import table1
from marsnb.errors import DataError, MarsnbError, RecipeError
from tests.fake.msl import FakeMsl, make_msl
from tests.fake.pds import make_pds


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMsl:
    made = make_msl(tmp_path / "data")
    made.install(monkeypatch)
    return made


def names(data: ClassificationData, part: LabelledList) -> list[str]:
    return [data.source.names[index] for index in part.indices]


def frames(data: ClassificationData, part: LabelledList) -> set[str]:
    return {name[:22] for name in names(data, part)}


def one_line(error: pytest.ExceptionInfo[MarsnbError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


# names and class ids


def test_name_is_taken_apart() -> None:
    product = parse_name("0830MR0036510000500684E01_DRCL.JPG")
    assert product == (830, "MR", "003651", "E", "0830MR0036510000500684", "DRCL")
    assert product.frame == parse_name("0830MR0036510000500684I01_DRCL.JPG").frame


@pytest.mark.parametrize(
    "name", ["", "a.jpg", "0830MR0036510000500684E01_DRCL.png", "x0830MR0036510000500684E01_DRCL.JPG", "0830NL003.JPG"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="product name"):
        parse_name(name)


def test_25_ids_become_24_labels() -> None:
    labels = [MSL.label(number) for number in range(25)]
    assert labels == [*range(22), None, 22, 23]
    assert MSL.label(25) is None
    assert MSL.label(-1) is None
    for number, name in enumerate(MSL.published_names):
        label = MSL.label(number)
        assert (name == "sun") if label is None else (MSL.class_names[label] == name)


# opening


def test_registered() -> None:
    assert DATASETS["msl"] is open_msl


@pytest.mark.parametrize("protocol", MSL.protocols)
def test_protocol(fake: FakeMsl, protocol: str) -> None:
    data = open_msl(protocol)
    assert (data.name, data.protocol, data.synthetic) == ("msl", protocol, False)
    assert data.class_names == MSL.class_names
    truth = fake.labels["train"] | fake.labels["val"] | fake.labels["test"]
    assert sorted(data.source.names) == sorted(truth)
    for part in (data.train, data.val, data.test):
        assert part.indices.dtype == part.labels.dtype == np.int64
        assert [truth[name] for name in names(data, part)] == part.labels.tolist()
    assert set(names(data, data.test)) == set(fake.labels["test"])
    both = names(data, data.train) + names(data, data.val)
    assert sorted(both) == sorted(fake.labels["train"] | fake.labels["val"])
    assert protocol in data.note
    assert f"{len(data.train):,} train" in data.note


def test_chronological_is_the_official_lists(fake: FakeMsl) -> None:
    data = open_msl("chronological")
    assert set(names(data, data.train)) == set(fake.labels["train"])
    assert set(names(data, data.val)) == set(fake.labels["val"])


def test_by_frame_keeps_frames_together(fake: FakeMsl) -> None:
    data = open_msl("by_frame")
    assert not frames(data, data.train) & frames(data, data.val)
    assert set(data.train.labels) == set(data.val.labels) == set(range(24))


def test_unknown_protocol(fake: FakeMsl) -> None:
    with pytest.raises(RecipeError, match="by_frame, paper, chronological") as error:
        open_msl("random")
    one_line(error)


def test_decode_and_pickle(fake: FakeMsl) -> None:
    source = pickle.loads(pickle.dumps(open_msl().source))
    for index in (0, len(source.names) - 1, next(i for i, name in enumerate(source.names) if name[22] == "D")):
        image = source.decode(index, 16)
        assert image.shape == (16, 16, 3)
        assert image.dtype == np.uint8
    gray = source.decode(next(i for i, name in enumerate(source.names) if name[22] == "D"), 16)
    assert (gray[..., 0] == gray[..., 1]).all()
    assert (gray[..., 0] == gray[..., 2]).all()


def test_flat_layout(fake: FakeMsl) -> None:
    above, below = open_msl(root=fake.root), open_msl(root=fake.folder)
    assert above.fingerprint == below.fingerprint


def test_table1_counts(fake: FakeMsl) -> None:
    table = table1()
    assert list(table.columns) == ["class", "train_val", "test"]
    assert {row["class"]: (row["train_val"], row["test"]) for row in table.to_dict("records")} == fake.counts


# unlabelled images


def test_unlabelled_files_of_the_tree(fake: FakeMsl) -> None:
    late, twin, early = fake.unlabelled
    data = open_msl(max_sol=None)
    assert data.unlabelled is not None
    assert sorted(data.unlabelled.names) == sorted([late, early])
    assert twin not in data.unlabelled.names
    assert "2 of 3 files" in data.note
    assert "no folder pds-browse" in data.note
    assert "up to sol" not in data.note
    before_test = open_msl()
    assert before_test.unlabelled is not None
    assert list(before_test.unlabelled.names) == [early]
    assert "1 unlabelled up to sol 564" in before_test.note


def test_unlabelled_folder_joins(fake: FakeMsl) -> None:
    more = make_pds(fake.root / "pds-browse")
    labelled = Path(next(iter(fake.labels["test"])))
    (fake.root / "pds-browse" / labelled.name).write_bytes((fake.folder / MSL.images / labelled).read_bytes())
    data = open_msl(max_sol=None)
    assert data.unlabelled is not None
    late, _, early = fake.unlabelled
    assert sorted(data.unlabelled.names) == sorted([*more, late, early])
    assert "6 of 7 images in pds-browse (left out: 1 of labelled frames)" in data.note
    alone = open_msl(unlabelled=None, max_sol=None).unlabelled
    assert alone is not None
    assert sorted(alone.names) == sorted([late, early])
    before_test = open_msl()
    assert before_test.unlabelled is not None
    assert max(parse_name(name).sol for name in before_test.unlabelled.names) <= 564
    assert "up to sol 564" in before_test.note


def test_named_folder_must_exist(fake: FakeMsl) -> None:
    with pytest.raises(DataError, match="no folder") as error:
        open_msl(unlabelled="mars32k")
    one_line(error)


def test_no_unlabelled_image_at_all(fake: FakeMsl) -> None:
    for name in fake.unlabelled:
        (fake.folder / MSL.images / name).unlink()
    assert open_msl(unlabelled=None).unlabelled is None


def test_groups_are_exposures(fake: FakeMsl) -> None:
    data = open_msl("paper")
    assert data.groups is not None
    assert (data.groups.dtype, data.groups.shape) == (np.int64, (len(data.source.names),))
    pairs = zip(data.source.names, data.groups.tolist(), strict=True)
    assert len({(name[:22], group) for name, group in pairs}) == len({name[:22] for name in data.source.names})
    assert sorted(set(data.groups.tolist())) == list(range(len({name[:22] for name in data.source.names})))
    twins = [i for i, name in enumerate(data.source.names) if name[22] == "I"]
    assert twins and all((data.groups == data.groups[i]).sum() == 2 for i in twins)


# fingerprint


def test_fingerprint_follows_images_labels_and_splits(fake: FakeMsl) -> None:
    first = open_msl()
    make_pds(fake.root / "pds-browse")
    assert open_msl().fingerprint == first.fingerprint  # not of the unlabelled images
    assert open_msl("paper").fingerprint != first.fingerprint
    assert open_msl("paper").source.fingerprint == first.source.fingerprint

    path = fake.splits / "msl_v1_by_frame.txt"
    text = path.read_text()
    path.write_text(text.replace(" val", " train", 2))
    assert open_msl().fingerprint != first.fingerprint
    path.write_text(text)
    assert open_msl().fingerprint == first.fingerprint

    image = fake.folder / MSL.images / first.source.names[0]
    image.write_bytes(image.read_bytes() + b"\0")
    assert open_msl().fingerprint != first.fingerprint
    assert open_msl().source.fingerprint != first.source.fingerprint


# what can be wrong


def test_no_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"marsnb data fetch msl.*MARSNB_DATA") as error:
        open_msl(root=tmp_path)
    one_line(error)


def test_missing_image(fake: FakeMsl) -> None:
    gone = fake.folder / MSL.images / next(iter(fake.labels["val"]))
    gone.unlink()
    with pytest.raises(DataError, match=f"1 of .* missing.*{gone.name}") as error:
        open_msl()
    one_line(error)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("calibrated/a.JPG 22", "unknown class id 22"),
        ("calibrated/a.JPG 99", "unknown class id 99"),
        ("a", "line that"),
    ],
)
def test_bad_list(fake: FakeMsl, line: str, message: str) -> None:
    path = fake.folder / "val-calibrated-shuffled.txt"
    path.write_text(f"{path.read_text()}{line}\n")
    with pytest.raises(DataError, match=message) as error:
        open_msl()
    one_line(error)


def test_missing_list(fake: FakeMsl) -> None:
    (fake.folder / "val-calibrated-shuffled.txt").unlink()
    with pytest.raises(DataError, match=r"val-calibrated-shuffled.txt is missing") as error:
        open_msl()
    one_line(error)


@pytest.mark.parametrize("change", ["drop", "double", "word", "gone"])
def test_bad_split_list(fake: FakeMsl, change: str) -> None:
    path = fake.splits / "msl_v1_by_frame.txt"
    lines = path.read_text().splitlines()
    if change == "gone":
        path.unlink()
    else:
        last = {"drop": [], "double": [lines[-1]] * 2, "word": [lines[-1].replace("train", "test").replace("val", "x")]}
        path.write_text("\n".join([*lines[:-1], *last[change]]))
    with pytest.raises(DataError, match=r"msl_v1_by_frame.txt") as error:
        open_msl()
    one_line(error)
    open_msl("chronological")


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "gone"])
def test_damaged_image(fake: FakeMsl, damage: str) -> None:
    data = open_msl()
    path = fake.folder / MSL.images / data.source.names[3]
    content = path.read_bytes()
    path.write_bytes(
        {"truncated": content[: len(content) // 2], "text": b"no image", "empty": b"", "gone": b""}[damage]
    )
    if damage == "gone":
        path.unlink()
    with pytest.raises(DataError, match=path.name) as error:
        data.source.decode(3, 16)
    assert "marsnb data fetch msl" in one_line(error)


def test_decode_keeps_colours_and_shrinks_smoothly(tmp_path: Path) -> None:
    checks = np.indices((64, 48)).sum(0) % 2 * 255
    Image.fromarray(np.stack([checks] * 3, -1).astype(np.uint8)).save(tmp_path / "a.jpg", quality=95)
    small = decode(tmp_path / "a.jpg", 8)
    assert abs(small.astype(int) - 128).max() < 20  # the average of the checks, not some of them
    Image.new("RGB", (40, 30), (200, 100, 50)).save(tmp_path / "b.jpg", quality=95)
    assert abs(decode(tmp_path / "b.jpg", 20).reshape(-1, 3).mean(0) - (200, 100, 50)).max() < 3
