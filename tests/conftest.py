"""What every test shares: folders of its own, one thread per worker, and a word on why a test is skipped."""

import functools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # before the first import of torch: workers share the cores
    for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[_variable] = "1"

ROOT = Path(__file__).resolve().parents[1]
_SHARED = ROOT.parent / "shared" / "data"
_NAMED = os.environ.get("MARSNB_DATA") or (_SHARED if _SHARED.is_dir() else ROOT / "data")
REAL_DATA = Path(_NAMED).expanduser().resolve()
HOW_TO_GET = {
    "msl-images": "run `marsnb data fetch msl`, or point MARSNB_DATA at the folder that holds it",
    "pds-browse": "point MARSNB_DATA at the folder that holds it",
    "ai4mars-dataset-merged-0.1": "download AI4Mars and point MARSNB_DATA at the folder that holds it",
}


def _isolate(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Point every folder the package writes to, and the one of data sets, into ``folder``."""
    for variable in ("MARSNB_RUNS", "MARSNB_FIGURES", "MARSNB_BUILD", "MARSNB_DATA"):
        patch.setenv(variable, str(folder / variable.removeprefix("MARSNB_").lower()))


def _missing_real_data(item: pytest.Item) -> str:
    marker = item.get_closest_marker("real_data")
    if marker is None:
        return ""
    missing = [name for name in marker.args or ("msl-images",) if not (REAL_DATA / name).is_dir()]
    return "; ".join(f"no {REAL_DATA / name}: {HOW_TO_GET.get(name, 'see the README')}" for name in missing)


@pytest.fixture(scope="session", autouse=True)
def _session_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fixtures that outlive a test write into a folder of the session."""
    with pytest.MonkeyPatch.context() as patch:
        _isolate(patch, tmp_path_factory.mktemp("session"))
        yield


@pytest.fixture(scope="session", autouse=True)
def _drawn_once() -> Iterator[None]:
    """Most tests need the same synthetic images, each in a cache of its own: a process draws an image once."""
    from marsnb.data.base import Image
    from marsnb.data.synthetic import SyntheticSource

    draw = SyntheticSource.decode
    drawn: dict[tuple[object, ...], Image] = {}

    @functools.wraps(draw)
    def decode(self: SyntheticSource, index: int, size: int) -> Image:
        key = self.seed, self.names[index], self.labels[index], self.damage[index], size  # all it is drawn from
        if key not in drawn:
            drawn[key] = draw(self, index, size)
        return drawn[key].copy()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SyntheticSource, "decode", decode)
        yield


@pytest.fixture(autouse=True)
def _folders(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each test writes into a folder of its own, and sees real images only if it carries the marker ``real_data``."""
    _isolate(monkeypatch, tmp_path_factory.mktemp("marsnb"))
    if request.node.get_closest_marker("real_data") is not None:
        monkeypatch.setenv("MARSNB_DATA", str(REAL_DATA))


@pytest.fixture
def real_data(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of real data sets; MARSNB_DATA points at it. Without ``@pytest.mark.real_data`` it asks for MSL alone."""
    if request.node.get_closest_marker("real_data") is None:
        request.node.add_marker("real_data")
        if reason := _missing_real_data(request.node):
            pytest.skip(reason)
    monkeypatch.setenv("MARSNB_DATA", str(REAL_DATA))
    return REAL_DATA


def _no_cuda() -> bool:
    import torch

    return not torch.cuda.is_available()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, and say what is missing."""
    if reason := _missing_real_data(item):
        pytest.skip(reason)
    if item.get_closest_marker("network") and os.environ.get("MARSNB_TEST_NETWORK") != "1":
        pytest.skip("downloads something: set MARSNB_TEST_NETWORK=1 to run it")
    if item.get_closest_marker("accelerator") and _no_cuda():
        pytest.skip("no CUDA device: run it on a machine with one")
