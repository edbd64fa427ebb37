"""Fixtures of the report's tests."""

from types import ModuleType

import pytest

from tests.fake import ledger


@pytest.fixture(scope="session")
def fake_ledger() -> ModuleType:
    """``tests/fake/ledger.py``."""
    return ledger
