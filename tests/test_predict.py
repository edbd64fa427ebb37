"""Prediction: the ledger's accuracy to the image, any file that people have, and one line for what cannot be read."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image

from marsnb import paths
from marsnb.data import DATASETS
from marsnb.errors import DataError, RecipeError
from marsnb.predict import BATCH, COLOURS, image_paths, overlay, predict, read_image
from marsnb.training import ledger
from marsnb.training.load import Model, load_model
from marsnb.training.run import CARD, run
from marsnb.training.spec import make_spec, row_runs

SMALL = {
    "dataset": "synthetic", "image_size": 64, "backbone": "test_resnet", "start": "random", "epochs": 1,
    "milestones": [], "steps_per_epoch": 3, "method": "cross_entropy", "lr_backbone": 1e-3,
}  # fmt: skip
TERRAIN = {
    "task": "segmentation", "dataset": "synthetic_terrain", "image_size": 64, "backbone": "test_resnet",
    "start": "random", "epochs": 1, "steps_per_epoch": 2, "batch_labelled": 4, "decoder_channels": 16,
    "method": "cross_entropy",
}  # fmt: skip


def lines(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def photo(path, size=(50, 40), mode="RGB", seed=0):
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


@pytest.mark.parametrize("trunk", [None, "layer2"])
def test_a_classifier_repeats_the_ledgers_accuracy(tmp_path, trunk):
    spec = make_spec(**SMALL, trunk=trunk, views=2)
    result = run(spec, "smoke")
    data, folder = DATASETS["synthetic"](spec.protocol), tmp_path / "test"
    folder.mkdir()
    for i in data.test.indices:  # at the size that training saw, without loss
        Image.fromarray(data.source.decode(int(i), 64)).save(folder / f"{i:05d}.png")
    out = predict(load_model(result.run_id, "smoke"), [str(folder)], tmp_path / "out", quiet=True)
    said = {line["file"].rsplit("/", 1)[1][:5]: line["class1"] for line in lines(out)}
    right = [said[f"{i:05d}"] == data.class_names[y] for i, y in zip(data.test.indices, data.test.labels, strict=True)]
    assert np.mean(right) == pytest.approx(result.value(), abs=1e-9 if trunk is None else 1.5 / len(right))


def test_a_segmenter_writes_masks_overlays_and_areas(tmp_path):
    result = run(make_spec(**TERRAIN), "smoke")
    one = photo(tmp_path / "a" / "x.jpg", (130, 70))
    other = photo(tmp_path / "b" / "x.png", (64, 64), "L", seed=1)
    out = predict(load_model(result.run_id, "smoke"), [str(one), str(other)], tmp_path / "out", quiet=True)
    shares = lines(out)
    assert [line["file"] for line in shares] == [str(one), str(other)]
    assert all(sum(float(v) for k, v in line.items() if k != "file") == pytest.approx(1, abs=1e-3) for line in shares)
    mask = np.asarray(Image.open(tmp_path / "out" / "x_mask.png"))
    assert mask.shape == (70, 130) and mask.max() < 4 and mask.dtype == np.uint8
    assert float(shares[0]["soil"]) == pytest.approx((mask == 0).mean(), abs=1e-4)
    assert (tmp_path / "out" / "x-2_mask.png").exists() and (tmp_path / "out" / "x_overlay.png").exists()


def test_two_classes_have_two_columns_each(tmp_path):
    class Two(torch.nn.Module):
        def forward(self, images):
            return torch.tensor([[0.0, 2.0]]).expand(len(images), 2)

    model = Model("a-b-s0", make_spec(**SMALL), ("dust", "rock"), Two())
    [line] = lines(predict(model, [str(photo(tmp_path / "a.jpg"))], tmp_path / "out", quiet=True))
    assert list(line) == ["file", "class1", "probability1", "class2", "probability2", "low_confidence"]
    assert (line["class1"], line["class2"], line["low_confidence"]) == ("rock", "dust", "False")


def test_a_broken_file_is_named_and_the_others_are_done(tmp_path):
    result = run(make_spec(**SMALL), "smoke")
    for i in range(BATCH + 2):
        photo(tmp_path / "in" / f"{i:03d}.JPG", seed=i)
    (tmp_path / "in" / "half.jpg").write_bytes((tmp_path / "in" / "000.JPG").read_bytes()[:300])
    (tmp_path / "in" / "._000.jpg").write_bytes(b"of macOS")
    with pytest.raises(DataError, match=r"1 of 19 files could not be read: .*half\.jpg \(") as error:
        predict(load_model(result.run_id, "smoke"), [str(tmp_path / "in")], tmp_path / "out", quiet=True)
    assert "\n" not in str(error.value)
    found = lines(tmp_path / "out" / "classes.csv")
    assert len(found) == BATCH + 2
    for line in found:
        assert float(line["probability1"]) >= float(line["probability2"]) >= float(line["probability3"]) > 0
        assert (float(line["probability1"]) < 0.5) == (line["low_confidence"] == "True")


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "I;16"])
def test_images_of_every_mode(tmp_path, mode):
    path = tmp_path / f"x.{'jpg' if mode == 'CMYK' else 'tif' if mode == 'I;16' else 'png'}"
    if mode == "I;16":
        Image.fromarray((np.arange(400, dtype=np.uint16) * 100).reshape(20, 20)).save(path)
    else:
        photo(path, mode=mode)
    small, whole = read_image(path, 32)
    assert small.shape == (32, 32, 3) and small.dtype == np.uint8 and whole.mode == "RGB"
    assert small.std() > 0


def test_names_of_files_folders_and_patterns(tmp_path):
    a, b = photo(tmp_path / "a.jpg"), photo(tmp_path / "deep" / "b.PNG")
    assert image_paths([str(tmp_path)]) == [a, b]
    assert image_paths([str(tmp_path / "*.jpg"), str(a), str(tmp_path)]) == [a, b]
    assert image_paths([str(tmp_path / "**" / "*.PNG"), str(tmp_path / "**.jpg")]) == [b, a]
    for name in ("nothing", "*.bmp"):
        with pytest.raises(DataError, match="no image at"):
            image_paths([str(tmp_path / name)])


def test_an_overlay_has_a_legend():
    image = Image.new("RGB", (80, 60))
    drawn = overlay(image, np.zeros((60, 80), np.uint8), ("soil", "rock"))
    assert drawn.width == 80 and drawn.height > 60
    assert drawn.getpixel((5, 5)) != (0, 0, 0)
    names = ("soil", "bedrock", "sand", "big rock")  # on a small image a line each, on a wide one side by side
    small, wide = (overlay(Image.new("RGB", (w, 64)), np.zeros((64, w), np.uint8), names) for w in (64, 640))
    squares = [(np.asarray(image)[64:] == colour).all(axis=-1) for image in (small, wide) for colour in COLOURS[:4]]
    assert all(square.sum() >= 14 * 14 for square in squares) and small.height > wide.height > 64


def test_the_best_is_of_one_measurement_and_of_rows_of_the_paper():
    keys = {row.id: key for row, key, _ in row_runs(4, "lite")}
    base = dict.fromkeys(ledger.COLUMNS, "x") | {"metric": "top1", "split": "test", "seed": 0, "labelled": "l"}
    runs = [
        ("baseline", "a1-s0", 0.80, "a1", {}), ("baseline", "a1-s0-a1", 0.99, "a1", {"date": "2026-01-03"}),
        ("moco-ls", "a1-s0", 0.85, "a1", {}), ("moco-ls", "a1-s1", 0.85, "a1", {"seed": 1}),
        ("moco-ls", "b1-s0", 0.10, "b1", {}), ("baseline", "c1-s0", 0.98, "c1", {"labelled": "fewer"}),
    ]  # fmt: skip
    dated = {"date": "2026-01-01"}
    rows = [
        base | dated | {"run_id": f"{keys[row]}-{end}", "value": value, "fingerprint": data} | more
        for row, end, value, data, more in runs
    ]
    ledger.append("lite", rows, [])
    with pytest.raises(DataError, match=f"the trained model of {keys['moco-ls']}-a1-s0 is not on this machine"):
        load_model("best:4", "lite")
    with pytest.raises(RecipeError, match="choice has only controls, of which none is the best: give the id of a run"):
        load_model("best:choice", "lite")


def test_models_by_name(tmp_path):
    result = run(make_spec(**SMALL), "smoke")
    by_path = load_model(str(result.folder / "last.ckpt"), "smoke")
    assert by_path.run_id == result.run_id and len(by_path.class_names) == by_path.module.head.out_features
    with pytest.raises(DataError, match="not on this machine"):
        load_model("0123456789-abcdef-s0", "smoke")
    with pytest.raises(RecipeError, match="nothing of table04 was measured at smoke"):
        load_model("best", "smoke")
    (paths.runs() / result.run_id / CARD).unlink()
    with pytest.raises(DataError, match="train the run anew"):
        load_model(result.run_id, "smoke")
