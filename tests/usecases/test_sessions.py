"""A session goes on, or ends: on both databases, from several replicas, in every race."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import jwt
import pytest
import sqlalchemy as sa
from auth_client import TokenRevoked

from auth_service.domain.audit import Origin
from auth_service.domain.errors import (
    BadCredentials,
    ProviderUnavailable,
    RefreshTokenAhead,
    RefreshTokenExpired,
    RefreshTokenInvalid,
    RefreshTokenMissing,
    RefreshTokenReused,
    RefreshTokenRevoked,
    SigningUnavailable,
)
from auth_service.domain.sessions import Session
from auth_service.storage import revocations, sessions, staff
from auth_service.storage.database import Connection, Statement
from auth_service.storage.revocations import Revocation
from auth_service.storage.schema import person, session
from auth_service.usecases import sweeping
from auth_service.usecases.issuing import TokenPair
from auth_service.usecases.sessions import ROLES_HOLD_FOR, SWEPT_AFTER
from tests.domain.rings import NOON
from tests.usecases.replica import SESSION_POLICY, STAFF_ROLE, Facility, Replica, replica

PAST_THE_WINDOW = SESSION_POLICY.replay_window + timedelta(seconds=1)


async def row(at: Replica, token: str) -> Session:
    """The session of a refresh token as the database has it."""
    session_id = at.refresh_tokens.read(token).session_id
    found = await at.database.autocommit(lambda connection: sessions.find(connection, session_id))
    assert found is not None
    return found[0]


async def revoked(at: Replica) -> list[UUID]:
    async def since(connection: Connection) -> tuple[Revocation, ...]:
        return await revocations.since(connection, NOON - timedelta(days=9999), now=at.clock.now())

    return [each.session_id for each in await at.database.autocommit(since)]


def claims(pair: TokenPair) -> dict[str, object]:
    decoded: dict[str, object] = jwt.decode(pair.access_token, options={"verify_signature": False})
    return decoded


async def write(at: Replica, statement: sa.UpdateBase) -> None:
    assert await at.database.autocommit(lambda connection: connection.run(Statement(statement))) == 1


async def test_a_refresh_goes_one_generation_on_and_its_token_holds(database_url: str) -> None:
    async with replica(database_url) as at:
        first = await at.sign_in.login(username="ada", password="right", origin=Origin())
        second = await at.sessions.refresh(first.refresh_token)

        assert second.refresh_token != first.refresh_token
        assert second.session_id == first.session_id
        assert (await row(at, second.refresh_token)).generation == 2
        for pair in (first, second):
            token = at.verifier.verify_now(pair.access_token)
            assert (token.session_id, token.username) == (str(first.session_id), "Ada")
        assert second.expires_in == timedelta(minutes=10)
        assert second.refresh_expires_in == SESSION_POLICY.idle_lifetime


@pytest.mark.row("S36")
async def test_fifty_at_once_with_one_token_get_one_successor_from_whichever_replica(database_url: str) -> None:
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(replica(database_url)) for _ in range(3)]
        token = await replicas[0].login()

        for generation in (2, 3):
            pairs = await asyncio.gather(*(replicas[number % 3].sessions.refresh(token) for number in range(50)))

            [token] = {pair.refresh_token for pair in pairs}
            assert (await row(replicas[1], token)).generation == generation
        assert await revoked(replicas[2]) == []


async def test_an_answer_that_was_lost_can_be_asked_for_again_within_the_window(database_url: str) -> None:
    async with replica(database_url) as at:
        token = await at.login()
        lost = await at.sessions.refresh(token)
        at.ticker.turn(SESSION_POLICY.replay_window - timedelta(seconds=1))

        again = await at.sessions.refresh(token)

        assert again.refresh_token == lost.refresh_token
        assert (await row(at, token)).generation == 2
        assert await at.sessions.refresh(again.refresh_token)


async def test_a_spent_token_after_the_window_ends_that_session_and_no_other(database_url: str) -> None:
    async with replica(database_url) as at, replica(database_url) as elsewhere:
        token, other = await at.login(), await at.login()
        stolen = await at.sessions.refresh(token)
        at.ticker.turn(PAST_THE_WINDOW)

        with pytest.raises(RefreshTokenReused):
            await at.sessions.refresh(token)

        # What the theft brought in buys nothing any more, here and elsewhere.
        with pytest.raises(RefreshTokenRevoked):
            await at.sessions.refresh(stolen.refresh_token)
        with pytest.raises(RefreshTokenRevoked):
            await elsewhere.sessions.refresh(token)
        assert (await row(at, token)).ended_at is not None
        assert await revoked(at) == [stolen.session_id]
        with pytest.raises(TokenRevoked):
            at.verifier.verify_now(stolen.access_token)
        await elsewhere.revoked.poll()
        with pytest.raises(TokenRevoked):
            elsewhere.verifier.verify_now(stolen.access_token)
        assert await at.sessions.refresh(other)


async def test_a_token_two_generations_old_is_theft_even_within_the_window(database_url: str) -> None:
    async with replica(database_url) as at:
        token = await at.login()
        await at.sessions.refresh((await at.sessions.refresh(token)).refresh_token)

        with pytest.raises(RefreshTokenReused):
            await at.sessions.refresh(token)


async def test_of_thieves_at_once_one_ends_the_session_and_all_are_refused(database_url: str) -> None:
    async with replica(database_url) as at:
        token = await at.login()
        await at.sessions.refresh(token)
        at.ticker.turn(PAST_THE_WINDOW)

        outcomes = await asyncio.gather(*(at.sessions.refresh(token) for _ in range(20)), return_exceptions=True)

        assert {type(outcome) for outcome in outcomes} <= {RefreshTokenReused, RefreshTokenRevoked}
        assert len(await revoked(at)) == 1


@pytest.mark.row("S44")
async def test_logout_in_a_race_with_refreshes_leaves_nothing_alive(database_url: str) -> None:
    async with replica(database_url) as at, replica(database_url) as elsewhere:
        for turns in range(0, 60, 6):
            token = await at.login()
            refreshing = [
                asyncio.create_task((at, elsewhere)[number % 2].sessions.refresh(token)) for number in range(8)
            ]
            for _ in range(turns):
                await asyncio.sleep(0)

            await at.sessions.logout(token)
            outcomes = await asyncio.gather(*refreshing, return_exceptions=True)

            assert {type(outcome) for outcome in outcomes} <= {TokenPair, RefreshTokenRevoked}
            await elsewhere.revoked.poll()
            pairs = [outcome for outcome in outcomes if isinstance(outcome, TokenPair)]
            for held in {token, *(pair.refresh_token for pair in pairs)}:
                with pytest.raises(RefreshTokenRevoked):
                    await elsewhere.sessions.refresh(held)
            for verifier in (at.verifier, elsewhere.verifier):
                for pair in pairs:
                    with pytest.raises(TokenRevoked):
                        verifier.verify_now(pair.access_token)
        assert len(await revoked(at)) == 10


async def test_logging_out_twice_or_with_rubbish_is_fine_and_with_nothing_is_not(database_url: str) -> None:
    async with replica(database_url) as at:
        token = await at.login()
        newest = (await at.sessions.refresh(token)).refresh_token

        # An older token names the session as well as the newest.
        for each in (token, newest, newest, "rubbish", at.refresh_tokens.write(UUID(int=1), 1)):
            await at.sessions.logout(each)

        assert len(await revoked(at)) == 1
        with pytest.raises(RefreshTokenMissing):
            await at.sessions.logout("")
        with pytest.raises(RefreshTokenRevoked):
            await at.sessions.refresh(newest)


async def test_a_token_newer_than_a_restored_database_is_refused_and_its_session_lives(database_url: str) -> None:
    async with replica(database_url) as at:
        token = await at.login()
        ahead = (await at.sessions.refresh(token)).refresh_token
        await write(at, sa.update(session).values(generation=1))

        with pytest.raises(RefreshTokenAhead):
            await at.sessions.refresh(ahead)

        assert await revoked(at) == []
        assert (await at.sessions.refresh(token)).refresh_token == ahead


@pytest.mark.parametrize("column", ["disabled_at", "deleted_at"])
async def test_a_person_who_may_no_longer_sign_in_loses_their_sessions(database_url: str, column: str) -> None:
    async with replica(database_url) as at:
        token = await at.login()
        await write(at, sa.update(person).values({column: NOON}))

        for _ in range(2):
            with pytest.raises(RefreshTokenRevoked):
                await at.sessions.refresh(token)

        assert len(await revoked(at)) == 1
        with pytest.raises(BadCredentials):
            await at.login()
        # That sign-in was no mishap of the database: others come in.
        assert await at.login("grace")


@pytest.mark.row("S39")
async def test_a_session_nobody_uses_ends_and_one_in_use_ends_at_its_absolute_lifetime(database_url: str) -> None:
    policy = replace(SESSION_POLICY, idle_lifetime=timedelta(minutes=40), absolute_lifetime=timedelta(minutes=60))
    async with replica(database_url, session_policy=policy) as at:
        idle, used = await at.login(), await at.login()
        end = (await row(at, used)).absolute_expires_at

        at.ticker.turn(timedelta(minutes=30))
        used = (await at.sessions.refresh(used)).refresh_token
        at.ticker.turn(timedelta(minutes=11))
        with pytest.raises(RefreshTokenExpired):
            await at.sessions.refresh(idle)
        pair = await at.sessions.refresh(used)
        assert (await row(at, used)).absolute_expires_at == (await row(at, used)).expires_at == end
        assert pair.refresh_expires_in <= timedelta(minutes=20)
        at.ticker.turn(timedelta(minutes=20))

        with pytest.raises(RefreshTokenExpired):
            await at.sessions.refresh(pair.refresh_token)
        assert await revoked(at) == []


async def test_sweeping_goes_on_while_batches_are_full_and_ends_in_time(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "SWEPT_AT_ONCE", 2)
    monkeypatch.setattr(sweeping, "MOST_BATCHES", 3)
    async with replica(database_url) as at:
        for _ in range(9):
            await at.login()
        at.ticker.turn(SESSION_POLICY.idle_lifetime + SWEPT_AFTER + timedelta(minutes=1))

        assert [await at.sessions.sweep() for _ in range(3)] == [6, 3, 0]


async def test_what_is_swept_is_what_nobody_can_ask_for_any_more(database_url: str) -> None:
    async with replica(database_url) as at:
        token, out = await at.login(), await at.login()
        await at.sessions.logout(out)
        assert await at.sessions.sweep() == 0

        at.ticker.turn(SESSION_POLICY.idle_lifetime + SWEPT_AFTER - timedelta(minutes=1))
        assert await at.sessions.sweep() == 1  # The revocation: no token is left that it concerns.
        with pytest.raises(RefreshTokenRevoked):
            await at.sessions.refresh(out)
        at.ticker.turn(timedelta(minutes=2))
        assert await at.sessions.sweep() == 2
        assert await at.sessions.sweep() == 0

        for each in (token, out):
            with pytest.raises(RefreshTokenExpired):
                await at.sessions.refresh(each)
            await at.sessions.logout(each)


@pytest.mark.row("S46")
async def test_a_refresh_that_could_not_be_answered_spends_nothing(database_url: str) -> None:
    async with replica(database_url, signer_lease=timedelta(seconds=60)) as at:
        token = await at.login()
        at.ticker.turn(timedelta(seconds=61))

        with pytest.raises(SigningUnavailable):
            await at.sessions.refresh(token)

        assert (await row(at, token)).generation == 1


@pytest.mark.row("S46")
async def test_a_caller_who_leaves_at_any_moment_finds_a_session_that_goes_on(database_url: str) -> None:
    async with replica(database_url) as at:
        token = await at.login()
        for turns in range(0, 120, 7):
            leaving = asyncio.create_task(at.sessions.refresh(token))
            for _ in range(turns):
                await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)

            token = (await at.sessions.refresh(token)).refresh_token

        assert await revoked(at) == []


async def test_rubbish_is_refused_without_asking_the_database(database_url: str) -> None:
    async with replica(database_url) as at:
        await at.database.close()

        for rubbish in ("x", "rt1.", "rt1." + "A" * 80, "ey.ey.ey"):
            with pytest.raises(RefreshTokenInvalid):
                await at.sessions.refresh(rubbish)
            await at.sessions.logout(rubbish)
        with pytest.raises(RefreshTokenMissing):
            await at.sessions.refresh("")


async def test_roles_are_those_of_now(database_url: str) -> None:
    facility = Facility()
    async with replica(database_url, facility=facility, recheck_after=timedelta(minutes=5)) as at:
        token = await at.login()
        facility.roles["ada"] = frozenset({STAFF_ROLE})

        # Within five minutes the facility is not asked again; the staff table is ours and always is.
        pair = await at.sessions.refresh(token)
        assert (claims(pair)["role"], facility.asked) == ("user", 0)
        await at.database.autocommit(lambda connection: staff.add(connection, 20))
        pair = await at.sessions.refresh(pair.refresh_token)
        assert (claims(pair)["role"], facility.asked) == ("staff", 0)
        await at.database.autocommit(lambda connection: staff.remove(connection, 20))

        at.ticker.turn(timedelta(minutes=5))
        pair = await at.sessions.refresh(pair.refresh_token)
        assert (claims(pair)["role"], facility.asked) == ("staff", 1)
        pair = await at.sessions.refresh(pair.refresh_token)
        assert (claims(pair)["role"], facility.asked) == ("staff", 1)

        facility.roles.clear()
        at.ticker.turn(timedelta(minutes=5))
        pair = await at.sessions.refresh(pair.refresh_token)
        assert (claims(pair)["role"], facility.asked) == ("user", 2)


async def test_a_facility_that_is_away_promotes_and_demotes_nobody(database_url: str) -> None:
    facility = Facility(roles={"ada": frozenset({STAFF_ROLE})})
    async with replica(database_url, facility=facility) as at:
        token = await at.login()
        facility.is_away = True
        at.ticker.turn(timedelta(hours=1))

        pair = await at.sessions.refresh(token)

        assert (claims(pair)["role"], facility.asked) == ("staff", 1)


async def test_a_facility_that_hangs_keeps_no_refresh_waiting(database_url: str) -> None:
    facility = Facility(roles={"ada": frozenset({STAFF_ROLE})}, is_hanging=True)
    async with replica(database_url, facility=facility, recheck_within=timedelta(milliseconds=50)) as at:
        token = await at.login()
        at.ticker.turn(timedelta(hours=1))

        async with asyncio.timeout(30):
            pair = await at.sessions.refresh(token)

        assert (claims(pair)["role"], facility.asked) == ("staff", 1)


async def test_roles_are_not_trusted_for_ever_while_the_facility_is_away(database_url: str) -> None:
    facility = Facility(roles={"ada": frozenset({STAFF_ROLE})})
    policy = replace(SESSION_POLICY, idle_lifetime=timedelta(days=3))
    async with replica(database_url, facility=facility, session_policy=policy) as at:
        token = await at.login()
        facility.is_away = True
        at.ticker.turn(ROLES_HOLD_FOR - timedelta(minutes=1))
        token = (await at.sessions.refresh(token)).refresh_token
        at.ticker.turn(timedelta(minutes=1))

        with pytest.raises(ProviderUnavailable):
            await at.sessions.refresh(token)

        # The token is not spent: the session goes on when the facility does.
        facility.is_away = False
        facility.roles.clear()
        assert claims(await at.sessions.refresh(token))["role"] == "user"
