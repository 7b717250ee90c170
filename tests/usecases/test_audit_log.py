"""Following the log: signs of life, and no more followers than there is room for."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest

from auth_service.background import every, in_background
from auth_service.domain.audit import AuditEvent, EventType, Origin, happened, types_named
from auth_service.domain.errors import NotFound, Overloaded
from auth_service.domain.pages import PageTokens
from auth_service.domain.sealing import KeyEncryptionKeys
from auth_service.storage import audit
from auth_service.storage.database import Database
from auth_service.usecases.audit_log import AuditLog

SOON = timedelta(milliseconds=20)


def log_of(database: Database, *, sign_of_life_after: timedelta = SOON, most_followers: int = 2) -> AuditLog:
    page_tokens = PageTokens(KeyEncryptionKeys([b"k" * 32]))
    return AuditLog(
        database, page_tokens=page_tokens, sign_of_life_after=sign_of_life_after, most_followers=most_followers
    )


async def write(database: Database) -> AuditEvent:
    event = happened(EventType.ROLE_CREATED, origin=Origin(), now=datetime.now(UTC), role="r", level="7")
    await database.transaction(lambda connection: audit.add(connection, event))
    return event


async def test_where_nothing_happens_there_is_a_sign_of_life(database: Database) -> None:
    await write(database)
    async with aclosing(log_of(database).follow(after=None, types=None)) as events:
        assert [await anext(events) for _ in range(3)] == [None, None, None]


async def test_a_follower_hears_of_what_comes_and_of_nothing_before(database: Database) -> None:
    await write(database)
    log = log_of(database, sign_of_life_after=timedelta(hours=1))
    async with in_background(every(SOON, log.poll)), aclosing(log.follow(after=None, types=None)) as events:
        assert await anext(events) is None
        coming = asyncio.ensure_future(anext(events))

        written = await write(database)

        assert await coming == written


async def test_whoever_waits_for_one_thing_has_signs_of_life_while_others_happen(database: Database) -> None:
    hardly, seldom = timedelta(milliseconds=1), timedelta(milliseconds=500)
    log = log_of(database, sign_of_life_after=seldom)
    at_it = every(hardly, partial(write, database)), every(hardly, log.poll)
    async with in_background(*at_it), aclosing(log.follow(after=None, types=types_named("person."))) as events:
        async with asyncio.timeout(10):
            assert [await anext(events) for _ in range(2)] == [None, None]


async def test_there_is_room_for_so_many_and_for_another_when_one_leaves(database: Database) -> None:
    log = log_of(database)
    one, other, third = (log.follow(after=None, types=None) for _ in range(3))
    await anext(one)
    await anext(other)

    with pytest.raises(Overloaded):
        await anext(third)
    await one.aclose()
    again = log.follow(after=None, types=None)
    assert await anext(again) is None

    for each in (other, again):
        await each.aclose()
    assert log.followers == 0


async def test_whoever_begins_nowhere_takes_no_room(database: Database) -> None:
    log = log_of(database)

    with pytest.raises(NotFound):
        await anext(log.follow(after=uuid4(), types=None))

    assert log.followers == 0


async def test_nobody_asks_the_database_while_nobody_follows(database: Database) -> None:
    log = log_of(database)
    await database.close()

    await log.poll()
