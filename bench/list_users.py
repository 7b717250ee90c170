"""`ListUsers` among 1,000,000 people: page 10,000 beside page 1, in turns, and how large the database is.

Both are asked by gRPC, one call at a time, by an administrator; a page is 100 accounts. The last page's token is what
turning all the pages before leads to.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
from auth_api.v1 import auth_pb2, auth_pb2_grpc, users_pb2, users_pb2_grpc

from auth_service.storage import migrate
from bench.crowd import PEOPLE, fill_postgres, fill_sqlite
from bench.figures import Figure, ratios
from tests.support.postgres import Postgres
from tests.support.processes import ServiceProcess

ROUNDS, CALLS = 15, 20
PAGE, LARGEST_PAGE = 100, 1000
_DATABASE = "crowd"
_ACCOUNT, _PASSWORD = "root@facility.example", "correct horse battery staple 1843"
Metadata = tuple[tuple[str, str], ...]


def measure() -> Sequence[Figure]:
    return asyncio.run(_measure())


async def _measure() -> Sequence[Figure]:
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="crowd-") as home, Postgres() as postgres:
        path = Path(home) / "auth.sqlite3"
        await postgres.create_database(_DATABASE)
        for kind, url in (("PostgreSQL", postgres.dsn(_DATABASE)), ("SQLite", f"sqlite:///{path}")):
            await migrate.upgrade(url)
            size = await fill_postgres(url) if kind == "PostgreSQL" else await asyncio.to_thread(fill_sqlite, path)
            figures.append(await _pages(kind, url))
            figures.append(Figure(f"1,000,000 people, {kind}", (size / 1e6,), unit="MB"))
    return figures


async def _pages(kind: str, url: str) -> Figure:
    async with _service(url) as (users, metadata):
        last = await _token_of_last_page(users, metadata)
        seconds: dict[str, list[float]] = {"": [], last: []}
        for is_warm in (False, *[True] * ROUNDS):
            for token, rounds in seconds.items():
                taken = await _seconds_of_a_call(users, metadata, token)
                if is_warm:
                    rounds.append(taken)
    first, deep = (tuple(rounds) for rounds in seconds.values())
    return Figure(
        f"ListUsers page 10,000 : page 1, {kind}",
        ratios(deep, first),
        at_most=1.5,
        raw={"page 1": first, "page 10,000": deep},
    )


async def _seconds_of_a_call(users: "users_pb2_grpc.UserServiceAsyncStub", metadata: Metadata, token: str) -> float:
    request = users_pb2.ListUsersRequest(page_size=PAGE, page_token=token)
    began = time.perf_counter()
    for _ in range(CALLS):
        page = await users.ListUsers(request, metadata=metadata)
        assert len(page.users) == PAGE
    return (time.perf_counter() - began) / CALLS


async def _token_of_last_page(users: "users_pb2_grpc.UserServiceAsyncStub", metadata: Metadata) -> str:
    """Of the page on which the last 100 of the crowd are, with larger pages as far as they go."""
    left, token = PEOPLE - PAGE, ""
    while left:
        request = users_pb2.ListUsersRequest(page_size=min(left, LARGEST_PAGE), page_token=token)
        page = await users.ListUsers(request, metadata=metadata)
        left -= len(page.users)
        token = page.next_page_token
    return token


@asynccontextmanager
async def _service(url: str) -> AsyncIterator[tuple["users_pb2_grpc.UserServiceAsyncStub", Metadata]]:
    """The service on the database of `url`, and an administrator's credentials."""
    environment = {
        "AUTH_DATABASE_URL": url,
        "AUTH_DEMO_FACILITY": "false",
        "AUTH_PROVIDERS": "local",
        "AUTH_LOG_FORMAT": "json",
        "AUTH_DATABASE_TIMEOUT": "5s",
        # Filling the table has worn the machine out: the first call may wait.
        "AUTH_REQUEST_DEADLINE": "60s",
    }
    async with ServiceProcess(environment) as process, grpc.aio.insecure_channel(process.grpc_address) as channel:
        await asyncio.to_thread(_create_administrator, process)
        auth: auth_pb2_grpc.AuthServiceAsyncStub = auth_pb2_grpc.AuthServiceStub(channel)
        pair = await auth.Login(auth_pb2.LoginRequest(username=_ACCOUNT, password=_PASSWORD))
        yield users_pb2_grpc.UserServiceStub(channel), (("authorization", f"Bearer {pair.access_token}"),)


def _create_administrator(process: ServiceProcess) -> None:
    command = [sys.executable, "-m", "auth_service", "users", "create", _ACCOUNT, "--role", "admin", "--password-stdin"]
    subprocess.run(command, env=process.environment, input=_PASSWORD, text=True, check=True, stdout=subprocess.DEVNULL)
