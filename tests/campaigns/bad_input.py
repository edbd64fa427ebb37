"""Flags, folders, recipes, images and archives that are wrong: one line that names cause and fix, and exit code 1."""

import io
import os
import pickle
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from marsnb import cli, paths
from marsnb.data.fetch import unpack
from tests.campaigns.tools import jpeg, refusal

# flags

RUN = ("run", "--table", "4", "--row", "baseline")
FLAGS = {
    "no such command": (("frobnicate",), "frobnicate"),
    "no table": (("run",), "--table"),
    "unknown option": (("run", "--tabel", "4"), "--tabel"),
    "table that is none": (("run", "--table", "99"), "known: "),
    "table that is a path": (("run", "--table", "../../etc/passwd"), "known: "),
    "negative table": (("run", "--table", "-1"), "known: "),
    "unknown profile": (("run", "--table", "4", "--profile", "huge"), "known: lite, paper, smoke"),
    "profile that is a path": (("run", "--table", "4", "--profile", "../profiles/smoke"), "known: "),
    "unknown row": (("run", "--table", "4", "--row", "best"), "its rows: baseline"),
    "row of two tables": ((*RUN, "--table", "9"), "give one"),
    "no seeds": ((*RUN, "--seeds", "0"), "--seeds"),
    "seeds in words": ((*RUN, "--seeds", "three"), "--seeds"),
    "negative seed": ((*RUN, "--seed", "-1"), "--seed"),
    "no jobs": ((*RUN, "--jobs", "0"), "--jobs"),
    "unknown device": ((*RUN, "--device", "tpu"), "choose one from auto, cpu"),
    "several devices": ((*RUN, "--device", "cuda:0,1"), "choose one from auto, cpu"),
    "second processor": ((*RUN, "--device", "cpu:1"), "choose one from auto, cpu"),
    "empty device": ((*RUN, "--device", ""), "choose one from auto, cpu"),
    "scored never": ((*RUN, "--score-every", "0"), "--score-every"),
    "parameter without a value": (("reproduce", "--set", "profile"), "NAME=VALUE"),
    "parameter that is code": (("reproduce", "--set", "x;import os=1"), "NAME=VALUE"),
    "unknown parameter": (("reproduce", "--only", "00", "--set", "profil=smoke"), "known: "),
    "parameter twice": (("reproduce", "--set", "seed=1", "--set", "seed=2"), "give it once"),
    "unknown notebook": (("reproduce", "--only", "77"), "known: "),
    "unknown data set": (("data", "fetch", "venus"), "choose one of"),
    "limit of another": (("data", "fetch", "msl", "--limit", "3"), "leave them out of msl"),
    "no data": (("data", "verify", "msl"), "marsnb data fetch msl"),
    "list that is not there": (("data", "fetch", "pds", "--list", "none.txt", "--quiet"), "none.txt"),
    "no run to copy": (("answers",), "give run ids"),
    "run that is not here": (("answers", "0123456789-abcdef-s0"), "0123456789-abcdef-s0"),
    "model that is not here": (("predict", "0123456789-abcdef-s0", "."), "MARSNB_RUNS"),
    "best of nothing": (("predict", "best:4", ".", "--profile", "smoke"), "marsnb run"),
    "control characters": (("run", "--table", "\x1b[31m4\x07"), r"\x1b[31m4\x07"),
}


