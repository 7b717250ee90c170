"""Connections are lent to one step at a time, so many and no more, and never as a step left them in its middle."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from auth_service.storage import pool as lending
from auth_service.storage.opening import parsed
from auth_service.storage.pool import Pool
from auth_service.storage.postgres import dsn_of

AT_ONCE = timedelta(milliseconds=1)
SOON = timedelta(seconds=10)


@pytest.fixture
async def pool(postgres_url: str) -> AsyncIterator[Pool]:
    pool = Pool(lambda: asyncpg.connect(dsn_of(parsed(postgres_url))), size=2)
    yield pool
    await pool.close(within=SOON)


async def test_the_connection_used_last_is_lent_first(pool: Pool) -> None:
    first, second = await pool.lend(within=SOON), await pool.lend(within=SOON)
    pool.give_back(second)
    pool.give_back(first)

    again = await pool.lend(within=SOON)

    assert again is first
    pool.give_back(again)


async def test_no_more_are_lent_than_there_are_places(pool: Pool) -> None:
    first, second = await pool.lend(within=SOON), await pool.lend(within=SOON)

    with pytest.raises(TimeoutError):
        await pool.lend(within=AT_ONCE)
    waiting = asyncio.create_task(pool.lend(within=SOON))
    await asyncio.sleep(0)
    pool.give_back(first)

    assert await waiting is first
    pool.give_back(first)
    pool.give_back(second)


async def test_what_was_cut_or_left_in_a_transaction_is_not_lent_again(pool: Pool) -> None:
    cut, left = await pool.lend(within=SOON), await pool.lend(within=SOON)
    cut.terminate()
    await left.execute("BEGIN")
    pool.give_back(cut)
    pool.give_back(left)

    fresh = {await pool.lend(within=SOON), await pool.lend(within=SOON)}

    assert not fresh & {cut, left}
    assert left.is_closed()
    for connection in fresh:
        pool.give_back(connection)


async def test_an_idle_connection_that_the_server_ended_is_not_lent_again(pool: Pool) -> None:
    ended, other = await pool.lend(within=SOON), await pool.lend(within=SOON)
    gone = asyncio.Event()
    ended.add_termination_listener(lambda _connection: gone.set())
    pool.give_back(ended)
    await other.execute("SELECT pg_terminate_backend($1)", ended.get_server_pid())
    await gone.wait()

    fresh = await pool.lend(within=SOON)

    assert fresh is not ended
    assert await fresh.fetchval("SELECT 1") == 1
    pool.give_back(fresh)
    pool.give_back(other)


async def test_a_place_is_free_again_when_connecting_failed() -> None:
    async def refused() -> asyncpg.Connection:
        raise ConnectionRefusedError

    pool = Pool(refused, size=1)

    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            await pool.lend(within=SOON)


async def test_nothing_is_waited_for_longer_than_one_budget() -> None:
    pool = Pool(lambda: asyncio.get_running_loop().create_future(), size=1)

    for _ in range(2):
        with pytest.raises(TimeoutError):
            await pool.lend(within=AT_ONCE)


async def test_a_connection_that_nobody_needs_is_closed(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lending, "IDLE_FOR", timedelta(0))
    idle, busy = await pool.lend(within=SOON), await pool.lend(within=SOON)
    pool.give_back(idle)

    pool.give_back(busy)

    assert idle.is_closed()


async def test_closing_closes_what_is_idle_and_cuts_what_is_lent(pool: Pool) -> None:
    idle, lent = await pool.lend(within=SOON), await pool.lend(within=SOON)
    pool.give_back(idle)

    await pool.close(within=SOON)
    pool.give_back(lent)

    assert idle.is_closed()
    assert lent.is_closed()
