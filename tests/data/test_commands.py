import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from marsnb.data import _http
from marsnb.data.ai4mars import AI4Mars, find_tree, open_ai4mars
from marsnb.data.commands import app
from marsnb.data.msl import MSL
from marsnb.errors import DataError
from tests.fake.ai4mars import make_ai4mars
from tests.fake.msl import FakeMsl, make_msl
from tests.fake.zenodo import Archive

runner = CliRunner()


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMsl:
    made = make_msl(tmp_path / "data")
    made.install(monkeypatch)
    return made


def test_info_shows_facts_and_counts_beside_the_papers(fake: FakeMsl) -> None:
    result = runner.invoke(app, ["info"])
    assert result.exit_code == 0
    for text in (MSL.doi, MSL.licence, "60,635,475", "Wagstaff", "mascam", "drt side", "by_frame:", "paper:", "chrono"):
        assert text in result.output
    row = next(line for line in result.output.splitlines() if "drt side" in line)
    assert [int(cell) for cell in row.strip("│ ").split("│")[1:]] == [
        value for n in fake.counts["drt side"] for value in (n, n)
    ]


def test_verify_says_that_all_is_well(fake: FakeMsl) -> None:
    result = runner.invoke(app, ["verify", "msl"])
    assert result.exit_code == 0
    assert "every file is there" in result.output


def test_verify_prints_problems_and_fails(fake: FakeMsl) -> None:
    broken = fake.folder / MSL.images / next(iter(fake.labels["train"]))
    broken.write_bytes(b"x")
    result = runner.invoke(app, ["verify", "--data", str(fake.root)])
    assert isinstance(result.exception, DataError)
    assert str(result.exception).startswith("1 problem in ")
    assert broken.name in result.output


def test_fetch_of_what_is_there_downloads_nothing(fake: FakeMsl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http.requests, "Session", lambda: pytest.fail("went to the network"))
    result = runner.invoke(app, ["fetch", "msl", "--quiet"])
    assert result.exit_code == 0
    assert str(fake.folder) in result.output
    for option in (["--masks"], ["--limit", "3"]):
        result = runner.invoke(app, ["fetch", "msl", *option])
        assert isinstance(result.exception, DataError) and "for ai4mars" in str(result.exception)


def test_fetch_and_verify_ai4mars(server: Archive, new_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AI4Mars, "host", server.url)
    monkeypatch.setenv("MARSNB_DATA", str(new_root))
    for options, pairs in ((["--limit", "3"], 3), ([], 14), (["--masks"], 14)):
        result = runner.invoke(app, ["fetch", "ai4mars", "--quiet", *options])
        assert result.exit_code == 0 and f"is complete in {find_tree()}" in result.output
        result = runner.invoke(app, ["verify", "ai4mars"])
        assert result.exit_code == 0 and f"{pairs} pairs" in result.output
    assert open_ai4mars(covered=True).names
    path = next((find_tree() / AI4Mars.images).iterdir())
    path.write_bytes(path.read_bytes()[:-1])
    result = runner.invoke(app, ["verify", "ai4mars"])
    assert isinstance(result.exception, DataError) and path.name in result.output
    assert str(result.exception).startswith("1 problem in ") and "marsnb data fetch ai4mars" in str(result.exception)
    assert runner.invoke(app, ["fetch", "ai4mars", "--quiet"]).exit_code == 0
    assert runner.invoke(app, ["verify", "ai4mars"]).exit_code == 0


@pytest.mark.parametrize("command", ["fetch", "verify", "info"])
def test_unknown_data_set(command: str) -> None:
    result = runner.invoke(app, [command, "moon"])
    assert isinstance(result.exception, DataError)
    assert "choose one of msl" in str(result.exception)


@pytest.mark.parametrize("command", ["verify", "info"])
def test_missing_data_set(command: str, tmp_path: Path) -> None:
    result = runner.invoke(app, [command, "--data", str(tmp_path)])
    assert isinstance(result.exception, DataError)
    assert "marsnb data fetch msl" in str(result.exception)


def test_info_of_ai4mars(tmp_path: Path) -> None:
    make_ai4mars(tmp_path)
    result = runner.invoke(app, ["info", "ai4mars", "--data", str(tmp_path)])
    assert result.exit_code == 0
    for text in (
        AI4Mars.doi,
        "CC BY 4.0",
        "16,232,481,989",
        "Swan",
        "choice:        6 train, 2 val, 4 test",
        "12 pairs",
    ):
        assert text in result.output
    missing = runner.invoke(app, ["info", "ai4mars", "--data", str(tmp_path / "none")])
    assert isinstance(missing.exception, DataError)


def test_info_of_synthetic_terrain() -> None:
    result = runner.invoke(app, ["info", "synthetic_terrain"])
    assert result.exit_code == 0
    assert "choice:        120 train, 40 val, 104 test" in result.output and "SYNTHETIC: 264" in result.output
    assert AI4Mars.doi not in result.output  # nobody's data


def test_import_stays_light() -> None:
    heavy = "{'torch', 'pandas', 'PIL', 'requests', 'matplotlib'}"
    code = f"import sys, marsnb.data.commands; sys.exit(len({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0


@pytest.mark.real_data
def test_real_info_agrees_with_the_paper() -> None:
    result = runner.invoke(app, ["info"])
    assert result.exit_code == 0
    assert "5386" in result.output
    assert "4,853 train, 533 val, 1,305 test" in result.output
