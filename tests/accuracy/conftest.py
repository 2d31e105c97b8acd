"""The corpus is scored once for all tests."""

import pytest

from kvplan.accuracy.corpus import read_logs
from kvplan.accuracy.scoring import score


@pytest.fixture(scope="session")
def logs():
    return read_logs()


@pytest.fixture(scope="session")
def scored(logs):
    return score(logs)
