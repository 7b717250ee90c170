"""How the service starts, says so, and stops: with and without its database, its ports and its files."""

import asyncio
import base64
import gc
import socket
import threading
import uuid
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from auth_api.v1 import auth_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from auth_service import app
from auth_service import settings as settings_module
from auth_service.demo import Facility
from auth_service.settings import Settings
from auth_service.storage import migrate
from auth_service.storage.private_file import UnsafeFile
from tests.client import minting
from tests.rpc.conftest import Start
from tests.support.conditions import eventually
from tests.support.ports import port_of, reserve_port
from tests.support.postgres import Postgres
from tests.support.service import (
    PORTAL_API_KEY,
    SERVICES,
    Databases,
    environment,
    is_ready,
    refusal,
    running_service,
)

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def settings(sqlite_url: str, tmp_path: Path) -> Settings:
    return settings_module.load(environment(sqlite_url, facility=None, data_dir=tmp_path))[0]


@pytest.fixture
async def missing_database(migrated_postgres: Postgres) -> AsyncIterator[str]:
    """The name of a PostgreSQL database that is not there yet."""
    name = f"later-{uuid.uuid4().hex[:12]}"
    yield name
    await migrated_postgres.drop_database(name)


async def test_without_its_database_it_starts_and_becomes_ready_when_that_comes(
    migrated_postgres: Postgres, missing_database: str, facility: Facility, tmp_path: Path
) -> None:
    production = {
        "profile": "production",
        "allow_plaintext": "true",
        "providers": "local",
        "uows_url": "",
        "allocations_url": "",
        "database_timeout": "500ms",
    }
    url = migrated_postgres.dsn(missing_database)

    async with running_service(url, facility=facility, data_dir=tmp_path, waits=False, **production) as service:
        health: Any = health_pb2_grpc.HealthStub(service.channel)
        watched = {name: health.Watch(health_pb2.HealthCheckRequest(service=name)) for name in ("", *SERVICES)}
        first = [(await call.read()).status for call in watched.values()]
        async with service.http.get("/readyz") as ready, service.http.get("/healthz") as alive:
            assert (ready.status, ready.headers["Retry-After"], alive.status) == (503, "1", 200)
        async with service.http.get("/.well-known/jwks.json") as jwks:
            assert jwks.status == 503
            assert int(jwks.headers["Retry-After"]) >= 1
            assert "max-age" not in jwks.headers.get("Cache-Control", "")
        refused = [
            await refusal(service.login()),
            await refusal(service.auth.GetJwks(auth_pb2.GetJwksRequest())),
            await refusal(service.verify(minting.token())),
            await refusal(service.refresh(service.refresh_tokens.write(uuid.uuid4(), 1))),
        ]
        assert (await service.auth.GetServerInfo(auth_pb2.GetServerInfoRequest())).name == "auth-service"

        await migrated_postgres.create_database(missing_database, template="migrated")
        await eventually(lambda: is_ready(service.http))
        then = [(await call.read()).status for call in watched.values()]

        assert first == [NOT_SERVING] * len(watched)
        assert then == [SERVING] * len(watched)
        for each in refused:
            assert each.code is grpc.StatusCode.UNAVAILABLE
            assert each.details["RetryInfo"].retry_delay.ToMilliseconds() > 0
        assert len(await service.jwks()) == 2
        for call in watched.values():
            call.cancel()


async def test_without_tables_it_starts_and_becomes_ready_when_they_come(
    migrated_postgres: Postgres, missing_database: str, facility: Facility, tmp_path: Path
) -> None:
    await migrated_postgres.create_database(missing_database)
    production = {"profile": "production", "allow_plaintext": "true", "providers": "local"}
    nothing_else = {"uows_url": "", "allocations_url": ""}
    url = migrated_postgres.dsn(missing_database)

    async with running_service(
        url, facility=facility, data_dir=tmp_path, waits=False, **production, **nothing_else
    ) as service:
        assert not await is_ready(service.http)
        assert (await refusal(service.login())).code is grpc.StatusCode.UNAVAILABLE

        await migrate.upgrade(url)
        await eventually(lambda: is_ready(service.http))


async def test_it_says_not_serving_before_it_stops(databases: Databases, facility: Facility, tmp_path: Path) -> None:
    url = await databases.make("sqlite")
    async with running_service(url, facility=facility, data_dir=tmp_path, drain="300ms") as service:
        channel = grpc.aio.insecure_channel(str(service.where.grpc))
        health: Any = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(service=SERVICES[0]))
        assert (await watch.read()).status == SERVING
        reading = asyncio.ensure_future(watch.read())

    assert (await reading).status == NOT_SERVING
    await channel.close()


async def test_calls_under_way_are_answered_before_it_is_gone(
    databases: Databases, facility: Facility, tmp_path: Path
) -> None:
    url = await databases.make("sqlite")
    asked = facility.hits["/v1/sessions"]
    facility.fault = {"/v1/sessions": "hang"}

    async with running_service(url, facility=facility, data_dir=tmp_path, grace="10s") as service:
        channel = grpc.aio.insecure_channel(str(service.where.grpc))
        login = channel.unary_unary(
            "/auth_api.v1.AuthService/Login",
            request_serializer=auth_pb2.LoginRequest.SerializeToString,
            response_deserializer=auth_pb2.LoginResponse.FromString,
        )
        # Ten people: of one account the facility is asked about one attempt at a time.
        for number in range(10):
            facility.knows(f"held{number}", "right", number=5000 + number)
        requests = [auth_pb2.LoginRequest(username=f"held{number}", password="right") for number in range(10)]
        logins = [asyncio.ensure_future(login(request)) for request in requests]
        await facility.was_asked("/v1/sessions", times=asked + 10)
        asyncio.get_running_loop().call_later(0.3, setattr, facility, "fault", {})

    assert all([(await each).session_id for each in logins])
    await channel.close()


