"""Local verifiers on the trust stream of a running service: what ends at one replica is refused beside the other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest
from auth_api.v1 import keys_pb2
from auth_client import TokenRefused, TokenVerifier
from auth_client.trust import TrustStream

from auth_service.demo import Facility
from tests.rpc.conftest import Start
from tests.support.administering import PASSWORD, administrator, signed_in
from tests.support.conditions import eventually
from tests.support.service import (
    AUDIENCE,
    ISSUER,
    Databases,
    Service,
    admin_token,
    bearer,
    running_service,
)
from tests.support.tcp_proxy import Proxy

SOON = 10.0
"""Seconds, also on a busy machine. That it is one is for `bench/trust_stream.py` and drill B."""


@asynccontextmanager
async def verifying(address: str) -> AsyncIterator[tuple[TrustStream, TokenVerifier]]:
    async with TrustStream(address, plaintext=True, longest_pause=timedelta(seconds=0.5)) as trust:
        yield trust, TokenVerifier(issuer=ISSUER, audience=AUDIENCE, keys=trust, cache_size=100)


def verdict(verifier: TokenVerifier, token: str) -> str:
    try:
        verifier.verify_now(token)
    except TokenRefused as refused:
        return refused.reason
    return "good"


async def test_a_logout_is_refused_by_a_local_verifier_of_the_other_replica(start: Start) -> None:
    one, other = await start(), await start()
    async with verifying(str(other.where.grpc)) as (_, verifier):
        for _ in range(5):
            pair, stays = await one.login(), await one.login()
            assert verdict(verifier, pair.access_token) == "good"

            await one.logout(pair.refresh_token)
            began = monotonic()
            await eventually(lambda token=pair.access_token: verdict(verifier, token) == "revoked")  # type: ignore[misc]  # the default is the token

            assert monotonic() - began < SOON
            assert verdict(verifier, stays.access_token) == "good"


@pytest.mark.row("E21/local")
async def test_the_tokens_of_a_disabled_and_of_a_deleted_person_are_refused_by_a_local_verifier(
    start: Start,
) -> None:
    one, other = await start(), await start()
    admin = await administrator(one)
    ways: tuple[Callable[[str], Awaitable[object]], ...] = (admin.disable, admin.delete)
    async with verifying(str(other.where.grpc)) as (_, verifier):
        for shut_out in ways:
            person = await signed_in(one, (await admin.create()).username, PASSWORD)
            assert verdict(verifier, person.token) == "good"

            await shut_out(person.person_id)
            began = monotonic()
            await eventually(lambda token=person.token: verdict(verifier, token) == "revoked")  # type: ignore[misc]  # the default is the token

            assert monotonic() - began < SOON
        assert verdict(verifier, admin.token) == "good"


@pytest.mark.row("S23", "S24")
async def test_no_good_token_is_refused_while_keys_rotate_and_a_revoked_key_is_no_good_at_once(start: Start) -> None:
    one, other = await start(), await start()
    admin = bearer(await admin_token(one))
    async with verifying(str(other.where.grpc)) as (trust, verifier):
        tokens = []
        for version in range(1, 4):
            # A standby that was told a moment ago is all that the next rotation needs.
            await eventually(lambda v=version: trust.health.version == str(v), deadline=SOON)  # type: ignore[misc]  # the default is the version
            tokens.append((await one.login()).access_token)
            await one.keys.RotateSigningKey(keys_pb2.RotateSigningKeyRequest(), metadata=admin)
            tokens.append((await one.login()).access_token)
            assert {verdict(verifier, token) for token in tokens} == {"good"}

        listed = await one.keys.ListSigningKeys(keys_pb2.ListSigningKeysRequest(), metadata=admin)
        kid = verifier.verify_now(tokens[0]).key_id
        assert kid in {key.kid for key in listed.signing_keys}
        await one.keys.RevokeSigningKey(keys_pb2.RevokeSigningKeyRequest(kid=kid), metadata=admin)

        await eventually(lambda: verdict(verifier, tokens[0]) == "revoked_key", deadline=SOON)
        assert {verdict(verifier, token) for token in tokens[1:]} == {"good"}


async def test_what_ended_while_the_network_was_away_is_refused_when_it_is_back(service: Service) -> None:
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy(service.where.grpc.host, service.where.grpc.port))
        trust, verifier = await stack.enter_async_context(verifying(f"127.0.0.1:{proxy.port}"))
        pairs = [await service.login() for _ in range(10)]
        await proxy.refuse()
        await eventually(lambda: not trust.health.is_following)
        for pair in pairs:
            await service.logout(pair.refresh_token)
        assert {verdict(verifier, pair.access_token) for pair in pairs} == {"good"}

        await proxy.pass_through()
        await eventually(lambda: trust.health.is_following)

        await eventually(lambda: {verdict(verifier, pair.access_token) for pair in pairs} == {"revoked"}, deadline=SOON)


async def test_a_verifier_goes_on_at_the_other_replica_when_its_own_leaves(
    databases: Databases, facility: Facility, tmp_path: Path
) -> None:
    url = await databases.make("postgresql")
    async with AsyncExitStack() as stack:
        staying = await stack.enter_async_context(running_service(url, facility=facility, data_dir=tmp_path))
        leaving_stack = await stack.enter_async_context(AsyncExitStack())
        leaving = await leaving_stack.enter_async_context(running_service(url, facility=facility, data_dir=tmp_path))
        both = f"ipv4:{leaving.where.grpc},{staying.where.grpc}"
        followers = [await stack.enter_async_context(verifying(both)) for _ in range(4)]
        pair = await staying.login()

        await leaving_stack.aclose()
        await staying.logout(pair.refresh_token)

        async with asyncio.timeout(15):
            for trust, verifier in followers:
                await eventually(lambda v=verifier: verdict(v, pair.access_token) == "revoked")  # type: ignore[misc]  # the default is the verifier
                await eventually(lambda t=trust: t.health.is_following)  # type: ignore[misc]  # the default is the stream


async def test_a_replica_that_restarts_is_followed_on_and_one_of_another_database_from_its_beginning(
    databases: Databases, facility: Facility, tmp_path: Path
) -> None:
    url = await databases.make("sqlite")
    one = tmp_path / "one"
    async with AsyncExitStack() as stack:
        async with running_service(url, facility=facility, data_dir=one) as service:
            proxy = await stack.enter_async_context(Proxy(service.where.grpc.host, service.where.grpc.port))
            trust, verifier = await stack.enter_async_context(verifying(f"127.0.0.1:{proxy.port}"))
            ended, stays = await service.login(), await service.login()
            await service.logout(ended.refresh_token)
            await eventually(lambda: verdict(verifier, ended.access_token) == "revoked")
        await eventually(lambda: not trust.health.is_following)
        assert verdict(verifier, stays.access_token) == "good"

        async with running_service(url, facility=facility, data_dir=one) as service:
            await service.logout(stays.refresh_token)
            await proxy.lead_to(service.where.grpc.host, service.where.grpc.port)
            await eventually(lambda: verdict(verifier, stays.access_token) == "revoked")
            assert verdict(verifier, ended.access_token) == "revoked"

        other = await databases.make("sqlite")
        async with running_service(other, facility=facility, data_dir=tmp_path / "other") as service:
            await proxy.lead_to(service.where.grpc.host, service.where.grpc.port)
            pair = await service.login()
            await eventually(lambda: verdict(verifier, pair.access_token) == "good")
            assert verdict(verifier, stays.access_token) == "unknown_key"
