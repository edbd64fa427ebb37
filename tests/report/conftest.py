"""Fixtures of the report's tests."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def fake_ledger() -> ModuleType:
    """``_fake_ledger.py``, by its path, since the tests are no package."""
    spec = importlib.util.spec_from_file_location("_fake_ledger", Path(__file__).with_name("_fake_ledger.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
