"""Synthetic Mars: what it promises about pixels, counts and splits. Small sizes, no file, no network."""

import pickle
import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pytest

from marsnb.data import DATASETS
from marsnb.data._synthetic import outlines, resize
from marsnb.data._synthetic_drawing import COLOURS, DAMAGE, scenes
from marsnb.data.msl import MSL
from marsnb.data.pds import parse_name
from marsnb.data.synthetic import (
    CLASSES,
    TABLE1,
    SyntheticSource,
    counts_like_table1,
    open_synthetic,
)
from marsnb.errors import DataError

MSL_NAMES = (
    "apxs, apxs cal target, chemcam cal target, chemin inlet open, drill, drill holes, drt front, drt side, ground, "
    "horizon, inlet, mahli, mahli cal target, mastcam, mastcam cal target, observation tray, portion box, "
    "portion tube, portion tube opening, rems uv sensor, rover rear deck, scoop, turret, wheel"
)
PATTERN = re.compile(r"^\d{4}(ML|MR|MH)\d{6}\d{3}\d{2}\d{5}[EI]01_SYNT\.JPG$")


def sol(name):
    return int(name[:4])


@pytest.fixture(scope="module", autouse=True)
def every_time():
    """Draw an image whenever one is asked for, unlike in the other tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SyntheticSource, "decode", SyntheticSource.decode.__wrapped__)
        yield


@pytest.fixture(scope="module")
def mars():
    return open_synthetic()


def test_registered_and_marked_synthetic(mars):
    assert DATASETS["synthetic"] is open_synthetic
    assert mars.synthetic and mars.note.startswith("SYNTHETIC") and mars.name == "synthetic"


def test_classes_are_those_of_msl(mars):
    assert mars.class_names == tuple(MSL_NAMES.split(", "))


def test_table1_totals():
    assert [sum(counts) for counts in zip(*TABLE1.values(), strict=True)] == [5386, 1305]


def test_every_part_has_a_shape_and_a_colour():
    assert tuple(scenes()) == CLASSES
    for scene in scenes().values():
        assert len(scene["early"]) == len(scene["late"]) == 6
        for shape, colour, *numbers in scene["parts"]:
            assert outlines(shape, *[*numbers, *[0] * 8][6:8])
            assert colour in COLOURS and 4 <= len(numbers) <= 8
    with pytest.raises(ValueError, match="nothing draws a 'blob'"):
        outlines("blob")


@pytest.mark.parametrize(("split", "total"), [(0, 480), (0, 5386), (0, 144), (1, 240), (1, 1305), (1, 44)])
def test_counts_follow_table1(split, total):
    counts, paper = counts_like_table1(total, split), [TABLE1[name][split] for name in CLASSES]
    assert sum(counts) == total
    for a in range(len(CLASSES)):
        assert (counts[a] == 0) == (paper[a] == 0)
        assert all(counts[a] <= counts[b] for b in range(len(CLASSES)) if paper[a] < paper[b])
    if total in (5386, 1305):
        assert list(counts) == paper


@pytest.mark.parametrize("protocol", MSL.protocols)
@pytest.mark.parametrize("seed", [0, 3])
def test_every_protocol_splits_all_images(protocol, seed):
    mars = open_synthetic(protocol, seed=seed)
    parts = [mars.train, mars.val, mars.test]
    used = np.concatenate([part.indices for part in parts])
    assert sorted(used) == list(range(len(mars.source.names))) == list(range(480 + 240))
    assert len(mars.test) == 240 and len(mars.val) > 0
    assert np.bincount(mars.train.labels, minlength=24).min() >= 2
    for part in parts:
        assert part.indices.dtype == part.labels.dtype == np.int64
        assert [mars.source.labels[i] for i in part.indices] == part.labels.tolist()
    in_test = np.bincount(mars.test.labels, minlength=24)
    assert {name for name, n in zip(CLASSES, in_test, strict=True) if n == 0} == {"drill holes", "turret"}
    assert in_test[in_test > 0].min() == 2
    sols = [[sol(mars.source.names[i]) for i in part.indices] for part in parts]
    assert max(sols[0] + sols[1]) < 565 <= min(sols[2])
    if protocol == "chronological":
        assert max(sols[0]) < 182 <= min(sols[1])


def test_frames_have_twins_and_by_frame_keeps_them_together(mars):
    def shared(data):
        train, val = ({parse_name(data.source.names[i]).frame for i in part.indices} for part in (data.train, data.val))
        return len(train & val)

    frames = [parse_name(name).frame for name in mars.source.names]
    assert len(frames) - len(set(frames)) > 100
    assert shared(mars) == 0
    assert shared(open_synthetic("paper")) > 0
    assert not set(frames) & {parse_name(name).frame for name in mars.unlabelled.names}


def test_groups_are_frames(mars):
    groups = dict(zip(mars.source.names, mars.groups.tolist(), strict=True))
    twins = [name for name in mars.source.names if name[22] == "I"]
    assert twins and all(groups[name] == groups[name[:22] + "E" + name[23:]] for name in twins)
    assert len(set(groups.values())) == len(groups) - len(twins)


def test_names_follow_the_archive_and_are_unique(mars):
    names = list(mars.source.names) + list(mars.unlabelled.names)
    assert len(set(names)) == len(names) == 480 + 240 + 96
    assert all(PATTERN.match(name) for name in names)


def test_pixels_do_not_depend_on_order_or_process(mars):
    some = [5, 300, 719, 5]
    here = [mars.source.decode(i, 32) for i in some]
    backwards = [mars.source.decode(i, 32) for i in reversed(some)][::-1]
    copy = pickle.loads(pickle.dumps(mars.source))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        elsewhere = list(pool.map(copy.decode, some, [32] * len(some)))
    for a, b, c in zip(here, backwards, elsewhere, strict=True):
        assert a.shape == (32, 32, 3) and a.dtype == np.uint8
        assert (a == b).all() and (a == c).all()
    again = open_synthetic()
    assert again.source == mars.source and again.fingerprint == mars.fingerprint


def test_seeds_and_images_differ(mars):
    other = open_synthetic(seed=1)
    assert other.source.fingerprint != mars.source.fingerprint and other.fingerprint != mars.fingerprint
    assert not set(other.source.names) & set(mars.source.names)
    same_plan = replace(mars.source, seed=1)  # even where names and classes agree, the pixels do not
    pixels = {s.decode(i, 24).tobytes() for s in (mars.source, same_plan, mars.unlabelled) for i in range(40)}
    assert len(pixels) == 120


def test_fingerprint_follows_protocol_and_counts(mars):
    opened = [mars, open_synthetic("paper"), open_synthetic(test=200), open_synthetic(train=200)]
    assert len({data.fingerprint for data in opened}) == 4
    assert opened[0].source.fingerprint == opened[1].source.fingerprint


def test_twins_show_one_scene(mars):
    names, labels = mars.source.names, mars.source.labels
    full = next(i for i in range(len(names) - 1) if parse_name(names[i]).frame == parse_name(names[i + 1]).frame)
    assert labels[full] == labels[full + 1]
    a, b = (mars.source.decode(i, 24).astype(float) for i in (full, full + 1))
    stranger = next(i for i in range(len(names)) if labels[i] != labels[full])
    assert 0 < np.abs(a - b).mean() < 0.3 * np.abs(a - mars.source.decode(stranger, 24)).mean()


def test_damage_of_every_kind_and_more_of_it_in_test(mars):
    damage = mars.source.damage
    assert set(damage) == {"", *DAMAGE}
    known = np.concatenate([mars.train.indices, mars.val.indices])
    assert np.mean([bool(damage[i]) for i in mars.test.indices]) > np.mean([bool(damage[i]) for i in known]) > 0.03


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_changes_the_image(mars, kind):
    hit = mars.source.damage.index(kind)
    damage = tuple("" if i == hit else d for i, d in enumerate(mars.source.damage))
    sound = replace(mars.source, damage=damage).decode(hit, 48).astype(float)
    hurt = mars.source.decode(hit, 48).astype(float)
    assert np.abs(hurt - sound).mean() > 2
    if kind == "over-exposed":
        assert hurt.mean() > sound.mean()
    if kind in ("blur", "low resolution"):
        assert np.abs(np.diff(hurt, axis=0)).mean() < np.abs(np.diff(sound, axis=0)).mean()


def test_unlabelled_images_span_the_mission(mars):
    sols = [sol(name) for name in mars.unlabelled.names]
    assert len(sols) == 96 and min(sols) < 565 <= max(sols)
    assert mars.unlabelled.decode(0, 16).shape == (16, 16, 3)
    assert open_synthetic(unlabelled=0).unlabelled is None


@pytest.mark.parametrize("size", [8, 64, 96, 200])
def test_resize_keeps_a_flat_image_flat(size):
    for shape in ((96, 96, 3), (96, 96, 1), (96, 96)):
        flat = resize(np.full(shape, 0.3), size)
        np.testing.assert_allclose(flat, np.full((size, size, *shape[2:]), 0.3), rtol=1e-6)


@pytest.mark.parametrize(
    "options", [{"protocol": "random"}, {"seed": -1}, {"train": 143}, {"test": 43}, {"unlabelled": -1}]
)
def test_mistakes_are_told_in_one_line(options):
    with pytest.raises(DataError) as error:
        open_synthetic(**options)
    assert "\n" not in str(error.value)
