"""The cache of decoded images: decoded once, whole or not at all, and built again where it is damaged."""

import errno
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from marsnb import paths
from marsnb.data import cache
from marsnb.data.cache import cache_path, open_cached
from marsnb.errors import DataError
from tests.fake.msl import write_image

SIZE = 6


class Counting:
    """Images that know how often each was decoded; image ``bad`` cannot be."""

    def __init__(self, n=7, fingerprint="a", bad=None):
        self.names = [f"{i}.jpg" for i in range(n)]
        self.fingerprint, self.bad = fingerprint, bad
        self.decoded = Counter()
        self._lock = threading.Lock()

    def decode(self, index, size):
        with self._lock:
            self.decoded[index] += 1
        if index == self.bad:
            raise DataError(f"image file {self.names[index]} is damaged: put a good copy in its place")
        return pixels(index, size)


def pixels(index, size=SIZE):
    return np.random.default_rng(index).integers(0, 256, (size, size, 3), dtype=np.uint8)


def expected(n):
    return np.stack([pixels(i) for i in range(n)])


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(cache, "CHUNK", 3)  # so that seven images are three writes


@pytest.mark.parametrize("cores", [1, 4, None])
def test_order_and_pixels(cores, monkeypatch):
    monkeypatch.setattr(cache.os, "cpu_count", lambda: cores)
    array = open_cached(Counting(), SIZE)
    assert isinstance(array, np.memmap)
    assert (array.shape, array.dtype) == ((7, SIZE, SIZE, 3), np.uint8)
    np.testing.assert_array_equal(array, expected(7))
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0


def test_decoded_once():
    source = Counting()
    first, second = open_cached(source, SIZE), open_cached(source, SIZE)
    assert source.decoded == dict.fromkeys(range(7), 1)
    np.testing.assert_array_equal(first, second)
    again = Counting()  # another process would see the same names and fingerprint
    open_cached(again, SIZE)
    assert not again.decoded


def test_fingerprint_and_size_are_the_key():
    sources = Counting(), Counting(fingerprint="b")
    assert len({cache_path(source, size) for source in sources for size in (SIZE, SIZE + 1)}) == 4
    for source in sources:
        assert open_cached(source, SIZE).shape[1] == SIZE
        assert open_cached(source, SIZE + 1).shape[1] == SIZE + 1
        assert source.decoded == dict.fromkeys(range(7), 2)
    assert all(path.parent == paths.cache() for path in paths.cache().iterdir())


def damage(path: Path, kind: str) -> None:
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(
        {
            "empty": b"",
            "header only": whole[:128],
            "half": whole[: len(whole) // 2],
            "a byte short": whole[:-1],
            "rubbish": b"\0" * len(whole),
            "text": b"not an array\n",
        }[kind]
    )


@pytest.mark.parametrize("kind", ["empty", "header only", "half", "a byte short", "rubbish", "text"])
def test_a_damaged_file_is_built_again(kind):
    source = Counting()
    del_me = open_cached(source, SIZE)
    del del_me
    damage(cache_path(source, SIZE), kind)
    np.testing.assert_array_equal(open_cached(source, SIZE), expected(7))
    assert source.decoded == dict.fromkeys(range(7), 2)


@pytest.mark.parametrize("other", [np.zeros((6, SIZE, SIZE, 3), np.uint8), np.zeros((7, SIZE, SIZE, 3), np.float32)])
def test_an_array_of_another_kind_is_built_again(other):
    source = Counting()
    path = cache_path(source, SIZE)
    path.parent.mkdir(parents=True)
    np.save(path, other)
    np.testing.assert_array_equal(open_cached(source, SIZE), expected(7))


def test_what_a_killed_process_left_does_no_harm():
    source = Counting()
    path = cache_path(source, SIZE)
    path.parent.mkdir(parents=True)
    leftover = path.with_suffix(".1.partial")
    leftover.write_bytes(b"half")
    np.testing.assert_array_equal(open_cached(source, SIZE), expected(7))
    np.testing.assert_array_equal(open_cached(source, SIZE), expected(7))
    assert source.decoded == dict.fromkeys(range(7), 1)


def test_an_interrupted_build_leaves_nothing():
    class Interrupted(Counting):
        def decode(self, index, size):
            if index == 5:
                raise KeyboardInterrupt
            return super().decode(index, size)

    with pytest.raises(KeyboardInterrupt):
        open_cached(Interrupted(), SIZE)
    assert list(paths.cache().iterdir()) == []
    np.testing.assert_array_equal(open_cached(Counting(), SIZE), expected(7))


class FullDisk:
    """A file on a disk that fills up after ``room`` writes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        self.room -= 1
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(data)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


@pytest.mark.parametrize("room", [0, 1, 2])
def test_full_disk(monkeypatch, room):
    real_open = Path.open

    def open_on_full_disk(path, mode="r", *args, **kwargs):
        file = real_open(path, mode, *args, **kwargs)
        return FullDisk(file, room) if "w" in mode and path.suffix == ".partial" else file

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_on_full_disk)
        with pytest.raises(DataError, match=r"disk is full.*free some space or set MARSNB_RUNS") as caught:
            open_cached(Counting(), SIZE)
    assert "\n" not in str(caught.value)
    assert list(paths.cache().iterdir()) == []
    np.testing.assert_array_equal(open_cached(Counting(), SIZE), expected(7))


def test_another_error_of_the_system_is_not_called_a_full_disk(monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(PermissionError):
        open_cached(Counting(), SIZE)
    assert list(paths.cache().iterdir()) == []


@pytest.mark.parametrize("bad", [0, 4, 6])
def test_a_damaged_image_leaves_no_cache(bad):
    with pytest.raises(DataError, match=rf"{bad}\.jpg is damaged"):
        open_cached(Counting(bad=bad), SIZE)
    assert list(paths.cache().iterdir()) == []


def test_a_damaged_file_of_a_real_folder_is_named(tmp_path):
    from marsnb.data._images import image_files

    files = [tmp_path / f"{i}.jpg" for i in range(4)]
    for i, file in enumerate(files):
        write_image(file, i)
    assert open_cached(image_files(files, "fetch it again"), SIZE).shape[0] == 4
    files[2].write_bytes(files[2].read_bytes()[:100])
    with pytest.raises(DataError, match=r"2\.jpg is damaged .*: fetch it again") as caught:
        open_cached(image_files(files, "fetch it again"), SIZE)
    assert "\n" not in str(caught.value)
    assert [path.suffix for path in paths.cache().iterdir()] == [".npy"]  # that of the sound folder
