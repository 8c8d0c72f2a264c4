"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("suite", deadline=None)  # a loaded machine is no failure
settings.load_profile("suite")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder that ``DEBIAS_BENCH_DATA`` names: real data sets in their owners' layouts."""
    given = os.environ.get("DEBIAS_BENCH_DATA")
    if not given:
        pytest.skip("needs real data sets: DEBIAS_BENCH_DATA is not set")
    return Path(given)
