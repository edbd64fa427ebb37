"""A clock that jumps back: by a day, while a run trains and between two commands."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.campaigns.tools import append_runs, build_bank, decode, differences, folders, left, train, undisturbed
from tests.forked import start

DAY = 86400.0


def with_a_jump(after: float, function, *arguments) -> None:
    """Do it by a clock that goes back by a day once ``after`` seconds have passed."""
    real, began = time.time, time.monotonic()

    def jumped() -> float:
        return real() - (DAY if time.monotonic() - began > after else 0)

    class Jumping(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(jumped(), tz)

    import marsnb.training.run as module

    time.time, module.datetime = jumped, Jumping
    function(*arguments)


@pytest.mark.parametrize(
    "call",
    [(train, "classification"), (train, "segmentation"), (build_bank, 1), (decode,), (append_runs, "a", 9)],
    ids=str,
)
def test_within(tmp_path: Path, call: tuple) -> None:
    seconds = undisturbed(tmp_path / "whole", *call)
    undisturbed(tmp_path / "jumped", with_a_jump, seconds / 2, *call)
    found = differences(left(tmp_path / "whole"), left(tmp_path / "jumped"))
    print(f"\na jump back in {call[0].__name__}; not equal: {found}")
    assert not found


def test_between(tmp_path: Path) -> None:
    """What a killed run left is from tomorrow; the run is taken up all the same."""
    seconds = undisturbed(tmp_path / "whole", train, "classification")
    process = start(train, "classification", environment=folders(tmp_path / "killed"))
    process.join(0.7 * seconds)
    process.kill()
    process.join()
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).timestamp()
    for path in (tmp_path / "killed").rglob("*"):
        os.utime(path, (tomorrow, tomorrow))
    undisturbed(tmp_path / "killed", train, "classification")
    found = differences(left(tmp_path / "whole"), left(tmp_path / "killed"))
    print(f"\nfiles from tomorrow; not equal: {found}")
    assert not found
