from collections import Counter
from pathlib import Path

import pytest

from marsnb import paths
from marsnb.data.make_splits import SEED, split_by_frame, split_by_image, write_splits
from marsnb.errors import DataError
from tests.fake.msl import make_msl, product_name


def test_split_by_frame_rules() -> None:
    labels = {
        product_name(sol, number, product_type=kind): 0 for sol in range(50) for number in (0, 1) for kind in "EI"
    }
    labels |= {product_name(60, number): 1 for number in range(2)}
    labels |= {product_name(61, 0): 2}
    labels |= {product_name(62, 0, product_type="E"): 0, product_name(62, 0, product_type="I"): 3}
    labels |= {product_name(63, 0): 3}
    chosen = split_by_frame(labels)
    assert list(chosen) == sorted(labels)
    sides: dict[str, set[str]] = {}
    for name, side in chosen.items():
        sides.setdefault(name[:22], set()).add(side)
    assert all(len(side) == 1 for side in sides.values())
    assert [chosen[product_name(60, number)] for number in range(2)] in (["train", "val"], ["val", "train"])
    assert chosen[product_name(61, 0)] == "train"
    assert {chosen[name] for name in labels if labels[name] == 3} == {"train", "val"}
    share = Counter(side.copy().pop() for side in sides.values())
    assert 0.08 < share["val"] / len(sides) < 0.15
    assert chosen == split_by_frame(dict(reversed(labels.items())))
    assert chosen != split_by_frame(labels, seed=1)


def test_split_by_image_is_exactly_a_tenth() -> None:
    labels = {product_name(sol, 0): 0 for sol in range(200)}
    assert Counter(split_by_image(labels).values()) == {"train": 180, "val": 20}


def test_lists_are_never_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = make_msl(tmp_path / "data")
    fake.install(monkeypatch)
    first = {path.name: path.read_text() for path in write_splits(tmp_path / "new")}
    assert first == {path.name: path.read_text() for path in fake.splits.iterdir()}
    (tmp_path / "new" / "msl_v1_by_frame.txt").unlink()
    with pytest.raises(DataError, match=r"msl_v1_paper.txt exists"):
        write_splits(tmp_path / "new")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["msl_v1_paper.txt"]
    assert f"seed {SEED}" in first["msl_v1_paper.txt"].splitlines()[0]


@pytest.mark.real_data
def test_committed_lists_are_what_the_generator_makes(tmp_path: Path) -> None:
    for made in write_splits(tmp_path):
        assert made.read_text() == (paths.splits() / made.name).read_text()
