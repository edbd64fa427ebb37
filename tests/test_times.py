"""How long the notebooks took."""

from pathlib import Path

import pytest

from marsnb import paths, times


@pytest.mark.parametrize(("seconds", "words"), [
    (8.4, "8 s"), (100, "2 min"), (4800, "80 min"), (7260, "2 h 01 min"), (float("nan"), "?"),
])  # fmt: skip
def test_duration(seconds: float, words: str) -> None:
    assert times.duration(seconds) == words


def test_times_of_other_notebooks_are_kept() -> None:
    times.keep_times("lite", {"01_a": 1.0, "02_b": 2.0})
    times.keep_times("lite", {"02_b": 5.0})
    own = times.own_times("lite")
    assert dict(zip(own["notebook"], own["seconds"], strict=True)) == {"01_a": 1.0, "02_b": 5.0}
    assert not (paths.figures("lite") / "notebooks.csv").exists()  # nothing that git keeps is written


def test_times_of_this_machine_stand_before_the_committed_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "docs", lambda: tmp_path)
    assert times.times("lite").empty
    lines = ["profile,notebook,seconds,date,device", "lite,01_a,7.0,2026-01-01,x", "smoke,01_a,9.0,2026-01-01,x"]
    (tmp_path / "times.csv").write_text("\n".join([*lines, "lite,02_b,8.0,2026-01-01,x", ""]))
    times.keep_times("lite", {"02_b": 5.0})
    found = times.times("lite")
    assert dict(zip(found["notebook"], found["seconds"], strict=True)) == {"01_a": 7.0, "02_b": 5.0}
    assert list(found) == times.TIMES
