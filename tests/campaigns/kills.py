"""One hundred kills at random moments: whatever was killed ends as if nothing had happened."""

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from marsnb import paths
from marsnb.data.ai4mars import AI4Mars
from marsnb.data.fetch_ai4mars import BRIDGE
from tests.campaigns.tools import (
    append_runs,
    build_bank,
    differences,
    killed_until_done,
    left,
    train,
    undisturbed,
)
from tests.fake.ai4mars import make_ai4mars
from tests.fake.msl import FakeMsl, make_msl
from tests.fake.zenodo import Archive


def fetch_msl(fake: FakeMsl, url: str) -> None:
    from marsnb.data import fetch

    data = paths.data()
    with pytest.MonkeyPatch.context() as patch:
        fake.install(patch)
        fetch.fetch_msl(data, base_url=url, progress=False)


def fetch_ai4mars(url: str) -> None:
    from marsnb.data import fetch_ai4mars as fetch

    fetch.fetch_ai4mars(base_url=url, progress=False)


def notebook(number: str) -> None:
    from marsnb.reproduce import reproduce

    reproduce("smoke", [number], jobs=1)


def campaign(
    tmp_path: Path, kills: int, seed: int, function: Callable[..., object], *arguments: Any, part: float = 0.6
) -> None:
    """Kill and compare until there were ``kills``; moments are drawn from ``part`` of the undisturbed time."""
    longest = undisturbed(tmp_path / "whole", function, *arguments)
    expected = left(tmp_path / "whole")
    draw, done, lives = random.Random(seed), 0, 0
    differ: list[list[str]] = []
    while done < kills:
        root = tmp_path / "killed"
        kills_here, seconds = killed_until_done(root, part * longest, draw, function, *arguments)
        longest = longest if kills_here else min(longest, seconds)  # the first was slow where a file was new to it
        done, lives = done + kills_here, lives + 1
        if found := differences(expected, left(root)):
            differ.append(found)
        shutil.rmtree(root)
    print(f"\n{function.__name__}: {done} kills in {lives} lives of {longest:.1f} s; not equal: {differ}")
    assert not differ


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_runs(tmp_path: Path, task: str) -> None:
    campaign(tmp_path, 20, len(task), train, task)


@pytest.mark.parametrize("workers", [1, 2])
def test_banks(tmp_path: Path, workers: int) -> None:
    campaign(tmp_path, 10, workers, build_bank, workers)
    time.sleep(10)
    orphans = [one.cmdline() for one in psutil.process_iter() if one.ppid() == 1 and "loky" in " ".join(one.cmdline())]
    assert not orphans


def test_the_ledger(tmp_path: Path) -> None:
    campaign(tmp_path, 20, 3, append_runs, "a", 25, part=0.5)


def test_fetching_msl(tmp_path: Path) -> None:
    fake = make_msl(tmp_path / "published")
    with Archive(fake.pack(tmp_path / "published.zip").read_bytes()).running() as server:
        campaign(tmp_path, 10, 4, fetch_msl, fake, server.url)


def test_fetching_ai4mars(tmp_path: Path) -> None:
    packed = make_ai4mars(tmp_path / "published", version="0.6", gold=True, covers=True).packed(other=BRIDGE + 1)
    with Archive(packed, AI4Mars.record, AI4Mars.file).running() as server:
        campaign(tmp_path, 5, 5, fetch_ai4mars, server.url)


def test_a_notebook(tmp_path: Path) -> None:
    """Its copy holds times: what is compared is the ledger, the figures' data, and that there is one whole copy."""
    longest = undisturbed(tmp_path / "whole", notebook, "05")
    expected, draw, root = left(tmp_path / "whole"), random.Random(6), tmp_path / "killed"
    done = 0
    while done < 5:
        kills, _ = killed_until_done(root, longest, draw, notebook, "05")
        done += kills
        found = differences(expected, left(root))
        print(f"\na notebook: {done} kills in lives of {longest:.1f} s; not equal: {found}")
        assert [name for name in found if name.endswith(".csv") and "notebooks.csv" not in name] == []
        assert expected.keys() == left(root).keys()
        shutil.rmtree(root)