@pytest.mark.parametrize("door", ["grpc_address", "http_address"])
async def test_a_taken_port_refuses_the_start_by_its_setting(sqlite_url: str, tmp_path: Path, door: str) -> None:
    with reserve_port() as held:
        held.listen()
        taken = f"127.0.0.1:{port_of(held)}"
        variables = environment(sqlite_url, facility=None, data_dir=tmp_path, **{door: taken})
        settings, _ = settings_module.load(variables)

        with pytest.raises(OSError, match=f"AUTH_{door.upper()}: cannot listen on {taken}"):
            async with app.running(settings):
                pass


@pytest.mark.row("S26")
async def test_a_world_readable_database_refuses_the_start(settings: Settings) -> None:
    path = Path(settings.database.partition("///")[2])
    path.chmod(0o644)  # noqa: ASYNC240 -- a system call, over before a loop could do anything else

    with pytest.raises(UnsafeFile, match="0600"):
        async with app.running(settings):
            pass


async def test_keys_sealed_by_a_key_that_is_not_configured_sign_nothing_and_verify_on(
    databases: Databases, facility: Facility, tmp_path: Path
) -> None:
    url = await databases.make("sqlite")
    async with running_service(url, facility=facility, data_dir=tmp_path) as service:
        token = (await service.login()).access_token
    other = base64.b64encode(b"another key-encryption key, lost").decode()

    async with running_service(
        url, facility=facility, data_dir=tmp_path, waits=False, key_encryption_keys=other
    ) as service:
        refused = await refusal(service.login())
        assert refused.verdict == ("UNAVAILABLE", "SIGNING_UNAVAILABLE")
        assert (await service.verify(token)).user_number == 1001
        async with service.http.get("/readyz") as ready:
            assert ready.status == 503
            assert "key-encryption key" in await ready.text()


async def test_stopping_leaves_nothing_behind(databases: Databases, facility: Facility, tmp_path: Path) -> None:
    process = psutil.Process()
    # What a first service brings to the process for good (gRPC's own threads, caches) is not what this is about.
    async with running_service(await databases.make("sqlite"), facility=facility, data_dir=tmp_path) as service:
        await service.login()
    await asyncio.sleep(0)
    gc.collect()
    before = (set(asyncio.all_tasks()), {thread.name for thread in threading.enumerate()}, process.num_fds())

    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        for kind in ("sqlite", "postgresql"):
            url = await databases.make(kind)
            async with running_service(url, facility=facility, data_dir=tmp_path) as service:
                await service.login()
                await service.experiments(1001, PORTAL_API_KEY)
                address = (service.where.http.host, service.where.http.port)
        gc.collect()

    await eventually(lambda: set(asyncio.all_tasks()) <= before[0])
    await eventually(
        lambda: (
            not {
                thread.name
                for thread in threading.enumerate()
                if not thread.name.startswith("asyncio_") and thread.name not in before[1]
            }
        )
    )
    await eventually(lambda: process.num_fds() <= before[2] + 1)
    with pytest.raises(OSError, match="refused"):
        await asyncio.to_thread(socket.create_connection, address)


@pytest.mark.row("S80")
async def test_a_call_without_a_deadline_gets_one(start: Start, facility: Facility) -> None:
    service = await start(request_deadline="300ms", uows_timeout="60s")
    facility.fault = {"/v1/sessions": "hang"}

    refused = await refusal(service.login())
    facility.fault = {}

    assert refused.verdict == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
    await eventually(lambda: facility._open == 0)


@pytest.mark.row("S80")
async def test_each_call_without_a_deadline_has_its_own_however_many_begin_and_end_meanwhile(
    start: Start, facility: Facility
) -> None:
    service = await start(request_deadline="300ms", uows_timeout="60s")
    token = (await service.login()).access_token
    facility.fault = {"/v1/sessions": "hang"}

    stuck = []
    for number in range(8):
        stuck.append(asyncio.ensure_future(refusal(service.login(f"user100{number}"))))
        # Between one that waits and the next, some that do not.
        for _ in range(3):
            assert (await service.verify(token)).username == "user1001"
    refusals = await asyncio.gather(*stuck)
    facility.fault = {}

    assert {each.verdict for each in refusals} == {("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")}
    assert (await service.login()).session_id
    await eventually(lambda: facility._open == 0)


async def test_a_call_with_a_deadline_keeps_its_own(start: Start, facility: Facility) -> None:
    service = await start(uows_timeout="60s")
    facility.fault = {"/v1/sessions": "hang"}

    request = auth_pb2.LoginRequest(username="user1001", password="user1001-password")
    refused = await refusal(service.auth.Login(request, timeout=0.2))
    # The work stops with its caller, long before the facility would answer.
    await eventually(lambda: facility._open == 0)
    facility.fault = {}

    assert refused.code is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.row("S75")
async def test_200_logins_at_once_on_one_channel_are_all_answered(start: Start) -> None:
    service = await start(database_connections="10")

    async def signed_in(name: str) -> auth_pb2.LoginResponse:
        while True:
            try:
                return await service.login(name)
            except grpc.aio.AioRpcError as error:
                # A machine that is busy with something else lets fewer in, and says so; it hangs up on nobody.
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
                await asyncio.sleep(0.1)

    pairs = await asyncio.gather(*map(signed_in, ("user1001", "user1003") * 100))

    assert len({pair.session_id for pair in pairs}) == 200
