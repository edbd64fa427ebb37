from pathlib import Path

import pytest

from marsnb.data.msl import MSL
from marsnb.data.verify import check_splits, verify_msl
from tests.fake.msl import FakeMsl, make_msl


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMsl:
    made = make_msl(tmp_path / "published")
    made.install(monkeypatch)
    return made


def test_verify_finds_nothing(fake: FakeMsl) -> None:
    assert verify_msl().problems == []


def test_verify_names_every_problem(fake: FakeMsl) -> None:
    images = fake.folder / MSL.images
    train, val, test = (list(fake.labels[split]) for split in MSL.lists)
    (images / test[0]).write_bytes((images / test[0]).read_bytes()[:200])
    (images / val[0]).unlink()
    path = fake.folder / "train-calibrated-shuffled.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, f"calibrated/{train[0]} 22", f"calibrated/{test[1]} 3"]))
    names = fake.folder / MSL.id_names
    names.write_text(names.read_text().replace("sun", "moon"))
    problems = "\n".join(verify_msl().problems)
    for text in (
        f"1 damaged images: {test[0]}",
        f"1 files of val-calibrated-shuffled.txt missing: {val[0]}",
        f"1 unknown class ids in train-calibrated-shuffled.txt: {train[0]} (22)",
        "2 files named more than once",
        "does not give the 25 class names",
        "chemin inlet open: ",
        f"not {MSL.files:,}",
    ):
        assert text in problems
    (fake.folder / "val-calibrated-shuffled.txt").unlink()
    names.unlink()
    problems = "\n".join(verify_msl().problems)
    assert "val-calibrated-shuffled.txt is missing" in problems
    assert f"{MSL.id_names} is missing" in problems


def test_verify_reads_the_split_lists(fake: FakeMsl) -> None:
    path = fake.splits / "msl_v1_by_frame.txt"
    lines = path.read_text().splitlines()
    twin = next(i for i, line in enumerate(lines) if "I01_DRCL.JPG train" in line)
    path.write_text("\n".join([*lines[:twin], lines[twin].replace("train", "val"), *lines[twin + 1 :]]))
    assert check_splits() == [f"1 frames in both train and val of by_frame: {lines[twin][:22]}"]
    (fake.splits / "msl_v1_paper.txt").unlink()
    assert len(check_splits()) == 2


@pytest.mark.real_data
@pytest.mark.slow
def test_real_tree_has_no_problem() -> None:
    assert verify_msl().problems == []
