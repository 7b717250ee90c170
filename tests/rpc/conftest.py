"""A service for each test module and database; tests that turn keys or settings start their own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import pytest

from auth_service.demo import Facility
from tests.support.postgres import Postgres
from tests.support.service import Databases, Logs, Service, captured_logs, running_service, running_stand_in
from tests.support.valkey import ValkeyServer

KINDS = ["sqlite", "postgresql"]


class Start(Protocol):
    async def __call__(self, *, waits: bool = True, **settings: str) -> Service: ...


@pytest.fixture(scope="module", autouse=True)
def logs() -> Iterator[Logs]:
    """What the whole module makes the service log, at debug level."""
    with captured_logs() as logs:
        yield logs


@pytest.fixture(scope="session")
def databases(
    migrated_sqlite: Path, migrated_postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Databases:
    return Databases(migrated_sqlite, migrated_postgres, tmp_path_factory.mktemp("services"))


@pytest.fixture(scope="module")
async def facility() -> AsyncIterator[Facility]:
    async with running_stand_in() as facility:
        yield facility


@pytest.fixture(scope="module", params=KINDS)
async def service(
    request: pytest.FixtureRequest,
    databases: Databases,
    facility: Facility,
    logs: Logs,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Service]:
    """Shared by the module: for tests that leave nothing behind but sessions."""
    url = await databases.make(request.param)
    async with running_service(url, facility=facility, data_dir=tmp_path_factory.mktemp("data")) as service:
        yield service


@pytest.fixture
def shared_limits() -> dict[str, str]:
    """Settings of through what replicas share their limits. Modules about limits have them both ways."""
    return {}


def through_valkey(server: ValkeyServer) -> dict[str, str]:
    return {"limits_url": server.url, "limits_prefix": f"test:{uuid4()}", "limits_timeout": "2s"}


@pytest.fixture(params=KINDS)
async def start(
    request: pytest.FixtureRequest,
    databases: Databases,
    facility: Facility,
    logs: Logs,
    tmp_path: Path,
    shared_limits: dict[str, str],
) -> AsyncIterator[Start]:
    """Starts a service of the test's own; a second one shares its database, and its limits."""
    url = await databases.make(request.param)
    async with AsyncExitStack() as stack:

        async def one(*, waits: bool = True, **settings: str) -> Service:
            arguments = {"database_url": url} | shared_limits | settings
            return await stack.enter_async_context(
                running_service(
                    arguments.pop("database_url"), facility=facility, data_dir=tmp_path, waits=waits, **arguments
                )
            )

        yield one
