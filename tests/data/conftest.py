"""What the tests of downloads share: servers on this machine that have small archives of the published kinds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from marsnb.data import _http, _transfer
from marsnb.data.ai4mars import AI4Mars
from marsnb.data.fetch_ai4mars import BRIDGE
from tests.fake.ai4mars import FakeAI4Mars, make_ai4mars
from tests.fake.pds_archive import PdsArchive
from tests.fake.zenodo import Archive


@pytest.fixture
def navcam(tmp_path: Path) -> FakeAI4Mars:
    """What is published: pairs, labels of experts, both kinds of masks, Mastcam, and an image without a label."""
    made = make_ai4mars(tmp_path / "published", version="0.6", gold=True, covers=True)
    made.image("NLB_400000000EDR_F0581002NCAM00654M1").write_bytes(b"an image without a label")
    return made


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds the code would have slept."""
    seconds: list[float] = []
    for module in (_http, _transfer):
        monkeypatch.setattr(module, "sleep", seconds.append)
    return seconds


@pytest.fixture
def server(navcam: FakeAI4Mars, waited: list[float]) -> Iterator[Archive]:
    """A server of that archive, whose folders lie so far from each other that each takes a request."""
    with Archive(navcam.packed(other=BRIDGE + 1), AI4Mars.record, AI4Mars.file).running() as archive:
        yield archive


@pytest.fixture
def new_root(tmp_path: Path) -> Path:
    """A folder of data sets that is not there yet."""
    return tmp_path / "new" / "data"


@pytest.fixture
def archive() -> Iterator[PdsArchive]:
    """A server of a small archive of Mastcam and MAHLI volumes."""
    with PdsArchive().running() as server:
        yield server


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that all requests would have waited."""
    seconds: list[float] = []
    monkeypatch.setattr(_http.Polite, "_pause", lambda self, wait: seconds.append(wait))
    return seconds
