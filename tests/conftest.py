"""Real databases for every suite: each test gets a fresh one, migrated, of both kinds."""

import asyncio
import shutil
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from auth_service.storage import migrate
from auth_service.storage.database import Database
from auth_service.storage.opening import open_database
from tests.support.command_line import home, on_both, run  # noqa: F401 -- fixtures
from tests.support.conditions import eventually
from tests.support.hanging import where_tasks_stand
from tests.support.postgres import Postgres
from tests.support.valkey import ValkeyServer

BUDGET = timedelta(seconds=5)
_TEMPLATE = "migrated"
_server_version: list[str] = []


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One cluster for the whole run. Where none starts the run fails, and says what the server said."""
    with Postgres() as running:
        _server_version.append(running.version)
        yield running


@pytest.fixture(scope="session")
async def migrated_postgres(postgres: Postgres) -> Postgres:
    await postgres.create_database(_TEMPLATE)
    await migrate.upgrade(postgres.url(_TEMPLATE))
    return postgres


@pytest.fixture(scope="session")
async def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    await migrate.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    """One for the whole run; each test has a prefix of its own there."""
    with ValkeyServer() as server:
        yield server


@pytest.fixture
async def postgres_url(migrated_postgres: Postgres) -> AsyncIterator[str]:
    """A migrated database of its own, dropped afterwards."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    await migrated_postgres.create_database(name, template=_TEMPLATE)
    yield migrated_postgres.url(name)
    await migrated_postgres.drop_database(name)


@pytest.fixture
async def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A migrated database of its own, mode 0600."""
    path = tmp_path / "auth.db"
    await asyncio.to_thread(shutil.copy, migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The test runs once on each kind."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = open_database(database_url, budget=BUDGET)
    yield opened
    await opened.close()


@pytest.fixture
async def one_minute() -> None:
    """Calls are counted by the minutes of the clock: enough is left of this one for a test."""
    await eventually(lambda: time.time() % 60 < 45, deadline=20)


_passed_on: Counter[str] = Counter()
_servers: set[str] = set()


def pytest_runtest_call(item: pytest.Item) -> None:
    # Travels with the report: where tests run in several processes, another one counts.
    item.user_properties += [("database", _database_of(item)), ("server", "".join(_server_version))]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.excinfo and "from pytest-timeout" in str(call.excinfo.value):
        report.sections.append(("Where tasks stood", where_tasks_stand()))
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and report.passed:
        told = dict(report.user_properties)
        _passed_on[str(told.get("database", ""))] += 1
        _servers.update(str(server) for server in (told.get("server"),) if server)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which databases the run was really on."""
    server = " ".join(["PostgreSQL", *sorted(_servers)])
    terminalreporter.write_line(
        f"passed on SQLite: {_passed_on['sqlite']}, on {server}: {_passed_on['postgresql']}, "
        f"without a database: {_passed_on['']}"
    )


def _database_of(item: pytest.Item) -> str:
    parameters = getattr(item, "callspec", None)
    for value in parameters.params.values() if parameters else ():
        if value in ("sqlite", "postgresql"):
            return str(value)
    names: Sequence[str] = getattr(item, "fixturenames", ())
    if "sqlite_url" in names:
        return "sqlite"
    return "postgresql" if {"postgres", "postgres_url", "migrated_postgres"} & set(names) else ""
