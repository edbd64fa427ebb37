"""A folder per class: split by names alone, trained and predicted like any data set, and one line for what is amiss."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from marsnb import paths
from marsnb.data import DATASETS
from marsnb.data.cache import cache_path
from marsnb.data.folder import split_of
from marsnb.errors import DataError
from marsnb.training.load import load_model
from marsnb.training.run import run
from marsnb.training.spec import make_spec

SMALL = {
    "image_size": 32, "backbone": "test_resnet", "start": "random", "epochs": 1, "milestones": [], "steps_per_epoch": 2,
    "batch_labelled": 4, "batch_unlabelled": 4, "method": "semi_supervised",
}  # fmt: skip


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (40, 30, 3), dtype=np.uint8)).save(path)


def tree(root: Path, count: int = 12, within: str = "") -> Path:
    for label, name in enumerate(("dune", "rock")):
        for i in range(count):
            picture(root / within / name / f"{name}{i}.{('png', 'JPG', 'tif')[i % 3]}", 100 * label + i)
    return root


def test_a_name_decides_the_split():
    for name in ("a.jpg", "b.jpg", "sol 12.png", "c.jpg", "d.jpg"):
        tenth = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % 10
        assert split_of(name) == (["train"] * 6 + ["val"] * 2 + ["test"] * 2)[tenth]
    shares = [split_of(f"{i}.jpg") for i in range(2000)]
    assert np.allclose([shares.count(s) / 2000 for s in ("train", "val", "test")], [0.6, 0.2, 0.2], atol=0.03)


def test_every_image_once_and_hidden_or_other_files_never(tmp_path):
    root = tree(tmp_path / "mine")
    (root / "dune" / "._dune0.png").write_bytes(b"of macOS")
    (root / "dune" / "notes.txt").write_text("no image")
    picture(root / "loose.png", 7)
    data = DATASETS["folder"](path=str(root))
    lists = {"train": data.train, "val": data.val, "test": data.test}
    assert sorted(i for one in lists.values() for i in one.indices) == list(range(24)) and len(data.source) == 24
    for split, one in lists.items():
        for i, label in zip(one.indices, one.labels, strict=True):
            folder, name = data.source.names[i].split("/")
            assert data.class_names[label] == folder and split_of(name) == split
    assert data.source.decode(0, 16).shape == (16, 16, 3)
    before = {split: {data.source.names[i] for i in one.indices} for split, one in lists.items()}
    picture(root / "rock" / "another.png", 8)
    more = DATASETS["folder"](path=root)
    assert more.fingerprint != data.fingerprint
    for split, names in before.items():
        assert names <= {more.source.names[i] for i in getattr(more, split).indices}
    (root / "rock" / "another.png").rename(root / "dune" / "another.png")
    assert DATASETS["folder"](path=root).fingerprint not in (data.fingerprint, more.fingerprint)


def test_two_sets_of_equal_names_and_sizes_share_no_cache(tmp_path):
    roots = [tmp_path / "raw", tmp_path / "clean"]
    for root in roots:
        for i in range(24):
            picture(root / ("dune", "rock")[i % 2] / f"{i}.tif", i)
            picture(tmp_path / "pool" / f"{i}.tif", i)
    path = min((roots[1] / "rock").iterdir())
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 255]))
    raw, clean = (DATASETS["folder"](path=root) for root in roots)
    assert raw.source.fingerprint != clean.source.fingerprint and raw.fingerprint != clean.fingerprint
    assert cache_path(raw.source, 16) != cache_path(clean.source, 16)
    path.write_bytes(content)  # edited in place
    assert DATASETS["folder"](path=roots[1]).fingerprint == raw.fingerprint
    before = DATASETS["folder"](path=roots[0], unlabelled=tmp_path / "pool").unlabelled.fingerprint
    (tmp_path / "pool" / "3.tif").write_bytes((tmp_path / "pool" / "4.tif").read_bytes())
    assert DATASETS["folder"](path=roots[0], unlabelled=tmp_path / "pool").unlabelled.fingerprint != before


@pytest.mark.parametrize("within", ["", "train"])
def test_hidden_folders_and_those_of_macos_are_passed_over(tmp_path, within):
    for split in ("train", "val", "test") if within else ("",):
        tree(tmp_path, 12, split)
    names = DATASETS["folder"](path=tmp_path).source.names
    for place in (".thumbnails", "dune/.cache", "dune/a/.b/c", "__MACOSX/dune", "rock/__MACOSX"):
        picture(tmp_path / (within if "/" in place else "") / place / "x.png", 9)
    picture(tmp_path / "__MACOSX" / "y.png", 9)
    assert DATASETS["folder"](path=tmp_path).source.names == names


def test_a_tree_that_is_split_stays_so(tmp_path):
    for split in ("train", "val", "test"):
        tree(tmp_path, 2, split)
    data = DATASETS["folder"]("by_frame", path=tmp_path)
    assert data.class_names == ("dune", "rock") and [len(x) for x in (data.train, data.val, data.test)] == [4, 4, 4]
    assert all(data.source.names[i].startswith("val/") for i in data.val.indices)
    (tmp_path / "val").rename(tmp_path / "valid")
    with pytest.raises(DataError, match="a folder 'valid' beside train: name its folders train, val and test"):
        DATASETS["folder"](path=tmp_path)
    (tmp_path / "valid").rename(tmp_path.parent / f"{tmp_path.name}-val")
    with pytest.raises(DataError, match=r"a split one, but val has no image: add images$"):
        DATASETS["folder"](path=tmp_path)


def test_what_is_amiss_is_one_line(tmp_path):
    for options, said in (
        ({}, "there is no folder '' of classes"),
        ({"path": tmp_path / "none"}, "check the path in data_options"),
        ({"path": tmp_path / "few" / "dune"}, "0 folders with images, not two or more"),
        ({"path": tree(tmp_path / "few", 1)}, "'dune' has [01]: add images, or sort them"),
        ({"path": tree(tmp_path / "mine"), "unlabelled": tmp_path / "none"}, "no folder .* of unlabelled images"),
    ):
        with pytest.raises(DataError, match=said) as caught:
            DATASETS["folder"](**options)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="no protocol 'paper': use by_name"):
        DATASETS["folder"]("paper", path=tmp_path / "mine")


def test_a_run_trains_on_it_and_its_checkpoint_starts_another(tmp_path):
    root = tree(tmp_path / "mine")
    for i in range(6):
        picture(tmp_path / "pool" / f"{i}.png", 500 + i)
    options = {"path": str(root), "unlabelled": str(tmp_path / "pool")}
    result = run(make_spec(**SMALL, dataset="folder", data_options=options), "smoke")
    known = DATASETS["folder"](**options)
    assert int(result.metrics.query("metric == 'top1' and split == 'test'")["n"].iloc[0]) == len(known.test)
    assert load_model(result.run_id).class_names == ("dune", "rock")
    start = str(result.folder / "last.ckpt")
    again = run(make_spec(**SMALL | {"start": start, "epochs": 2}, dataset="folder", data_options=options), "smoke")
    assert again.run_id != result.run_id and again.run_id.split("-")[1] != result.run_id.split("-")[1]
    with pytest.raises(DataError, match="name their folder in data_options"):
        run(make_spec(**SMALL, dataset="folder", data_options={"path": str(root)}), "smoke")
    assert (paths.runs() / again.run_id / "card.json").is_file()
