"""What is found wrong with a copy of AI4Mars."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from marsnb.data.ai4mars import AI4Mars, find_tree
from marsnb.data.verify_ai4mars import verify_ai4mars
from marsnb.errors import DataError
from tests.fake.ai4mars import make_ai4mars, write_pair
from tests.fake.navcam_archive import fetch_from
from tests.fake.zenodo import Archive


@pytest.mark.parametrize("version", ["0.1", "0.6"])
def test_verify_finds_nothing(tmp_path: Path, version: str) -> None:
    fake = make_ai4mars(tmp_path, version=version, gold=True, covers=True)
    _, problems, note, _ = verify_ai4mars(tmp_path)
    assert problems == []
    assert note.startswith(
        f"every file decodes ({len(fake.sols) + 2} pairs: {len(fake.sols)} of the 16,064 labels for training"
    )
    assert note.endswith("2 min1, 2 min2, 2 min3)")
    with pytest.raises(DataError, match="no AI4Mars"):
        verify_ai4mars(tmp_path / "none")


def test_verify_names_every_problem_of_a_tree_unpacked_by_hand(tmp_path: Path) -> None:
    fake = make_ai4mars(tmp_path, gold=True, covers=True)
    stems = list(fake.sols)
    fake.image(stems[0]).write_bytes(fake.image(stems[0]).read_bytes()[:200])
    fake.label(stems[1]).write_bytes(b"x")
    Image.fromarray(np.full((16, 16), 7, np.uint8)).save(fake.cover(stems[2], "MXY"))
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(fake.cover(stems[3], "RNG"))
    fake.image(stems[4]).unlink()
    fake.image(fake.gold[0]).unlink()
    fake.label(stems[5]).unlink()  # an image without a label is no problem: the published tree has some
    write_pair(fake.image("IMG_1"), fake.label("IMG_1"))
    _, problems, note, _ = verify_ai4mars(tmp_path)
    gold = [
        f"1 labels without an image in {AI4Mars.gold_labels.format(name)}: {fake.gold[0]}" for name in AI4Mars.golds
    ]
    damaged = [fake.image(stems[0]).name, fake.label(stems[1]).name]
    assert problems == [
        "1 images without a clock in their name: IMG_1",
        f"1 labels without an image in {AI4Mars.labels}: {stems[4]}",
        *gold,
        f"2 damaged files: {', '.join(damaged)}",
        f"1 masks with another code than there are: {fake.cover(stems[2], 'MXY').name} (7)",
        f"1 masks of another size than their image: {fake.cover(stems[3], 'RNG').name}",
    ]
    assert note.startswith(f"every file decodes ({len(stems)} pairs")


def test_verify_compares_a_fetched_tree_with_the_archive(server: Archive, new_root: Path) -> None:
    fetch_from(server, new_root, limit=5, masks=True)
    assert verify_ai4mars(new_root).problems == []  # pairs beyond the limit are not missing
    folder = find_tree(new_root)
    first, second = sorted((folder / AI4Mars.images).iterdir())[:2]
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(first)  # a good image, but another one
    second.unlink()
    problems = verify_ai4mars(new_root).problems
    assert f"1 files missing of pairs that are there in part: {second.name}" in problems
    assert f"1 files that are not those of the archive: {first.name}" in problems
    fetch_from(server, new_root, limit=5, masks=True)
    assert verify_ai4mars(new_root).problems == []


@pytest.mark.real_data("ai4mars-dataset-merged-0.1")
@pytest.mark.slow
def test_real_pairs_have_no_problem() -> None:
    found = verify_ai4mars()
    assert found.problems == [] and found.good.startswith("every file decodes (6,000 pairs")