@pytest.mark.parametrize("name", FLAGS)
def test_flags(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    words, message = FLAGS[name]
    assert message in refusal(monkeypatch, capsys, *words)


@pytest.mark.parametrize("variable", ["MARSNB_RUNS", "MARSNB_FIGURES", "MARSNB_DATA"])
def test_folder_that_is_a_file(
    variable: str, tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("a file")
    monkeypatch.setenv(variable, str(tmp_path / "file"))
    words = ("data", "verify", "msl") if variable == "MARSNB_DATA" else (*RUN, "--device", "cpu")
    assert str(tmp_path / "file") in refusal(monkeypatch, capsys, *words)


# recipes and profiles

ROW = "{id: a, label: A, method: cross_entropy}"
RECIPES = {
    "unknown key": b"table: 4\ntitle: t\nrows:\n  - {id: a, label: A, methud: cross_entropy}\n",
    "unknown method": b"table: 4\ntitle: t\nrows:\n  - {id: a, label: A, method: magic}\n",
    "a tag with code": b"!!python/object/apply:os.system ['touch pwned']\n",
    "a tag with a class": b"table: !!python/name:os.system\n",
    "no YAML": b"table: [4\n",
    "tabs": b"table: 4\n\ttitle: t\n",
    "nothing": b"",
    "a list": b"- 4\n",
    "no rows": b"table: 4\ntitle: t\n",
    "bytes": bytes(range(128, 256)),
    "zeros": bytes(64),
    "cut": b"table: 4\ntitle: t\nrows:\n  - {id: a, lab",
    "anchors upon anchors": b"a: &a [x, x, x, x, x, x, x, x, x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (i + 1, i + 1, b", ".join([b"*%c" % i] * 9)) for i in range(97, 106)),
    "a setting of the wrong kind": b"table: 4\ntitle: t\nrows:\n  - {id: a, label: A, method: cross_entropy, "
    b"overrides: {epochs: many}}\n",
    "a setting that there is not": b"table: 4\ntitle: t\nrows:\n  - {id: a, label: A, method: cross_entropy, "
    b"overrides: {epoch: 3}}\n",
    "no number": b"table: 4\ntitle: t\nrows:\n  - {id: a, label: A, method: cross_entropy, overrides: "
    b"{lr_backbone: .nan}}\n",
}


@pytest.mark.parametrize("name", RECIPES)
def test_recipes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from marsnb import recipes

    (tmp_path / "table04.yaml").write_bytes(RECIPES[name])
    (tmp_path / "profiles").symlink_to(paths.recipes() / "profiles")
    monkeypatch.setattr(recipes.paths, "recipes", lambda: tmp_path)
    monkeypatch.chdir(tmp_path)
    refusal(monkeypatch, capsys, "run", "--table", "4", "--device", "cpu")
    assert not (tmp_path / "pwned").exists()


# images


def png(width: int, height: int) -> bytes:
    """A PNG that says to be that large, and is not."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


IMAGES = {
    "empty": b"",
    "text": b"not an image\n",
    "page": b"<!DOCTYPE html><html></html>",
    "cut": jpeg()[:400],
    "far too large": png(100_000, 100_000),
    "too large": png(12_000, 12_000),
    "without pixels": png(0, 0),
    "without data": png(40, 30),
    "code": pickle.dumps(print),
    "vector": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
}


@pytest.mark.parametrize("name", IMAGES)
def test_images(
    name: str, tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(IMAGES[name])
    (tmp_path / "in" / "b.jpg").write_bytes(jpeg())
    said = refusal(monkeypatch, capsys, "predict", str(trained / "last.ckpt"), str(tmp_path / "in"), "--out",
                   str(tmp_path / "out"))  # fmt: skip
    assert "1 of 2 files" in said and "a.jpg" in said
    assert len((tmp_path / "out" / "classes.csv").read_text().splitlines()) == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["classes.csv"]


@pytest.mark.parametrize("file", [b"\xff\xfe.jpg", b"a\x1b[31m\nb.jpg", b"\xe2\x80\xaegpj.exe.jpg"])
def test_names_of_files(
    file: bytes, tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever a file is called, it is one line of a report, and no terminal obeys it."""
    (tmp_path / "in").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/" + file)).write_bytes(b"")
    (tmp_path / "in" / "b.jpg").write_bytes(jpeg())
    refusal(monkeypatch, capsys, "predict", str(trained / "last.ckpt"), str(tmp_path / "in"), "--out",
            str(tmp_path / "out"))  # fmt: skip
    Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/" + file)).write_bytes(jpeg())
    monkeypatch.setattr("sys.argv", ["marsnb", "predict", str(trained / "last.ckpt"), str(tmp_path / "in"),
                                     "--out", str(tmp_path / "out")])  # fmt: skip
    with pytest.raises(SystemExit) as stop:
        cli.main()
    shown = capsys.readouterr()
    assert stop.value.code == 0 and "\x1b[31m" not in shown.out + shown.err


# archives


def member(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def zipped(*members: tuple[zipfile.ZipInfo | str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, content in members:
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


GOOD = zipped(("msl-images/README.txt", b"x" * 100), ("msl-images/calibrated/a.JPG", jpeg()))
ARCHIVES = {
    "empty": b"",
    "text": b"no archive",
    "cut": GOOD[: len(GOOD) // 2],
    "tar": b"a.JPG" + bytes(512),
    "of something else": zipped(("readme.txt", b"x")),
    "that climbs": zipped(("../../pwned", b"x")),
    "that is absolute": zipped(("/tmp/pwned", b"x")),
    "of another system": zipped(("C:\\pwned", b"x"), ("..\\pwned", b"x")),
    "with a link": zipped((member("msl-images/calibrated", stat.S_IFLNK | 0o777), b"/etc")),
    "with a device": zipped((member("msl-images/null", stat.S_IFCHR | 0o666), b"")),
    "with a pipe": zipped((member("msl-images/pipe", stat.S_IFIFO | 0o666), b"")),
    "that swells": zipped(("msl-images/calibrated/a.JPG", bytes(2**22))),
    "of a myriad": zipped(*[(f"msl-images/calibrated/{i}", b"") for i in range(1000)]),
    "with a lie": GOOD.replace(struct.pack("<I", 100), struct.pack("<I", 10)),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths.data().mkdir(parents=True)
    archive = tmp_path / "msl-images.zip.part"
    archive.write_bytes(ARCHIVES[name])
    monkeypatch.setattr("marsnb.data._http.MEMBERS", 999)
    monkeypatch.setattr(cli, "app", lambda **_: unpack(archive, paths.data()))
    refusal(monkeypatch, capsys)
    assert list(paths.data().iterdir()) == [] and not Path("/tmp/pwned").exists()
