"""MoCo's checkpoint: a fake one of the same layout from a local server; right, wrong, torn and missing."""

import functools
import hashlib
import http.server
import threading

import pytest
import torch
import torchvision

from marsnb.errors import DataError
from marsnb.models import moco_checkpoint
from marsnb.models.backbones import build_backbone
from marsnb.models.moco_checkpoint import CHECKPOINTS, MocoCheckpoint, encoder_weights, fetch_checkpoint, load_moco


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "served").mkdir()
    return tmp_path / "served"


@pytest.fixture
def site(folder, tmp_path, monkeypatch):
    """Address of a server of ``folder``; downloads go to a folder of their own."""
    monkeypatch.setenv("MARSNB_RUNS", str(tmp_path / "runs"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def network():
    """A torchvision ResNet like resnet50, but small: what is tested does not depend on the depth."""
    return torchvision.models.resnet18(num_classes=10)


def moco_layout(encoder):
    """The query encoder under MoCo's names, with MoCo's two-layer head, the key encoder and the queue beside it."""
    body = {key: value for key, value in encoder.state_dict().items() if not key.startswith("fc.")}
    head = {"fc.0.weight": torch.ones(2, 2), "fc.0.bias": torch.ones(2), "fc.2.weight": torch.ones(2, 2)}
    state = {f"module.encoder_q.{key}": value for key, value in (body | head).items()}
    state |= {f"module.encoder_k.{key}": torch.zeros_like(value) for key, value in body.items()}
    state |= {"module.queue": torch.zeros(4, 4), "module.queue_ptr": torch.zeros(1)}
    return {"epoch": 800, "arch": "resnet50", "state_dict": state, "optimizer": {"state": {}}}


def save(content, path):
    torch.save(content, path)
    return hashlib.md5(path.read_bytes()).hexdigest()[:8]


def test_fetch_check_and_load(folder, site):
    theirs = network()
    prefix = save(moco_layout(theirs), folder / "moco.pth.tar")
    checkpoint = MocoCheckpoint(f"{site}/moco.pth.tar", prefix)
    path = fetch_checkpoint(checkpoint)
    ours = network()
    expected = dict(theirs.state_dict()) | {f"fc.{key}": value.clone() for key, value in ours.fc.state_dict().items()}
    load_moco(ours, path)
    assert all(torch.equal(value, expected[key]) for key, value in ours.state_dict().items())
    (folder / "moco.pth.tar").unlink()
    assert fetch_checkpoint(checkpoint) == path  # the second time it is there already


def test_wrong_md5_leaves_nothing(folder, site, tmp_path):
    save(moco_layout(network()), folder / "moco.pth.tar")
    with pytest.raises(DataError, match="md5"):
        fetch_checkpoint(MocoCheckpoint(f"{site}/moco.pth.tar", "00000000"))
    assert list((tmp_path / "runs" / "weights").iterdir()) == []


def test_a_wrong_file_in_place_is_not_used(site, tmp_path):
    place = tmp_path / "runs" / "weights" / "moco.pth.tar"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"something else")
    with pytest.raises(DataError, match="delete it"):
        fetch_checkpoint(MocoCheckpoint(f"{site}/moco.pth.tar", "00000000"))
    assert place.exists()


def test_no_file_and_no_server(site, tmp_path):
    for url in (f"{site}/missing.pth.tar", "http://127.0.0.1:1/moco.pth.tar"):
        with pytest.raises(DataError, match="cannot fetch") as caught:
            fetch_checkpoint(MocoCheckpoint(url, "00000000"))
        assert "\n" not in str(caught.value)
    assert list((tmp_path / "runs" / "weights").iterdir()) == []


@pytest.mark.parametrize("lost", ["layer4.1.conv2.weight", "bn1.running_var"])
def test_a_missing_tensor_is_named(lost, tmp_path):
    content = moco_layout(network())
    del content["state_dict"][f"module.encoder_q.{lost}"]
    save(content, tmp_path / "moco.pth.tar")
    with pytest.raises(DataError, match=f"lack {lost}"):
        load_moco(network(), tmp_path / "moco.pth.tar")


def test_an_unknown_or_misshapen_tensor_is_named_and_nothing_is_loaded(tmp_path):
    for key, what in (("layer9.weight", "unknown"), ("conv1.weight", "shape")):
        content = moco_layout(network())
        content["state_dict"][f"module.encoder_q.{key}"] = torch.zeros(3)
        save(content, tmp_path / "moco.pth.tar")
        target = network()
        before = target.layer1[0].conv1.weight.clone()
        with pytest.raises(DataError, match=what):
            load_moco(target, tmp_path / "moco.pth.tar")
        assert torch.equal(target.layer1[0].conv1.weight, before)


def test_a_file_that_is_no_moco_checkpoint(tmp_path):
    save({"state_dict": network().state_dict()}, tmp_path / "other.pth")
    with pytest.raises(DataError, match="not a MoCo checkpoint"):
        encoder_weights(tmp_path / "other.pth")
    with pytest.raises(DataError, match="no weights at"):
        encoder_weights(tmp_path / "nowhere.pth")


def test_resnet50_starts_from_it(tmp_path, monkeypatch):
    theirs = torchvision.models.resnet50()
    save(moco_layout(theirs), tmp_path / "moco.pth.tar")
    asked = []

    def fetch(checkpoint):
        asked.append(checkpoint)
        return tmp_path / "moco.pth.tar"

    monkeypatch.setattr("marsnb.models.backbones.fetch_checkpoint", fetch)
    backbone = build_backbone("resnet50", "moco_v2")
    assert asked == [CHECKPOINTS["moco_v2"]]
    assert backbone.num_features == 2048
    loaded = backbone.network.state_dict()
    assert len(loaded) == 318
    assert all(torch.equal(value, theirs.state_dict()[key]) for key, value in loaded.items())


def test_addresses():
    assert CHECKPOINTS["moco_v2"] is CHECKPOINTS["moco_v2:800"]
    assert CHECKPOINTS["moco_v2"].md5_prefix == "a04e12f8"
    assert CHECKPOINTS["moco_v2:200"].md5_prefix == "59fd9945"
    assert all("200ep" in c.url for name, c in CHECKPOINTS.items() if name.endswith("200"))
    assert "CC BY-NC" in moco_checkpoint.__doc__


@pytest.mark.network
def test_the_published_checkpoint():
    assert build_backbone("resnet50", "moco_v2:200").num_features == 2048
