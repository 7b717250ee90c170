"""Who asks again for an answer that was lost may ask a replica that did not see why it was lost."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from auth_service.domain.errors import RefreshTokenReused
from auth_service.storage.database import Statement
from auth_service.storage.schema import presence, session
from auth_service.usecases.presence import LONGEST_ABSENCE
from tests.usecases.replica import SESSION_POLICY, Replica, replica

_as_it_was = Statement(sa.update(session).values(rotated_by=None))
SECOND = timedelta(seconds=1)
WINDOW = SESSION_POLICY.replay_window


@pytest.fixture
async def two(database_url: str) -> AsyncIterator[tuple[Replica, Replica]]:
    async with replica(database_url) as at, replica(database_url) as elsewhere:
        yield at, elsewhere


async def passes(time: timedelta, *replicas: Replica, there: Replica | None = None) -> None:
    """`there` gets through to the database meanwhile, and tells it as often as it would in the background."""
    step = replicas[0].attendance.policy.told_every
    while time > timedelta(0):
        for each in replicas:
            each.ticker.turn(min(step, time))
        time -= step
        if there is not None:
            await there.attendance.tell()


async def rows(at: Replica) -> int:
    count = Statement(sa.select(sa.func.count().label("rows")).select_from(presence))
    row = await at.database.autocommit(lambda connection: connection.row(count))
    assert row is not None
    return int(row["rows"])


@pytest.mark.row("S37")
@pytest.mark.parametrize("told_for", [0 * SECOND, 5 * SECOND], ids=["at once", "after a while"])
async def test_who_is_cut_off_with_their_replica_asks_another_when_it_is_given_up(
    two: tuple[Replica, Replica], told_for: timedelta
) -> None:
    at, elsewhere = two
    token = await at.login()
    lost = await at.sessions.refresh(token)
    await passes(told_for, at, elsewhere, there=at)

    # `at` hears no more of the database, or is no more: who knows. A load balancer takes a minute to give it up.
    await passes(timedelta(minutes=1), at, elsewhere)
    again = await elsewhere.sessions.refresh(token)

    assert again.refresh_token == lost.refresh_token
    assert await at.sessions.refresh(again.refresh_token)


@pytest.mark.row("S37")
async def test_who_waits_for_the_only_replica_to_start_again_is_given_what_was_lost(database_url: str) -> None:
    async with AsyncExitStack() as before:
        at = await before.enter_async_context(replica(database_url))
        token = await at.login()
        lost = await at.sessions.refresh(token)
    async with replica(database_url) as after:
        await passes(timedelta(minutes=2), after)

        assert (await after.sessions.refresh(token)).refresh_token == lost.refresh_token


@pytest.mark.row("S35")
async def test_a_spent_token_is_theft_at_another_replica_too_if_its_own_was_there_all_the_time(
    two: tuple[Replica, Replica],
) -> None:
    at, elsewhere = two
    token, soon = await at.login(), await at.login()
    await at.sessions.refresh(token)
    await at.sessions.refresh(soon)

    await passes(WINDOW / 2, at, elsewhere, there=at)
    assert await elsewhere.sessions.refresh(soon)
    await passes(WINDOW / 2, at, elsewhere, there=at)
    with pytest.raises(RefreshTokenReused):
        await elsewhere.sessions.refresh(token)


@pytest.mark.row("S35", "S37")
async def test_what_is_left_of_the_window_begins_when_the_replica_is_back(two: tuple[Replica, Replica]) -> None:
    at, elsewhere = two
    tokens, other = [await at.login() for _ in range(2)], await at.login()
    lost = [await at.sessions.refresh(token) for token in tokens]
    await passes(3 * SECOND, at, elsewhere, there=at)
    await passes(timedelta(minutes=1), at, elsewhere)
    await at.sessions.refresh(other)
    await at.attendance.tell()

    await passes(2 * SECOND, at, elsewhere, there=at)
    assert (await elsewhere.sessions.refresh(tokens[0])).refresh_token == lost[0].refresh_token
    await passes(WINDOW, at, elsewhere, there=at)
    with pytest.raises(RefreshTokenReused):
        await elsewhere.sessions.refresh(tokens[1])


@pytest.mark.row("S35")
async def test_however_long_a_replica_is_away_the_window_ends(two: tuple[Replica, Replica]) -> None:
    at, elsewhere = two
    tokens = [await at.login() for _ in range(2)]
    for token in tokens:
        await at.sessions.refresh(token)

    await passes(LONGEST_ABSENCE, at, elsewhere)
    assert await elsewhere.sessions.refresh(tokens[0])
    await passes(WINDOW, at, elsewhere)
    with pytest.raises(RefreshTokenReused):
        await elsewhere.sessions.refresh(tokens[1])


@pytest.mark.row("S35", "S36")
async def test_a_use_of_the_successor_closes_the_window_whoever_is_away(two: tuple[Replica, Replica]) -> None:
    at, elsewhere = two
    token = await at.login()
    successor = (await at.sessions.refresh(token)).refresh_token
    await passes(timedelta(minutes=1), at, elsewhere)
    assert await elsewhere.sessions.refresh(successor)

    with pytest.raises(RefreshTokenReused):
        await elsewhere.sessions.refresh(token)


@pytest.mark.row("S35")
async def test_a_replica_that_leaves_in_order_leaves_no_window_open(two: tuple[Replica, Replica]) -> None:
    at, elsewhere = two
    tokens = [await at.login() for _ in range(2)]
    for token in tokens:
        await at.sessions.refresh(token)
    await at.attendance.leave()

    await passes(WINDOW / 2, at, elsewhere)
    assert await elsewhere.sessions.refresh(tokens[0])
    await passes(WINDOW / 2, at, elsewhere)
    with pytest.raises(RefreshTokenReused):
        await elsewhere.sessions.refresh(tokens[1])


async def test_who_spent_a_token_before_this_was_written_down_is_not_looked_for(two: tuple[Replica, Replica]) -> None:
    at, elsewhere = two
    token = await at.login()
    await at.sessions.refresh(token)
    await at.database.autocommit(lambda connection: connection.run(_as_it_was))
    await passes(WINDOW, at, elsewhere)

    with pytest.raises(RefreshTokenReused):
        await elsewhere.sessions.refresh(token)


async def test_nothing_is_written_while_nothing_is_refreshed(two: tuple[Replica, Replica]) -> None:
    at, elsewhere = two
    token = await at.login()
    await passes(timedelta(minutes=1), at, there=at)
    assert await rows(at) == 0

    await at.sessions.refresh(token)
    await passes(timedelta(minutes=1), at, there=at)
    await elsewhere.attendance.tell()
    await at.attendance.leave()

    assert await rows(at) == 1
    [told] = await _told(at)
    assert WINDOW <= told <= at.attendance.policy.told_for
    assert await at.attendance.sweep() == 0
    await passes(LONGEST_ABSENCE, at)
    assert await at.attendance.sweep() == 1


async def test_without_a_replay_window_nothing_is_told(database_url: str) -> None:
    policy = replace(SESSION_POLICY, replay_window=timedelta(0))
    async with (
        replica(database_url, session_policy=policy) as at,
        replica(database_url, session_policy=policy) as elsewhere,
    ):
        token = await at.login()
        await at.sessions.refresh(token)
        await at.attendance.tell()
        await at.attendance.leave()

        assert await rows(at) == 0
        with pytest.raises(RefreshTokenReused):
            await elsewhere.sessions.refresh(token)


async def _told(at: Replica) -> list[timedelta]:
    found = Statement(sa.select(presence))
    return [
        row["lasts_until"] - row["begun_at"]
        for row in await at.database.autocommit(lambda connection: connection.rows(found))
    ]
