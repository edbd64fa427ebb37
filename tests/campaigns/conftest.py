"""A trained model for the campaigns."""

from pathlib import Path

import pytest

from marsnb.training.run import run
from marsnb.training.spec import make_spec
from tests.campaigns.tools import SMALL


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run, with its ledger beside it."""
    root = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARSNB_RUNS", str(root / "runs"))
        patch.setenv("MARSNB_FIGURES", str(root / "figures"))
        return run(make_spec(**SMALL), "smoke", device="cpu").folder
