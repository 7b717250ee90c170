"""Callers that go away: whatever they interrupt, nothing stays half done and everything works afterwards."""

import asyncio
import random
import threading
import time
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from uuid import UUID

import grpc
import pytest
import sqlalchemy as sa
from auth_api.v1 import auth_pb2, keys_pb2

from auth_service import app
from auth_service.demo import Facility
from auth_service.domain.audit import OPERATOR
from auth_service.domain.sealing import KeyEncryptionKeys
from auth_service.storage import schema
from auth_service.storage.database import DatabaseClock
from auth_service.storage.opening import open_database
from auth_service.usecases.key_consumers import KeyConsumers
from auth_service.usecases.signing import SigningKeys
from tests.rpc.conftest import Start
from tests.support.conditions import eventually
from tests.support.service import Logs, Service, admin_token, bearer, refusal
from tests.support.sql import executed
from tests.usecases.replica import EVIDENCE_POLICY

STORM = 300


async def counted(service: Service, table: sa.Table) -> int:
    ((count,),) = await executed(service.settings.database, sa.select(sa.func.count()).select_from(table))
    return int(count)


async def test_a_storm_of_aborted_calls_leaves_a_service_that_works(start: Start, logs: Logs) -> None:
    service = await start()
    logs.clear()
    chance = random.Random(7)
    pairs = [await service.login() for _ in range(30)]

    async def aborted(number: int) -> None:
        pair = pairs[number % len(pairs)]
        call: Awaitable[object]
        match number % 3:
            case 0:
                call = service.auth.Refresh(auth_pb2.RefreshRequest(refresh_token=pair.refresh_token))
            case 1:
                call = service.auth.Login(auth_pb2.LoginRequest(username="user1001", password="user1001-password"))
            case _:
                call = service.auth.Logout(auth_pb2.LogoutRequest(refresh_token=pair.refresh_token))
        # Not a pause but the aborting itself: at a random point of the call's way.
        with suppress(TimeoutError, grpc.aio.AioRpcError):
            await asyncio.wait_for(call, chance.uniform(0.0, 0.06))

    for wave in range(0, STORM, 30):
        await asyncio.gather(*(aborted(number) for number in range(wave, wave + 30)))

    fresh = [await service.login(name) for name in ("user1001", "staff1002", "user1003") * 4]
    successors = await asyncio.gather(*(service.refresh(pair.refresh_token) for pair in fresh))
    assert [pair.session_id for pair in successors] == [pair.session_id for pair in fresh]
    await asyncio.gather(*(service.logout(pair.refresh_token) for pair in successors))
    for pair in successors:
        assert (await refusal(service.verify(pair.access_token))).reason == "TOKEN_REVOKED"
    assert [line for line in logs.lines if line["level"] in ("error", "critical")] == []
    assert "Traceback" not in logs.text
    assert "InternalError" not in logs.text


async def test_a_cancelled_login_that_the_facility_holds_up_leaves_no_session(start: Start, facility: Facility) -> None:
    service = await start(uows_timeout="60s")
    before, asked = await counted(service, schema.session), facility.hits["/v1/sessions"]
    facility.fault = {"/v1/sessions": "hang"}

    calls = [
        # Each somebody else: of one account the facility is asked about one attempt at a time.
        service.auth.Login(auth_pb2.LoginRequest(username=f"person{number}", password="any"))
        for number in range(20)
    ]
    tasks = [asyncio.ensure_future(call) for call in calls]
    await facility.was_asked("/v1/sessions", times=asked + 20)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await eventually(lambda: facility._open == 0)
    facility.fault = {}

    assert (await service.login()).session_id
    assert await counted(service, schema.session) == before + 1


async def test_a_cancelled_change_of_the_ring_leaves_one_signer_that_verifiers_know(start: Start) -> None:
    service = await start()
    admin = bearer(await admin_token(service))
    chance = random.Random(11)

    for _ in range(12):
        call = service.keys.RotateSigningKey(keys_pb2.RotateSigningKeyRequest(), metadata=admin)
        with suppress(TimeoutError, grpc.aio.AioRpcError):
            await asyncio.wait_for(call, chance.uniform(0.0, 0.25))
        pair = await service.login()
        assert (await service.verify(pair.access_token)).session_id == pair.session_id

    listed = await service.keys.ListSigningKeys(keys_pb2.ListSigningKeysRequest(), metadata=admin)
    states = [key.state for key in listed.signing_keys]
    assert states.count(keys_pb2.SIGNING_KEY_STATE_ACTIVE) == states.count(keys_pb2.SIGNING_KEY_STATE_STANDBY) == 1


async def test_a_revocation_cut_short_never_leaves_the_revoked_key_signing(start: Start) -> None:
    service = await start()
    settings = service.settings
    database = open_database(settings.database, budget=settings.database_timeout)
    workers, is_busy, is_open = ThreadPoolExecutor(1), threading.Event(), threading.Event()
    clock = DatabaseClock(time.monotonic)
    keys = SigningKeys(
        database,
        policy=app.key_policy(settings),
        sealing=KeyEncryptionKeys(settings.sealing_secrets),
        clock=clock,
        monotonic=time.monotonic,
        workers=workers,
        consumers=KeyConsumers(database, policy=EVIDENCE_POLICY, profiles={}, clock=clock),
    )
    await keys.tick()
    bad = keys.ring.active.kid
    # The database has the new ring; what is left is to open the new key, for which there is no thread.

    def busy() -> None:
        is_busy.set()
        is_open.wait()

    workers.submit(busy)
    await eventually(is_busy.is_set)
    revoking = asyncio.create_task(keys.revoke(bad, origin=OPERATOR))
    await eventually(lambda: workers._work_queue.qsize() == 1)
    revoking.cancel()
    await asyncio.gather(revoking, return_exceptions=True)
    is_open.set()

    await keys.tick()

    assert keys.ring.get(bad).state == "revoked"
    assert keys.signer().kid == keys.ring.active.kid != bad
    await database.close()
    workers.shutdown()


@pytest.mark.row("S36")
async def test_refreshes_that_race_leave_one_successor(start: Start) -> None:
    service = await start()
    pair = await service.login()
    token = pair.refresh_token

    for _ in range(5):
        answers = await asyncio.gather(*(service.refresh(token) for _ in range(40)))
        successors = {each.refresh_token for each in answers}
        assert len(successors) == 1
        token = (await service.refresh(successors.pop())).refresh_token

    told = service.refresh_tokens.read(token)
    assert (told.session_id, told.generation) == (UUID(pair.session_id), 11)
