"""What tests of several replicas share."""

from collections.abc import Iterator
from concurrent.futures import Executor

import pytest

from tests.usecases.replica import signing_threads


@pytest.fixture(scope="module")
def workers() -> Iterator[Executor]:
    with signing_threads() as running:
        yield running
