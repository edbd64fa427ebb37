"""The bank of views: the same whatever builds it, taken up where it was killed, whole or not at all."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import psutil
import pytest
import torch

from marsnb import paths
from marsnb.data import bank as banks
from marsnb.data.bank import CHUNK, BankSpec, FirstView, open_bank
from marsnb.data.synthetic import open_synthetic
from marsnb.errors import DataError
from marsnb.models.backbones import build_backbone


@pytest.fixture(scope="module")
def source():
    return open_synthetic().source


def spec(source, n=3 * CHUNK + 5, views=2, augmentation="ordinary", seed=0, cut="layer2", size=64):
    trunk = build_backbone("test_resnet", seed=seed).cut_at(cut).eval()
    return BankSpec(source, size, np.arange(1, n + 1), augmentation, views, trunk, cut)


def files(wanted):
    return [f.read_bytes() for f in sorted((paths.runs() / "bank" / wanted.key).glob("*.npy"))]


def test_what_is_in_it(source):
    wanted = spec(source)
    bank = open_bank(wanted, quiet=True)
    assert bank.views == 2 and bank.maps[0].dtype == np.float16 and bank.maps[0].shape[:2] == (2, len(wanted.indices))
    assert bank.rows[0] == -1 and bank.rows[1] == 0  # image 0 is not in it
    both = bank.gather(np.array([5, 5, 7]), np.array([0, 1, 0]))[0]
    assert both.shape[0] == 3 and not np.array_equal(both[0], both[1])  # two views of one image differ
    assert np.array_equal(both[2], bank.maps[0][0, 6])


def test_plain_and_mirrored_views(source):
    plain = open_bank(spec(source, n=4, views=1, augmentation="plain"), quiet=True)
    mirror = open_bank(spec(source, n=4, views=2, augmentation="mirror"), quiet=True)
    assert np.array_equal(plain.maps[0][0], mirror.maps[0][0])
    first = FirstView(plain)
    assert np.array_equal(first[np.array([2, 3])], plain.maps[0][0, 1:3])


def test_all_that_decides_it_is_in_its_key(source):
    base = spec(source)
    others = [
        spec(source, n=9), spec(source, views=3), spec(source, augmentation="strong"), spec(source, seed=1),
        spec(source, cut="layer1"), spec(source, size=32),
    ]  # fmt: skip
    assert len({base.key, *(other.key for other in others)}) == len(others) + 1
    assert spec(source).key == base.key
    tail = spec(source)
    with torch.no_grad():
        tail.trunk.network.get_submodule("layer4")[0].conv1.weight.add_(1)
    assert tail.key == base.key  # the tail has no part in it


def test_an_augmentation_of_other_settings_builds_another(source, monkeypatch):
    before = spec(source).key
    from marsnb.data import augment

    augment.view_maker.cache_clear()
    monkeypatch.setitem(augment.AUGMENTATIONS, "ordinary", lambda size: torch.nn.Hardtanh(0.0, 0.5))
    try:
        assert spec(source).key != before
    finally:
        augment.view_maker.cache_clear()


def test_workers_do_not_change_it(source, monkeypatch):
    monkeypatch.setattr(banks, "FEW", 0)
    wanted, states = spec(source, n=2 * CHUNK, views=1, augmentation="strong"), []
    for workers in (1, 2):
        open_bank(wanted, workers=workers, quiet=True)
        states.append(files(wanted))
        (paths.runs() / "bank" / wanted.key).rename(paths.runs() / f"made-by-{workers}")
    assert states[0] == states[1]


def test_building_leaves_random_state_and_threads_alone(source):
    torch.manual_seed(3)
    expected, threads = torch.rand(2), torch.get_num_threads()
    torch.manual_seed(3)
    open_bank(spec(source, n=5), quiet=True)
    assert torch.equal(torch.rand(2), expected) and torch.get_num_threads() == threads


def test_one_that_was_stopped_goes_on(source, monkeypatch):
    wanted = spec(source)
    whole = open_bank(wanted, workers=1, quiet=True) and files(wanted)
    (paths.runs() / "bank" / wanted.key).rename(paths.runs() / "whole")
    made, make = [], banks._chunk

    def stops(*args):
        made.append(args)
        if len(made) == 4:  # one for the shapes, two whole chunks
            raise KeyboardInterrupt
        return make(*args)

    monkeypatch.setattr(banks, "_chunk", stops)
    with pytest.raises(KeyboardInterrupt):
        open_bank(wanted, workers=1, quiet=True)
    partial = paths.runs() / "bank" / f"{wanted.key}.partial" / "0.npy"
    with partial.open("ab") as file:
        file.write(b"half a chunk")
    monkeypatch.setattr(banks, "_chunk", make)
    counted = []
    monkeypatch.setattr(banks, "_chunk", lambda *args: counted.append(args) or make(*args))
    open_bank(wanted, workers=1, quiet=True)
    assert files(wanted) == whole and not partial.parent.exists()
    assert len(counted) == 1 + len(wanted.chunks) - 2  # what was there was not made again


def test_killed_at_any_moment_it_ends_the_same(source, tmp_path):
    wanted = spec(source, n=6 * CHUNK, views=2, augmentation="strong")
    open_bank(wanted, workers=1, quiet=True)
    whole = files(wanted)
    program = textwrap.dedent("""
        import sys
        import numpy as np
        from marsnb.data import bank
        from marsnb.data.bank import BankSpec, CHUNK, open_bank
        from marsnb.data.synthetic import open_synthetic
        from marsnb.models.backbones import build_backbone
        trunk = build_backbone("test_resnet", seed=0).cut_at("layer2").eval()
        source = open_synthetic().source
        spec = BankSpec(source, 64, np.arange(1, 6 * CHUNK + 1), "strong", 2, trunk, "layer2")
        bank.FEW = 0
        open_bank(spec, workers=int(sys.argv[1]), quiet=True)
    """)
    environment = os.environ | {"MARSNB_RUNS": str(tmp_path / "killed")}
    partial = tmp_path / "killed" / "bank" / f"{wanted.key}.partial" / "0.npy"
    process = subprocess.Popen([sys.executable, "-c", program, "2"], env=environment)
    until = time.monotonic() + 120
    while not (partial.exists() and partial.stat().st_size > 4096) and process.poll() is None:
        assert time.monotonic() < until, "nothing was written in two minutes"
        time.sleep(0.005)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and partial.exists()  # it was killed in the midst of it
    assert len(workers) >= 2 and psutil.wait_procs(workers, timeout=30)[1] == []  # none waits for ever
    subprocess.run([sys.executable, "-c", program, "1"], env=environment, check=True)
    made = tmp_path / "killed" / "bank" / wanted.key
    assert [f.read_bytes() for f in sorted(made.glob("*.npy"))] == whole
    assert [f.name for f in made.iterdir()] == ["0.npy"]


def test_a_full_disk_is_one_line_and_leaves_nothing(source, monkeypatch):
    wanted = spec(source)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")
        yield

    monkeypatch.setattr(banks, "_computed", full)
    with pytest.raises(DataError, match=r"the disk is full: the bank of views needs [\d.]+ GiB") as error:
        open_bank(wanted, quiet=True)
    assert "\n" not in str(error.value)
    assert [f.name for f in (paths.runs() / "bank").iterdir()] == [f"{wanted.key}.lock"]


def test_too_little_room_is_said_before_anything_is_made(source, monkeypatch):
    wanted, computed = spec(source), []
    monkeypatch.setattr(banks.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10})())
    monkeypatch.setattr(banks, "_computed", lambda *args: computed.append(args))
    with pytest.raises(DataError, match="the disk is full"):
        open_bank(wanted, quiet=True)
    assert not computed and not (paths.runs() / "bank" / f"{wanted.key}.partial").exists()


def test_it_says_its_size_beforehand(source, capsys):
    open_bank(spec(source, n=3))
    assert "bank: 2 ordinary views of 3 images through the frozen trunk, once;" in capsys.readouterr().err
