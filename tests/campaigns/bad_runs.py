"""Checkpoints, cards and tables that are damaged or of something else: one line, and no code in them is run."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from marsnb import cli, paths
from marsnb.training.run import CARD, run
from marsnb.training.spec import make_spec
from tests.campaigns.tools import SMALL, jpeg, refusal
from tests.fake.ledger import run_lines

# checkpoints


class Payload:
    """A pickle that writes a file when it is read."""

    def __init__(self, at: str) -> None:
        self.at = at

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (self.at, "w")


def spoiled(kind: str, checkpoint: Path, at: Path) -> None:
    whole = checkpoint.read_bytes()
    content = torch.load(checkpoint, weights_only=True)
    if kind == "payload":
        torch.save({"state_dict": Payload(str(at))}, checkpoint)
    elif kind == "plain pickle":
        checkpoint.write_bytes(pickle.dumps(Payload(str(at))))
    elif kind == "weights missing":
        torch.save({"state_dict": dict(list(content["state_dict"].items())[:3])}, checkpoint)
    elif kind == "other shapes":
        torch.save({"state_dict": {n: t[None] for n, t in content["state_dict"].items()}}, checkpoint)
    elif kind == "other layout":
        torch.save(content["state_dict"], checkpoint)
    elif kind == "a tensor":
        torch.save(torch.zeros(3), checkpoint)
    elif kind == "a list":
        torch.save([1, 2], checkpoint)
    else:
        checkpoint.write_bytes({"empty": b"", "text": b"weights\n", "cut": whole[: len(whole) // 2],
                                "a byte short": whole[:-1], "zeros": bytes(1000)}[kind])  # fmt: skip


CHECKPOINTS = (
    "payload", "plain pickle", "weights missing", "other shapes", "other layout", "a tensor", "a list", "empty", "text",
    "cut", "a byte short", "zeros",
)  # fmt: skip


@pytest.mark.parametrize("kind", CHECKPOINTS)
@pytest.mark.parametrize("use", ["predict", "resume"])
def test_checkpoints(
    kind: str, use: str, tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = paths.runs() / trained.name
    shutil.copytree(trained, folder)
    spoiled(kind, folder / "last.ckpt", tmp_path / "pwned")
    if use == "resume":
        monkeypatch.setattr(cli, "app", lambda **_: run(make_spec(**SMALL), "smoke", device="cpu"))
        words: tuple[str, ...] = ()
    else:
        (tmp_path / "a.jpg").write_bytes(jpeg())
        words = ("predict", trained.name, str(tmp_path / "a.jpg"), "--out", str(tmp_path / "out"))
    said = refusal(monkeypatch, capsys, *words)
    assert str(folder / "last.ckpt") in said
    assert not (tmp_path / "pwned").exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["missing", "empty", "cut", "a list", "unknown key", "no names", "bytes", "code"])
def test_cards(
    kind: str, tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained, tmp_path / "run")
    card = tmp_path / "run" / CARD
    text, content = card.read_text(), json.loads(card.read_text())
    card.write_bytes(
        {
            "missing": b"", "empty": b"", "cut": text[: len(text) // 2].encode(), "a list": b"[]",
            "unknown key": json.dumps(content | {"spec": content["spec"] | {"magic": 1}}).encode(),
            "no names": json.dumps(content | {"class_names": 5}).encode(), "bytes": bytes(range(128, 256)),
            "code": json.dumps(content | {"spec": content["spec"] | {"backbone": "__import__('os')"}}).encode(),
        }[kind]
    )  # fmt: skip
    if kind == "missing":
        card.unlink()
    (tmp_path / "a.jpg").write_bytes(jpeg())
    refusal(monkeypatch, capsys, "predict", str(tmp_path / "run" / "last.ckpt"), str(tmp_path / "a.jpg"), "--out",
            str(tmp_path / "out"))  # fmt: skip
    assert not (tmp_path / "out").exists()


# tables of numbers, cut at any byte


@pytest.mark.parametrize("file", ["runs.csv", "curves.csv"])
def test_ledgers_cut_at_any_byte(
    file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cut at the end of a line is a shorter ledger; any other is refused."""
    from marsnb.training import ledger

    ledger.append("smoke", run_lines("0123456789"), [{"run_id": "0123456789-d-s0", "epoch": 1, "metric": "loss",
                                                      "value": 0.25}])  # fmt: skip
    path = paths.figures("smoke") / file
    whole = path.read_bytes()
    for size in range(1, len(whole), max(1, len(whole) // 40)):
        if whole[size - 1 : size] == b"\n":
            continue
        path.write_bytes(whole[:size])
        reads = ledger.read if file == "runs.csv" else ledger.read_curves
        monkeypatch.setattr(cli, "app", lambda reads=reads, **_: reads("smoke") is None)
        assert str(path) in refusal(monkeypatch, capsys)


@pytest.mark.parametrize("file", ["predictions.csv", "notebooks.csv", "manifest.csv"])
def test_other_tables_cut_at_any_byte(
    file: str, tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from marsnb.data.fetch_pds import read_manifest
    from marsnb.results import images
    from marsnb.times import keep_times, own_times

    path = {
        "predictions.csv": paths.runs() / trained.name / file,
        "notebooks.csv": paths.build("smoke") / file,
        "manifest.csv": tmp_path / file,
    }[file]
    shutil.copytree(trained, paths.runs() / trained.name)
    keep_times("smoke", {"05_train_a_classifier": 8.0, "13_train_a_segmenter": 9.0})
    (tmp_path / file).write_text("product,volume,bytes,sha256\na,v,3," + 64 * "0" + "\nb,v,4," + 64 * "1" + "\n")
    whole = path.read_bytes()
    for size in range(1, len(whole), max(1, len(whole) // 60)):
        if whole[size - 1 : size] == b"\n":
            continue
        path.write_bytes(whole[:size])
        read: Callable[[], object] = {
            "predictions.csv": lambda: images.answers(trained.name),
            "notebooks.csv": lambda: own_times("smoke"),
            "manifest.csv": lambda: read_manifest(tmp_path),
        }[file]
        monkeypatch.setattr(cli, "app", lambda read=read, **_: read() is None)
        assert str(path) in refusal(monkeypatch, capsys)
