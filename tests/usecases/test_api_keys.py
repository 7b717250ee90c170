"""The API keys that a replica holds in memory, with a clock that the tests turn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from auth_service.domain.api_keys import ApiKey, new_secret
from auth_service.domain.audit import OPERATOR, AuditFilter
from auth_service.domain.errors import CredentialsInvalid, DatabaseUnavailable
from auth_service.domain.pages import PageTokens
from auth_service.domain.sealing import KeyEncryptionKeys
from auth_service.storage import api_keys, audit
from auth_service.storage.database import Database, DatabaseClock
from auth_service.usecases.api_keys import BELIEVED_FOR, COOL_DOWN, USE_WRITTEN_EVERY, ApiKeys
from auth_service.usecases.revoked import RevokedSessions
from auth_service.usecases.service_accounts import NewKey, ServiceAccounts
from tests.storage.rivals import replicas
from tests.support.conditions import eventually
from tests.usecases.replica import SECRET, Ticker

IN_SETTINGS = {"portal": "the portal's key of the settings"}
LONGEST_TOKEN = timedelta(minutes=12)


class CountedKeys(ApiKeys):
    """Counts its readings."""

    readings = 0

    async def poll(self) -> None:
        self.readings += 1
        await super().poll()


@dataclass(frozen=True)
class Replica:
    database: Database
    ticker: Ticker
    revoked: RevokedSessions
    keys: CountedKeys
    accounts: ServiceAccounts

    async def new_key(self) -> NewKey:
        """Of an account of its own."""
        name = f"svc-{new_secret()[3:11].lower()}"
        account = await self.accounts.create(name=name, description="", origin=OPERATOR)
        return await self.accounts.create_key(account.id, scopes=["users:read"], expires_at=None, origin=OPERATOR)

    async def now_in_the_database(self, key: NewKey) -> ApiKey:
        found = await self.database.autocommit(lambda connection: api_keys.find(connection, key.key.id))
        assert found is not None
        return found

    def turn(self, by: timedelta) -> None:
        self.ticker.turn(by)


async def replica(database: Database, *, in_settings: dict[str, str] | None = None) -> Replica:
    ticker = Ticker()
    clock = DatabaseClock(ticker)
    clock.told(await database.autocommit(database.time), asked_at=ticker())
    revoked = RevokedSessions(database, clock=clock)
    await revoked.poll()
    settings = IN_SETTINGS if in_settings is None else in_settings
    keys = CountedKeys(
        database,
        in_settings=settings,
        revoked=revoked,
        longest_token=lambda: LONGEST_TOKEN,
        clock=clock,
        monotonic=ticker,
    )
    accounts = ServiceAccounts(
        database,
        page_tokens=PageTokens(KeyEncryptionKeys([SECRET])),
        in_settings=settings,
        revoked=revoked,
        longest_token=lambda: LONGEST_TOKEN,
    )
    return Replica(database, ticker, revoked, keys, accounts)


@asynccontextmanager
async def several(url: str, number: int) -> AsyncIterator[list[Replica]]:
    async with replicas(url, number) as databases:
        yield [await replica(database) for database in databases]


async def test_replicas_that_start_at_once_take_a_key_of_the_settings_over_once(database_url: str) -> None:
    async with several(database_url, 3) as all_of_them:
        await asyncio.gather(*(each.keys.poll() for each in all_of_them))
        await asyncio.gather(*(each.keys.poll() for each in all_of_them))

        callers = [await each.keys.caller(IN_SETTINGS["portal"]) for each in all_of_them]
        told = await all_of_them[0].database.autocommit(
            lambda connection: audit.page(connection, AuditFilter(), before=None, most=10)
        )

    assert len({caller.account_id for caller in callers}) == 1
    assert callers[0].account_id is not None
    assert sorted((each.event.type, each.event.actor_kind) for each in told) == [
        ("api_key.created", "system"),
        ("service_account.created", "system"),
    ]


async def test_a_key_that_has_another_name_in_the_settings_is_that_accounts(database: Database) -> None:
    one = await replica(database)
    await one.keys.poll()
    before = await one.keys.holder(IN_SETTINGS["portal"])

    other = await replica(database, in_settings={"gateway": IN_SETTINGS["portal"]})
    await other.keys.poll()
    await one.revoked.poll()
    await one.keys.poll()

    for each in (one, other):
        assert (await each.keys.caller(IN_SETTINGS["portal"])).name == "gateway"
    assert one.revoked.names(before.key.id)


async def test_a_key_that_was_made_here_and_put_into_the_settings_stays_what_it_was(database: Database) -> None:
    one = await replica(database)
    made = await one.new_key()

    other = await replica(database, in_settings={"portal": made.secret})
    await other.keys.poll()

    assert await other.now_in_the_database(made) == made.key
    assert (await other.keys.caller(made.secret)).scopes == {"users:read"}


async def test_a_key_that_another_replica_made_is_known_when_it_is_first_used(database_url: str) -> None:
    async with several(database_url, 2) as (one, other):
        await other.keys.poll()
        other.turn(COOL_DOWN)
        made = await one.new_key()

        assert (await other.keys.caller(made.secret)).account_id == made.key.account_id


async def test_strange_keys_share_one_reading(database: Database) -> None:
    one = await replica(database)
    await one.keys.poll()
    one.turn(COOL_DOWN)
    before = one.keys.readings

    outcomes = await asyncio.gather(*(one.keys.caller(new_secret()) for _ in range(100)), return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {CredentialsInvalid}
    assert one.keys.readings == before + 1


async def test_a_stranger_who_leaves_during_the_reading_leaves_it_to_those_who_wait(database_url: str) -> None:
    async with several(database_url, 2) as (one, other):
        await other.keys.poll()
        other.turn(COOL_DOWN)
        made = await one.new_key()
        stranger = asyncio.create_task(other.keys.caller(new_secret()))
        await eventually(lambda: other.keys.readings == 2, every=0)
        waiting = asyncio.create_task(other.keys.caller(made.secret))
        await asyncio.sleep(0)

        stranger.cancel()

        assert (await waiting).account_id == made.key.account_id
        assert stranger.cancelled()


@pytest.mark.parametrize(
    "garbage",
    ["", "shh", "ak_", "x" * 64, new_secret()[:-1] + "-"],
    ids=["empty", "short", "prefix", "no prefix", "altered"],
)
async def test_what_is_not_of_our_form_costs_no_reading(database: Database, garbage: str) -> None:
    one = await replica(database)
    await one.keys.poll()
    one.turn(COOL_DOWN)
    before = one.keys.readings

    with pytest.raises(CredentialsInvalid):
        await one.keys.caller(garbage)

    assert one.keys.readings == before


@pytest.mark.row("S18")
async def test_known_keys_go_on_without_the_database_for_an_hour_and_those_of_the_settings_for_ever(
    database_url: str,
) -> None:
    async with several(database_url, 1) as (one,):
        made = await one.new_key()
        await one.keys.poll()
        await one.database.close()

        one.turn(BELIEVED_FOR - timedelta(seconds=1))
        known = await one.keys.caller(made.secret)
        with pytest.raises(DatabaseUnavailable):
            await one.keys.caller(new_secret())
        one.turn(timedelta(seconds=1))
        with pytest.raises(DatabaseUnavailable):
            await one.keys.caller(made.secret)
        of_settings = await one.keys.caller(IN_SETTINGS["portal"])

    assert known.scopes == {"users:read"}
    assert of_settings.name == "portal"


async def test_a_key_of_the_settings_that_was_revoked_is_refused_by_whoever_can_read(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await replica(database), await replica(database)
    await one.keys.poll()
    held = await one.keys.holder(IN_SETTINGS["portal"])
    await one.accounts.revoke_key(held.key.id, origin=OPERATOR)

    async def read_only(*_: object, **__: object) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(database, "transaction", read_only)
    assert (await other.keys.caller(IN_SETTINGS["portal"])).name == "portal"
    await other.keys.poll()

    for asked in (other.keys.caller, other.keys.holder):
        with pytest.raises(CredentialsInvalid):
            await asked(IN_SETTINGS["portal"])


async def test_a_key_revoked_elsewhere_is_refused_as_soon_as_the_revocation_is_read(database_url: str) -> None:
    async with several(database_url, 2) as (one, other):
        made = await one.new_key()
        await other.keys.poll()
        await one.accounts.revoke_key(made.key.id, origin=OPERATOR)

        # Not the keys: those are read seldom.
        await other.revoked.poll()

        for refusing in (one, other):
            with pytest.raises(CredentialsInvalid):
                await refusing.keys.caller(made.secret)


async def test_the_last_use_is_written_once_a_minute(database: Database) -> None:
    one = await replica(database)
    made = await one.new_key()
    await one.keys.poll()
    written: list[datetime | None] = []

    for pause in (timedelta(0), USE_WRITTEN_EVERY / 2, USE_WRITTEN_EVERY / 2):
        one.turn(pause)
        await one.keys.caller(made.secret)
        await one.keys.poll()
        written.append((await one.now_in_the_database(made)).last_used_at)

    assert written[0] is not None
    assert written[1] == written[0]
    assert written[2] == written[0] + USE_WRITTEN_EVERY


async def test_a_key_that_is_not_used_writes_nothing(database: Database) -> None:
    one = await replica(database)
    made = await one.new_key()

    await one.keys.poll()
    await one.keys.poll()

    assert (await one.now_in_the_database(made)).last_used_at is None


async def test_a_secret_shows_in_no_repr(database: Database) -> None:
    one = await replica(database)
    made = await one.new_key()

    assert made.secret not in repr(made)
    assert repr(made.key.digest) not in repr(made)
